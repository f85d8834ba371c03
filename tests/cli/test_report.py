"""``lambdapack report``, over a real build of small wheels and real starts in the local cloud."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest

from lambdapack.pipeline.tuning import Record, Subject
from lambdapack.plan.tuning import Measurement, Sample
from tests.report.test_schemas import valid
from tests.support.aws_world import REGION, empty_aws
from tests.support.command_line import Run, shown
from tests.support.local_cloud import eventually, processes_of
from tests.support.logged import init_start, put_events, put_function, report, shim_line
from tests.support.wheelhouse import wheel

CONFIGURATION = """\
[build]
files = ["requirements.txt"]
[trace]
handler = "app.handler"
[pack]
level = 1
[function]
name = "small"
memory = 512
[traffic]
invocations = 1000
duration = 100
"""
APP = """
import runtime_shim
import base

def handler(event, context):
    if event.get("fail"):
        raise KeyError("as asked")
    return base.VERSION
"""
PAGE, DOCUMENT = ".lambdapack/build/report.html", ".lambdapack/build/report.json"


@pytest.fixture(scope="session")
def built(run_lambdapack: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that was built, and deployed nowhere."""
    folder = tmp_path_factory.mktemp("reported")
    (folder / "wheels").mkdir()
    wheel(folder / "wheels", "base", "1.0")
    (folder / "requirements.txt").write_text("--no-index\n--find-links wheels\nbase\n")
    (folder / "lambdapack.toml").write_text(CONFIGURATION)
    (folder / "app.py").write_text(APP)
    run_lambdapack("build", cwd=folder)
    return folder


def read(folder: Path, name: str = DOCUMENT) -> dict[str, Any]:
    """A document that was written."""
    found: dict[str, Any] = json.loads((folder / name).read_text())
    return found


def test_what_is_not_deployed_has_its_plan_and_says_what_else_there_could_be(
    run_lambdapack: Run, tiny: Path
) -> None:
    """Exit status 0, page and document, and for each missing part the command."""
    said = run_lambdapack("report", cwd=tiny)
    document = read(tiny)
    valid("report", document)
    assert (document["document"], document["version"], document["name"]) == ("lambdapack.report", 1, "small")
    assert (document["profile"], document["series"], document["tune"]) == (None, None, [])
    missing = {absent["part"]: absent for absent in document["absent"]}
    assert missing.keys() == {"profile", "series", "tune"}
    assert "there is no function 'small'" in missing["series"]["reason"]
    assert "lambdapack deploy" in missing["series"]["fix"]
    for absent in document["absent"]:
        assert absent["fix"] in (tiny / PAGE).read_text() and absent["fix"] in said.stdout
    planned = shown(run_lambdapack("plan", "--json", cwd=tiny))
    assert document["plan"] == planned


def test_a_deployed_function_is_started(run_lambdapack: Run, tiny: Path) -> None:
    """A profile and a series with its cold starts, at the memory and in the number that were asked for."""
    run_lambdapack("deploy", cwd=tiny)
    run_lambdapack("tune", "--memory", "512", "--memory", "1024", "--runs", "1", cwd=tiny)
    words = ("report", "--starts", "2", "--memory", "256", "--output", "out/page.html", "--json")
    document = shown(run_lambdapack(*words, cwd=tiny))
    valid("report", document)
    assert document == read(tiny, "out/page.json")
    assert not (tiny / PAGE).exists()
    assert document["absent"] == []
    assert document["profile"]["memory_mb"] == document["series"]["memory_mb"] == 256
    assert {each["name"] for each in document["profile"]["imports"]} >= {"app", "base", "runtime_shim"}
    invocations = document["series"]["invocations"]
    assert [each["cold"] for each in invocations] == [True, *[False] * 5] * 2
    for each in invocations:
        assert (each["init_ms"] is not None) == each["cold"]
        parts = (each["init_ms"] or 0) + each["duration_ms"]
        assert each["total_ms"] == pytest.approx(parts, abs=0.0015)
        # Billed is what REPORT shows, with two digits behind the point, rounded up.
        assert each["billed_ms"] >= each["total_ms"] - 0.01
    assert [each["memory_mb"] for each in document["tune"][0]["settings"]] == [512, 1024]
    page = (tiny / "out/page.html").read_text()
    assert page.count('role="img"') == 5
    assert sorted(path.name for path in (tiny / "out").iterdir()) == ["page.html", "page.json"]


def test_durations_come_out_of_a_log_in_aws(run_lambdapack: Run, tiny: Path) -> None:
    """Nothing is started here; who asks for neither starts nor a log contradicts himself."""
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": REGION}
    with empty_aws() as url:
        names = ("iam", "lambda", "logs")
        clients = {name: boto3.client(name, endpoint_url=url, **keys) for name in names}  # type: ignore[call-overload]
        put_function(clients, "small")
        told = [init_start(), shim_line(wait_ms=20.5), report(12.5, init=843.2)]
        put_events(clients, "small", [*told, report(3.0), report(3000, status="timeout")])
        environment = tuple({key.upper(): value for key, value in keys.items()}.items())
        environment += (("AWS_ENDPOINT_URL", url), ("AWS_REGION", REGION))
        words = ("report", "--from-aws", "--json")
        document = shown(run_lambdapack(*words, cwd=tiny, environment=environment))
        run_lambdapack("report", "--from-aws", "--no-run", cwd=tiny, environment=environment, status=2)
        later = shown(run_lambdapack(*words, "--version", "9", cwd=tiny, environment=environment))
    valid("report", document)
    series = document["series"]
    assert (series["cloud"], series["memory_mb"], series["cold_ms"], series["warm_ms"]) == (
        "aws", 512, 855.7, 3.0,
    )  # fmt: skip
    assert [each["wait_ms"] for each in series["invocations"]] == [20.5, None]
    assert any("1 invocation that failed" in note for note in document["notes"])
    assert {each["part"] for each in document["absent"]} == {"profile", "tune"}
    assert later["series"] is None and "series" in {each["part"] for each in later["absent"]}


def test_nothing_is_started_where_nobody_asks(run_lambdapack: Run, tiny: Path) -> None:
    """--no-run makes the page of plan and records, quickly, and --quiet names the page alone."""
    run_lambdapack("deploy", cwd=tiny)
    said = run_lambdapack("report", "--no-run", "--quiet", cwd=tiny)
    assert said.stdout == f"{tiny / PAGE}\n"
    assert (read(tiny)["profile"], read(tiny)["series"]) == (None, None)
    assert "--no-run" in read(tiny)["absent"][0]["reason"]


def test_a_function_that_fails_is_a_section_that_says_so(run_lambdapack: Run, tiny: Path) -> None:
    """The page is made all the same; the error is in its place, and on stderr."""
    run_lambdapack("deploy", cwd=tiny)
    said = run_lambdapack("report", "--payload", '{"fail": true}', "--starts", "1", cwd=tiny)
    missing = {absent["part"]: absent["reason"] for absent in read(tiny)["absent"]}
    assert "as asked" in missing["series"] and "as asked" in missing["profile"]
    assert "as asked" in said.stderr and "Traceback" not in said.stderr
    assert "as asked" in (tiny / PAGE).read_text()


def test_a_damaged_record_is_none_and_an_older_one_is_said(run_lambdapack: Run, tiny: Path) -> None:
    """Of another function, or no JSON: as if there were none. From before the build: with a note."""
    record = tiny / ".lambdapack/build/tune-local.json"
    for text in ("{", "[]", '{"document": "lambdapack.tune", "version": 1, "name": "other"}'):
        record.write_text(text)
        run_lambdapack("report", "--no-run", cwd=tiny)
        assert read(tiny)["tune"] == []
    subject = Subject("small", "local", "us-east-1", "x86_64", 512, 512, 3, {})
    Record(record.parent, subject).add(
        Sample(512, (Measurement(1, 2, 512, 90, 1), Measurement(1, 1, 512, 90))), 0.01
    )
    run_lambdapack("report", "--no-run", cwd=tiny)
    assert [kept["name"] for kept in read(tiny)["tune"]] == ["small"]
    assert read(tiny)["notes"] == []
    os.utime(record, (0, 0))
    run_lambdapack("report", "--no-run", cwd=tiny)
    assert "tune-local.json was measured before the pack was made" in read(tiny)["notes"][0]


def test_nothing_built_or_a_wrong_name_is_an_error(run_lambdapack: Run, tiny: Path) -> None:
    """Before anything is started or written."""
    assert "JSON lies beside" in run_lambdapack("report", "--output", "x.json", cwd=tiny, status=2).stderr
    assert "--payload" in run_lambdapack("report", "--payload", "{", cwd=tiny, status=2).stderr
    shutil.rmtree(tiny / ".lambdapack/build")
    assert "lambdapack build" in run_lambdapack("report", cwd=tiny, status=2).stderr
    assert not (tiny / ".lambdapack/build").exists()


def test_ctrl_c_leaves_nothing_half_done(tiny: Path, run_lambdapack: Run, lambdapack_cache: Path) -> None:
    """In the middle of the starts: no page, no document, no process, and no part of a file."""
    run_lambdapack("deploy", cwd=tiny)
    before = sorted(path.name for path in (tiny / ".lambdapack/build").iterdir())
    begun = subprocess.Popen(
        [sys.executable, "-m", "lambdapack", "report", "--starts", "50"],
        cwd=tiny,
        env={**os.environ, "LAMBDAPACK_CACHE": str(lambdapack_cache)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert eventually(lambda: bool(processes_of("small")), 60)
    begun.send_signal(signal.SIGINT)
    said = begun.communicate(timeout=60)[1]
    assert begun.returncode == 130, said
    assert "nothing half done was kept" in said
    assert sorted(path.name for path in (tiny / ".lambdapack/build").iterdir()) == before
    assert eventually(lambda: not processes_of("small"))
