"""Reading ELF headers."""

from __future__ import annotations

import contextlib
import os
import sysconfig
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zstandard import backend_c

from lambdapack.elf import Elf, ElfError, is_elf, read
from lambdapack.elf.shared_object import _glibc_versions


def own_extension() -> Path:
    """An extension module of a dependency: there is one everywhere."""
    return Path(backend_c.__file__)


def test_tells_machine_kind_and_needs() -> None:
    """An extension module is a "dyn" for this machine that needs the C library by its versions."""
    elf = read(own_extension())
    assert elf.machine == os.uname().machine
    assert elf.kind == "dyn"
    assert any(name.startswith("libc.so") for name in elf.needed)
    assert elf.glibc is not None
    assert elf.glibc >= (2, 2)


def test_versions_compare_as_numbers() -> None:
    """GLIBC_2.34 is newer than GLIBC_2.4, and GLIBC_PRIVATE is no version."""
    names = ["GLIBC_2.4", "GLIBC_2.34", "GLIBC_2.2.5", "GLIBC_PRIVATE", "GLIBCXX_3.4.30"]
    assert max(_glibc_versions(names)) == (2, 34)


def test_is_elf_looks_at_content(tmp_path: Path) -> None:
    """A name ending in .so does not make a shared object, nor does a folder or an empty file."""
    (tmp_path / "a.so").write_bytes(b"INPUT(-lfoo)\n")
    (tmp_path / "empty").write_bytes(b"")
    assert not is_elf(tmp_path / "a.so")
    assert not is_elf(tmp_path / "empty")
    assert not is_elf(tmp_path)
    assert is_elf(own_extension())


@pytest.mark.parametrize("keep", [4, 16, 63, 64, 100, 1000])
def test_truncated_files_are_refused(tmp_path: Path, keep: int) -> None:
    """A file cut short is an ElfError that names the file, whatever the place of the cut."""
    cut = tmp_path / "cut.so"
    cut.write_bytes(own_extension().read_bytes()[:keep])
    with pytest.raises(ElfError, match=r"cut\.so"):
        read(cut)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damage_is_an_elf_error_or_an_answer(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Any bytes changed anywhere in the headers: ``read`` answers or raises ElfError, nothing else."""
    content = bytearray(own_extension().read_bytes())
    headers = st.integers(0, 1024) | st.integers(max(0, len(content) - 4096), len(content) - 1)
    for _ in range(data.draw(st.integers(1, 8))):
        position = min(data.draw(headers), len(content) - 1)
        content[position] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.so"
    path.write_bytes(content)
    with contextlib.suppress(ElfError):
        assert isinstance(read(path), Elf)


def test_interpreters_own_library_has_a_soname() -> None:
    """A library's soname is told; an extension module has none."""
    assert read(own_extension()).soname is None
    library = sysconfig.get_config_var("INSTSONAME") or ""
    folder = sysconfig.get_config_var("LIBDIR") or ""
    shared = Path(folder) / library
    if is_elf(shared):
        assert read(shared).soname == library
