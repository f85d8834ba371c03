"""The builder of a lambdapack that runs in the target's image: this machine stands in for that."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest

from lambdapack.errors import ToolError
from lambdapack.install import InsideBuilder
from lambdapack.install.inside import _OwnLibraries
from lambdapack.install.syslibs import LibraryQuery
from lambdapack.model import Lock, Pin, PipOptions
from lambdapack.model.target import Target
from lambdapack.python import interpreter, toolchain
from tests.install.docker.test_builder import c_sdist

PYTHON = ".".join(map(str, sys.version_info[:2]))
TARGET = Target(PYTHON)


@pytest.fixture
def offline(lambdapack_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache, with pip-tools in it; pip asks no index from now on."""
    toolchain.ensure(interpreter.find(PYTHON), lambdapack_cache)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    return lambdapack_cache


def locked(sdist: Path) -> Lock:
    digest = hashlib.sha256(sdist.read_bytes()).hexdigest()
    pin = Pin("rough", "1.0", (f"sha256:{digest}",))
    return Lock(TARGET, TARGET.glibc, (pin,), ("rough",), PipOptions.find_links(sdist.parent), ("rough",))


def test_an_sdist_becomes_the_same_wheel_every_time(offline: Path, tmp_path: Path) -> None:
    """It is compiled here, from the very file that is locked, to bytes in which no folder shows."""
    modules = []
    for name in ("a", "a-longer-name"):
        (tmp_path / name).mkdir()
        lock = locked(c_sdist(tmp_path / name))
        with InsideBuilder("image").open(TARGET, cache_dir=offline) as workshop:
            assert workshop.identity == {"image": "image"}
            tree = workshop.unpack(lock, tmp_path / name / "tree")
        (module,) = tree.root.glob("rough*.so")
        modules.append(module.read_bytes())
    assert modules[0] == modules[1]


def test_an_sdist_that_cannot_be_built_is_told(offline: Path, tmp_path: Path) -> None:
    """Which one, the compiler's last words, and what helps; the folder is not made."""
    sdist = c_sdist(tmp_path, extra="#include <no-such-header.h>")
    with (
        InsideBuilder("image").open(TARGET, cache_dir=offline) as workshop,
        pytest.raises(ToolError, match=r"building rough 1\.0 from its sdist failed") as caught,
    ):
        workshop.unpack(locked(sdist), tmp_path / "tree")
    assert "--image" in (caught.value.hint or "")
    assert not (tmp_path / "tree").exists()


def test_a_file_that_is_not_the_locked_one_is_refused(offline: Path, tmp_path: Path) -> None:
    """A build runs code: never that of another file."""
    lock = locked(c_sdist(tmp_path))
    c_sdist(tmp_path, extra="/* another */")
    with (
        InsideBuilder("image").open(TARGET, cache_dir=offline) as workshop,
        pytest.raises(ToolError, match="not the one that was locked"),
    ):
        workshop.unpack(lock, tmp_path / "tree")


def test_libraries_come_from_where_the_dynamic_linker_finds_them(tmp_path: Path) -> None:
    """Byte for byte, under the name that was asked for; what is not there is not answered."""
    queries = [LibraryQuery("libm.so.6", ()), LibraryQuery("libnothing-of-that-name.so.1", ())]
    origins = _OwnLibraries(interpreter.find(PYTHON).path).fetch(queries, tmp_path)
    assert list(origins) == ["libm.so.6"]
    assert (tmp_path / "libm.so.6").read_bytes() == Path(origins["libm.so.6"].path).read_bytes()
