"""The index of a pack: the one definition that the writer and the reader share.

The bytes of an index are canonical JSON (``encode``), and the pack's id is their SHA-256. It has a column
for each field instead of an object for each file, because a cold start parses it: that is several times
faster. ``docs/pack-format.md`` specifies every field.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dataclasses import dataclass
    from typing import Any, Callable, Sequence
else:

    def dataclass(**options):
        """For the type checker alone: the real one costs 10 ms of every cold start."""
        return lambda plain: plain


FORMAT = 1

# The letters of the "class" column, one a file.
CODE = "c"  # bytecode: imported from the arena
SOURCE = "s"  # text of modules: read by tracebacks and inspect, almost never
METADATA = "m"  # *.dist-info: read by importlib.metadata alone
EXTENSION = "x"  # an importable shared object
LIBRARY = "l"  # a shared object that the dynamic linker maps for another
DATA = "d"  # anything else: opened by Python, or not opened in the trace
NATIVE_DATA = "n"  # opened by native code in the trace: no hook sees that, so it cannot be made to wait

CLASS_NAMES = {
    CODE: "code",
    SOURCE: "source",
    METADATA: "metadata",
    EXTENSION: "extension",
    LIBRARY: "library",
    DATA: "data",
    NATIVE_DATA: "native-data",
}
# The classes whose files are kept in the arena; all others become files of their own.
ARENA = frozenset((CODE, SOURCE, METADATA))
_LETTERS = frozenset(CLASS_NAMES)
_HEX = frozenset("0123456789abcdef")

# The folder of libraries that the build image has and Lambda lacks; _libraries maps them.
LIBRARIES = "lambdapack.libs/"

INDEX_NAME = "index.json"  # beside the shim: the exact bytes whose SHA-256 is the id
# Beside the shim: {"id", "bucket", "key", "region"}, or {"id", "parts": [[path, first frame], ...]}.
LOCATION_NAME = "location.json"
ASSETS_FOLDER = "assets"  # beside the shim: a folder for each asset, with an index and a location of its own
END_SIZE = 1024  # of the zeros after the last file
ANY_TARGET = "any"  # the target of a pack of data, which every Python on every processor can read

FRAME_SIZE_MAX = 64 * 1024 * 1024  # uncompressed: a bound on what a reader allocates
STORED_MAX = 2**32 - 1
# Up to this many bytes the slower digest built into Python (4 ms/MB) costs less than to import OpenSSL (3
# ms).
_OPENSSL_PAYS = 768 * 1024


class IndexFormatError(ValueError):
    """The bytes are not an index that this version can read."""


@dataclass(kw_only=True)
class Index:
    """A parsed index. Offsets and sizes are bytes of the tar stream, before compression.

    Attributes:
        target: e.g. ``python3.11/x86_64``.
        lock: SHA-256 of the lock, hex.
        tool: What made the pack, e.g. ``lambdapack 0.1.0``.
        glibc: Highest glibc symbol version that an ELF file of the pack asks for, ``""`` if none.
        hot: Number of frames, from the first, that the trace touched.
        eager: Number of frames, from the first, that must be in place before the first invocation.
        frame_stored, frame_size: Compressed and uncompressed size of each frame.
        frame_sha256: Hex digest of each frame's compressed bytes.
        paths, sizes, offsets: One entry a file, in pack order; an offset is where the file's first
            byte is in the tar stream.
        classes: One letter a file, as above, in one string.
        executable: Numbers of the files with mode 0755; all others have 0644.
        needs: Shared object -> shared objects of the pack that loading it maps, all the way down; module
            (its source, or bytecode without one) -> those that it opens by name, and what they map.
        native: Top-level name -> native-data files that must be there before it is imported;
            ``"*"`` for those that must be there before any import.
        stdlib: The standard library's modules that a waiting process may import, in that order.
    """

    target: str
    lock: str
    tool: str
    glibc: str
    hot: int
    eager: int
    frame_stored: list[int]
    frame_size: list[int]
    frame_sha256: list[str]
    paths: list[str]
    classes: str
    sizes: list[int]
    offsets: list[int]
    executable: list[int]
    needs: dict[int, list[int]]
    native: dict[str, list[int]]
    stdlib: Sequence[str] = ()

    if not TYPE_CHECKING:

        def __init__(self, **fields):
            if not FIELDS - OPTIONAL <= fields.keys() <= FIELDS:
                raise TypeError("an index has the fields %s" % ", ".join(sorted(FIELDS)))
            self.__dict__.update(fields)
            self.__post_init__()

    def __post_init__(self) -> None:
        # Where each frame begins, in the tar stream and in the .zst; the last entry is the end.
        self.frame_start = [0, *accumulate(self.frame_size)]
        self.frame_stored_start = [0, *accumulate(self.frame_stored)]

    def frames_of(self, file: int) -> range:
        """The frames, as a range, after which file number ``file`` is complete.

        An empty file is complete (that is, it exists) once the frame at its offset is in place.
        """
        start = self.offsets[file]
        first = bisect_right(self.frame_start, start) - 1
        if not self.sizes[file]:
            return range(first, first + 1)
        return range(first, bisect_right(self.frame_start, start + self.sizes[file] - 1))


FIELDS = frozenset(Index.__annotations__)
# Left out where it is empty, as in the packs of earlier writers; earlier shims pass it over.
OPTIONAL = frozenset(("stdlib",))
# The fields that are the document's own, and the columns of its objects "frames" and "files": name -> field.
PLAIN = ("target", "lock", "tool", "glibc", "hot", "eager", "native")
FRAMES = {"stored": "frame_stored", "size": "frame_size", "sha256": "frame_sha256"}
FILES = {
    "path": "paths",
    "class": "classes",
    "size": "sizes",
    "offset": "offsets",
    "executable": "executable",
}


def loads(data: bytes) -> Any:
    """Parse JSON with the standard library's own scanner.

    ``import json`` costs 10 ms of a cold start for regular expressions that its C scanner does not use.

    Raises:
        IndexFormatError: It is not JSON, or nested deeper than Python's stack.
    """
    try:
        return _loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise IndexFormatError("not JSON: %s: %s" % (type(error).__name__, error)) from error


def _loads(text: str) -> Any:
    try:
        from _json import make_scanner

        options: Any = _ScannerOptions()
        document, end = make_scanner(options)(text, 0)
        if text[end:].strip(" \t\n\r"):
            raise ValueError("extra data after the JSON document")
        return document
    except (ImportError, StopIteration, AttributeError, TypeError):
        # A Python without that scanner, or a text that is not JSON: json tells.
        import json

        return json.loads(text)


class _ScannerOptions:
    """The attributes that the scanner reads of a ``json.JSONDecoder``."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    array_hook = None
    parse_float = float
    parse_int = int
    parse_constant = None
    memo: dict[str, str] = {}  # noqa: RUF012  # never written: the scanner brings its own


def encode(index: Index) -> bytes:
    """Canonical bytes of an index; their SHA-256 is the pack's id."""
    import json

    document = {
        "format": FORMAT,
        **{name: getattr(index, name) for name in PLAIN},
        "frames": {name: getattr(index, field) for name, field in FRAMES.items()},
        "files": {name: getattr(index, field) for name, field in FILES.items()},
        "needs": {str(file): needed for file, needed in sorted(index.needs.items())},
        **{name: list(getattr(index, name)) for name in OPTIONAL if getattr(index, name)},
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode("ascii")


def decode(data: bytes, *, checked: bool = False) -> Index:
    """Parse an index and ``check`` it.

    ``lambdapack.pack`` checks every rule of the format, for an index that comes from anywhere but the
    function's own zip.

    Args:
        checked: Whether these very bytes were checked before.

    Raises:
        IndexFormatError: Not an index, one of a later format, or one that breaks a rule.
    """
    try:
        index = _read_columns(loads(data))
        if not checked:
            check(index)
        return index
    except IndexFormatError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise IndexFormatError("not a lambdapack index: %s: %s" % (type(error).__name__, error)) from error


def _read_columns(document: dict[str, Any]) -> Index:
    if document["format"] != FORMAT:
        raise IndexFormatError(
            "index format %r is not %r: the pack and the shim are of different lambdapack versions"
            % (document["format"], FORMAT)
        )
    frames, files = document["frames"], document["files"]
    return Index(
        **{name: document[name] for name in PLAIN},
        **{field: frames[name] for name, field in FRAMES.items()},
        **{field: files[name] for name, field in FILES.items()},
        needs={int(file): needed for file, needed in document["needs"].items()},
        stdlib=document.get("stdlib", ()),
    )


def check(index: Index) -> None:
    """Refuse an index that could make the shim write or read outside the pack's folder or past its frames.

    Every cold start does this: whole columns at a time, in C, 4,900 files take about half a millisecond.

    Raises:
        IndexFormatError: Names the field and the rule.
        TypeError, ValueError, OverflowError: A value is not of its field's type.
    """
    for name in ("target", "lock", "tool", "glibc", "classes"):
        if type(getattr(index, name)) is not str:
            raise IndexFormatError("%s is not a string" % name)
    if index.stdlib and (type(index.stdlib) is not list or set(map(type, index.stdlib)) != {str}):
        raise IndexFormatError("stdlib is not a list of strings")
    _check_frames(index)
    _check_paths(index.paths)
    _check_ranges(index)
    _check_numbers(index)


def _check_frames(index: Index) -> None:
    stored, sizes, digests = index.frame_stored, index.frame_size, index.frame_sha256
    count = len(sizes)
    if not count or len(stored) != count or len(digests) != count:
        raise IndexFormatError("the columns of frames are empty or of different lengths")
    _check_integers("frames.stored", stored, 1, STORED_MAX)
    _check_integers("frames.size", sizes, 1, FRAME_SIZE_MAX)
    if type(digests) is not list or set(map(len, digests)) != {64} or not _HEX.issuperset("".join(digests)):
        raise IndexFormatError("frames.sha256: not each is a SHA-256 in lower-case hex")
    _check_integers("hot, eager", [index.hot, index.eager], 0, count)
    if index.hot > index.eager:
        raise IndexFormatError("hot %d is more than eager %d" % (index.hot, index.eager))


def _check_integers(name: str, column: list[int], least: int | None = None, most: int = 0) -> None:
    # A sum with a float in it is a float; with a value that is not a number, sum raises a TypeError.
    if type(column) is not list or type(sum(column)) is not int:
        raise IndexFormatError("%s is not a list of integers" % name)
    if least is not None and column and not least <= min(column) <= max(column) <= most:
        raise IndexFormatError("%s: not each is in %d to %d" % (name, least, most))


def _check_paths(paths: list[str]) -> None:
    # In this text every part of every path stands between two slashes, so whatever a path must not have is a
    # short string to search for. Backwards: for a short string rfind takes a third of find's time.
    text = "/" + "/".join(paths) + "/"
    # Few paths have a part that begins with a dot, so usually one search is enough for two rules.
    dots = text.rfind("/.") >= 0 and (text.rfind("/./") >= 0 or text.rfind("/../") >= 0)
    if paths and (dots or text.rfind("//") >= 0):
        raise IndexFormatError("files.path: a path is empty, absolute, or has an empty, '.' or '..' part")
    if "\0" in text or type(paths) is not list:
        raise IndexFormatError("files.path: a path has a zero byte")
    if len(set(paths)) != len(paths):
        raise IndexFormatError("files.path: a path is there twice")
    text.encode("utf-8")  # a lone surrogate is a ValueError


def _check_ranges(index: Index) -> None:
    from _operator import add

    sizes, offsets, count = index.sizes, index.offsets, len(index.paths)
    if len(sizes) != count or len(offsets) != count or len(index.classes) != count:
        raise IndexFormatError("the columns of files are of different lengths")
    if not _LETTERS.issuperset(index.classes):
        raise IndexFormatError("files.class: a letter is none of %s" % "".join(sorted(_LETTERS)))
    _check_integers("files.size", sizes)
    _check_integers("files.offset", offsets)
    # Beginning and end of each file in turn. If each file ends before the next begins, this list is sorted
    # already, and sorting it takes almost no time. Then no size is negative, and only the last file can reach
    # past the end.
    edges = [0] * (2 * count)
    edges[::2] = offsets
    edges[1::2] = map(add, offsets, sizes)
    if edges != sorted(edges):
        raise IndexFormatError("files.offset: the files are not in order, or overlap")
    total = index.frame_start[-1]
    if count and (edges[0] < 0 or edges[-1] + END_SIZE > total):
        raise IndexFormatError("the files take bytes %d to %d of %d" % (edges[0], edges[-1], total))


def _check_numbers(index: Index) -> None:
    """Every file number in executable, needs and native must be that of a file."""
    from itertools import chain

    last = len(index.paths) - 1
    _check_integers("files.executable", index.executable, 0, last)
    for name, named in (("needs", index.needs), ("native", index.native)):
        lists = list(named.values())
        if set(map(type, lists)) - {list}:
            raise IndexFormatError("%s is not an object of lists" % name)
        _check_integers(name, [*chain.from_iterable(lists)], 0, last)
    _check_integers("needs", [*index.needs], 0, last)


def read_beside(
    folder: str, data: bytes | None = None, checked: Callable[[str], bool] | None = None
) -> tuple[bytes, Index, dict[str, Any]]:
    """Read index and location in a folder of the function's zip; the index's id must be the location's.

    Args:
        data: The index's bytes, if they have been read already.
        checked: Called with the id; whether the index was found sound under this id before.

    Returns:
        The index's bytes, the parsed index, the parsed location.

    Raises:
        OSError: A file is missing.
        IndexFormatError: The index has another id than the location names, or is not sound.
    """
    if data is None:
        with open(folder + "/" + INDEX_NAME, "rb") as file:
            data = file.read()
    with open(folder + "/" + LOCATION_NAME, "rb") as file:
        text = file.read()
    try:
        location = loads(text)
        for name in ("id",) if "parts" in location else ("id", "bucket", "key"):
            if not isinstance(location[name], str):
                raise TypeError(name)
        for path, first in location.get("parts", ()):
            if not isinstance(path, str) or not isinstance(first, int):
                raise TypeError("parts")
    except (ValueError, TypeError, KeyError) as error:
        raise IndexFormatError(
            "%s names no pack: %s: %s" % (LOCATION_NAME, type(error).__name__, error)
        ) from error
    if checked is not None and checked(location["id"]):
        return data, decode(data, checked=True), location
    verify_id(data, location["id"])
    return data, decode(data), location


def verify_id(data: bytes, pack_id: str) -> None:
    """Refuse, with an IndexFormatError, an index whose SHA-256 is not ``pack_id``."""
    digest = _sha256(data)
    if digest != pack_id:
        raise IndexFormatError("the index is that of pack %s, not of %s" % (digest, pack_id))


def _sha256(data: bytes) -> str:
    import sys

    if "_hashlib" not in sys.modules and len(data) < _OPENSSL_PAYS:
        try:
            if sys.version_info >= (3, 12):
                from _sha2 import sha256
            else:
                from _sha256 import sha256  # type: ignore[import-not-found]
            return str(sha256(data).hexdigest())
        except ImportError:
            pass  # a Python that was built without it
    import hashlib

    return hashlib.sha256(data).hexdigest()
