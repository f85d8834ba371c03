"""Versions in the local cloud, as a user types them: two packs, both called, and back to the first."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from lambdapack.local import LocalCloud, LocalTraffic
from lambdapack.model import Routing
from lambdapack.report.units import megabytes
from tests.cli.test_flow import small_project
from tests.support.command_line import Run, shown


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def built(run_lambdapack: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, deployed twice: with six 1.17.0, and with six 1.16.0."""
    folder = small_project(tmp_path_factory.mktemp("versions"), run_lambdapack)
    app = (folder / "app.py").read_text()
    more = (
        "import hashlib, glob\ndef read(path): return hashlib.sha256(open(path, 'rb').read()).hexdigest()\n"
    )
    app = app.replace('{"six"', '{"digest": read(six.__file__), "six"')
    (folder / "app.py").write_text(more + app)
    for version in ("1.17.0", "1.16.0"):
        text = (folder / "lambdapack.toml").read_text()
        (folder / "lambdapack.toml").write_text(text.replace("six==1.17.0", f"six=={version}"))
        run_lambdapack("build", cwd=folder)
        (pack,) = (folder / ".lambdapack/build").glob("*.tar.zst")
        (folder / f"six-{version}").write_text(digest_of(pack))
        run_lambdapack("deploy", cwd=folder)
    return folder


def test_going_back_brings_the_dependencies_back(run_lambdapack: Run, tiny: Path) -> None:
    """v1, v2 with other dependencies, back: v1's own pack is imported, byte for byte; v2 stays callable."""

    def invoked(*words: str) -> tuple[str, str, str]:
        (done,) = shown(run_lambdapack("invoke", *words, "--json", cwd=tiny))["invocations"]
        return done["function_version"], done["payload"]["six"], done["payload"]["digest"]

    def stored() -> set[str]:
        return {digest_of(path) for path in (tiny / ".lambdapack/local/s3").rglob("*.tar.zst")}

    assert stored() == {(tiny / f"six-{version}").read_text() for version in ("1.17.0", "1.16.0")}
    second = invoked()
    assert second[:2] == ("2", "1.16.0")
    first = invoked("--qualifier", "1")
    assert first[:2] == ("1", "1.17.0") and first[2] != second[2]
    would = shown(run_lambdapack("rollback", "--cloud", "local", "--dry-run", "--json", cwd=tiny))
    assert (would["function_version"], would["dry_run"]) == ("1", True)
    assert invoked() == second
    back = shown(run_lambdapack("rollback", "--cloud", "local", "--json", cwd=tiny))
    assert (back["cloud"], back["function_version"]) == ("local", "1")
    assert back["pack"] == would["pack"] is not None
    assert invoked() == first and invoked("--qualifier", "2") == second and len(stored()) == 2
    said = run_lambdapack("rollback", "--cloud", "local", cwd=tiny, status=2).stderr
    assert "no version was published before version 1 (published: 1, 2)" in said
    assert run_lambdapack("rollback", "--cloud", "local", "--to", "2", cwd=tiny).stdout == (
        "tiny is at version 2\n"
    )
    assert "no version '9'" in run_lambdapack("invoke", "--qualifier", "9", cwd=tiny, status=2).stderr
    said = run_lambdapack("invoke", "--together", "--qualifier", "1", cwd=tiny, status=2).stderr
    assert "--together takes no --qualifier" in said


def test_status_shows_versions_weights_and_starts(run_lambdapack: Run, tiny: Path) -> None:
    """For people a line a version; for machines the same; deploying again publishes nothing."""
    (tiny / "lambdapack.toml").write_text((tiny / "lambdapack.toml").read_text() + "# as it was\n")
    assert shown(run_lambdapack("deploy", "--json", cwd=tiny))["function_version"] == "2"
    run_lambdapack("invoke", "--qualifier", "1", cwd=tiny)
    with LocalCloud(tiny / ".lambdapack/local") as cloud:
        traffic = LocalTraffic(cloud, "tiny")
        seen = traffic.alias()
        assert seen is not None
        traffic.route(Routing("1", "2", 0.25), "a shift", revision=seen.revision)
    (function,) = shown(run_lambdapack("status", "--json", cwd=tiny))["functions"]
    assert (function["live"], function["note"]) == ("1", "a shift")
    first, second = function["versions"]
    assert (first["number"], first["weight"], second["number"], second["weight"]) == ("1", 0.75, "2", 0.25)
    assert first["pack"] != second["pack"] and first["pack"] == function["pack_id"]
    assert first["last_cold"]["init_ms"] > 0 and second["last_cold"] is None
    lines = run_lambdapack("status", "tiny", cwd=tiny).stdout.splitlines()
    assert lines[0].startswith("tiny: app.handler on python3.")
    assert lines.pop(1) == "  a shift"
    assert lines[1].startswith(f"  version 1: pack {first['pack'][:12]} of {megabytes(first['size'])}, last ")
    assert lines[1].endswith(" ms)  <- live 75% of the calls")
    assert lines[2].startswith(f"  version 2: pack {second['pack'][:12]} of ")
    assert lines[2].endswith("B  <- live 25% of the calls")
    run_lambdapack("rollback", "--cloud", "local", cwd=tiny)
    assert run_lambdapack("status", cwd=tiny).stdout.splitlines()[1].endswith("  <- live")
    json.dumps(function)


def test_the_log_and_its_cold_starts_are_shown(run_lambdapack: Run, tiny: Path) -> None:
    """A version's lines alone where they are asked for, and one line for each cold start."""
    run_lambdapack("invoke", "--cold", "--qualifier", "1", cwd=tiny)
    run_lambdapack("invoke", "--cold", "--qualifier", "2", cwd=tiny)
    events = shown(run_lambdapack("logs", "--json", cwd=tiny))["events"]
    assert {event["version"] for event in events} == {"1", "2"}
    assert sum(event["message"].startswith("REPORT RequestId") for event in events) == 2
    only = shown(run_lambdapack("logs", "--version", "2", "--json", cwd=tiny))["events"]
    assert only == [event for event in events if event["version"] == "2"]
    starts = shown(run_lambdapack("logs", "--cold", "--json", cwd=tiny))["starts"]
    assert [(start["version"], start["kind"]) for start in starts] == [("1", "init"), ("2", "init")]
    assert all(start["init_ms"] > 0 and start["shim"]["frames"] > 0 for start in starts)
    (_, line) = run_lambdapack("logs", "--cold", cwd=tiny).stdout.splitlines()
    assert "[2] init " in line and "no retries" in line
    assert "--cloud aws" in run_lambdapack("logs", "--group", "x", cwd=tiny, status=2).stderr
    assert run_lambdapack("logs", "--since", "2020-01-01", "--until", "1d", cwd=tiny).stdout == ""
    assert "no function" in run_lambdapack("logs", "gone", cwd=tiny, status=2).stderr
