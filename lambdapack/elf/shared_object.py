"""What the headers of a shared object say: its machine, its names, and what it needs."""

from __future__ import annotations

import errno
import os
import re
import stat
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.construct.core import ConstructError
from elftools.elf.dynamic import Dynamic, DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection

_MAGIC = b"\x7fELF"
_NO_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO)
_MACHINES = {"EM_X86_64": "x86_64", "EM_AARCH64": "aarch64"}
_KINDS = {"ET_DYN": "dyn", "ET_EXEC": "exec", "ET_REL": "rel"}
_TEXTS = ("DT_NEEDED", "DT_SONAME", "DT_RUNPATH", "DT_RPATH")
_GLIBC = re.compile(r"GLIBC_(\d{1,4})\.(\d{1,4})(?:\.\d+)?\Z")
# pyelftools trusts what it reads: a damaged file ends in any of these.
_DAMAGE = (
    ELFError, ConstructError, ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError,
    OSError, RecursionError, TypeError, ValueError, struct.error,
)  # fmt: skip
# A damaged header may claim four billion entries that all lie in the file; no linker writes this many.
_ENTRIES_MAX = 65_536


class ElfError(ValueError):
    """The bytes are not a sound ELF file."""


@dataclass(frozen=True)
class Elf:
    """What an ELF file's headers say.

    Attributes:
        machine: ``x86_64``, ``aarch64`` (the kernel's names), else the ELF name, e.g. ``EM_386``.
        kind: ``dyn``, ``exec`` or ``rel``, else the ELF name.
        soname: The name that other files need the object by, if it has one.
        needed: The libraries that the object asks the dynamic linker for, in order.
        runpath: Its own search path, split at the colons: DT_RUNPATH, or DT_RPATH where there is none.
        glibc: The highest ``GLIBC_x.y`` symbol version that the object asks for, if it asks for any.
        program: Whether the file is run and not mapped by others: ``exec``, or with an interpreter of its
            own (a position-independent program is ``dyn`` too).
    """

    machine: str
    kind: str
    soname: str | None
    needed: tuple[str, ...]
    runpath: tuple[str, ...]
    glibc: tuple[int, int] | None
    program: bool = False


def is_elf(path: Path) -> bool:
    """Whether a regular file begins as an ELF file does."""
    # Asked of every file of a tree: opening it as a Python file costs three times as much. A pipe must
    # not be waited for.
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno not in _NO_FILE:
            raise
        return False
    try:
        return stat.S_ISREG(os.fstat(opened).st_mode) and os.read(opened, len(_MAGIC)) == _MAGIC
    finally:
        os.close(opened)


def read(path: Path) -> Elf:
    """Read the headers of an ELF file; sections that hold code or data are not touched.

    Raises:
        ElfError: The file is no ELF file, or is truncated or damaged.
        OSError: The file cannot be opened.
    """
    with path.open("rb") as file:
        try:
            return _read(ELFFile(file))
        except _DAMAGE as error:
            reason = str(error) or type(error).__name__
            raise ElfError(f"{path} is not a sound ELF file: {reason}") from error


def _read(elf: ELFFile) -> Elf:
    segments = list(islice(elf.iter_segments(), _ENTRIES_MAX))
    for segment in segments:
        end = segment["p_offset"] + segment["p_filesz"]
        if end > elf.stream_len:
            raise ElfError(f"a segment ends at byte {end} of {elf.stream_len}: the file is truncated")
    dynamic = next((s for s in segments if isinstance(s, DynamicSegment)), None)
    tags = _tags(dynamic) if dynamic is not None else {}
    lines = tags.get("DT_RUNPATH") or tags.get("DT_RPATH") or []
    machine = str(elf["e_machine"])
    kind = str(elf["e_type"])
    return Elf(
        machine=_MACHINES.get(machine, machine),
        kind=_KINDS.get(kind, kind),
        soname=next(iter(tags.get("DT_SONAME", ())), None),
        needed=tuple(tags.get("DT_NEEDED", ())),
        # The dynamic linker ignores DT_RPATH where there is a DT_RUNPATH (ld.so(8)).
        runpath=tuple(entry for line in lines for entry in line.split(":") if entry),
        glibc=max(_glibc_versions(_version_names(elf)), default=None),
        program=kind == "ET_EXEC" or any(segment["p_type"] == "PT_INTERP" for segment in segments),
    )


def _tags(dynamic: Dynamic) -> dict[str, list[str]]:
    """The string-valued entries of a dynamic section, by name, in order."""
    strings: dict[str, list[str]] = {}
    for tag in islice(dynamic.iter_tags(), _ENTRIES_MAX):
        name = tag.entry.d_tag
        if name in _TEXTS:
            strings.setdefault(name, []).append(str(getattr(tag, name.removeprefix("DT_").lower())))
    return strings


def _version_names(elf: ELFFile) -> Iterator[str]:
    for section in elf.iter_sections("SHT_GNU_verneed"):
        if not isinstance(section, GNUVerNeedSection):
            continue
        for _, versions in islice(section.iter_versions(), _ENTRIES_MAX):
            for version in islice(versions, _ENTRIES_MAX):
                yield str(version.name)


def _glibc_versions(names: Iterable[str]) -> Iterator[tuple[int, int]]:
    for name in names:
        match = _GLIBC.match(name)
        if match:
            yield int(match[1]), int(match[2])
