"""Stripping shared objects: what is loaded keeps every byte and stays where it is."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from zstandard import backend_c

from lambdapack import elf
from lambdapack.elf import headers
from lambdapack.elf.headers import Header, Section, Segment, read_header, read_sections, read_segments
from lambdapack.elf.stripping import strip
from lambdapack.progress import QUIET
from lambdapack.python import interpreter
from lambdapack.slim.loading import check_loads

PAGE = 0x1000
ALLOC = headers.SHF_ALLOC
PROGBITS = 1


@dataclass
class Part:
    """A piece of the file: a section, mapped by a segment of its own if ``vaddr`` is given."""

    name: str
    data: bytes
    vaddr: int | None = None
    type: int = PROGBITS
    flags: int = 0
    link: str = ""
    info: int = 0
    align: int = PAGE
    after: bytes = b""


def build(parts: Sequence[Part], *, tail: bytes = b"", kind: int = headers.ET_DYN) -> bytes:
    """An ELF file: headers (mapped), the parts in file order, section names, section headers."""
    mapped = [part for part in parts if part.vaddr is not None]
    count = 1 + len(mapped)
    start = 64 + 56 * count
    out = bytearray(start)
    segments = [Segment(headers.PT_LOAD, 4, 0, 0, 0, start, start, PAGE)]
    offsets: dict[str, int] = {}
    for part in parts:
        if part.vaddr is not None:
            out += bytes((part.vaddr - len(out)) % part.align)
            segments.append(
                Segment(
                    headers.PT_LOAD,
                    6,
                    len(out),
                    part.vaddr,
                    part.vaddr,
                    len(part.data),
                    len(part.data),
                    part.align,
                )
            )
        offsets[part.name] = len(out)
        out += part.data + part.after
    table = b"\0" + b"".join(part.name.encode() + b"\0" for part in parts) + b".shstrtab\0"
    numbers = {part.name: number for number, part in enumerate(parts, 1)}
    sections = [Section(0, 0, 0, 0, 0, 0, 0, 0, 0, 0)]
    for part in parts:
        flags = part.flags | (ALLOC if part.vaddr is not None else 0)
        place = table.index(b"\0" + part.name.encode() + b"\0") + 1
        link = numbers.get(part.link, 0)
        sections.append(
            Section(
                place,
                part.type,
                flags,
                part.vaddr or 0,
                offsets[part.name],
                len(part.data),
                link,
                part.info,
                1,
                0,
            )
        )
    place = table.index(b".shstrtab")
    sections.append(Section(place, headers.SHT_STRTAB, 0, 0, len(out), len(table), 0, 0, 1, 0))
    out += table
    out += bytes(-len(out) % 8)
    shoff = len(out)
    out += b"".join(section.pack() for section in sections)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    count_sections = len(sections)
    header = Header(
        ident, kind, 62, 1, 0, 64, shoff, 0, 64, 56, count, 64, count_sections, count_sections - 1
    )
    out[:start] = header.pack() + b"".join(segment.pack() for segment in segments)
    return bytes(out) + tail


TEXT = Part(".text", b"\x90" * 300, vaddr=0x1100)
DATA = Part(".data", b"d" * 500, vaddr=0x3200)
SYMTAB = Part(".symtab", b"s" * 9000, type=headers.SHT_SYMTAB, link=".strtab")
STRTAB = Part(".strtab", b"\0name\0" * 100, type=headers.SHT_STRTAB)
DEBUG = Part(".debug_info", b"i" * 20000)
MOVED = Part(".dynstr", b"\0libc.so.6\0" * 30, vaddr=0x9000)  # what patchelf appends
NOTE = Part(".note.vendor", b"keep me")


def names(data: bytes) -> list[str]:
    header = read_header(data)
    sections = read_sections(data, header)
    table = sections[header.shstrndx]
    text = data[table.offset : table.end]
    return [text[s.name : text.index(b"\0", s.name)].decode() for s in sections if s.type]


def images(data: bytes) -> list[tuple[int, int, bytes]]:
    """What each segment maps: address, size and bytes; those of the rewritten headers apart."""
    header = read_header(data)
    found = []
    for segment in read_segments(data, header):
        content = bytearray(data[segment.offset : segment.end])
        loaded = segment.type == headers.PT_LOAD
        if loaded and segment.offset == 0 and len(content) >= 64:
            content[:64] = bytes(64)
        # Only who maps all of the program headers, as such, has them rewritten.
        whole = segment.offset <= header.phoff and header.segments_end <= segment.end
        if whole and (loaded or segment.type == headers.PT_PHDR):
            first = header.phoff - segment.offset
            content[first : first + 56 * header.phnum] = bytes(56 * header.phnum)
        found.append((segment.vaddr, segment.memsz, bytes(content)))
    return found


def started(data: bytes) -> tuple[int, ...]:
    """What the file's header says of the program, rather than of the file."""
    header = read_header(data)
    return header.type, header.machine, header.entry, header.flags


def congruent(data: bytes) -> bool:
    return all(
        (segment.offset - segment.vaddr) % max(segment.align, PAGE) == 0
        for segment in read_segments(data, read_header(data))
        if segment.type == headers.PT_LOAD
    )


def test_what_no_segment_maps_goes() -> None:
    """Symbols, their names and debug data go; an unknown section, perhaps a program's own, stays."""
    data = build([TEXT, DATA, NOTE, DEBUG, SYMTAB, STRTAB])
    result = strip(data)
    assert result is not None
    assert names(result) == [".text", ".data", ".note.vendor", ".shstrtab"]
    assert NOTE.data in result
    assert len(result) < len(data) - len(DEBUG.data) - len(SYMTAB.data)
    assert images(result) == images(data)


def test_a_hole_in_the_middle_closes_by_whole_pages() -> None:
    """patchelf puts segments behind the symbols: they move forward, congruent to their addresses."""
    data = build([TEXT, DATA, DEBUG, SYMTAB, STRTAB, MOVED])
    result = strip(data)
    assert result is not None
    before = read_segments(data, read_header(data))[-1]
    after = read_segments(result, read_header(result))[-1]
    assert after.vaddr == before.vaddr
    assert (before.offset - after.offset) % PAGE == 0
    assert before.offset - after.offset >= len(DEBUG.data) + len(SYMTAB.data) - PAGE
    assert congruent(result)
    assert images(result) == images(data)


@pytest.mark.parametrize("align", [0x1000, 0x4000, 0x10000])
def test_a_segment_moves_by_its_own_alignment(align: int) -> None:
    """Two pages of 4 KiB are no move for a segment aligned to 64 KiB."""
    moved = Part(".dynstr", b"x" * 50, vaddr=0x40100, align=align)
    data = build([TEXT, DEBUG, moved])
    result = strip(data)
    assert result is not None
    before = read_segments(data, read_header(data))[-1]
    after = read_segments(result, read_header(result))[-1]
    assert (before.offset - after.offset) % align == 0
    assert after.offset % align == 0x100


def test_mapped_sections_keep_their_numbers() -> None:
    """Dynamic symbols name sections by number, in bytes that do not change."""
    data = build([TEXT, DEBUG, SYMTAB, STRTAB, MOVED])
    result = strip(data)
    assert result is not None
    before = read_sections(data, read_header(data))
    after = read_sections(result, read_header(result))
    for number, section in enumerate(before):
        if section.mapped:
            assert (after[number].addr, after[number].size) == (section.addr, section.size)
    assert after[2].type == after[3].type == after[4].type == headers.SHT_NULL


def test_links_follow_their_sections() -> None:
    """A kept section that comes behind removed ones has another number; links to it say so."""
    strings = Part(".vendor.strings", b"\0abc\0", type=headers.SHT_STRTAB)
    table = Part(".vendor.table", b"12345678", link=".vendor.strings")
    data = build([TEXT, DEBUG, table, SYMTAB, STRTAB, strings])
    result = strip(data)
    assert result is not None
    sections = read_sections(result, read_header(result))
    found = [section for section in sections if section.link]
    assert [result[s.offset : s.end] for s in found] == [b"12345678"]
    assert result[sections[found[0].link].offset :].startswith(b"\0abc\0")


def test_trap_padding_of_code_stays() -> None:
    """lld fills the rest of a page of code with trap instructions, which are mapped with it."""
    text = Part(".text", b"\x90" * 300, vaddr=0x1100, after=b"\xcc" * 100)
    data = build([text, DATA, DEBUG])
    result = strip(data)
    assert result is not None
    assert b"\x90" * 300 + b"\xcc" * 100 in result


def test_same_input_same_output_and_twice_is_nothing() -> None:
    """Stripping is deterministic, and a stripped file has nothing to gain."""
    data = build([TEXT, DATA, DEBUG, MOVED])
    first, second = strip(data), strip(data)
    assert first is not None
    assert first == second
    assert strip(first) is None


REFUSED = {
    "an appended payload": build([TEXT, DATA, DEBUG], tail=b"PK\3\4 zip archive"),
    "data between sections that no header explains": build(
        [TEXT, DATA, Part(".debug_info", b"i" * 5000, after=b"secret"), NOTE]
    ),
    "a relocatable object": build([TEXT, DEBUG], kind=1),
    "a core file": build([TEXT, DEBUG], kind=4),
    "relocations for what would go": build(
        [TEXT, Part(".rela.text", b"r" * 24, type=headers.SHT_RELA, link=".symtab", info=1), SYMTAB, STRTAB]
    ),
    "nothing to remove": build([TEXT, DATA, NOTE]),
    "empty": b"",
    "not ELF": b"INPUT(-lfoo)\n",
    "32 bits": b"\x7fELF\x01\x01\x01" + bytes(100),
    "most significant byte first": b"\x7fELF\x02\x02\x01" + bytes(100),
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_odd_is_left_alone(data: bytes) -> None:
    """``None`` for anything that is not wholly understood."""
    assert strip(data) is None


def test_section_headers_out_of_the_file_are_left_alone() -> None:
    """An overlap of a kept section with a removed one has no right answer."""
    data = bytearray(build([TEXT, NOTE, DEBUG]))
    header = read_header(bytes(data))
    note = read_sections(bytes(data), header)[2]
    moved = note._replace(offset=note.offset + 3)
    data[header.shoff + 2 * 64 : header.shoff + 3 * 64] = moved.pack()
    assert strip(bytes(data)) is None


SMALL = build([TEXT, DATA, NOTE, DEBUG, SYMTAB, STRTAB, MOVED])
SMALL_SHOFF = read_header(SMALL).shoff


@settings(max_examples=400, deadline=None)
# The segment that holds the headers is one that is not loaded: nothing says that it is about headers.
@example(edits=[(66, b"\x01")], cut=None)
# A segment that begins in the middle of the file's header.
@example(edits=[(64 + 8, b"\x08"), (64 + 32, b"\x30\x01")], cut=None)
@given(
    edits=st.lists(
        st.tuples(
            st.integers(0, 64 + 56 * 4) | st.integers(SMALL_SHOFF, len(SMALL) - 1),
            st.binary(min_size=1, max_size=8),
        ),
        min_size=1,
        max_size=4,
    ),
    cut=st.none() | st.integers(0, len(SMALL)),
)
def test_damaged_files_never_end_in_a_crash_or_a_wrong_image(
    edits: list[tuple[int, bytes]], cut: int | None
) -> None:
    """Any damage to the headers: ``None``, or a file whose segments hold the same bytes."""
    damaged = bytearray(SMALL)
    for position, value in edits:
        damaged[position : position + len(value)] = value
    data = bytes(damaged[:cut])
    result = strip(data)
    if result is not None:
        assert len(result) < len(data)
        assert images(result) == images(data)
        assert started(result) == started(data)


@settings(max_examples=100, deadline=None)
@given(
    parts=st.lists(
        st.sampled_from(
            [NOTE, DEBUG, SYMTAB, STRTAB, Part(".debug_str", b"q" * 3), Part(".vendor", b"v" * 70)]
        ),
        unique_by=lambda part: part.name,
    ),
    places=st.lists(st.sampled_from([TEXT, DATA, MOVED]), unique_by=lambda part: part.name, min_size=1),
    seed=st.randoms(use_true_random=False),
)
def test_any_order_of_parts(parts: list[Part], places: list[Part], seed: object) -> None:
    """Whatever lies where in the file: same images, congruent, and every kept section's bytes."""
    mixed = [*parts, *places]
    seed.shuffle(mixed)  # type: ignore[attr-defined]
    data = build(mixed)
    result = strip(data)
    removable = [part for part in parts if part.name.startswith((".debug", ".symtab", ".strtab"))]
    if any(part is SYMTAB for part in parts) and not any(part is STRTAB for part in parts):
        assert result is None or images(result) == images(data)
        return
    if result is None:
        assert sum(len(part.data) for part in removable) < 2 * PAGE
        return
    assert congruent(result)
    assert images(result) == images(data)
    for part in mixed:
        if part not in removable:
            assert part.data in result


def shared_objects() -> Iterator[Path]:
    """Those of the environment that runs the tests: real wheels, some of them patched by auditwheel."""
    for path in sorted(Path(backend_c.__file__).parent.parent.rglob("*.so*")):
        if elf.is_elf(path):
            yield path


def test_real_libraries_load_as_before(tmp_path: Path) -> None:
    """Every stripped library of this environment has the same image, and loads if its original does."""
    root = Path(backend_c.__file__).parent.parent
    stripped = []
    for path in shared_objects():
        data = path.read_bytes()
        result = strip(data)
        target = tmp_path / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        # One that has nothing to strip stays as it is: others may need it beside them.
        target.write_bytes(result or data)
        if result is not None:
            assert images(result) == images(data), path
            assert elf.read(target) == elf.read(path)
            stripped.append(str(path.relative_to(root)))
    own = interpreter.find(".".join(map(str, sys.version_info[:2])))
    assert check_loads(root, tmp_path, stripped, own, QUIET) == {}
