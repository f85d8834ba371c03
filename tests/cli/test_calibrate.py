"""``lambdapack calibrate``: what it measures is what ``lambdapack plan`` predicts with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_flow import small_project
from tests.pipeline.test_calibration import REPORT, WARM
from tests.support.command_line import Run, shown


@pytest.fixture(scope="session")
def built(run_lambdapack: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small project, built once."""
    return small_project(tmp_path_factory.mktemp("calibrated"), run_lambdapack)


def test_a_plan_predicts_with_what_was_calibrated(tiny: Path, run_lambdapack: Run) -> None:
    """Before, typical figures; then the local cloud's; then, out of a log, AWS's, which go first."""
    before = shown(run_lambdapack("plan", "--json", cwd=tiny))["cold"]
    assert any("typical" in each for each in before["assumptions"])
    said = run_lambdapack("calibrate", cwd=tiny, status=2).stderr
    assert "there is no function" in said and "lambdapack deploy" in said

    run_lambdapack("deploy", cwd=tiny)
    found = shown(run_lambdapack("calibrate", "--runs", "1", "--json", cwd=tiny))
    assert found["document"] == "lambdapack.calibration" and found["cloud"] == "local"
    assert [start["memory_mb"] for start in found["starts"]] == sorted({512, 1769, 3008})
    assert (
        json.loads((tiny / ".lambdapack/build/calibration-local.json").read_bytes())["error"]
        == found["error"]
    )
    after = shown(run_lambdapack("plan", "--json", cwd=tiny))
    assert after["cold"]["error"] == found["error"]
    assert any("local cloud" in each for each in after["cold"]["assumptions"])
    assert any(row["import_ms"] for row in after["rows"])

    (tiny / "aws.log").write_text("\n".join([REPORT.format(init=900.0, call=5.0, memory=1769), WARM]))
    shown(run_lambdapack("calibrate", "--from-logs", "aws.log", "--json", cwd=tiny))
    aws = shown(run_lambdapack("plan", "--json", cwd=tiny))["cold"]
    assert any("cold starts in AWS: 1" in each for each in aws["assumptions"])
    assert abs(aws["parts"]["init"] + aws["parts"]["call"] - 0.905) < 0.05
    (tiny / "warm.log").write_text(WARM)
    said = run_lambdapack("calibrate", "--from-logs", "warm.log", cwd=tiny, status=1).stderr
    assert "1 lines of a log" in said and "--days" in said


def test_a_function_with_another_pack_is_not_measured(tiny: Path, run_lambdapack: Run) -> None:
    """A calibration is of the pack that was built last."""
    run_lambdapack("deploy", cwd=tiny)
    run_lambdapack("build", "--level", "1", "--no-cache", cwd=tiny)
    said = run_lambdapack("calibrate", cwd=tiny, status=2).stderr
    assert "is deployed with pack" in said and "lambdapack deploy" in said
