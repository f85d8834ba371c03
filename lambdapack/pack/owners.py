"""Which distribution each file of a pack belongs to, by the RECORDs in the pack itself."""

from __future__ import annotations

import csv
import io
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterator

from lambdapack.model import Owners
from lambdapack.pack.read import FileReader

_DIST_INFO = re.compile(r"(?P<name>[^/]+?)-(?P<version>[^/-]+)\.dist-info/")
_RECORD_MAX = 8 * 1024 * 1024


def read_owners(reader: FileReader) -> Owners:
    """The owners, as ``name version``, of the files in an open pack.

    Raises:
        FrameError: The frame of a RECORD is not what the index says.
    """
    index = reader.index
    recorded: dict[str, str] = {}
    claims: dict[str, set[str]] = defaultdict(set)
    # A RECORD may list anything: what is remembered of it is about files and folders that are there.
    files, tops = frozenset(index.paths), frozenset(path.split("/", 1)[0] for path in index.paths)
    for number, path in enumerate(index.paths):
        match = _DIST_INFO.match(path)
        if not match:
            continue
        owner = recorded[path] = f"{match['name']} {match['version']}"
        if path.endswith("/RECORD") and index.sizes[number] <= _RECORD_MAX:
            for listed in _record(b"".join(reader.pieces(number))):
                top = listed.split("/", 1)[0]
                if listed in files:
                    recorded[listed] = owner
                elif top in tops:
                    claims[top].add(owner)
    return Owners(recorded, {top: frozenset(names) for top, names in claims.items()})


def _record(data: bytes) -> Iterator[str]:
    """The paths that a RECORD lists, up to the first line that is damaged."""
    try:
        for row in csv.reader(io.StringIO(data.decode(), newline="")):
            if row:
                yield posixpath.normpath(row[0])
    except (UnicodeDecodeError, csv.Error):
        return
