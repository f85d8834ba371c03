"""The standard library's zstd decoder, of Python 3.14 and later, called as ``zstandard`` is.

For functions whose zip has no extension of ``zstandard``, which comes first because it is the faster one: the
standard library decodes into memory of its own, from where the content is copied.
"""

from __future__ import annotations

from compression import zstd  # type: ignore[import-not-found, unused-ignore]

# Larger pieces take up to twice the time: the standard library joins them from blocks of 32 KiB, 64 KiB and
# so on, in new memory each time (860 MB/s like this, 510 MB/s a frame at once; zstandard 1,020).
PIECE = 96 * 1024


class ZstdDecompressor:
    """Decodes one frame."""

    def stream_reader(self, stored: memoryview) -> ZstdDecompressor:
        """Begin with the frame ``stored``."""
        self._stored: memoryview | bytes = stored
        self._decoder = zstd.ZstdDecompressor()
        return self

    def readinto(self, data: memoryview) -> int:
        """Fill ``data`` and return its length, or less at the frame's end."""
        done = 0
        while done < len(data):
            content = self.read(min(len(data) - done, PIECE))
            if not content:
                break
            data[done : done + len(content)] = content
            done += len(content)
        return done

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes at most, none at the frame's end."""
        if self._decoder.eof:
            return b""
        content: bytes = self._decoder.decompress(self._stored, size)
        # The decoder keeps what it has not come to.
        self._stored = b""
        return content
