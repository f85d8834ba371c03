"""The three header tables of an ELF file of 64 bits, least significant byte first, as values.

The layout is that of the System V ABI, chapter 4 and 5 (https://www.sco.com/developers/gabi/latest/),
and of ``/usr/include/elf.h``. Lambda's two architectures have no other kind of file.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

PT_LOAD: Final = 1
PT_PHDR: Final = 6
SHT_NULL: Final = 0
SHT_SYMTAB: Final = 2
SHT_STRTAB: Final = 3
SHT_RELA: Final = 4
SHT_NOBITS: Final = 8
SHT_REL: Final = 9
SHT_SYMTAB_SHNDX: Final = 18
SHF_WRITE: Final = 0x1
SHF_ALLOC: Final = 0x2
SHF_EXECINSTR: Final = 0x4
SHF_INFO_LINK: Final = 0x40
ET_EXEC: Final = 2
ET_DYN: Final = 3
# More sections or segments than 16 bits can count: the real numbers are elsewhere.
SHN_LORESERVE: Final = 0xFF00
PN_XNUM: Final = 0xFFFF

_IDENT = b"\x7fELF\x02\x01\x01"  # magic, 64 bits, least significant byte first, version 1
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")


class HeaderError(ValueError):
    """The headers are not those of a complete ELF file of this kind."""


class Header(NamedTuple):
    """The file's header, fields named as in the ABI without their ``e_``."""

    ident: bytes
    type: int
    machine: int
    version: int
    entry: int
    phoff: int
    shoff: int
    flags: int
    ehsize: int
    phentsize: int
    phnum: int
    shentsize: int
    shnum: int
    shstrndx: int

    def pack(self) -> bytes:
        """The header's bytes."""
        return _HEADER.pack(*self)

    @property
    def segments_end(self) -> int:
        """Where the program header table ends."""
        return self.phoff + self.phnum * self.phentsize

    @property
    def sections_end(self) -> int:
        """Where the section header table ends."""
        return self.shoff + self.shnum * self.shentsize


class Segment(NamedTuple):
    """A program header, fields named as in the ABI without their ``p_``."""

    type: int
    flags: int
    offset: int
    vaddr: int
    paddr: int
    filesz: int
    memsz: int
    align: int

    def pack(self) -> bytes:
        """The header's bytes."""
        return _SEGMENT.pack(*self)

    @property
    def end(self) -> int:
        """Where the content ends in the file."""
        return self.offset + self.filesz


class Section(NamedTuple):
    """A section header, fields named as in the ABI without their ``sh_``."""

    name: int
    type: int
    flags: int
    addr: int
    offset: int
    size: int
    link: int
    info: int
    addralign: int
    entsize: int

    def pack(self) -> bytes:
        """The header's bytes."""
        return _SECTION.pack(*self)

    @property
    def stored(self) -> int:
        """How many bytes the content takes in the file."""
        return 0 if self.type in (SHT_NOBITS, SHT_NULL) else self.size

    @property
    def end(self) -> int:
        """Where the content ends in the file."""
        return self.offset + self.stored

    @property
    def mapped(self) -> bool:
        """Whether the section is part of the running program."""
        return bool(self.flags & SHF_ALLOC)


def read_header(data: bytes) -> Header:
    """Read the file's header.

    Raises:
        HeaderError: Another kind of ELF file, no ELF file, or one that is cut short.
    """
    if not data.startswith(_IDENT) or len(data) < _HEADER.size:
        raise HeaderError("not an ELF file of 64 bits, least significant byte first")
    header = Header._make(_HEADER.unpack_from(data))
    sizes = (header.ehsize, header.phentsize, header.shentsize)
    if sizes != (_HEADER.size, _SEGMENT.size, _SECTION.size):
        raise HeaderError(f"header sizes {sizes} are not those of the ABI")
    if header.phnum == PN_XNUM or header.shnum >= SHN_LORESERVE or header.shstrndx >= header.shnum:
        raise HeaderError("the number of segments or sections is not in the header")
    if header.segments_end > len(data) or header.sections_end > len(data):
        raise HeaderError("a header table ends behind the end of the file")
    return header


def read_segments(data: bytes, header: Header) -> list[Segment]:
    """Read the program headers; their bytes are all in the file.

    Raises:
        HeaderError: A segment ends behind the end of the file.
    """
    table = memoryview(data)[header.phoff : header.segments_end]
    segments = [Segment._make(fields) for fields in _SEGMENT.iter_unpack(table)]
    if any(segment.end > len(data) for segment in segments):
        raise HeaderError("a segment ends behind the end of the file")
    return segments


def read_sections(data: bytes, header: Header) -> list[Section]:
    """Read the section headers; their bytes are all in the file, and their links lead to sections.

    Raises:
        HeaderError: A section ends behind the end of the file, or links to none.
    """
    table = memoryview(data)[header.shoff : header.sections_end]
    sections = [Section._make(fields) for fields in _SECTION.iter_unpack(table)]
    for section in sections:
        if section.end > len(data):
            raise HeaderError("a section ends behind the end of the file")
        if section.link >= len(sections):
            raise HeaderError("a section links to one that does not exist")
    return sections
