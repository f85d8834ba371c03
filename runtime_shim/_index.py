"""The index of a pack: the one definition that the writer and the reader share.

The bytes of an index are canonical JSON (``encode``), and the pack's id is their SHA-256. Columns
instead of objects, because a cold start parses this: one list a field is several times faster to read
than one object a file. ``docs/pack-format.md`` specifies every field.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FORMAT = 1

# One letter a file in the "class" column.
CODE = "c"  # bytecode: imported from the mapped arena
SOURCE = "s"  # text of modules: read by tracebacks and inspect, almost never
METADATA = "m"  # *.dist-info: read by importlib.metadata alone
EXTENSION = "x"  # an importable shared object
LIBRARY = "l"  # a shared object that the dynamic linker maps for another
DATA = "d"  # anything else; Python opens it, or nobody was seen to
NATIVE_DATA = "n"  # was seen to be opened by native code, which nothing can make wait

CLASS_NAMES = {
    CODE: "code",
    SOURCE: "source",
    METADATA: "metadata",
    EXTENSION: "extension",
    LIBRARY: "library",
    DATA: "data",
    NATIVE_DATA: "native-data",
}
# What lives in the arena (one mapped file) and what becomes a file of its own.
ARENA = frozenset((CODE, SOURCE, METADATA))

# Libraries of the build image that Lambda lacks; _libraries maps them before what needs them.
LIBRARIES = "lambdapack.libs/"

INDEX_NAME = "index.json"  # beside the shim: the exact bytes whose SHA-256 is the id
LOCATION_NAME = "location.json"  # beside the shim: {"id", "bucket", "key", "region"}
ASSETS_FOLDER = "assets"  # beside the shim: a folder for each asset, with an index and a location of its own
ANY_TARGET = "any"  # of a pack of data, which every Python on every processor reads


class IndexFormatError(ValueError):
    """The bytes are not an index that this version can read."""


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
        needs: Shared object -> shared objects of the pack that loading it maps, all the way down.
        native: Top-level name -> native-data files that must be there before it is imported;
            ``"*"`` for those that must be there before any import.
    """

    __slots__ = (
        "classes", "eager", "executable", "frame_sha256", "frame_size", "frame_start", "frame_stored",
        "frame_stored_start", "glibc", "hot", "lock", "native", "needs", "offsets", "paths", "sizes",
        "target", "tool",
    )  # fmt: skip

    def __init__(
        self,
        *,
        target: str,
        lock: str,
        tool: str,
        glibc: str,
        hot: int,
        eager: int,
        frame_stored: list[int],
        frame_size: list[int],
        frame_sha256: list[str],
        paths: list[str],
        classes: str,
        sizes: list[int],
        offsets: list[int],
        executable: list[int],
        needs: dict[int, list[int]],
        native: dict[str, list[int]],
    ) -> None:
        self.target = target
        self.lock = lock
        self.tool = tool
        self.glibc = glibc
        self.hot = hot
        self.eager = eager
        self.frame_stored = frame_stored
        self.frame_size = frame_size
        self.frame_sha256 = frame_sha256
        self.paths = paths
        self.classes = classes
        self.sizes = sizes
        self.offsets = offsets
        self.executable = executable
        self.needs = needs
        self.native = native
        # Where each frame begins, in the tar stream and in the .zst; one past the last is the end.
        self.frame_start = [0, *accumulate(frame_size)]
        self.frame_stored_start = [0, *accumulate(frame_stored)]

    def frames_of(self, file: int) -> range:
        """The frames, as a range, after which file number ``file`` is complete.

        An empty file is complete, that is, there, once the frame at its offset is in place.
        """
        start = self.offsets[file]
        first = bisect_right(self.frame_start, start) - 1
        if not self.sizes[file]:
            return range(first, first + 1)
        return range(first, bisect_right(self.frame_start, start + self.sizes[file] - 1))


def loads(data: bytes) -> Any:
    """Parse JSON with the standard library's own scanner.

    ``import json`` costs 10 ms of a start for regular expressions that its C scanner does not use.
    """
    text = data.decode("utf-8")
    try:
        from _json import make_scanner

        options: Any = _Scanning()
        document, end = make_scanner(options)(text, 0)
        if text[end:].strip(" \t\n\r"):
            raise ValueError("extra data after the JSON document")
        return document
    except (ImportError, StopIteration, AttributeError, TypeError):
        # Another implementation's scanner, or not JSON at all: json says which.
        import json

        return json.loads(text)


class _Scanning:
    """What the scanner asks of a decoder."""

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
        "target": index.target,
        "lock": index.lock,
        "tool": index.tool,
        "glibc": index.glibc,
        "hot": index.hot,
        "eager": index.eager,
        "frames": {
            "stored": index.frame_stored,
            "size": index.frame_size,
            "sha256": index.frame_sha256,
        },
        "files": {
            "path": index.paths,
            "class": index.classes,
            "size": index.sizes,
            "offset": index.offsets,
            "executable": index.executable,
        },
        "needs": {str(file): needed for file, needed in sorted(index.needs.items())},
        "native": index.native,
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode("ascii")


def decode(data: bytes) -> Index:
    """Parse an index.

    The shim trusts the index in its own zip, so this checks only what tells a wrong file from a right
    one; ``lambdapack.pack`` checks every field of an index that comes from anywhere else.

    Raises:
        IndexFormatError: Not an index, or one of a later format.
    """
    try:
        document = loads(data)
        if document["format"] != FORMAT:
            raise IndexFormatError(
                "index format %r is not %r: the pack and the shim are of different lambdapack versions"
                % (document["format"], FORMAT)
            )
        frames = document["frames"]
        files = document["files"]
        return Index(
            target=document["target"],
            lock=document["lock"],
            tool=document["tool"],
            glibc=document["glibc"],
            hot=document["hot"],
            eager=document["eager"],
            frame_stored=frames["stored"],
            frame_size=frames["size"],
            frame_sha256=frames["sha256"],
            paths=files["path"],
            classes=files["class"],
            sizes=files["size"],
            offsets=files["offset"],
            executable=files["executable"],
            needs={int(file): needed for file, needed in document["needs"].items()},
            native=document["native"],
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, IndexFormatError):
            raise
        raise IndexFormatError("not a lambdapack index: %s: %s" % (type(error).__name__, error)) from error
