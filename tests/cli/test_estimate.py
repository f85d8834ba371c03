"""lambdapack plan before anything is built, and what its steps really do."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import Run, shown
from tests.support.wheelhouse import sdist, wheel

CONFIGURATION = """\
[build]
requirements = ["heavy"]
[budget]
pack = 0.05
[function]
tmp = 512
"""
OFFLINE = ("--no-index", "--find-links wheels")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "wheels").mkdir()
    noise = random.Random(1).randbytes(90_000)
    files = {"heavy/__init__.py": b"X = 1\n", "heavy/x.bin": noise, "heavy/tests/t.py": b"1\n" * 9}
    wheel(tmp_path / "wheels", "heavy", "1.0", needs=["light"], files=files)
    wheel(tmp_path / "wheels", "light", "2.0")
    (tmp_path / "requirements.txt").write_text("\n".join([*OFFLINE, "heavy", ""]))
    return tmp_path


def test_requirements_are_estimated_and_nothing_is_written(run_lambdapack: Run, folder: Path) -> None:
    """Marked as an estimate in the document; the sizes are those of the wheels; budgets hold, with their
    exit status; the folder stays as it is."""
    before = sorted(folder.rglob("*"))
    document = shown(run_lambdapack("plan", "-r", "requirements.txt", "--json", cwd=folder))
    assert (document["document"], document["estimate"], document["ok"]) == ("lambdapack.plan", True, True)
    assert document["estimated"] == {"wheels": 2, "within": 0.1, "unknown": []}
    rows = {row["name"]: row for row in document["rows"]}
    assert rows["heavy"]["slimmed"] > 90_000 and rows["light"]["version"] == "2.0"
    said = run_lambdapack("plan", "-r", "requirements.txt", cwd=folder, environment=[("COLUMNS", "200")])
    assert "an estimate, from the directories of 2 wheels" in " ".join(said.stdout.split())
    assert "look into 2 wheels" in said.stderr
    assert sorted(folder.rglob("*")) == before


def test_a_project_without_a_build_is_estimated(run_lambdapack: Run, folder: Path) -> None:
    """By its configuration; once it is built, the plan is of the build, and requirements and a pack are one
    too many."""
    text = CONFIGURATION.replace('requirements = ["heavy"]', 'files = ["requirements.txt"]')
    (folder / "lambdapack.toml").write_text(text)
    (folder / "app.py").write_text("def handler(event, context):\n    return event\n")
    done = run_lambdapack("plan", "--json", cwd=folder, status=1)
    guess = shown(done)
    assert guess["estimate"] and "nothing is built in" in done.stderr
    assert "growth is not checked" not in done.stderr
    bound = run_lambdapack("plan", "--against", folder, "--check", cwd=folder, status=1)
    assert "growth is not checked: it is of builds, and this is an estimate" in bound.stderr
    assert [check["name"] for check in guess["checks"] if not check["ok"]] == ["budget.pack"]
    run_lambdapack("build", cwd=folder)
    real = shown(run_lambdapack("plan", "--json", cwd=folder, status=1))
    assert (real["estimate"], real["estimated"]) == (False, None)
    assert guess["slimmed"] == pytest.approx(real["slimmed"], rel=0.1)
    assert guess["stored"] == pytest.approx(real["stored"], rel=0.1)
    both = run_lambdapack("plan", "heavy", "--pack", ".lambdapack/build", cwd=folder, status=2)
    assert "leave --pack or the requirements out" in both.stderr


def test_what_has_no_wheel_is_unknown(run_lambdapack: Run, folder: Path) -> None:
    """It is named, and counted as nothing; its sdist is not built, not even to learn what it needs."""
    sdist(folder / "wheels", "hidden", "3.0")
    (folder / "requirements.txt").write_text("\n".join([*OFFLINE, "heavy", "hidden", ""]))
    done = run_lambdapack("plan", "-r", "requirements.txt", "--json", cwd=folder)
    document = shown(done)
    assert document["estimated"] == {"wheels": 2, "within": 0.1, "unknown": ["hidden"]}
    assert {row["name"] for row in document["rows"]} >= {"heavy", "light"}
    assert "unknown, and counted as nothing, with what it needs: hidden" in done.stderr
    failed = run_lambdapack("build", "-r", "requirements.txt", "--builder", "local", cwd=folder, status=2)
    assert "hidden 3.0 has no wheel" in failed.stderr


def test_where_there_is_neither_pack_nor_requirement_it_is_said(run_lambdapack: Run, tmp_path: Path) -> None:
    """As before: there is nothing to plan for."""
    assert "lambdapack build" in run_lambdapack("plan", cwd=tmp_path, status=2).stderr


def _built(run: Run, folder: Path, *arguments: str, output: str) -> dict[str, Any]:
    run("build", *arguments, "--level", "9", "--output", output, cwd=folder)
    found: dict[str, Any] = json.loads((folder / output / "build.json").read_text())
    return found


@pytest.mark.slow
def test_each_step_that_is_really_taken_does_what_it_said(run_lambdapack: Run, tmp_path: Path) -> None:
    """numpy with pandas, over budget: builds with the setting, and without the distribution, gain what the
    step said, within 10 % of bytes."""
    (tmp_path / "lambdapack.toml").write_text("[budget]\npack = 5\nslimmed = 40\ntmp = 40\n")
    (tmp_path / "app.py").write_text("def handler(event, context):\n    return event\n")
    _built(run_lambdapack, tmp_path, "numpy", "pandas", output="all")
    plan = shown(run_lambdapack("plan", "--pack", "all", "--json", cwd=tmp_path, status=1))
    before = {check["name"]: check["measured"] for check in plan["checks"]}
    steps = {step["setting"] or step["leaves_out"][0]: step for step in plan["steps"]}
    assert {"slim.sources", "pandas"} <= steps.keys()
    # numpy stays where pandas needs it.
    assert "numpy" not in steps or steps["numpy"]["leaves_out"] == ["numpy"]
    _built(run_lambdapack, tmp_path, "numpy", output="pandas")
    _built(run_lambdapack, tmp_path, "numpy", "pandas", "--no-sources", output="slim.sources")
    for name in ("pandas", "slim.sources"):
        after = shown(run_lambdapack("plan", "--pack", name, "--json", cwd=tmp_path, status=None))
        measured = {check["name"]: check["measured"] for check in after["checks"]}
        for check, gain in steps[name]["gains"].items():
            assert before[check] - measured[check] == pytest.approx(gain, rel=0.1), (name, check)


@pytest.mark.slow
@pytest.mark.parametrize("requirement", ["numpy", "matplotlib"])
def test_an_estimate_is_near_the_build(run_lambdapack: Run, tmp_path: Path, requirement: str) -> None:
    """Installed, slimmed and packed bytes, and /tmp, are within 12 % of those of a build."""
    guess = shown(run_lambdapack("plan", requirement, "--json", cwd=tmp_path))
    run_lambdapack("build", requirement, cwd=tmp_path)
    real = shown(run_lambdapack("plan", "--json", cwd=tmp_path))
    for size in ("installed", "slimmed", "stored", "tmp_disk"):
        assert guess[size] == pytest.approx(real[size], rel=0.12), size
