"""A pack in files: in the function's zip, in layers, or on a mounted file system.

Nothing of it is kept open: each frame is one ``open`` and one ``preadv``, straight into the buffer.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from errno import EINTR, EIO, ESTALE, ETIMEDOUT

from ._source import FetchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Callable

# What a mounted file system may answer once, and not again.
PASSING = (EINTR, EIO, ESTALE, ETIMEDOUT)
# Where Lambda puts layers.
LAYERS = "/opt/"
ROOT = "LAMBDAPACK_FILES"


class Source:
    """A pack in one or more files, which together hold its bytes.

    Args:
        parts: Path of each file, and the number of its first frame.
        folder: What relative paths are relative to.
        starts: Where each frame begins in the pack.
        environ: May name the folder that stands for ``/``, where nothing can be mounted.
    """

    def __init__(
        self, parts: list[tuple[str, int]], folder: str, starts: list[int], environ: Mapping[str, str]
    ) -> None:
        root = environ.get(ROOT, "").rstrip("/")
        self.paths = [root + path if path[:1] == "/" else folder + "/" + path for path, _ in parts]
        self.first_frames = [first for _, first in parts]
        self._named = parts[0][0]
        try:
            self.starts = [starts[first] for first in self.first_frames]
        except IndexError:
            self.starts = []
        if self.starts[:1] != [0] or self.starts != sorted(self.starts):
            raise FetchError("the pack's parts are not in order; " + self.remedy, retry=False)

    @property
    def url(self) -> str:
        """The pack's first file, for messages."""
        return self.paths[0]

    @property
    def at(self) -> str:
        """The pack's folder, for messages."""
        return self.paths[0].rpartition("/")[0]

    @property
    def remedy(self) -> str:
        """What helps where a file is not as it should be."""
        if self._named.startswith(LAYERS):
            return "give the function the layers that were made with its zip: lambdapack deploy, or layer"
        if self._named.startswith("/"):
            return "mount the file system there, and put the pack into it: lambdapack push DIR MOUNT"
        return "build the function's zip again: lambdapack package"

    def prepare(self) -> None:
        """Nothing has to be imported."""

    def forget_signature(self) -> None:
        """There is none."""

    def open(self, slowest: float, measured: Callable[[], None]) -> Reader:
        """What reads ranges, for one thread; a file is not measured."""
        return Reader(self)

    def corrupt(self, frame: int) -> FetchError:
        """The error where a frame has another digest: to read the file again would not help."""
        path = self.paths[bisect_right(self.first_frames, frame) - 1]
        return FetchError(
            "frame %d in %s does not have the digest that the function's index gives: the file was changed, "
            "or is another pack's; %s" % (frame, path, self.remedy),
            code="CorruptFrame",
            retry=False,
        )


class Reader:
    """Reads the frames of a range in order; between two frames it holds nothing."""

    received = 0
    moved = 0.0

    def __init__(self, source: Source) -> None:
        self.source = source
        self._next = 0

    def request(self, first: int, last: int) -> None:
        """Begin to read at byte ``first`` of the pack."""
        self._next = first

    def close(self) -> None:
        """Nothing is open."""

    def read_into(self, view: memoryview) -> None:
        """Fill ``view`` with the next frame, which lies in one file.

        Raises:
            FetchError: The file is missing, shorter, or cannot be read.
        """
        source = self.source
        part = bisect_right(source.starts, self._next) - 1
        path, at = source.paths[part], self._next - source.starts[part]
        try:
            done = self._read(path, at, view)
        except OSError as error:
            raise FetchError(
                "cannot read %s, which holds the pack: %s; %s" % (path, error.strerror, source.remedy),
                retry=error.errno in PASSING,
            ) from error
        if done < len(view):
            raise FetchError(
                "%s ends after %d bytes, and the pack goes on to %d at least; %s"
                % (path, os.stat(path).st_size, at + len(view), source.remedy),
                retry=False,
            )
        self._next += done
        self.received += done

    def _read(self, path: str, at: int, view: memoryview) -> int:
        """How many bytes of ``view`` the file has."""
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            done = 0
            while done < len(view):
                got = os.preadv(fd, [view[done:]], at + done)
                if not got:
                    break
                done += got
            return done
        finally:
            os.close(fd)
