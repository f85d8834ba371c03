"""The same lock, target and options give the id that earlier releases gave: packs in S3 stay in use."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path

import pytest

from lambdapack.errors import ConfigurationError
from lambdapack.model import Target
from lambdapack.pipeline import BuildOptions, build
from lambdapack.python import interpreter

UV_LOCK = Path(__file__).parents[1] / "lock" / "locks" / "uv" / "uv.lock"


@dataclass(frozen=True)
class Case:
    """A build and the id that it had when this test was written."""

    target: Target
    pack_id: str
    requirements: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()


CASES = {
    "traced": Case(
        Target("3.11"),
        "1603785fdfa000b70cd02cadd519a3a24f41908d0e676927214255b26da6018a",
        requirements=("jinja2==3.1.6", "markupsafe==3.0.2", "pyyaml==6.0.2"),
    ),
    "for another processor": Case(
        Target("3.12", "arm64"),
        "d1044909c017caf07ef3e5ee5b650a64d2b60eec3b5c6a8f43c975a942aa2231",
        requirements=("numpy==2.2.6",),
    ),
    "of a lock file": Case(
        Target("3.11"),
        "5e6bc9a6c172e6ada3257b5fec659e39dfb755168dd0ccacb14b92bd89528319",
        files=(UV_LOCK,),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_an_id_stays_the_same_from_release_to_release(
    name: str, tmp_path: Path, lambdapack_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is rearranged inside, the bytes stay; only the version of lambdapack in them may change."""
    case = CASES[name]
    try:
        interpreter.find(case.target.python)
    except ConfigurationError as error:
        pytest.skip(error.message)
    monkeypatch.setattr(importlib.import_module("lambdapack.pack.write"), "__version__", "0.1.0")
    options = BuildOptions(case.requirements, case.files, case.target, tmp_path, builder="local", level=3)
    assert build(options, cache_dir=lambdapack_cache).report.pack.id == case.pack_id
