"""Lambda's Pythons: the table of their dates, what is warned of when, and when they are refused."""

from __future__ import annotations

import gzip
import json
from datetime import date, timedelta
from importlib import resources
from pathlib import Path

import botocore
import pytest

from lambdapack.errors import ConfigurationError
from lambdapack.model import runtimes
from lambdapack.model.runtimes import RUNTIMES, check

DATED = [runtime for runtime in RUNTIMES.values() if runtime.lifecycle is not None]
DAY = timedelta(days=1)


def test_the_dates_are_those_of_aws() -> None:
    """cfn-lint keeps AWS's table: where a newer release differs, AWS has moved a date, and so must we."""
    cfnlint = pytest.importorskip("cfnlint")
    folder = resources.files(cfnlint).joinpath("data/AdditionalSpecs")
    theirs = json.loads(folder.joinpath("LmbdRuntimeLifecycle.json").read_text())
    for runtime in DATED:
        row, ours = theirs[runtime.name], runtime.lifecycle
        assert ours is not None
        dates = [str(day) for day in (ours.deprecated, ours.no_create, ours.no_update)]
        assert dates == [row["deprecated"], row["create-block"], row["update-block"]], runtime.name


def test_the_document_has_the_same_dates() -> None:
    """docs/deploy.md lists every dated runtime with the table's own dates."""
    text = (Path(__file__).parents[2] / "docs/deploy.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| python3.")]
    assert rows == [
        f"| {runtime.name} | {life.deprecated} | {life.no_create} | {life.no_update} |"
        for runtime in DATED
        if (life := runtime.lifecycle)
    ]


def test_lambdas_api_knows_every_runtime() -> None:
    """A name that the API's model does not list could not be deployed."""
    model = Path(botocore.__file__).parent / "data/lambda/2015-03-31/service-2.json.gz"
    shapes = json.loads(gzip.decompress(model.read_bytes()))["shapes"]
    assert {runtime.name for runtime in RUNTIMES.values()} <= set(shapes["Runtime"]["enum"])


@pytest.mark.parametrize("runtime", DATED, ids=lambda runtime: runtime.name)
def test_warned_before_and_refused_from_the_day_on(runtime: runtimes.Runtime) -> None:
    """Silent until AWS gives notice, then a warning; from each block's own day on a refusal."""
    life = runtime.lifecycle
    assert life is not None
    assert life.deprecated < life.no_create < life.no_update
    notice = life.deprecated - timedelta(days=180)
    assert check(runtime.python, "building", on=notice - DAY) is None
    for day in (notice, life.deprecated, life.no_create - DAY):
        for new in (True, False):
            said = check(runtime.python, "building", on=day, new=new)
            assert said is not None and runtime.name in said and str(life.no_update) in said
    for day, new in ((life.no_create, True), (life.no_update, False), (life.no_update, True)):
        with pytest.raises(ConfigurationError, match=f"building: Lambda's runtime {runtime.name}") as caught:
            check(runtime.python, "building", on=day, new=new)
        assert f"--python {runtimes.SUGGESTED}" in str(caught.value.hint)
    assert check(runtime.python, "building", on=life.no_update - DAY) is not None


def test_what_is_said_of_python310() -> None:
    """The sentence names what is over, and what ends when."""
    assert check("3.10", "building", on=date(2026, 11, 26)) == (
        "Lambda's runtime python3.10 has not been patched since 2026-10-31, takes no new functions from "
        "2027-02-01 and no changes of old ones from 2027-03-03"
    )
    assert check("3.10", "building", on=date(2027, 2, 1)) == (
        "Lambda's runtime python3.10 has taken no new functions since 2027-02-01, and takes no changes of "
        "old ones from 2027-03-03"
    )


def test_a_runtime_that_is_not_announced_is_built_for_with_a_warning() -> None:
    """So that it can be used on the day of its announcement; it is refused on no day."""
    said = check("3.15", "building", on=date(2040, 1, 1), new=True)
    assert said is not None and "has not announced python3.15" in said


def test_a_hint_names_a_runtime_that_is_taken_for_longest() -> None:
    """Whoever follows the hint need not move again before the others."""
    ends = {runtime.python: runtime.lifecycle.no_update for runtime in DATED if runtime.lifecycle}
    assert ends[runtimes.SUGGESTED] == max(ends.values())


def test_the_day_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """LAMBDAPACK_TODAY is the day; what is no day is named."""
    monkeypatch.setenv("LAMBDAPACK_TODAY", "2027-03-03")
    with pytest.raises(ConfigurationError, match="since 2027-03-03"):
        check("3.10", "building")
    monkeypatch.setenv("LAMBDAPACK_TODAY", "tomorrow")
    with pytest.raises(ConfigurationError, match="LAMBDAPACK_TODAY is 'tomorrow'"):
        runtimes.today()
    monkeypatch.delenv("LAMBDAPACK_TODAY")
    assert runtimes.today() == date.today()
