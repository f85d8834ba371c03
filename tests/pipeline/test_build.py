"""What a build runs of other people's code: what it sees, what is noticed of it, and how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from lambdapack.errors import ConfigurationError
from lambdapack.model.target import Target
from lambdapack.pipeline.handler_source import check_source
from lambdapack.python import interpreter, toolchain
from tests.support.command_line import Run
from tests.support.local_cloud import eventually
from tests.support.system_libraries import libraries
from tests.support.wheelhouse import wheel

PYTHON = ".".join(map(str, sys.version_info[:2]))
Project = Callable[..., Path]


@pytest.fixture
def packages(tmp_path: Path, lambdapack_cache: Path) -> Project:
    """Writes a project whose requirement is a package of the given files, from a folder of wheels."""
    toolchain.ensure(interpreter.find(PYTHON), lambdapack_cache)

    def write(modules: Mapping[str, str], configuration: str = "", **files: str) -> Path:
        folder, wheels = tmp_path / "project", tmp_path / "wheels"
        folder.mkdir()
        wheels.mkdir()
        wheel(wheels, "mine", "1", files={name: text.encode() for name, text in modules.items()})
        (folder / "requirements.txt").write_text(f"--no-index\n--find-links {wheels}\nmine==1\n")
        build = f'[build]\nfiles = ["requirements.txt"]\nbuilder = "local"\npython = "{PYTHON}"\n'
        (folder / "lambdapack.toml").write_text(build + configuration)
        for name, text in files.items():
            (folder / f"{name}.py").write_text(text)
        return folder

    return write


NEEDS_VARIABLE = {
    "mine/__init__.py": "import os\n__import__('mine.' + os.environ['MINE_BACKEND'])\n",
    "mine/first.py": "",
    "mine/second.py": "",
    "mine/tests/test_it.py": "",
}


@pytest.mark.parametrize("traced", ["", '[trace]\ncode = "import mine"\n'])
def test_the_functions_variables_reach_all_that_is_run(
    run_lambdapack: Run, packages: Project, traced: str
) -> None:
    """The default trace, given code, and the imports that prove slimming; another value is another build."""
    settings = traced + '[function.environment]\nMINE_BACKEND = "{}"\n'
    folder = packages(NEEDS_VARIABLE, settings.format("first"))
    for backend in ("first", "second"):
        text = (folder / "lambdapack.toml").read_text()
        (folder / "lambdapack.toml").write_text(text.replace('"first"', f'"{backend}"'))
        run_lambdapack("build", cwd=folder)
        report = json.loads((folder / ".lambdapack/build/build.json").read_text())
        hot = {Path(path).name.partition(".")[0] for path in report["trace"]["files"]}
        assert hot & {"first", "second"} == {backend}
        # "mine" raises without its variable, so it could not be compared.
        assert report["imports"]["skipped"] == {}


SLOW = """\
import os, subprocess, sys, time
def note(pid):
    with open(os.environ["PIDS"], "a") as file:
        file.write(f"{pid}\\n")
wait = [sys.executable, "-S", "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"]
note(subprocess.Popen(wait).pid)
note(subprocess.Popen(wait, start_new_session=True).pid)
note(os.getpid())
time.sleep(600)
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text("latin-1").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL])
def test_what_a_build_started_ends_with_it(
    packages: Project, lambdapack_cache: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """The traced program and what it started, in whichever session; the status and the words are Ctrl-C's."""
    pids = tmp_path / "pids"
    folder = packages({"mine.py": SLOW}, f'[function.environment]\nPIDS = "{pids}"\n')
    build = subprocess.Popen(
        [sys.executable, "-m", "lambdapack", "build"],
        cwd=folder,
        env={**os.environ, "LAMBDAPACK_CACHE": str(lambdapack_cache)},
        stderr=subprocess.PIPE,
        text=True,
    )
    started: list[int] = []
    try:
        assert eventually(lambda: pids.exists() and len(pids.read_text().splitlines()) == 3, 60)
        started = [int(line) for line in pids.read_text().splitlines()]
        build.send_signal(number)
        said = build.communicate(timeout=60)[1]
        if number != signal.SIGKILL:
            assert build.returncode == 130
            assert "Interrupted" in said
            assert not any(map(alive, started))
        assert eventually(lambda: not any(map(alive, started)))
    finally:
        build.kill()
        for pid in filter(alive, started):
            os.kill(pid, signal.SIGKILL)


def test_what_nohup_ignores_stays_ignored() -> None:
    """A build that was started under nohup goes on when its terminal goes."""
    code = (
        "import os, signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from lambdapack.cli import session\n"
        "session.stoppable(lambda: os.kill(os.getpid(), signal.SIGHUP))(); print('went on')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "went on\n"


@pytest.fixture
def named(tmp_path: Path) -> tuple[str, str]:
    """The variable by which this machine has ``libodd.so.1``, which needs ``libeven.so.2``."""
    libraries(tmp_path / "machine")
    return "LD_LIBRARY_PATH", str(tmp_path / "machine")


BY_NAME = {"mine.py": "import ctypes\nvalue = ctypes.CDLL('libodd.so.1').odd()\n"}


def lacking(folder: Path) -> dict[str, list[str]]:
    report = json.loads((folder / ".lambdapack/build/build.json").read_text())
    return {one["name"]: one["needed_by"] for one in report["lacking"]}


@pytest.mark.parametrize("configuration", ["", "[slim]\nsources = false\n"])
def test_a_library_that_is_opened_by_name_is_missed(
    run_lambdapack: Run, packages: Project, named: tuple[str, str], configuration: str
) -> None:
    """The build names it and the module, plan fails and AWS gets no function, also where modules are bytecode
    alone: what the library needs in turn is not a matter of its own."""
    folder = packages(
        BY_NAME, configuration, app="import runtime_shim\ndef handler(event, context): import mine\n"
    )
    done = run_lambdapack("build", cwd=folder, environment=[named])
    ((name, users),) = lacking(folder).items()
    assert name == "libodd.so.1"
    assert users[0].startswith(("mine.py", "__pycache__/mine."))
    assert "neither the pack nor Lambda's" in done.stderr
    assert "libodd.so.1" in done.stderr
    refused = run_lambdapack("plan", cwd=folder, status=1)
    assert "the traced code uses it" in refused.stderr
    assert "--builder docker" in refused.stderr
    run_lambdapack("plan", "--allow-lacking", "libodd.so.1", cwd=folder)
    aws = ("deploy", "--cloud", "aws", "--dry-run", "--location", "s3://nowhere-at-all/packs")
    assert "for want of a library" in run_lambdapack(*aws, cwd=folder, status=1).stderr
    assert "would fail for want of libodd.so.1" in run_lambdapack("deploy", "--dry-run", cwd=folder).stderr


HANDLED = '[trace]\nhandler = "app.handler"\n'
APP = """\
import ctypes, runtime_shim, mine, ssl, sqlite3, lzma, bz2, zlib, hashlib, socket
def handler(event, context):
    try:
        socket.getaddrinfo("localhost", 80)
    except OSError:
        pass
    return ctypes.CDLL("lib%s.so.1" % "odd").odd()
"""


def test_what_the_function_has_is_not_missed(
    run_lambdapack: Run, packages: Project, named: tuple[str, str]
) -> None:
    """A handler's own call counts; not what lies in its lib folder, nor what this Python or glibc open."""
    folder = packages({"mine.py": ""}, HANDLED, app=APP)
    run_lambdapack("build", cwd=folder, environment=[named])
    assert lacking(folder) == {"libodd.so.1": ["the traced code"]}
    assert "the traced code needs libodd.so.1" in run_lambdapack("plan", cwd=folder, status=1).stderr
    (folder / "lib").mkdir()
    (folder / "lib" / "libodd.so.1").symlink_to(Path(named[1]) / "libodd.so.1")
    run_lambdapack("build", cwd=folder, environment=[named])
    assert lacking(folder) == {}
    run_lambdapack("plan", cwd=folder)


def refused(run_lambdapack: Run, folder: Path) -> str:
    """What a build says that ends with status 2 before anything is resolved."""
    done = run_lambdapack("build", cwd=folder, status=2)
    assert "resolve" not in done.stderr
    assert "builder:" not in done.stderr
    return done.stderr


FINE = "def handler(event, context): ...\n"


@pytest.mark.parametrize(
    ("configuration", "files", "words"),
    [
        (
            "",
            {"app": "import helper\n\ndef handler(event, context)\n    return 1\n"},
            ("app.py, line 3", "':'"),
        ),
        # What only compiling finds, no syntax tree.
        ("", {"app": f"{FINE}return 2\n"}, ("app.py, line 2", "outside function")),
        ("", {"app": f"import helper\n{FINE}", "helper": "x = (\n"}, ("helper.py, line 1", "never closed")),
        ('[function]\nhandler = "app.main"\n', {"app": FINE}, ("no 'main'", "app.handler")),
        ('[function]\nhandler = "other.main"\n', {"app": FINE}, ("no module 'other'", "app.handler")),
        ('[trace]\nhandler = "app.gone"\n', {"app": FINE}, ("no 'gone'", "app.handler")),
    ],
)
def test_a_handler_that_lambda_could_not_import_is_told_before_the_build(
    run_lambdapack: Run,
    packages: Project,
    configuration: str,
    files: Mapping[str, str],
    words: tuple[str, ...],
) -> None:
    """File, line and what to do, status 2, and nothing was built; as it is at deploy."""
    folder = packages({"mine.py": ""}, configuration, **files)
    said = refused(run_lambdapack, folder)
    assert "hint:" in said
    for word in words:
        assert word in said
    assert not (folder / ".lambdapack").exists()


@pytest.mark.parametrize(
    ("python", "text", "good"),
    [
        ("3.9", "match 1:\n    case _: ...\n", False),
        ("3.12", "type X = int\nx = f'{'a' + 'b'}'\n", True),
        ("3.13", "def handler(event, context)\n    return 1\n", False),
    ],
)
def test_the_targets_own_grammar_counts(tmp_path: Path, python: str, text: str, good: bool) -> None:
    """What its Python compiles is no fault, whatever this one knows of it."""
    (tmp_path / "app.py").write_text(text + ("def handler(event, context): ...\n" if good else ""))
    outcome = (
        contextlib.nullcontext() if good else pytest.raises(ConfigurationError, match=r"app\.py, line 1,")
    )
    with outcome:
        check_source("app.handler", tmp_path, (), Target(python))


def test_a_project_without_a_handler_yet_is_built(run_lambdapack: Run, packages: Project) -> None:
    """Nor is a broken one in the way of a pack that the command line names, nor a module it may lack."""
    folder = packages(
        {"mine.py": ""},
        app="import mine\ntry:\n    import odd\nexcept Exception: ...\ndef handler(e, c): ...\n",
        odd="x = (\n",
    )
    run_lambdapack("build", cwd=folder)
    (folder / "app.py").write_text("x = (\n")
    run_lambdapack("build", "-r", "requirements.txt", "--output", "other", cwd=folder)
    (folder / "app.py").unlink()
    run_lambdapack("build", cwd=folder)
