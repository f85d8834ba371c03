"""Shifts in the local cloud, as a user types them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lambdapack.deploy.shifting import read
from tests.cli.test_flow import small_project
from tests.support.command_line import Run, shown


@pytest.fixture(scope="module")
def built(run_lambdapack: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, deployed, and then changed: what comes next is version 2, which raises for "fail"."""
    folder = small_project(tmp_path_factory.mktemp("shifted"), run_lambdapack)
    run_lambdapack("deploy", cwd=folder)
    app = (folder / "app.py").read_text()
    (folder / "app.py").write_text(app + "\n_old = handler\ndef handler(event, context):\n"
                                   "    if event.get('fail'): raise ValueError('as asked')\n"
                                   "    return _old(event, context)\n")  # fmt: skip
    return folder


@contextmanager
def shifting(folder: Path, cache: Path) -> Iterator[subprocess.Popen[str]]:
    """A deployment in the middle of a shift that would last an hour."""
    command = [sys.executable, "-m", "lambdapack", "deploy", "--shift", "canary:25%,1h"]
    process = subprocess.Popen(
        command, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "LAMBDAPACK_CACHE": str(cache)},
    )  # fmt: skip
    stuck = threading.Timer(120, process.kill)
    stuck.start()
    try:
        assert process.stderr is not None
        assert any("25 % of the calls, version 1 the rest" in line for line in process.stderr)
        yield process
    finally:
        stuck.cancel()
        process.kill()
        process.wait()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_shift_that_is_cut_off_stays_until_a_command_ends_it(
    run_lambdapack: Run, tiny: Path, lambdapack_cache: Path, how: signal.Signals
) -> None:
    """Ctrl-C says where the shift stays and both commands; either understands what any signal left."""
    with shifting(tiny, lambdapack_cache) as process:
        process.send_signal(how)
        _, said = process.communicate()
    if how is signal.SIGKILL:
        assert process.returncode == -how
    else:
        assert process.returncode == 130
        assert "The shift stays where it is (step 1 of 2, version 2 has 25 % of the calls)" in said
        assert "`lambdapack deploy` goes on" in said
        assert "`lambdapack rollback --cloud local` undoes it" in said
        assert "nothing half done" not in said
    (function,) = shown(run_lambdapack("status", "--json", cwd=tiny))["functions"]
    assert [version["weight"] for version in function["versions"]] == [0.75, 0.25]
    if how is signal.SIGTERM:
        run_lambdapack("rollback", "--cloud", "local", cwd=tiny)
        wanted, undone = [1, 0], "lambdapack rollback"
    else:
        document = shown(run_lambdapack("deploy", "--shift", "all", "--json", cwd=tiny))
        assert document["shift"] == {"function_version": "2", "steps": [], "undone": None}
        wanted, undone = [0, 1], None
    (function,) = shown(run_lambdapack("status", "--json", cwd=tiny))["functions"]
    assert [version["weight"] for version in function["versions"]] == wanted
    note = read(function["note"])
    assert (note.undone if note else None) == undone


def test_a_version_that_fails_its_smoke_event_ends_with_exit_status_1(
    run_lambdapack: Run, tiny: Path
) -> None:
    """The document and the message say why; nothing was moved. Mended, the same version is shifted to."""
    with (tiny / "lambdapack.toml").open("a") as file:
        file.write('[deploy]\nshift = "canary:50%,1s"\nsmoke = ".lambdapack/smoke.json"\n')
    said = run_lambdapack("deploy", cwd=tiny, status=2).stderr
    assert "cannot read the smoke event" in said
    (tiny / ".lambdapack/smoke.json").write_text('{"fail": true}')
    failed = run_lambdapack("deploy", "--json", cwd=tiny, status=1)
    reason = "the smoke event failed: ValueError: as asked"
    assert shown(failed)["shift"] == {"function_version": "1", "steps": [], "undone": reason}
    assert f"the new version was rolled back: {reason}; version 1 has all calls" in failed.stderr
    (tiny / ".lambdapack/smoke.json").write_text('{"n": 1}')
    done = shown(run_lambdapack("deploy", "--json", cwd=tiny))
    assert (done["shift"]["function_version"], done["shift"]["undone"]) == ("2", None)
    assert [step["weight"] for step in done["shift"]["steps"]] == [0.5]


@pytest.mark.parametrize(("shift", "said"), [
    ("canary", "--shift 'canary' is no way to shift calls"),
    ("codedeploy:LambdaAllAtOnce", "shifts calls in AWS, and this is the embedded cloud"),
])  # fmt: skip
def test_a_shift_that_cannot_be_is_refused(run_lambdapack: Run, tiny: Path, shift: str, said: str) -> None:
    """A typo, and what only AWS has: exit status 2, and a hint."""
    refused = run_lambdapack("deploy", "--shift", shift, cwd=tiny, status=2).stderr
    assert said in refused
    assert "hint:" in refused
