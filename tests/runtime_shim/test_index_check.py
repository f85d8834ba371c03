"""The strict check of an index that comes from anywhere."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdapack.pack.check import path_problem, problems
from runtime_shim import _index
from tests.support import packing


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder: Path = tmp_path_factory.mktemp("index")
    files = {**packing.SAMPLE, "demo/weights.bin": b"w" * 3000, "demo/é.txt": b"accent"}
    tree = packing.tree(folder / "tree", files, executable=["demo/data.bin"])
    trace = packing.trace(*packing.SAMPLE_TOUCHED, "demo/weights.bin", native=["demo/weights.bin"])
    from lambdapack import pack  # noqa: PLC0415 - only here

    return pack.write(tree, trace, packing.LOCK, folder / "pack", level=1).index_path.read_bytes()


def canonical(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def test_a_written_index_is_sound(encoded: bytes) -> None:
    """And it is canonical: decoding and encoding give the same bytes."""
    assert problems(encoded) == []
    assert _index.encode(_index.decode(encoded)) == encoded


# What is changed (a path into the document), to what, and a word of the problem that must be found.
CHANGES: list[tuple[tuple[Any, ...], Any, str]] = [
    (("format",), 2, "format 2"),
    (("format",), 1.0, "format"),
    (("format",), True, "format"),
    (("target",), "python2.7/x86_64", "target"),
    (("target",), 3, "target is not a string"),
    (("lock",), "AB" * 32, "lock"),
    (("tool",), "x\n", "tool"),
    (("glibc",), "new", "glibc"),
    (("stdlib",), [], "stdlib is not a list of strings, or an empty one"),
    (("stdlib",), ["abc", 1], "stdlib is not a list of strings"),
    (("stdlib",), ["abc", "abc"], "one twice"),
    (("stdlib",), ["../abc"], "not the name of a module"),
    (("hot",), -1, "hot"),
    (("hot",), 99, "eager"),
    (("eager",), 1, "not in the first 1 frames"),
    (("eager",), True, "eager is not an integer"),
    (("frames",), [], "frames is not an object"),
    (("frames", "stored"), [1, 2], "different lengths"),
    (("frames", "stored", 0), 0, "stored size 0"),
    (("frames", "stored", 0), 2**40, "stored size"),
    (("frames", "size", 0), 2**31, "frame 0: size"),
    (("frames", "size", 0), 1, "the frames hold"),
    (("frames", "size", 0), "1", "frames.size is not a list of integers"),
    (("frames", "sha256", 0), "z" * 64, "digest"),
    (("files", "path", 0), "/etc/passwd", "absolute"),
    (("files", "path", 0), "../up", "'..' part"),
    (("files", "path", 0), "a//b", "part"),
    (("files", "path", 0), "a\u0000b", "control character"),
    (("files", "path", 0), "a\u2028b", "line separator"),
    (("files", "path", 0), "\ud800", "surrogate"),
    (("files", "path", 0), "demo/data.bin", "there twice"),
    (("files", "path", 0), "demo", "both a file and a folder"),
    (("files", "path", 0), "n" * 256, "longer than"),
    (("files", "path", 0), None, "files.path is not a list of strings"),
    (("files", "class"), "?", "different lengths"),
    (("files", "size", 0), -1, "file 0: size"),
    (("files", "offset", 0), 0, "for its header"),
    (("files", "offset", 0), 513, "for its header"),
    (("files", "offset", 0), 2**20, "for its header"),
    (("files", "executable"), [5, 1], "ascending"),
    (("files", "executable"), [99], "ascending"),
    (("files", "executable"), [-1], "ascending"),
    (("needs",), {"0": []}, "is empty"),
    (("needs",), {"1": [1]}, "names itself"),
    (("needs",), {"99": [1]}, "no such file"),
    (("needs",), {"٣": [1]}, "no such file"),
    (("needs",), {"01": [2]}, "no such file"),
    (("needs",), {"1": [99]}, "ascending"),
    (("needs",), {"2": [0]}, "not shared objects"),
    (("needs",), [], "needs is not an object"),
    (("native",), {}, "exactly once"),
    (("native",), {"*": [0, 1]}, "exactly once"),
    (("native",), {"..": [0]}, "not a top-level name"),
    (("native",), {"a/b": [0]}, "not a top-level name"),
    (("extra",), 1, "fields"),
]


@pytest.mark.parametrize(("where", "value", "word"), CHANGES, ids=lambda value: repr(value)[:30])
def test_each_rule_is_checked(encoded: bytes, where: tuple[Any, ...], value: Any, word: str) -> None:
    """One change, and the problem is named."""
    document = json.loads(encoded)
    place = document
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = value
    assert word in "\n".join(problems(canonical(document)))


def test_all_problems_are_collected(encoded: bytes) -> None:
    """Not only the first one."""
    document = json.loads(encoded)
    document["lock"], document["glibc"], document["files"]["path"][0] = "", "?", "/"
    assert len(problems(canonical(document))) == 3


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b"1" * 5000, b'{"format":NaN}', b'{"format":1}', b"null"],
)
def test_what_is_no_index_is_refused(data: bytes) -> None:
    """Politely, whatever it is."""
    assert problems(data)


def test_only_the_canonical_form_is_accepted(encoded: bytes) -> None:
    """The id is a digest of bytes: one meaning must have one spelling."""
    document = json.loads(encoded)
    assert problems(json.dumps(document, sort_keys=True).encode()) != []
    assert problems(encoded.replace(b'{"eager"', b'{"eager":0,"eager"', 1)) != []
    assert problems(encoded.replace(b"\\u00e9", "é".encode(), 1)) != []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(data=st.data())
def test_no_value_anywhere_breaks_the_check(encoded: bytes, data: st.DataObject) -> None:
    """Any JSON in the place of any value: problems are reported, or it is sound; nothing is raised, and
    what is sound decodes."""
    document = copy.deepcopy(json.loads(encoded))
    place, key = document, data.draw(st.sampled_from(sorted(document)))
    while isinstance(place[key], (dict, list)) and place[key] and data.draw(st.booleans()):
        place = place[key]
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
    place[key] = data.draw(JSON)
    changed = canonical(document)
    if not problems(changed):
        assert _index.encode(_index.decode(changed)) == changed


@given(st.text(max_size=40))
def test_accepted_paths_stay_below_the_root(path: str) -> None:
    """Joined to a folder, an accepted path is below it, and is its own normal form."""
    if path_problem(path) is None:
        joined = Path("/root") / path
        assert joined.as_posix() == f"/root/{path}"
        assert ".." not in joined.parts
        assert path.isprintable() or all(ord(letter) > 31 for letter in path)
