"""Slimming real wheels: numpy's OpenBLAS and Fortran libraries are those that binutils' strip breaks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lambdapack import elf, trace
from lambdapack.elf.headers import PT_LOAD, Segment, read_header, read_segments
from lambdapack.install import read_tree
from lambdapack.model import Tree
from lambdapack.model.target import Target
from lambdapack.python import interpreter
from lambdapack.slim.copy import slim_copy
from lambdapack.slim.loading import TargetPython
from lambdapack.slim.select import SlimOptions
from tests.support.installed import OWN

CODE = """\
import numpy
from numpy.testing import assert_allclose
m = numpy.random.default_rng(0).random((50, 50))
assert_allclose(numpy.linalg.inv(m) @ m, numpy.eye(50), atol=1e-8)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """numpy, installed by pip from its wheel."""
    root = tmp_path_factory.mktemp("numpy") / "tree"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, "--only-binary=:all:", "--target", str(root), "numpy"], check=True)
    return read_tree(root, Target(OWN))


def loads(data: bytes) -> list[Segment]:
    return [segment for segment in read_segments(data, read_header(data)) if segment.type == PT_LOAD]


@pytest.mark.slow
def test_numpy_computes_after_slimming(installed: Tree, tmp_path: Path) -> None:
    """Smaller, every stripped library loads, and linear algebra (OpenBLAS) gives the right numbers."""
    python = interpreter.find(OWN)
    traced = trace.run(installed, python, CODE)
    made = slim_copy(
        installed, tmp_path / "out", trace=traced, python=TargetPython(python), options=SlimOptions()
    )
    slimmed, report = made.tree, made.report
    assert report.reverted == {}
    assert report.slimmed_bytes < report.installed_bytes
    assert {one.rule for one in report.dropped} >= {"tests", "headers", "stubs", "strip"}
    assert set(traced.files) == set(trace.run(slimmed, python, CODE).files)


@pytest.mark.slow
def test_every_mapped_byte_is_the_same(installed: Tree, tmp_path: Path) -> None:
    """Each segment of each library has the original's bytes, outside the rewritten header tables."""
    traced = trace.heuristic(installed, ["numpy"])
    slimmed = slim_copy(
        installed, tmp_path / "out", trace=traced, python=TargetPython(), options=SlimOptions()
    ).tree
    smaller = 0
    for path in sorted(path for path in slimmed.root.rglob("*") if elf.is_elf(path)):
        after = path.read_bytes()
        before = (installed.root / path.relative_to(slimmed.root)).read_bytes()
        smaller += len(after) < len(before)
        for old, new in zip(loads(before), loads(after), strict=True):
            assert old._replace(offset=0) == new._replace(offset=0), path
            assert (new.offset - new.vaddr) % new.align == 0, path
            skip = read_header(before).segments_end if old.offset == 0 else 0
            same = before[old.offset + skip : old.end] == after[new.offset + skip : new.end]
            assert same, path
    assert smaller
