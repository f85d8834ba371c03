"""Make a shared object smaller without touching what is loaded.

Symbol tables, debug data and compilers' remarks are in sections that no segment maps, so that neither the
dynamic linker nor the program can see them. They are left out, and what lies behind them in the file moves
forward. A segment moves only by multiples of its own alignment, so its address stays congruent to its
offset and every page of the running program has the bytes it had: unlike binutils' ``strip``, which breaks
files that patchelf (and so auditwheel) has appended segments to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lambdapack.elf import headers
from lambdapack.elf.headers import Header, HeaderError, Section, Segment

_NAMES = frozenset((
    b".comment", b".symtab", b".strtab", b".symtab_shndx", b".gnu_debuglink", b".gnu_debugaltlink",
    b".gnu_debugdata", b".gnu.build.attributes", b".annobin.notes", b".GCC.command.line", b".gdb_index",
    b".llvm_addrsig",
))  # fmt: skip
_PREFIXES = (
    b".debug", b".zdebug", b".stab", b".gnu.debuglto_", b".gnu.lto_", b".gnu.build.attributes.",
    b".rela.debug", b".rel.debug",
)  # fmt: skip
_TYPES = (headers.SHT_SYMTAB, headers.SHT_SYMTAB_SHNDX)
_PAGE = 4096
_CHUNK = 1 << 24
_ALIGN_MAX = 1 << 31
_TABLE_ALIGN = 8


class _OddError(ValueError):
    """The file has something that this module does not know how to keep."""


def strip(data: bytes) -> bytes | None:
    """Leave out of a whole ELF file the sections that only debuggers and linkers read.

    Returns:
        The smaller file, or ``None`` where there is nothing to gain, or where anything about the file is
        not understood (another kind of ELF, bytes that no header explains, overlapping parts …). What is
        returned was checked against ``data``: the same segments with the same bytes.
    """
    try:
        original = _parse(data)
        result = _rebuild(original, _removable(original))
        if len(result) >= len(data):
            return None
        _verify(original, _parse(result))
    except (HeaderError, _OddError):
        return None
    return result


@dataclass(frozen=True)
class _File:
    data: bytes
    header: Header
    segments: Sequence[Segment]
    sections: Sequence[Section]
    names: Sequence[bytes]


@dataclass
class _Block:
    """A range of the file that moves as one, by a multiple of ``align``."""

    start: int
    end: int
    align: int
    moved_to: int = 0


def _parse(data: bytes) -> _File:
    header = headers.read_header(data)
    if header.type not in (headers.ET_DYN, headers.ET_EXEC) or not header.shnum or not header.phnum:
        raise _OddError("not a shared object or program with both kinds of headers")
    segments = headers.read_segments(data, header)
    sections = headers.read_sections(data, header)
    names = sections[header.shstrndx]
    if names.type != headers.SHT_STRTAB or names.mapped:
        raise _OddError("the section names are not in a section of their own")
    table = data[names.offset : names.end]
    return _File(data, header, segments, sections, [_name(table, section.name) for section in sections])


def _name(table: bytes, start: int) -> bytes:
    end = table.find(b"\0", start)
    if start >= len(table) or end < 0:
        raise _OddError("a section's name is not in the table of names")
    return table[start:end]


def _removable(file: _File) -> set[int]:
    """Numbers of the sections that go."""
    removable = set()
    for number, section in enumerate(file.sections):
        if section.mapped or section.type == headers.SHT_NULL or number == file.header.shstrndx:
            continue
        name = file.names[number]
        if section.type in _TYPES or name in _NAMES or name.startswith(_PREFIXES):
            removable.add(number)
    for number, section in enumerate(file.sections):
        if number not in removable and (_links(section) & removable):
            raise _OddError("a section that stays refers to one that goes")
    return removable


def _has_info_link(section: Section) -> bool:
    by_type = section.type in (headers.SHT_REL, headers.SHT_RELA)
    return bool(section.info and (by_type or section.flags & headers.SHF_INFO_LINK))


def _links(section: Section) -> set[int]:
    """The sections that a header refers to."""
    links = {section.info} if _has_info_link(section) else set()
    return links | ({section.link} if section.link else set())


def _rebuild(file: _File, gone: set[int]) -> bytes:
    if not gone:
        raise _OddError("nothing to remove")
    blocks = _blocks(file, gone)
    result = bytearray()
    for block in blocks:
        # As far to the front as its alignment allows.
        slack = block.start - len(result)
        if slack < 0:
            raise _OddError("a part would have to move back")
        block.moved_to = block.start - slack // block.align * block.align
        result += bytes(block.moved_to - len(result))
        result += memoryview(file.data)[block.start : block.end]
    return _with_headers(file, gone, blocks, result)


def _blocks(file: _File, gone: set[int]) -> list[_Block]:
    """What stays, in file order: mapped ranges, the header tables that belong to them, kept sections."""
    fixed = [_Block(0, file.header.ehsize, 1), _Block(file.header.phoff, file.header.segments_end, 8)]
    for segment in file.segments:
        load = segment.type == headers.PT_LOAD
        if segment.filesz or load:
            align = max(_alignment(segment.align), _PAGE if load else 1)
            fixed.append(_Block(segment.offset, segment.end, align))
    blocks = _merged(fixed)
    _include_trap_padding(file, blocks)
    removed = []
    for number, section in enumerate(file.sections):
        inside = any(block.start <= section.offset and section.end <= block.end for block in blocks)
        if not section.stored or number == file.header.shstrndx or inside:
            continue
        block = _Block(section.offset, section.end, _alignment(section.addralign))
        if number in gone:
            removed.append(block)
        elif section.mapped:
            raise _OddError("a mapped section is in no segment")
        else:
            blocks.append(block)
    names = file.sections[file.header.shstrndx]
    table = _Block(file.header.shoff, file.header.sections_end, 1)
    removed += [_Block(names.offset, names.end, 1), table]
    _check_cover(file.data, blocks + removed)
    return sorted(blocks, key=lambda block: block.start)


def _alignment(value: int) -> int:
    align = max(1, value)
    if align & (align - 1) or align > _ALIGN_MAX:
        raise _OddError("an alignment is not a power of two")
    return align


def _merged(blocks: list[_Block]) -> list[_Block]:
    """Blocks that touch become one, with the stricter alignment."""
    merged: list[_Block] = []
    for block in sorted(blocks, key=lambda block: (block.start, block.end)):
        last = merged[-1] if merged else None
        if last is not None and block.start <= last.end:
            last.end = max(last.end, block.end)
            last.align = max(last.align, block.align)
        else:
            merged.append(block)
    return merged


def _include_trap_padding(file: _File, blocks: list[_Block]) -> None:
    """Keep the trap instructions that linkers fill the rest of a page of code with: they are mapped too."""
    starts = [section.offset for section in file.sections if section.stored]
    starts += [file.header.shoff, len(file.data), *(block.start for block in blocks)]
    for block in blocks:
        page_end = -(-block.end // _PAGE) * _PAGE
        limit = min([page_end, *(start for start in starts if start >= block.end)])
        if limit < len(file.data) and not _is_zero(file.data, block.end, limit):
            block.end = limit


def _check_cover(data: bytes, blocks: list[_Block]) -> None:
    """Nothing overlaps, and what no header explains is zeros between the parts."""
    position = 0
    for block in sorted(blocks, key=lambda block: (block.start, block.end)):
        if block.start < position:
            raise _OddError("parts of the file overlap")
        if not _is_zero(data, position, block.start):
            raise _OddError("there is data that no header explains")
        position = block.end
    if not _is_zero(data, position, len(data)):
        raise _OddError("there is data behind the end")


def _is_zero(data: bytes, start: int, end: int) -> bool:
    return data.count(0, start, end) == max(0, end - start)


def _with_headers(file: _File, gone: set[int], blocks: Sequence[_Block], result: bytearray) -> bytes:
    """Append names and section headers; rewrite the file's header and the program headers."""
    kept = _kept_sections(file, gone)
    renumbered = {old: new for new, old in enumerate(kept) if old is not None}
    names = [b"" if old is None else file.names[old] for old in kept]
    table, places = _string_table(names)
    names_offset = len(result)
    result += table
    sections = []
    for old, place in zip(kept, places, strict=True):
        if old is None:
            sections.append(Section(0, headers.SHT_NULL, 0, 0, 0, 0, 0, 0, 0, 0))
        elif old == file.header.shstrndx:
            own = file.sections[old]
            sections.append(own._replace(name=place, offset=names_offset, size=len(table)))
        else:
            sections.append(_renumbered(file.sections[old], place, blocks, renumbered))
    result += bytes(-len(result) % _TABLE_ALIGN)
    shoff = len(result)
    result += b"".join(section.pack() for section in sections)
    header = file.header._replace(
        phoff=_moved(blocks, file.header.phoff),
        shoff=shoff,
        shnum=len(sections),
        shstrndx=renumbered[file.header.shstrndx],
    )
    segments = [s._replace(offset=_moved(blocks, s.offset)) for s in file.segments]
    result[: header.ehsize] = header.pack()
    result[header.phoff : header.segments_end] = b"".join(segment.pack() for segment in segments)
    return bytes(result)


def _kept_sections(file: _File, gone: set[int]) -> list[int | None]:
    """Numbers of the sections that stay, in order; ``None`` for an empty header.

    Dynamic symbols refer to mapped sections by number, in bytes that do not change: a section that goes
    leaves an empty header where a mapped one follows.
    """
    last_mapped = max((n for n, section in enumerate(file.sections) if section.mapped), default=0)
    return [
        None if number in gone else number
        for number in range(len(file.sections))
        if number not in gone or number < last_mapped
    ]


def _renumbered(section: Section, name: int, blocks: Sequence[_Block], numbers: dict[int, int]) -> Section:
    if not _links(section) <= numbers.keys():
        raise _OddError("a section refers to one that does not exist")
    return section._replace(
        name=name,
        offset=_moved(blocks, section.offset),
        link=numbers[section.link] if section.link else 0,
        info=numbers[section.info] if _has_info_link(section) else section.info,
    )


def _moved(blocks: Sequence[_Block], offset: int) -> int:
    """Where a position of the original is now; a position without bytes goes with the block before."""
    before = [block for block in blocks if block.start <= offset]
    block = before[-1] if before else blocks[0]
    return block.moved_to + min(offset, block.end) - block.start


def _string_table(names: Sequence[bytes]) -> tuple[bytes, list[int]]:
    """A string table and each name's place in it; a name that ends another shares its bytes."""
    table = b"\0"
    for name in sorted(set(names), key=lambda name: (-len(name), name)):
        if name + b"\0" not in table:
            table += name + b"\0"
    return table, [table.index(name + b"\0") for name in names]


def _verify(before: _File, after: _File) -> None:
    """Check the result without trust in what was computed while it was made."""
    if len(before.segments) != len(after.segments):
        raise _OddError("the result has other segments")
    if _lasting(before.header) != _lasting(after.header):
        raise _OddError("the file's header says something else")
    for old, new in zip(before.segments, after.segments, strict=True):
        if old._replace(offset=0) != new._replace(offset=0):
            raise _OddError("a segment has changed")
        if new.type == headers.PT_LOAD and (new.offset - old.offset) % max(1, new.align):
            raise _OddError("a segment's offset and address are not congruent any more")
        if not _same_bytes(before, after, old, new):
            raise _OddError("a segment's bytes have changed")
    for number, section in enumerate(before.sections):
        if section.mapped:
            new_section = after.sections[number]
            if before.names[number] != after.names[number] or section[1:4] != new_section[1:4]:
                raise _OddError("a mapped section has another number")


def _lasting(header: Header) -> Header:
    """What is to be the same of the file's header: all but where the tables are."""
    return header._replace(phoff=0, shoff=0, shnum=0, shstrndx=0)


def _same_bytes(before: _File, after: _File, old: Segment, new: Segment) -> bool:
    """Whether two segments hold the same bytes, the headers that had to be rewritten apart."""
    masks = _rewritten(before.header, old)
    position = old.offset
    while position < old.end:
        stop = min(position + _CHUNK, old.end, *(m for pair in masks for m in pair if m > position))
        if not any(start <= position < end for start, end in masks):
            shift = new.offset - old.offset
            if before.data[position:stop] != after.data[position + shift : stop + shift]:
                return False
        position = stop
    return True


def _rewritten(header: Header, segment: Segment) -> list[tuple[int, int]]:
    """Where in the file a segment may hold other bytes than before.

    These are the headers that it maps as headers: the file's own in a segment that is loaded from the
    beginning, the program headers in one that is loaded or is there for them and holds them whole. To any
    other segment the same bytes are data of the program.
    """
    loaded = segment.type == headers.PT_LOAD
    ranges = [(0, header.ehsize)] if loaded and not segment.offset and segment.end >= header.ehsize else []
    whole = segment.offset <= header.phoff and header.segments_end <= segment.end
    if whole and (loaded or segment.type == headers.PT_PHDR):
        ranges.append((header.phoff, header.segments_end))
    return ranges
