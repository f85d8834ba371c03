"""Where the bytes of a pack are read from: one interface, which ``_s3`` and ``_file`` have."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Callable, Protocol

    from ._index import Index

    class Link(Protocol):
        """What one thread reads ranges of the pack's bytes with, one at a time.

        Attributes:
            received: Bytes that were read so far.
            moved: When (monotonic) bytes last came fast enough.
        """

        received: int
        moved: float

        def request(self, first: int, last: int) -> None:
            """Ask for bytes ``first`` to ``last``, both included."""

        def read_into(self, view: memoryview) -> None:
            """Fill ``view`` with the next bytes of the range; they are those of one frame."""

        def close(self) -> None:
            """Let go of what the last request holds."""

    class Source(Protocol):
        """A pack that can be read, by several threads with a link each; methods raise a ``FetchError``."""

        @property
        def url(self) -> str:
            """The pack, for messages."""

        @property
        def at(self) -> str:
            """Where the last attempt was made, for messages."""

        def prepare(self) -> None:
            """Import all that a link needs."""

        def open(self, slowest: float, measured: Callable[[], None]) -> Link:
            """A link; less than ``slowest`` bytes a second are a failure, and more call ``measured``."""

        def forget_signature(self) -> None:
            """Begin the next request anew, after a failure."""

        def corrupt(self, frame: int) -> FetchError:
            """The error where a frame has another digest than the function's index gives."""


class FetchError(Exception):
    """The pack's bytes could not be read.

    Attributes:
        status: HTTP status, 0 where there was no answer.
        code: S3's own code, e.g. ``AccessDenied``.
        retry: Whether the same request may succeed later.
    """

    def __init__(self, message: str, status: int = 0, code: str = "", retry: bool = True) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry = retry


def open_source(location: dict[str, Any], folder: str, index: Index, environ: Mapping[str, str]) -> Source:
    """The source of the pack with this ``index``.

    Args:
        location: The document beside the index.
        folder: The shim's own, to which the paths of files are relative.
    """
    if "parts" in location:
        from ._file import Source as Files

        return Files(location["parts"], folder, index.frame_stored_start, environ)
    from ._s3 import Source as Object

    return Object(location["bucket"], location["key"], location.get("region", ""), environ)
