"""The examples: built, deployed to the local cloud, invoked cold and warm, answers checked."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lambdapack import limits, pack
from tests.support.command_line import Run

EXAMPLES = Path(__file__).parent.parent / "examples"
NO_NETWORK = [
    "unshare", "--net", *(["--map-root-user"] if os.geteuid() else []),
    "sh", "-c", 'ip link set lo up && exec "$@"', "sh",
]  # fmt: skip
_QUICK = "6"  # what is checked here does not depend on how hard the pack was compressed


def _copy(name: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLES / name, tmp_path / name, ignore=shutil.ignore_patterns(".*")))


def _cold_and_warm(run: Run, folder: Path, *options: str) -> tuple[dict[str, Any], dict[str, Any]]:
    document = json.loads(run("invoke", "--count", "2", "--json", *options, cwd=folder).stdout)
    cold, warm = document["invocations"]
    assert (cold["cold"], warm["cold"]) == (True, False)
    assert (cold["error"], warm["error"]) == (False, False)
    assert cold["stats"]["bytes"] > 0
    assert warm["stats"] is None
    return cold, warm


@pytest.mark.slow
def test_spacy_finds_entities(run_lambdapack: Run, tmp_path: Path) -> None:
    """The entities are right, cold and warm; the plan keeps to the example's own budget."""
    folder = _copy("spacy", tmp_path)
    run_lambdapack("build", cwd=folder)
    run_lambdapack("plan", cwd=folder)
    run_lambdapack("deploy", cwd=folder)
    for one in _cold_and_warm(run_lambdapack, folder):
        found = {(entity["text"], entity["label"]) for entity in one["payload"]["entities"]}
        assert found == {
            ("Ada Lovelace", "PERSON"),
            ("Charles Babbage", "PERSON"),
            ("London", "GPE"),
            ("5 June 1833", "DATE"),
        }


@pytest.mark.slow
def test_sklearn_and_pandas_predict(run_lambdapack: Run, tmp_path: Path) -> None:
    """A model trained in the handler predicts both classes; pandas gives their means."""
    folder = _copy("sklearn-pandas", tmp_path)
    run_lambdapack("build", "--level", _QUICK, cwd=folder)
    run_lambdapack("deploy", cwd=folder)
    for one in _cold_and_warm(run_lambdapack, folder):
        assert one["payload"] == {
            "predictions": ["setosa", "versicolor"],
            "accuracy": 1.0,
            "means": {
                "setosa": {"length": 1.4, "width": 0.233},
                "versicolor": {"length": 4.7, "width": 1.467},
            },
        }


@pytest.mark.slow
def test_the_word_list_is_found_where_it_is_needed(run_lambdapack: Run, tmp_path: Path) -> None:
    """The asset is there in a unit test, in the trace, and in the function, cold and warm."""
    folder = _copy("word-list", tmp_path)
    subprocess.run([sys.executable, "make_words.py"], cwd=folder, check=True)
    run_lambdapack("build", "--level", _QUICK, cwd=folder)
    built = json.loads(run_lambdapack("inspect", "--json", cwd=folder).stdout)
    pack.extract(Path(built["path"]), tmp_path / "unpacked")
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "unpacked")},
        check=True,
    )
    run_lambdapack("deploy", cwd=folder)
    for one in _cold_and_warm(run_lambdapack, folder):
        assert one["payload"]["word"] == "vocabulary"
        assert one["payload"]["of"] == len((folder / "words.txt").read_text().split())
        assert one["payload"]["of"] > 1000


def _has_cpu_wheel(tmp_path: Path) -> bool:
    """Whether pip, as configured, finds a CPU build of PyTorch for this Python."""
    wheels = tmp_path / "wheels"
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    done = subprocess.run(
        [*pip, "--dest", str(wheels), "torch==2.13.0+cpu"], capture_output=True, text=True, check=False
    )
    shutil.rmtree(wheels, ignore_errors=True)
    return done.returncode == 0


@pytest.mark.slow
def test_torch_runs_with_the_default_tmp(
    run_lambdapack: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """PyTorch answers within 512 MB of /tmp, its pack in S3, or in layers where there is no network.

    Without a CPU wheel, the CUDA build is refused by name.
    """
    folder = _copy("torch", tmp_path)
    if not _has_cpu_wheel(tmp_path):
        with capsys.disabled():
            print("\npip finds no CPU wheel of PyTorch here: checked that the CUDA build is refused")
        refused = run_lambdapack("build", cwd=folder, status=2).stderr
        assert "nvidia" in refused or "triton" in refused
        assert "CPU" in refused
        return
    run_lambdapack("build", "--level", _QUICK, cwd=folder)
    # S3 first: what the local cloud itself needs is fetched then.
    for place, run in (("s3", run_lambdapack), ("layer", partial(run_lambdapack, inside=NO_NETWORK))):
        shutil.rmtree(folder / ".lambdapack/local", ignore_errors=True)
        run_lambdapack("deploy", "--place", place, cwd=folder)
        for one in _cold_and_warm(run, folder, "--tmp", "512"):
            assert one["payload"]["outputs"] == [0.0, 1.0, 1.0, 0.0]
            assert one["payload"]["torch"].endswith("+cpu")
    assert not list((folder / ".lambdapack/local").rglob("*.tar.zst"))  # nor has its S3 anything to give
    zips = [zipfile.ZipFile(path) for path in (folder / ".lambdapack").glob("xor*.zip")]
    assert len(zips) > 2
    unzipped = sum(entry.file_size for each in zips for entry in each.infolist())
    assert unzipped < limits.UNZIPPED < sum(pack.load(folder / ".lambdapack/build").index.sizes)
