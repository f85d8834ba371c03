"""GPU code in shared objects: it becomes zeros, and nothing else changes."""

from __future__ import annotations

import ctypes
import subprocess
import zlib
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdapack.elf import headers
from lambdapack.elf.gpu import SECTIONS, without_gpu_code
from lambdapack.model import Trace
from lambdapack.slim.copy import slim_copy
from lambdapack.slim.loading import TargetPython
from lambdapack.slim.select import SlimOptions
from tests.elf.test_stripping import DEBUG, TEXT, Part, build, images, names
from tests.support.installed import make_tree, own

IMAGES = b"device code" * 400


@pytest.mark.parametrize("name", [name.decode() for name in SECTIONS])
def test_device_code_becomes_zeros_where_it_is(name: str) -> None:
    """The section's bytes are zeros; every other byte of the file is what it was."""
    data = build([TEXT, Part(name, IMAGES, vaddr=0x3200), DEBUG])
    result = without_gpu_code(data)
    assert result is not None
    start = data.index(IMAGES)
    assert result == data[:start] + bytes(len(IMAGES)) + data[start + len(IMAGES) :]
    assert names(result) == names(data)
    assert [(at, size) for at, size, _ in images(result)] == [(at, size) for at, size, _ in images(data)]


@pytest.mark.parametrize(
    "parts",
    [
        [TEXT, DEBUG],
        [TEXT, Part(".nv_fatbin", IMAGES)],
        [TEXT, Part(".nv_fatbin", IMAGES, vaddr=0x3200, flags=headers.SHF_WRITE)],
        [TEXT, Part(".nv_fatbin", IMAGES, vaddr=0x3200, flags=headers.SHF_EXECINSTR)],
        [TEXT, Part(".nv_fatbin", IMAGES, vaddr=0x3200, type=headers.SHT_NOBITS)],
        [TEXT, Part(".nv_fatbin.note", IMAGES, vaddr=0x3200)],
    ],
    ids=["none", "not mapped", "writable", "executable", "no bytes", "another name"],
)
def test_what_the_program_itself_may_use_is_left_alone(parts: list[Part]) -> None:
    """Only a mapped, read-only section of exactly such a name holds device code."""
    assert without_gpu_code(build(parts)) is None


def test_what_is_no_shared_object_is_left_alone() -> None:
    """A program, a text, half a file."""
    data = build([TEXT, Part(".nv_fatbin", IMAGES, vaddr=0x3200)])
    program = build([TEXT, Part(".nv_fatbin", IMAGES, vaddr=0x3200)], kind=headers.ET_EXEC)
    assert [without_gpu_code(one) for one in (program, b"text", b"", data[:-1])] == [None] * 4


@given(st.binary(max_size=64), st.integers(0, 10_000))
def test_damaged_headers_never_change_the_length(noise: bytes, at: int) -> None:
    """Whatever stands in the headers, the result is as long as the file, or there is none."""
    data = bytearray(build([TEXT, Part(".nv_fatbin", IMAGES, vaddr=0x3200)]))
    at %= len(data)
    data[at : at + len(noise)] = noise[: len(data) - at]
    result = without_gpu_code(bytes(data))
    assert result is None or len(result) == len(data)


def test_a_slimmed_library_without_its_device_code_works(tmp_path: Path) -> None:
    """A real library with device code in it loads and runs as before, and compresses to next to nothing."""
    library, source = tmp_path / "libdevice.so", tmp_path / "device.c"
    numbers = ",".join(str(byte) for byte in Random(0).randbytes(40_000))
    source.write_text(
        f'__attribute__((section(".nv_fatbin"))) const unsigned char images[] = {{{numbers}}};\n'
        "int answer(void) { return 42; }\n"
    )
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    tree = make_tree(tmp_path / "tree", {"pkg": {"pkg/libdevice.so": library.read_bytes()}})
    made = slim_copy(
        tree,
        tmp_path / "slim",
        trace=Trace((), frozenset(), "traced", ""),
        python=TargetPython(own()),
        options=SlimOptions(),
    )
    slimmed = made.tree.root / "pkg/libdevice.so"
    assert made.report.reverted == {}
    assert ctypes.CDLL(str(slimmed)).answer() == 42
    assert len(zlib.compress(library.read_bytes())) > 40_000
    assert len(zlib.compress(slimmed.read_bytes())) < 5_000
