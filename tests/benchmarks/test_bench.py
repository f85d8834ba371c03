"""The benchmark's harness on a tiny pack: counts, bytes, order and right answers, never times."""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import os
import random
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks import rig as rig_module
from benchmarks.__main__ import _parser, run
from benchmarks.artifacts import SRP, Kit
from benchmarks.measure import measure
from benchmarks.rig import Rig, Setting
from benchmarks.ways import FLOOR, OURS, PEERS, WAYS, prepare
from benchmarks.workloads import Workload
from lambdapack.local.environment.isolation import ISOLATIONS
from lambdapack.model.target import Target
from lambdapack.progress import QUIET
from tests.support.wheelhouse import wheel

DATA = 3 * 1024 * 1024
SOURCE = '''\
"""Sums up the data of a package."""

import mark

import bench_sample

def handler(event, context):
    return bench_sample.total()
'''
PACKAGE = """\
from pathlib import Path

def total():
    return sum((Path(__file__).parent / "data.bin").read_bytes())
"""
# Stands where npm would put serverless-python-requirements: the test must not need npm.
HELPER = """\
import os, sys, zipfile
folder = os.path.join(os.environ.get("TMPDIR", "/tmp"), "sls-py-req")
zipfile.ZipFile(os.path.join(os.environ["LAMBDA_TASK_ROOT"], ".requirements.zip")).extractall(folder)
sys.path.insert(1, folder)
"""


@pytest.fixture(scope="module")
def noise() -> bytes:
    return random.Random(1).randbytes(DATA)


@pytest.fixture
def workload(tmp_path: Path, noise: bytes, monkeypatch: pytest.MonkeyPatch) -> Workload:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    files = {"bench_sample/__init__.py": PACKAGE.encode(), "bench_sample/data.bin": noise}
    wheel(wheels, "lambdapack-bench-sample", "1.0", files=files)
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    source = tmp_path / "sample_workload.py"
    source.write_text(SOURCE)
    return Workload("sample", ("lambdapack-bench-sample",), source, sum(noise))


@pytest.fixture
def cache(tmp_path: Path, lambdapack_cache: Path) -> Path:
    """Fetched parts are shared with the other tests, what is built from the sample is not."""
    folder = tmp_path / "cache"
    folder.mkdir()
    lambdapack_cache.mkdir(exist_ok=True)
    for name in ("decoder", "runtime", "tools"):
        (lambdapack_cache / name).mkdir(exist_ok=True)
        (folder / name).symlink_to(lambdapack_cache / name)
    helper = folder / "bench" / SRP / "package" / "unzip_requirements.py"
    helper.parent.mkdir(parents=True)
    helper.write_text(HELPER)
    return folder


def options(cache: Path, output: Path, *more: str) -> argparse.Namespace:
    python = f"3.{sys.version_info[1]}"
    arguments = ["--cache", str(cache), "--output", str(output), "--python", python, "--rounds", "1"]
    return _parser().parse_args([*arguments, "--sweep-rounds", "0", *more])


@pytest.mark.slow
def test_one_round_of_every_way(workload: Workload, cache: Path, tmp_path: Path) -> None:
    """Every way gives its own right answer; requests, bytes and files are those that its design implies."""
    screen = io.StringIO()
    # An unpacked release has no commits whose shim could be measured beside this one's.
    earlier = ["HEAD"] if (Path(__file__).parents[2] / ".git").exists() else []
    more = [word for revision in earlier for word in ("--shim-of", revision)]
    status = run(options(cache, tmp_path / "results", *more), [workload], Console(file=screen, width=200))
    text = screen.getvalue()
    assert status == 0, text
    document = json.loads(next((tmp_path / "results").glob("*.json")).read_text())
    assert (document["document"], document["version"]) == ("lambdapack.benchmark", 1)
    runs = {one["way"]: one for one in document["runs"]}
    ways = [*WAYS, *(f"{OURS} of {revision}" for revision in earlier)]
    assert set(runs) == set(ways)
    assert {one["outcome"] for one in runs.values()} == {"ok"}
    _check_bytes(runs, document["packs"]["sample"])
    assert {"link", "environment"} <= document["limited"].keys()
    for way in ways:
        assert way in text
    pictures = len(list((tmp_path / "results").glob("*.png")))
    assert pictures == bool(importlib.util.find_spec("matplotlib"))
    _check_overheads(document["overheads"])


def _check_bytes(runs: dict[str, dict[str, Any]], facts: dict[str, int]) -> None:
    ours, floor = runs[OURS], runs[FLOOR]
    for placed in (runs[f"{OURS} zip"], runs[f"{OURS} layer"]):
        assert (placed["requests"], placed["fetched_bytes"]) == (0, 0)
        assert placed["shim"]["bytes"] == facts["eager_bytes"]
    assert ours["fetched_bytes"] == ours["shim"]["bytes"] == facts["eager_bytes"]
    assert ours["requests"] == ours["shim"]["requests"] > 0
    assert ours["tmp_left_bytes"] == 0 or ours["tmp_left_bytes"] >= DATA
    assert (floor["requests"], floor["fetched_bytes"], floor["written_bytes"]) == (0, 0, 0)
    assert runs["usual recipe"]["fetched_bytes"] == facts["recipe_zip_bytes"]
    assert runs["Zappa"]["fetched_bytes"] == facts["zappa_tar_bytes"]
    assert runs["serverless-python-requirements"]["requests"] == 0
    for way in (OURS, *PEERS):
        assert runs[way]["written_bytes"] >= DATA
        assert runs[way]["peak_bytes"] > runs[way]["child_peak_bytes"]


def _check_overheads(found: list[dict[str, Any]]) -> None:
    *processes, start, calls = found
    assert processes and not any(process["requests"] for process in processes)
    assert start["milliseconds"] > 0
    assert calls.get("empty_handler", 0) == 0
    # The one file of the pack that each call opens is asked for once: it may be gone.
    assert calls.get("workload_calls") == calls.get("plain_calls", -1) + 1


def test_a_pack_is_where_packaging_puts_it(workload: Workload, cache: Path) -> None:
    """The pack is in the function's zip, or at /opt for the layers alone; S3 has nothing for the function."""
    kit = Kit(cache, Target(f"3.{sys.version_info[1]}"), reuse=True, progress=QUIET)
    s3 = cache / "bench" / "s3"
    pack = kit.material(workload).pack
    in_zip, in_layer = (
        prepare(f"{OURS} {place}", kit, workload, folder=cache / "bench" / "ways", s3=s3)
        for place in ("zip", "layer")
    )
    assert in_layer.opt is not None
    assert [path.name for path in in_layer.opt.glob("*/*")] == [f"{pack.id}.1"]
    assert in_zip.opt is None
    content = pack.path.read_bytes()
    assert (in_zip.task / "runtime_shim/pack.tar.zst").read_bytes() == content
    assert (in_layer.opt / f"lambdapack/{pack.id}.1").read_bytes() == content
    assert not (in_layer.task / "runtime_shim/pack.tar.zst").exists()
    assert (in_zip.objects, in_layer.objects, s3.exists()) == ((), (), False)


@pytest.mark.slow
def test_a_way_that_runs_out_of_space_is_a_result(workload: Workload, cache: Path) -> None:
    """A peer that does not fit into /tmp is told as such, with what it printed, and the others go on."""
    kit = Kit(cache, Target(f"3.{sys.version_info[1]}"), reuse=False, progress=QUIET)
    s3 = cache / "bench" / "s3"
    recipe, floor = (
        prepare(name, kit, workload, folder=cache / "bench" / "ways", s3=s3)
        for name in ("usual recipe", FLOOR)
    )
    with Rig(kit.runtime(), s3, mbit=600, scratch=cache / "bench" / "scratch") as rig:
        tight = Setting(1769, False, 2)
        failed = measure(rig, workload, recipe, tight, 1)
        other = measure(rig, workload, floor, tight, 1)
    assert failed.outcome in ("no space", "failed")
    assert re.search("space|too large", failed.detail)
    assert failed.total_s is None
    assert other.outcome == "ok"


@pytest.mark.slow
def test_without_privileges_it_measures_and_says_what_it_could_not_limit(
    workload: Workload, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No namespaces, no control groups: the link is the endpoint's, /tmp is not capped, answers are right."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(rig_module, "ISOLATIONS", ISOLATIONS[-1:])
    kit = Kit(cache, Target(f"3.{sys.version_info[1]}"), reuse=False, progress=QUIET)
    s3 = cache / "bench" / "s3"
    ways = [
        prepare(name, kit, workload, folder=cache / "bench" / "ways", s3=s3)
        for name in (OURS, f"{OURS} layer", "usual recipe")
    ]
    with Rig(kit.runtime(), s3, mbit=600, scratch=cache / "bench" / "scratch") as rig:
        ours, layer, recipe = (measure(rig, workload, way, Setting(1769, False, 512), 1) for way in ways)
    assert (ours.outcome, layer.outcome, recipe.outcome) == ("ok", "ok", "ok")
    assert (layer.requests, layer.shim["bytes"]) == (0, ours.shim["bytes"])
    assert ours.fetched_bytes == ours.shim["bytes"]
    assert not Path("/tmp/dependencies").exists()
    assert "not by the kernel" in rig.limited["link"]
    assert "CPU time is not limited" in rig.limited["environment"]
