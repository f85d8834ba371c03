"""The shim's own check of its index: cheap, and before anything is written."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runtime_shim import _index

PATHS = ("demo/__init__.py", "demo/.hidden/..data", "demo/native.so", "demo/weights.bin")


def index(**changes: Any) -> _index.Index:
    """An index of four files in two frames, with ``changes``."""
    fields: dict[str, Any] = {
        "target": "python3.11/x86_64", "lock": "ab" * 32, "tool": "test 1", "glibc": "2.17",
        "hot": 1, "eager": 2,
        "frame_stored": [900, 800], "frame_size": [2048, 3072], "frame_sha256": ["ab" * 32, "cd" * 32],
        "paths": list(PATHS), "classes": "sdxn",
        "sizes": [512, 0, 1000, 12], "offsets": [512, 1536, 2048, 3584],
        "executable": [2], "needs": {2: [3]}, "native": {"demo": [3]}, **changes,
    }  # fmt: skip
    return _index.Index(**fields)


def test_a_sound_index_is_accepted() -> None:
    """Names that begin with dots among its paths; also one without files."""
    assert _index.decode(_index.encode(index())).paths == list(PATHS)
    none = index(paths=[], classes="", sizes=[], offsets=[], executable=[], needs={}, native={})
    assert _index.decode(_index.encode(none)).paths == []


def with_path(path: Any) -> dict[str, Any]:
    return {"paths": [PATHS[0], path, *PATHS[2:]]}


PATHS_REFUSED = (
    "", "/", "/etc/passwd", "../up", "..", "a/..", "a/../../b", "a/../b", ".", "./a", "a/.", "a/./b", "a//b",
    "a/", "//a", "a\0b", "a\n/../b", "\ud800", "demo/native.so", None, 7, ["a"],
)  # fmt: skip
CHANGES: list[dict[str, Any]] = [
    *map(with_path, PATHS_REFUSED),
    {"paths": "abcd"},
    {"paths": list(PATHS[:3])},
    {"target": None},
    {"lock": 1},
    {"classes": "sd?n"},
    {"classes": "sdx"},
    {"classes": ["s", "d", "x", "n"]},
    {"sizes": [512, -1, 1000, 12]},
    {"sizes": [512, 0, 2**70, 12]},
    {"sizes": [512, 0, 1000.0, 12]},
    {"sizes": [512, 0, "1", 12]},
    {"sizes": [512, 0.5, 10**400, 12]},
    {"frame_size": [0.5, 10**400]},
    {"sizes": [512, 0, 1000]},
    {"offsets": [-512, 1536, 2048, 3584]},
    {"offsets": [512, 1000, 2048, 3584]},
    {"offsets": [512, 2048, 1536, 3584]},
    {"offsets": [512, 1536, 2048, 4090]},
    {"offsets": [512, 1536, 2048, 2**63]},
    {"offsets": [512, 1536, 2048, None]},
    {"frame_size": [2048, 0]},
    {"frame_size": [2048, -1]},
    {"frame_size": [2048, 2**26 + 1]},
    {"frame_size": [2048, 3072.0]},
    {"frame_size": [2048]},
    {"frame_size": [], "frame_stored": [], "frame_sha256": [], "hot": 0, "eager": 0},
    {"frame_stored": [0, 1]},
    {"frame_stored": [1, 2**32]},
    {"frame_sha256": ["ab" * 32, "cd" * 31]},
    {"frame_sha256": ["ab" * 32, "CD" * 32]},
    {"frame_sha256": ["ab" * 32, 5]},
    {"frame_sha256": {"ab" * 32: 1, "cd" * 32: 2}},
    {"hot": 2, "eager": 1},
    {"hot": -1},
    {"eager": 3},
    {"eager": 1.5},
    {"executable": [4]},
    {"executable": [-1]},
    {"executable": "2"},
    {"needs": {4: [1]}},
    {"needs": {2: [4]}},
    {"needs": {2: [-1]}},
    {"needs": {2: 3}},
    {"native": {"demo": [4]}},
    {"native": {"demo": {"3": 3}}},
    {"native": {"demo": ["3"]}},
]


@pytest.mark.parametrize("changes", CHANGES, ids=lambda changes: repr(changes)[:60])
def test_each_rule_is_checked(changes: dict[str, Any]) -> None:
    """One change to a sound index, and it is refused with the one error that the shim expects."""
    document = json.loads(_index.encode(index()))
    # Without the arithmetic of Index, which some of the changes would stop.
    columns = {
        "frame_stored": ("frames", "stored"), "frame_size": ("frames", "size"),
        "frame_sha256": ("frames", "sha256"),
        "paths": ("files", "path"), "classes": ("files", "class"), "sizes": ("files", "size"),
        "offsets": ("files", "offset"), "executable": ("files", "executable"),
    }  # fmt: skip
    for name, value in changes.items():
        *folder, key = columns.get(name, (name,))
        (document[folder[0]] if folder else document)[key] = value
    with pytest.raises(_index.IndexFormatError):
        _index.decode(json.dumps(document).encode())


@pytest.mark.parametrize("part", ["frames", "files", "needs", "native"])
@pytest.mark.parametrize("value", [None, [], 3, "text", [[]], {"a": 1}])
def test_a_value_of_another_type_is_refused(part: str, value: Any) -> None:
    """In the place of each object, with the shim's error and no other."""
    document = json.loads(_index.encode(index()))
    document[part] = value
    with pytest.raises(_index.IndexFormatError):
        _index.decode(json.dumps(document).encode())


@pytest.mark.parametrize("number", [2, "1", None, [1]])
def test_another_format_is_refused(number: Any) -> None:
    """A pack and a shim of different versions: the error says so."""
    document = json.loads(_index.encode(index()))
    document["format"] = number
    with pytest.raises(_index.IndexFormatError, match="different lambdapack versions"):
        _index.decode(json.dumps(document).encode())


def beside(folder: Path, data: bytes, **location: Any) -> str:
    """A folder with an index and the location that names it."""
    known = {"id": hashlib.sha256(data).hexdigest(), "bucket": "b", "key": "k", **location}
    (folder / "index.json").write_bytes(data)
    (folder / "location.json").write_text(json.dumps(known))
    return str(folder)


def test_index_and_location_are_read_together(tmp_path: Path) -> None:
    """The index's bytes and content, and the location, whatever else the location has."""
    data = _index.encode(index())
    read, parsed, location = _index.read_beside(beside(tmp_path, data, more=[1]))
    assert (read, parsed.paths, location["more"]) == (data, list(PATHS), [1])


@pytest.mark.parametrize("change", [{"id": "ab" * 32}, {"id": 1}, {"bucket": None}, {"key": 2}])
def test_a_location_of_another_pack_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    """The id must be the index's, and what says where the pack is must be there."""
    with pytest.raises(_index.IndexFormatError):
        _index.read_beside(beside(tmp_path, _index.encode(index()), **change))


def test_an_unsound_index_is_refused_even_under_its_own_id(tmp_path: Path) -> None:
    """Unless it was checked before under this very id: then neither digest nor check is done again."""
    data = _index.encode(index(hot=2, eager=1))
    folder, pack_id = beside(tmp_path, data), hashlib.sha256(data).hexdigest()
    with pytest.raises(_index.IndexFormatError, match="hot 2 is more than eager 1"):
        _index.read_beside(folder, checked=lambda _: False)
    asked: list[str] = []
    _index.read_beside(folder, checked=lambda known: not asked.append(known))
    assert asked == [pack_id]


def test_an_index_has_each_of_its_fields() -> None:
    """None more, none less: at run time no dataclass sees to that."""
    fields = {name: getattr(index(), name) for name in _index.FIELDS}
    _index.Index(**fields)
    with pytest.raises(TypeError, match="glibc"):
        _index.Index(**fields, more=1)
    del fields["glibc"]
    with pytest.raises(TypeError, match="glibc"):
        _index.Index(**fields)


def test_the_id_vouches_for_the_index() -> None:
    """Any other bytes are refused, and both ids are named."""
    data = _index.encode(index())
    pack_id = hashlib.sha256(data).hexdigest()
    _index.verify_id(data, pack_id)
    with pytest.raises(_index.IndexFormatError, match=pack_id):
        _index.verify_id(data + b" ", pack_id)


@pytest.mark.parametrize("length", [0, 1000, 2_000_000])
def test_every_way_to_the_digest_gives_the_same(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's own, OpenSSL's where it is loaded already, and hashlib where the first is not built in."""
    data = b"x" * length
    expected = hashlib.sha256(data).hexdigest()
    _index.verify_id(data, expected)
    monkeypatch.delitem(sys.modules, "_hashlib")
    _index.verify_id(data, expected)
    for name in ("_sha2", "_sha256"):
        monkeypatch.setitem(sys.modules, name, None)  # type: ignore[arg-type]
    _index.verify_id(data, expected)


def test_a_start_needs_no_costly_import() -> None:
    """``re``, ``json`` and ``hashlib`` take 3 to 10 ms each of every cold start."""
    data = _index.encode(index())
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import importlib.util as u\n"
        "s = u.spec_from_file_location('i', sys.argv[1] + '/runtime_shim/_index.py')\n"
        "i = u.module_from_spec(s)\n"
        "sys.modules['i'] = i; s.loader.exec_module(i)\n"
        "data = sys.stdin.buffer.read(); i.decode(data); i.verify_id(data, sys.argv[2])\n"
        "print(sorted({'re', 'json', 'hashlib', '_hashlib'} & set(sys.modules)))"
    )
    root = _index.__file__.rpartition("/runtime_shim/")[0]
    command = [sys.executable, "-S", "-I", "-c", program, root, hashlib.sha256(data).hexdigest()]
    done = subprocess.run(command, input=data, capture_output=True, check=False)
    assert (done.stdout, done.stderr) == (b"[]\n", b"")
