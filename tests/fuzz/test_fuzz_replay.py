"""The fuzz targets in the bounded form of continuous integration; ``make fuzz`` runs them for longer."""

from __future__ import annotations

import random
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from runtime_shim import _index
from tests.fuzz import fuzz_targets
from tests.fuzz.fuzz_mutators import MUTATORS

HERE = Path(__file__).resolve().parent
CORPUS = sorted(path for path in (HERE / "corpus").glob("*/*"))
RUNS = {"index": 5000, "pack": 1500, "place": 1000}


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_the_corpus_breaks_no_rule(path: Path) -> None:
    """Seeds, and every input that once did."""
    fuzz_targets.TARGETS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("target", MUTATORS)
def test_mutations_of_the_corpus_break_no_rule(target: str) -> None:
    """The same ones in each run, with no fuzzer at all."""
    chance = random.Random(22)
    pool = [path.read_bytes() for path in CORPUS if path.parent.name == target]
    assert pool
    for _ in range(RUNS[target] // 5):
        data = MUTATORS[target](chance.choice(pool), chance)
        fuzz_targets.TARGETS[target](data)
        # A mutation of a mutation reaches further.
        if chance.randrange(10) == 0:
            pool.append(data)


def wanted_here(name: str) -> bool:
    """Whether the extra ``fuzz`` asks for a distribution on this Python and machine: it is there, then."""
    wanted = [one for one in map(Requirement, requires("lambdapack") or ()) if one.name == name]
    assert wanted, f"nothing asks for {name} any more"
    return any(one.marker is None or one.marker.evaluate({"extra": "fuzz"}) for one in wanted)


@pytest.mark.slow
@pytest.mark.skipif(not wanted_here("atheris"), reason="there is no wheel of atheris for this Python")
@pytest.mark.parametrize("target", MUTATORS)
def test_a_bounded_run_of_the_fuzzer_finds_nothing(target: str, tmp_path: Path) -> None:
    """Guided by coverage, with a fixed seed and so many executions."""
    command = [sys.executable, str(HERE / "fuzz_run.py"), target, f"--found={tmp_path}"]
    done = subprocess.run(
        [*command, f"-runs={RUNS[target]}", "-seed=22"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:] + done.stdout[-1000:]
    assert "Done" in done.stderr


@pytest.mark.parametrize(
    "path", ["../up", "/etc/passwd", "a//b", "a/../../b", "."], ids=["up", "root", "empty", "inside", "dot"]
)
def test_the_oracle_sees_a_path_that_leaves(path: str) -> None:
    """It would find a check that lets one through: the rule is tested by other means than the check's."""
    leaving = _index.Index(
        target="any", lock="ab" * 32, tool="t", glibc="", hot=0, eager=1, frame_stored=[9], frame_size=[1536],
        frame_sha256=["ab" * 32], paths=[path], classes="d", sizes=[0], offsets=[512], executable=[],
        needs={}, native={},
    )  # fmt: skip
    with pytest.raises(AssertionError):
        fuzz_targets.stays_inside(leaving)
