"""The specification of the format agrees with the code."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

import pytest

from lambdapack.pack import Pack, check, tail
from runtime_shim import _index
from tests.support import packing

DOCUMENT = Path(__file__).parents[2] / "docs/pack-format.md"


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pack:
    """The pack that the document shows: one file, touched by the trace, made by version 0.1.0."""
    # By name: the package's attribute "write" is the function.
    monkeypatch.setattr(importlib.import_module("lambdapack.pack.write"), "__version__", "0.1.0")
    return packing.pack(tmp_path, {"hi.py": b"print('hi')\n"}, "hi.py", level=19)


def hexdump(data: bytes) -> str:
    """As ``hexdump -C`` prints it."""
    lines = []
    for offset in range(0, len(data), 16):
        row = data[offset : offset + 16]
        left, right = row[:8].hex(" "), row[8:].hex(" ")
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{offset:08x}  {left:<23}  {right:<23}  |{text}|")
    return "\n".join([*lines, f"{len(data):08x}"])


def test_the_hexdump_is_what_is_written(example: Pack) -> None:
    """The document's pack, byte for byte, and its id."""
    document = DOCUMENT.read_text(encoding="utf-8")
    shown = re.search(r"```hexdump\n(.*?)\n```", document, re.DOTALL)
    assert shown is not None
    assert shown[1] == hexdump(example.path.read_bytes())
    assert f"`{example.id}`" in document


def test_the_offsets_of_the_worked_example(example: Pack) -> None:
    """The table beside the hexdump names the places where the parts really are."""
    data_end = example.index.frame_stored_start[-1]
    index_size = example.index_path.stat().st_size
    starts = [0, data_end, data_end + 8, data_end + 8 + index_size]
    starts += [starts[-1] + 8, starts[-1] + 16, starts[-1] + 24, starts[-1] + 33]
    document = DOCUMENT.read_text(encoding="utf-8")
    assert re.findall(r"^\| 0x([0-9a-f]{4}) \|", document, re.MULTILINE) == [f"{at:04x}" for at in starts]
    assert starts[-1] == example.path.stat().st_size


@pytest.mark.parametrize(
    "constant",
    [
        f"0x{tail.INDEX_MAGIC:08X}",
        f"0x{tail.SEEK_TABLE_MAGIC:08X}",
        f"0x{tail.SEEKABLE_MAGIC:08X}",
        f"{tail.INDEX_MAX:,}",
        f"{check.FRAME_SIZE_MAX:,}",
        f'"format": {_index.FORMAT}',
        *(f"| `{letter}` | {name} |" for letter, name in _index.CLASS_NAMES.items()),
    ],
)
def test_constants_and_classes_are_the_codes(constant: str) -> None:
    """Every magic number, limit and class letter of the code is in the document."""
    assert constant in DOCUMENT.read_text(encoding="utf-8")


def test_every_field_of_an_index_is_described(example: Pack) -> None:
    """And nothing else is: the table of fields has exactly those that an index has."""
    document = json.loads(example.index_path.read_bytes())
    fields = {key for key in document if key not in ("frames", "files")} | _index.OPTIONAL
    fields |= {f"{group}.{key}" for group in ("frames", "files") for key in document[group]}
    described = re.findall(r"^\| `([a-z0-9.]{2,})` \| ", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(described) == sorted(fields)
