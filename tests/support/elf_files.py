"""Shared objects without code, byte by byte: what the dynamic linker reads of one and nothing else."""

from __future__ import annotations

import struct

_PT_LOAD, _PT_DYNAMIC = 1, 2
_DT_NEEDED, _DT_STRTAB, _DT_STRSZ, _DT_SONAME, _DT_RUNPATH = 1, 5, 10, 14, 29
_EHSIZE, _PHENTSIZE, _PAGE = 64, 56, 4096


def shared_object(*needed: str, soname: str = "", runpath: str = "", text: bytes = b"") -> bytes:
    """A shared object for x86_64 that asks for ``needed``; ``text`` is among its strings."""
    strings = b"\0" + text
    entries = []
    for tag, names in ((_DT_NEEDED, needed), (_DT_SONAME, [soname]), (_DT_RUNPATH, [runpath])):
        for name in filter(None, names):
            entries.append((tag, len(strings)))
            strings += name.encode() + b"\0"
    start = _EHSIZE + 2 * _PHENTSIZE
    strings += bytes(-len(strings) % 8)
    entries += [(_DT_STRTAB, start), (_DT_STRSZ, len(strings)), (0, 0)]
    dynamic = b"".join(struct.pack("<QQ", *entry) for entry in entries)
    place, end = start + len(strings), start + len(strings) + len(dynamic)
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, _EHSIZE, 0, 0, _EHSIZE, _PHENTSIZE, 2, 64, 0, 0)
    load = struct.pack("<IIQQQQQQ", _PT_LOAD, 4, 0, 0, 0, end, end, _PAGE)
    linking = struct.pack("<IIQQQQQQ", _PT_DYNAMIC, 6, place, place, place, len(dynamic), len(dynamic), 8)
    return header + load + linking + strings + dynamic
