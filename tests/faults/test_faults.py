"""The bounded run of the fault harness: a fixed seed, a few cases of each row."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(cache: Path, *arguments: str) -> str:
    # A process of its own: it takes a mount namespace, hundreds of threads and thousands of descriptors.
    command = [sys.executable, "-m", "tests.faults", "--seed", "8", "--cache", str(cache), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=590, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_whatever_happens_the_start_is_right_or_says_why(lambdapack_cache: Path) -> None:
    """No injected fault ends in a wrong answer, in an error that is not clear, or in a hang."""
    assert "no fault at all" in run(lambdapack_cache, "--bounded", "--no-slow")


@pytest.mark.slow
def test_more_of_everything(lambdapack_cache: Path) -> None:
    """The same for more cases of each row, the slow ones among them, and all of them are tried."""
    assert "time was up" not in run(lambdapack_cache, "--bounded", "3", "--minutes", "8")


def test_a_wrong_answer_is_noticed(lambdapack_cache: Path) -> None:
    """A wrong byte, an error of somebody else's and a hang are counted, and said how to repeat."""
    command = [sys.executable, "-m", "tests.faults", "--row", "self-test", "--count", "1", "--seed", "1"]
    done = subprocess.run(
        [*command, "--cache", str(lambdapack_cache)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=590,
        check=False,
    )
    assert done.returncode == 1
    assert "silently wrong: data.txt" in done.stdout
    assert "hung for" in done.stdout
    assert "not a clear error: ValueError: by the handler" in done.stdout
    assert "--row 'self-test' --seed 1 --count 1" in done.stdout
