"""Strict parsing of an index that comes from anywhere: every field's type, range and relations.

``problems`` collects all that is wrong with an index; no value is trusted before it was checked.
"""

from __future__ import annotations

import itertools
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeGuard

from lambdapack.errors import ConfigurationError
from lambdapack.model import Target
from lambdapack.pack.stream import BLOCK, END, padding
from runtime_shim import _index

FRAME_SIZE_MAX = _index.FRAME_SIZE_MAX
"""Uncompressed; our writer makes none above 12 MiB. Bounds what a hostile pack makes us allocate."""
PROBLEMS_MAX = 1000
"""More are not collected: a hostile index could have a message of 100 bytes for every byte of its own."""
_VALUES_MAX = 8_000_000
"""Commas of an index: two million files. What JSON becomes in memory depends on them, not on its length."""
_LISTS_MAX = 500_000
"""Lists and objects of an index, each of them 60 to 230 bytes for two; a list each shared object is ours."""
_INTEGER_MAX = 2**63 - 1
_FILE_SIZE_MAX = 2**43
_HEADER_MAX = 32 * BLOCK
_PATH_MAX, _NAME_MAX = 4096, 255
_TOO_LONG = f"is longer than {_PATH_MAX} bytes, or a part of it longer than {_NAME_MAX}"
_NO_NAMES = frozenset(("", ".", ".."))
_ZERO = "\0"
_UNSEEN = ("Cc", "Cs", "Zl", "Zp")
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_GLIBC = re.compile(r"([0-9]{1,4}\.[0-9]{1,4})?\Z")
_TOOL = re.compile(r"[ -~]{1,200}\Z")
_MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}(\.[A-Za-z_][A-Za-z0-9_]{0,99}){0,9}\Z")
_MODULES_MAX = 2000
_NUMBER = re.compile(r"(0|[1-9][0-9]{0,9})\Z")
_TOP_LEVEL_KEYS = frozenset(
    ("format", "target", "lock", "tool", "glibc", "hot", "eager", "frames", "files", "needs", "native")
)
_FRAME_KEYS = ("stored", "size", "sha256")
_FILE_KEYS = ("path", "class", "size", "offset", "executable")
_LAZY = _index.ARENA
_ELF = frozenset((_index.EXTENSION, _index.LIBRARY, _index.NATIVE_DATA, _index.DATA))
_NEEDING = _ELF | {_index.CODE, _index.SOURCE}


def problems(data: bytes) -> list[str]:
    """Everything that is wrong with an encoded index, ``PROBLEMS_MAX`` at most; empty when it is sound."""
    for what, count, most in (
        ("commas", data.count(b","), _VALUES_MAX),
        ("brackets", data.count(b"[") + data.count(b"{"), _LISTS_MAX),
    ):
        if count > most:
            return [f"the index has {count:,} {what}, allowed are {most:,}"]
    try:
        document = json.loads(data.decode("ascii"))
    except (ValueError, RecursionError) as error:
        return [f"the index is not JSON in ASCII: {error}"]
    if not isinstance(document, dict):
        return ["the index is not a JSON object"]
    if document.get("format") != _index.FORMAT or type(document.get("format")) is not int:
        return [f"index format {_short(document.get('format'))} is not {_index.FORMAT}, the one known here"]
    faults = [*_shape(document)]
    if faults:
        # What the fields mean together can be judged only when each is of its type.
        return faults
    rules = (_scalars, _frames, _files, _relations)
    faults = [*itertools.islice((problem for rule in rules for problem in rule(document)), PROBLEMS_MAX)]
    if not faults and _index.encode(_index.decode(data)) != data:
        faults.append("the index is not in canonical form: sorted keys, no spaces, no duplicate keys")
    return faults


def path_problem(path: str) -> str | None:
    """Why a path must not be in a pack: it could leave the pack's root or mislead a reader."""
    # Before it is taken apart: two bytes of path are a part, and a part is 60 bytes of memory.
    if len(path) > _PATH_MAX:
        return _TOO_LONG
    parts = path.split("/")
    if not path or path.startswith("/") or not _NO_NAMES.isdisjoint(parts):
        return "is empty, absolute, or has an empty, '.' or '..' part"
    # A second build is as slow as its checks: what is printable has none of these.
    if not path.isprintable() and any(unicodedata.category(letter) in _UNSEEN for letter in path):
        return "has a control character, a line separator or a lone surrogate"
    size = len(path.encode())
    if size > _PATH_MAX or (size > _NAME_MAX and any(len(part.encode()) > _NAME_MAX for part in parts)):
        return _TOO_LONG
    return None


def _short(value: object) -> str:
    if isinstance(value, str):
        value = value[:100]
    text = ascii(value) if isinstance(value, (str, int, float, bool, type(None))) else type(value).__name__
    return text if len(text) <= 100 else text[:97] + "..."


def _is_int(value: object) -> TypeGuard[int]:
    # Longer ones cannot even be printed: Python refuses to turn them into text.
    return type(value) is int and -_INTEGER_MAX <= value <= _INTEGER_MAX


def _is_ints(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(map(_is_int, value))


def _shape(document: Mapping[str, Any]) -> Iterator[str]:
    if document.keys() - _index.OPTIONAL != _TOP_LEVEL_KEYS:
        yield f"the index has the fields {sorted(map(ascii, document))}, not {sorted(_TOP_LEVEL_KEYS)}"
        return
    for key in ("target", "lock", "tool", "glibc"):
        if not isinstance(document[key], str):
            yield f"{key} is not a string"
    for key in ("hot", "eager"):
        if not _is_int(document[key]):
            yield f"{key} is not an integer"
    yield from _columns(document, "frames", _FRAME_KEYS)
    yield from _columns(document, "files", _FILE_KEYS)
    names = document.get("stdlib", [""])
    if not (isinstance(names, list) and names and all(isinstance(name, str) for name in names)):
        yield "stdlib is not a list of strings, or an empty one"
    for key in ("needs", "native"):
        mapping = document[key]
        if not (isinstance(mapping, dict) and all(map(_is_ints, mapping.values()))):
            yield f"{key} is not an object of lists of integers"


def _columns(document: Mapping[str, Any], name: str, keys: Sequence[str]) -> Iterator[str]:
    columns = document[name]
    if not isinstance(columns, dict) or columns.keys() != set(keys):
        yield f"{name} is not an object with the fields {', '.join(keys)}"
        return
    for key in keys:
        column = columns[key]
        if key == "class":
            if not isinstance(column, str):
                yield "files.class is not a string"
        elif key in ("sha256", "path"):
            if not isinstance(column, list) or not all(isinstance(item, str) for item in column):
                yield f"{name}.{key} is not a list of strings"
        elif not _is_ints(column):
            yield f"{name}.{key} is not a list of integers"
    lengths = {len(columns[key]) for key in keys if key != "executable" and hasattr(columns[key], "__len__")}
    if len(lengths) != 1:
        yield f"the columns of {name} are of different lengths"
    elif name == "frames" and not max(lengths):
        yield "there are no frames"


def _scalars(document: Mapping[str, Any]) -> Iterator[str]:
    if document["target"] != _index.ANY_TARGET:
        try:
            Target.parse(document["target"])
        except ConfigurationError as error:
            yield f"target: {error.message}"
    elif document["files"]["class"].strip(_index.DATA):
        yield "target: a pack for any target holds files of class data alone"
    if not _DIGEST.match(document["lock"]):
        yield "lock is not a SHA-256 in hex"
    if not _TOOL.match(document["tool"]):
        yield "tool is not 1 to 200 printable ASCII characters"
    if not _GLIBC.match(document["glibc"]):
        yield f"glibc is {_short(document['glibc'])}, not like '2.17' or empty"
    yield from _stdlib(document.get("stdlib", []))
    count = len(document["frames"]["size"])
    if not 0 <= document["hot"] <= document["eager"] <= count:
        yield f"0 <= hot {document['hot']} <= eager {document['eager']} <= frames {count} does not hold"


def _stdlib(names: Sequence[str]) -> Iterator[str]:
    if len(names) > _MODULES_MAX or len(set(names)) != len(names):
        yield f"stdlib names more than {_MODULES_MAX} modules, or one twice"
    for name in names:
        if not _MODULE.match(name):
            yield f"stdlib: {_short(name)} is not the name of a module"


def _frames(document: Mapping[str, Any]) -> Iterator[str]:
    frames = document["frames"]
    for number, (stored, size, digest) in enumerate(
        zip(frames["stored"], frames["size"], frames["sha256"], strict=True)
    ):
        # No zstd frame is larger: a file full of holes could otherwise make us read 4 GiB for one frame.
        most = size + size // 256 + 1024
        if not 0 < stored <= most:
            yield f"frame {number}: stored size {stored} is not in 1 to {most}, for {size} bytes of content"
        if not 0 < size <= FRAME_SIZE_MAX:
            yield f"frame {number}: size {size} is not in 1 to {FRAME_SIZE_MAX}"
        if not _DIGEST.match(digest):
            yield f"frame {number}: its digest is not a SHA-256 in hex"


def _files(document: Mapping[str, Any]) -> Iterator[str]:
    files = document["files"]
    yield from _paths(files["path"])
    for number, letter in enumerate(files["class"]):
        if letter not in _index.CLASS_NAMES:
            yield f"file {number}: class {letter!a} is not one of {''.join(_index.CLASS_NAMES)}"
    end = 0
    for number, (size, offset) in enumerate(zip(files["size"], files["offset"], strict=True)):
        if not 0 <= size <= _FILE_SIZE_MAX:
            yield f"file {number}: size {size} is out of range"
            return
        gap = offset - end
        if gap % BLOCK or not BLOCK <= gap <= _HEADER_MAX:
            yield f"file {number}: offset {offset} leaves {gap} bytes for its header after byte {end}"
            return
        end = offset + size + padding(size)
    total = sum(document["frames"]["size"])
    if total != end + len(END):
        yield f"the frames hold {total} bytes, the files and the end of the archive take {end + len(END)}"
    yield from _numbers("files.executable", files["executable"], len(files["path"]))


def _paths(paths: Sequence[str]) -> Iterator[str]:
    sound: list[str] = []
    for number, path in enumerate(paths):
        problem = path_problem(path)
        if problem:
            yield f"file {number}: path {_short(path)} {problem}"
        else:
            # No sound path has a zero byte. It sorts before all else, so right behind a path stands what
            # is the same, and then what takes it for a folder; sets of all folders would take memory with
            # the square of the depth.
            sound.append(path.replace("/", _ZERO))
    sound.sort()
    for path, following in itertools.pairwise(sound):
        if path == following:
            yield f"path {_short(path.replace(_ZERO, '/'))} is there twice"
        elif following.startswith(path) and following[len(path)] == _ZERO:
            yield f"path {_short(path.replace(_ZERO, '/'))} is both a file and a folder"


def _numbers(name: str, numbers: Sequence[int], count: int) -> Iterator[str]:
    ascending = all(first < second for first, second in itertools.pairwise(numbers))
    if not ascending or (numbers and not 0 <= numbers[0] <= numbers[-1] < count):
        yield f"{name} is not a list of ascending file numbers below {count}"


def _relations(document: Mapping[str, Any]) -> Iterator[str]:
    classes = document["files"]["class"]
    count = len(classes)
    for key, needed in document["needs"].items():
        name = f"needs[{_short(key)}]"
        if not _NUMBER.match(key) or int(key) >= count:
            yield f"{name}: there is no such file"
            continue
        yield from _numbers(name, needed, count)
        if not needed or int(key) in needed:
            yield f"{name} is empty or names itself"
        if classes[int(key)] not in _NEEDING:
            yield f"{name}: metadata needs no shared objects"
        if not all(classes[number] in _ELF for number in needed if 0 <= number < count):
            yield f"{name}: code, source and metadata are not shared objects"
    yield from _native(document["native"], classes)
    yield from _eager(document)


def _native(native: Mapping[str, Sequence[int]], classes: str) -> Iterator[str]:
    grouped: list[int] = []
    for key, numbers in native.items():
        name = f"native[{_short(key)}]"
        if not numbers or "/" in key or path_problem(key):
            yield f"{name} is empty, or not a top-level name"
        yield from _numbers(name, numbers, len(classes))
        grouped += numbers
    if sorted(grouped) != [number for number, letter in enumerate(classes) if letter == _index.NATIVE_DATA]:
        yield "native does not name each native-data file exactly once"


def _eager(document: Mapping[str, Any]) -> Iterator[str]:
    """Only code, source and metadata may be left behind: no open of another file can be made to wait."""
    files = document["files"]
    end = sum(document["frames"]["size"][: max(0, document["eager"])])
    for number, (letter, size, offset) in enumerate(
        zip(files["class"], files["size"], files["offset"], strict=True)
    ):
        if letter not in _LAZY and offset + size > end:
            yield f"file {number} is of class {letter!a} but not in the first {document['eager']} frames"
