"""The command line itself: help, exit status, errors, machine-readable output."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from lambdapack.cli import group
from lambdapack.cli.session import glibc_version, read_payload
from lambdapack.errors import CheckError, ConfigurationError, LambdapackError, ToolError
from tests.support.command_line import Run


def test_help_imports_nothing_heavy() -> None:
    """`lambdapack --help` is quick because none of these is imported for it."""
    heavy = ("boto3", "botocore", "docker", "rich", "pydantic", "zstandard", "elftools", "packaging")
    code = (
        "import sys\nfrom lambdapack.cli import main\nsys.argv = ['lambdapack', '--help']\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code\n"
        f"print('heavy:', [name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "heavy: []"


def test_every_command_is_there_and_teaches(run_lambdapack: Run, tmp_path: Path) -> None:
    """The table of commands and the modules agree; each command's help has an example."""
    listed = run_lambdapack("--help", cwd=tmp_path).stdout
    for name, line in group.COMMANDS.items():
        assert f"  {name} " in listed
        assert line.split(":")[0] in " ".join(listed.split())
        command = group.cli.get_command(click.Context(group.cli), name)
        assert command is not None
        assert command.name == name
        assert f"lambdapack {name}" in (command.help or ""), name


def test_version(run_lambdapack: Run, tmp_path: Path) -> None:
    """--version names the tool and its version."""
    assert run_lambdapack("--version", cwd=tmp_path).stdout.startswith("lambdapack")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bild"], "did you mean 'build'?"),
        (["build", "--arch", "arm"], "x86_64"),
        (["build", "x", "--python", "2.7"], "'2.7' is not a Lambda runtime"),
        (["build", "x", "--glibc", "new"], "'new' is not a version of glibc"),
        (["build"], "no requirements were given"),
        (["build", "not a requirement"], "not a requirement"),
        (["build", "-r", "missing.txt"], "missing.txt"),
        (["plan"], "lambdapack build"),
        (["deploy"], "lambdapack build"),
        (["verify"], "lambdapack build"),
        (["verify", "missing.tar.zst"], "missing.tar.zst"),
        (["inspect", "missing"], "missing"),
        (["invoke", "nothing"], "nothing"),
        (["invoke", "x", "--payload", "{"], "the payload is not JSON"),
        (["invoke", "x", "--payload", "@missing"], "cannot read the payload"),
        (["invoke", "x", "--cloud", "aws", "--cold"], "--cold"),
        (["push"], "no location"),
        (["init", "--name", "a b"], "not a function name"),
        (["--config"], "No such option"),
    ],
)
def test_wrong_usage_is_status_2_and_no_traceback(
    run_lambdapack: Run, tmp_path: Path, arguments: list[str], said: str
) -> None:
    """What the user can mend is said in one message, on stderr, with status 2."""
    done = run_lambdapack(*arguments, cwd=tmp_path, status=2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout


def test_mistakes_in_the_configuration_reach_the_user(
    run_lambdapack: Run, project: Callable[[str], Path]
) -> None:
    """Every mistake is printed, each on a line of its own."""
    folder = project('[build]\npyton = "3.12"\n[pack]\nlevel = "high"\n')
    said = run_lambdapack("build", cwd=folder, status=2).stderr
    assert "2 mistakes in" in said
    assert "  [build] pyton: unknown key; did you mean python?\n" in said
    assert "  [pack] level: expected an integer from 1 to 22, not 'high'\n" in said


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (LambdapackError("x"), 3),
        (CheckError("x"), 1),
        (ConfigurationError("x"), 2),
        (ToolError("x"), 3),
        (KeyboardInterrupt(), 130),
        (ValueError("x"), 3),
        (click.UsageError("x"), 2),
        (BrokenPipeError(), 0),
    ],
)
def test_each_kind_of_error_has_its_status(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], error: BaseException, status: int
) -> None:
    """The exit status says what kind of error it was; none shows a traceback."""

    def fail(_: click.Context) -> None:
        raise error

    monkeypatch.delenv("LAMBDAPACK_DEBUG", raising=False)
    monkeypatch.setattr(group.cli, "invoke", fail)
    if isinstance(error, BrokenPipeError):
        monkeypatch.setattr(group.os, "dup2", lambda *_: None)
    assert group.run(["version-of-nothing"]) == status
    assert "Traceback" not in capfd.readouterr().err


def test_message_detail_and_hint_are_printed_in_this_order(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A user reads what went wrong, what the tool said, and what to do."""

    def fail(_: click.Context) -> None:
        raise ToolError("pip failed", detail="line 1\nline 2", hint="try again")

    monkeypatch.setattr(group.cli, "invoke", fail)
    assert group.run(["x"]) == 3
    assert capfd.readouterr().err == "error: pip failed\n  | line 1\n  | line 2\nhint: try again\n"


def test_debug_shows_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """LAMBDAPACK_DEBUG=1 shows where an unexpected error came from."""

    def fail(_: click.Context) -> None:
        raise ValueError("unexpected")

    monkeypatch.setattr(group.cli, "invoke", fail)
    group.run(["x"])
    assert "LAMBDAPACK_DEBUG=1" in capfd.readouterr().err
    monkeypatch.setenv("LAMBDAPACK_DEBUG", "1")
    group.run(["x"])
    assert "Traceback" in capfd.readouterr().err


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    """`lambdapack … | head` ends without a word on stderr."""
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m lambdapack --help | head -c 1; exit ${{PIPESTATUS[0]}}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "U", "")


def test_a_rule_that_does_not_exist_is_told_before_anything_slow(run_lambdapack: Run, tmp_path: Path) -> None:
    """The configuration is looked at first: neither an index nor the output folder is touched."""
    (tmp_path / "lambdapack.toml").write_text('[slim]\ndisable = ["numpy-test"]\n')
    done = run_lambdapack("build", "./no-such-package", "--output", "out", cwd=tmp_path, status=2)
    assert "there is no slimming rule 'numpy-test'" in done.stderr
    assert "did you mean 'numpy-tests'?" in done.stderr
    assert not (tmp_path / "out").exists()


def test_ctrl_c_ends_with_130_and_leaves_nothing(tmp_path: Path, lambdapack_cache: Path) -> None:
    """An interrupted build says so in a line and leaves neither a pack nor a work folder."""
    output = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-m", "lambdapack", "build", "numpy", "--output", str(output)],
        cwd=tmp_path,
        env={**os.environ, "LAMBDAPACK_CACHE": str(lambdapack_cache)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not list(output.glob(".work-*")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert said.splitlines()[-1] == "Interrupted; nothing half done was kept."
    assert list(output.iterdir()) == []


def test_doctor_answers_in_json(run_lambdapack: Run, tmp_path: Path) -> None:
    """Every check has a name, a state, what was found and what it is for."""
    document = json.loads(run_lambdapack("doctor", "--json", cwd=tmp_path).stdout)
    assert (document["document"], document["version"]) == ("lambdapack.doctor", 1)
    assert {"interpreters", "pip", "docker", "zstd", "credentials"} <= {
        one["name"] for one in document["checks"]
    }
    for one in document["checks"]:
        assert one["state"] in ("ok", "optional", "missing")
        assert one["found"] and one["for"]


def test_an_ending_runtime_is_told_and_then_refused(
    run_lambdapack: Run, project: Callable[[str], Path]
) -> None:
    """``doctor`` and ``build`` warn of python3.10's end, and refuse from the day on which Lambda does."""
    folder = project('[build]\npython = "3.10"\n')
    for today, state in (("2026-01-01", "ok"), ("2027-03-02", "optional"), ("2027-03-03", "missing")):
        environment = (("LAMBDAPACK_TODAY", today),)
        done = run_lambdapack("doctor", "--json", cwd=folder, status=None, environment=environment)
        (row,) = (one for one in json.loads(done.stdout)["checks"] if one["name"] == "runtime")
        assert row["state"] == state and "python3.10" in row["found"]
    build = run_lambdapack("build", "six", cwd=folder, status=2, environment=environment)
    assert "building for python3.10/x86_64: Lambda's runtime python3.10 has taken neither" in build.stderr
    assert "Traceback" not in build.stderr


def test_doctor_fails_where_the_target_has_no_interpreter(
    run_lambdapack: Run, project: Callable[[str], Path], tmp_path: Path
) -> None:
    """With no Python of the target's version here, doctor says so with status 1."""
    folder = project('[build]\npython = "3.14"\n')
    environment = (
        *(("HOME", str(tmp_path)), ("PYENV_ROOT", str(tmp_path)), ("PATH", "/nowhere")),
        ("DOCKER_HOST", "unix:///no/such.sock"),
    )
    done = run_lambdapack("doctor", cwd=folder, status=1, environment=environment)
    assert "interpreters" in done.stderr
    build = run_lambdapack("build", "six", cwd=folder, status=2, environment=environment)
    assert "no Docker engine answers" in build.stderr
    assert "--builder docker" in build.stderr


def test_the_cache_is_shown_and_emptied(run_lambdapack: Run, tmp_path: Path) -> None:
    """`cache show` adds up what is there; `cache prune --all` frees exactly that."""
    cache = tmp_path / "cache"
    (cache / "locks").mkdir(parents=True)
    (cache / "locks" / "one").write_bytes(bytes(1000))
    environment = [("LAMBDAPACK_CACHE", str(cache))]
    shown = json.loads(
        run_lambdapack("cache", "show", "--json", cwd=tmp_path, environment=environment).stdout
    )
    assert shown["parts"] == {"locks": 1000}
    freed = json.loads(
        run_lambdapack("cache", "prune", "--all", "--json", cwd=tmp_path, environment=environment).stdout
    )
    assert freed["freed"] == 1000
    assert list(cache.iterdir()) == []


def test_glibc_versions() -> None:
    """A version is two numbers."""
    assert glibc_version("2.28") == (2, 28)
    assert glibc_version(None) is None


def test_a_payload_comes_from_the_option_a_file_or_the_example(tmp_path: Path) -> None:
    """JSON, @FILE, the configured example, else an empty object."""
    path = tmp_path / "event.json"
    path.write_text('{"a": 1}')
    assert read_payload('{"b": 2}', path) == b'{"b": 2}'
    assert read_payload(f"@{path}", None) == b'{"a": 1}'
    assert read_payload(None, path) == b'{"a": 1}'
    assert read_payload(None, None) == b"{}"
