"""The live check against moto's server: it measures, and whatever happens nothing of it is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from benchmarks.aws_check import cleaning, results
from benchmarks.aws_check.ledger import Entry, Ledger, left_behind
from benchmarks.aws_check.measuring import Calls, Series
from benchmarks.aws_check.plan import STEPS, Settings, costs, total
from benchmarks.aws_check.project import FAIL, Project
from benchmarks.aws_check.steps import Check
from lambdapack.deploy import aws
from lambdapack.deploy.log import ColdStart
from lambdapack.errors import CheckError, ToolError
from tests.deploy.test_log import BEGAN
from tests.support.aws_world import REGION
from tests.support.logged import SHIM, put_function
from tests.support.played_lambda import Played, played_lambda, wait_for

ROOT = Path(__file__).parents[2]
WORKLOAD = "import six\n\n\ndef handler(event, context):\n    return six.__version__\n"
PYTHON = "{}.{}".format(*sys.version_info)


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Iterator[Played]:
    """An empty account, whose functions answer as the workload does."""
    with played_lambda("1.17.0", FAIL) as played:
        for name, value in (
            ("AWS_ENDPOINT_URL", played.url), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b"),
            ("AWS_REGION", REGION),
        ):  # fmt: skip
            monkeypatch.setenv(name, value)
        yield played


def command(tmp_path: Path, cache: Path, *words: str) -> subprocess.Popen[str]:
    """The check of a tiny function; ``cache`` has its ledgers."""
    (tmp_path / "work.py").write_text(WORKLOAD)
    given = ("--source", str(tmp_path / "work.py"), "--require", "six==1.17.0", "--python", PYTHON,
             "--starts", "1", "--output", str(tmp_path / "out"))  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.aws_check", *given, *words], cwd=ROOT, text=True,
        env={**os.environ, "LAMBDAPACK_CACHE": str(cache)},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def left(played: Played) -> list[str]:
    """What the account has."""
    client = played.clients
    found = [each["FunctionName"] for each in client["lambda"].list_functions()["Functions"]]
    found += [each["RoleName"] for each in client["iam"].list_roles()["Roles"]]
    found += [each["logGroupName"] for each in client["logs"].describe_log_groups()["logGroups"]]
    found += [each["LayerName"] for each in client["lambda"].list_layers()["Layers"]]
    return found + [each["Name"] for each in client["s3"].list_buckets()["Buckets"]]


@pytest.mark.slow
def test_a_check_measures_compares_and_leaves_nothing(
    played: Played, tmp_path: Path, lambdapack_cache: Path
) -> None:
    """From S3 and from layers, and the same here; then all is gone. Moto forgets SnapStart."""
    steps = [word for step in ("s3", "layer", "local") for word in ("--step", step)]
    process = command(tmp_path, lambdapack_cache, "--yes", *steps)
    out, told = process.communicate(timeout=400)
    assert process.returncode == 0, f"{out}\n{told}"
    (path,) = (tmp_path / "out").glob("*.json")
    document = json.loads(path.read_text())
    assert document["checks"] == dict.fromkeys(["push", "s3", "layer", "local", "destroy"], "ok")
    rows = {(row["way"], row["cloud"]): row for row in document["rows"]}
    assert rows["s3", "aws"]["init_ms"] == 800 and rows["s3", "aws"]["warm_ms"] == 2.5
    assert rows["s3", "local"]["bytes"] > 0 and rows["layer", "local"]["starts"] == 1
    # What is played is not what the real shim fetches.
    assert any(each.startswith("s3: bytes is 41,000,000 in AWS") for each in document["differences"])
    assert "| s3, AWS |" in path.with_suffix(".md").read_text()
    assert document["invocations"] == len(played.calls)
    assert left(played) == [] and left_behind(lambdapack_cache / "aws-check") == []


@pytest.mark.slow
def test_one_that_is_interrupted_destroys_what_it_made(
    played: Played, tmp_path: Path, lambdapack_cache: Path
) -> None:
    """Ctrl-C in the middle of a deployment, which ends the command that it runs too; status 130."""
    process = command(tmp_path, lambdapack_cache, "--yes", "--step", "s3")
    wait_for(lambda: process.poll() is not None or played.clients["lambda"].list_functions()["Functions"])
    os.killpg(process.pid, signal.SIGINT)
    out, told = process.communicate(timeout=120)
    assert process.returncode == 130, f"{out}\n{told}"
    assert left(played) == [] and left_behind(lambdapack_cache / "aws-check") == []


@pytest.mark.slow
def test_one_that_is_killed_is_cleaned_by_the_next(
    played: Played, tmp_path: Path, lambdapack_cache: Path
) -> None:
    """The ledger says what there is; while a check runs its ledger is left alone."""
    process = command(tmp_path, lambdapack_cache, "--yes", "--step", "s3")
    wait_for(lambda: process.poll() is not None or played.clients["lambda"].list_functions()["Functions"])
    # Held where it is, so that it has not ended before the other one looks.
    os.killpg(process.pid, signal.SIGSTOP)
    again = command(tmp_path, lambdapack_cache, "--clean")
    assert "is still running" in again.communicate(timeout=60)[1] and again.returncode == 3
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert len(left(played)) >= 3
    clean = command(tmp_path, lambdapack_cache, "--clean")
    out, told = clean.communicate(timeout=60)
    assert clean.returncode == 0, f"{out}\n{told}"
    assert left(played) == [] and left_behind(lambdapack_cache / "aws-check") == []


def test_nothing_is_made_without_a_yes(played: Played, tmp_path: Path, lambdapack_cache: Path) -> None:
    """A dry run has the plan and the cost; who cannot be asked has to say --yes; a bound is held."""
    dry = command(tmp_path, lambdapack_cache, "--dry-run")
    out, told = dry.communicate(timeout=60)
    assert dry.returncode == 0, told
    assert "It costs at most" in out and all(f"  {step}: " in out for step in STEPS)
    for words, status, said in (((), 2, "--yes"), (("--yes", "--most-usd", "0.0001"), 1, "--most-usd")):
        process = command(tmp_path, lambdapack_cache, *words)
        assert said in process.communicate(timeout=60)[1] and process.returncode == status
    assert left(played) == []


class Deployments:
    """Stands for a project's commands: versions come and go in moto as ``lambdapack deploy`` leaves them.

    Shifting itself takes minutes there: it waits for CloudWatch's metrics.
    """

    def __init__(self, played: Played, *, rolls_back: bool) -> None:
        self._client = played.clients["lambda"]
        self._rolls_back = rolls_back
        self._variables: dict[str, str] = {}
        self._name = ""

    def configure(self, *, snap_start: bool = False, variables: dict[str, str] | None = None) -> None:
        self._variables = variables or {}

    def run(self, *words: str, status: int = 0) -> dict[str, object]:
        if words[0] == "status":
            alias = self._client.get_alias(FunctionName=words[1], Name="live")
            return {"live": alias["FunctionVersion"], "weights": {alias["FunctionVersion"]: 1.0}}
        name, stays = words[1], FAIL in self._variables and self._rolls_back
        environment = {"Variables": self._variables}
        self._client.update_function_configuration(FunctionName=name, Environment=environment)
        version = self._client.publish_version(FunctionName=name)["Version"]
        if "--shift" not in words:
            self._client.create_alias(FunctionName=name, Name="live", FunctionVersion=version)
        elif not stays:
            self._client.update_alias(FunctionName=name, Name="live", FunctionVersion=version)
        return {}


@pytest.mark.parametrize("rolls_back", [True, False])
def test_shifting_holds_that_a_version_that_fails_is_taken_back(
    played: Played, tmp_path: Path, rolls_back: bool
) -> None:
    """A deployment that leaves such a version live is found out."""
    given = settings("shifting")
    put_function(played.clients, f"{given.prefix}-s3")
    project = cast(Project, Deployments(played, rolls_back=rolls_back))
    with Ledger.open(tmp_path, given.run) as ledger:
        check = Check(given, project, aws.Clients(REGION), ledger, Calls(given.invocations))
        if rolls_back:
            check.shift()
            assert check.calls.made >= 10 and not any(failed for _, failed in played.calls)
        else:
            with pytest.raises(CheckError, match="was not rolled back"):
                check.shift()


def settings(*steps: str) -> Settings:
    """Of those steps."""
    return Settings("0123abcd", REGION, steps or tuple(STEPS))


def test_a_check_costs_cents() -> None:
    """Fewer steps cost less, and every part is a positive amount."""
    assert 0 < total(settings("s3")) < total(settings()) < 0.5
    assert all(cost.usd > 0 for cost in costs(settings()))


def test_no_invocation_is_made_beyond_the_plan() -> None:
    """A loop that does not end costs nothing more."""
    calls = Calls(2)
    calls.take()
    calls.take()
    with pytest.raises(CheckError, match="2 invocations"):
        calls.take()


def test_a_ledger_outlives_its_process_and_a_torn_line(tmp_path: Path) -> None:
    """What is crossed out is gone; an empty ledger is removed."""
    one, two = Entry("function", "a", REGION), Entry("bucket", "b", REGION)
    with Ledger.open(tmp_path, "run") as ledger:
        ledger.made(one)
        ledger.made(two)
        ledger.gone(one)
    with (tmp_path / "run.jsonl").open("a") as file:
        file.write('{"made": {"kind": "func')
    with Ledger.open(tmp_path, "run") as ledger:
        assert ledger.entries() == [two]
        with pytest.raises(ToolError, match="still running"), Ledger.open(tmp_path, "run"):
            pass
        ledger.gone(two)
    assert left_behind(tmp_path) == []


def test_what_cannot_be_destroyed_stays_in_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are destroyed all the same, functions before the bucket."""
    done: list[str] = []

    def destroy(entry: Entry, clients: object) -> None:
        if entry.name == "stuck":
            raise ToolError("no")
        done.append(entry.name)

    monkeypatch.setattr(cleaning, "_DESTROY", dict.fromkeys(("function", "layer", "bucket"), destroy))
    clients = aws.Clients(REGION)
    with pytest.raises(ToolError, match="1 are left"), Ledger.open(tmp_path, "run") as ledger:
        for kind, name in (("bucket", "b"), ("function", "stuck"), ("layer", "l"), ("function", "f")):
            ledger.made(Entry(kind, name, REGION))
        cleaning.clean(ledger, lambda region: clients, done.append)
    assert [name for name in done if " " not in name] == ["f", "l", "b"]
    with Ledger.open(tmp_path, "run") as ledger:
        assert [entry.name for entry in ledger.entries()] == ["stuck"]


def series(
    cloud: str, init: float, *, answer: object = 1, heads: tuple[str, ...] = (), **shim: int
) -> Series:
    """A series of one cold start."""
    start = ColdStart(BEGAN, "s", "1", "init", init, 10.0, shim={**SHIM, **shim})
    return Series("s3", cloud, (start,), (2.0,), (answer,), frozenset(heads))


def test_what_differs_is_said_and_what_is_alike_is_not() -> None:
    """Answers, counts and kinds of lines where they differ at all; times from half as much again on."""
    assert list(results.differences([series("aws", 1000.0), series("local", 900.0)])) == []
    real = series("aws", 3000.0, answer=2, heads=("REPORT", "REPORT: XRAY TraceId"), requests=7)
    said = list(results.differences([real, series("local", 900.0, heads=("REPORT",))]))
    assert len(said) == 5
    for words in ("answers [2]", "requests is 7 in AWS and 6", "total_s", "init_ms", "REPORT: XRAY TraceId"):
        assert any(words.replace("[2]", "(2,)") in each for each in said), words
