"""What is in a wheel, as its zip's directory tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class WheelFile(NamedTuple):
    """A file of a wheel.

    Attributes:
        path: Where the file is once it is installed.
        size: In bytes.
        compressed: What the file takes in the wheel.
        loaded: What of a shared object is loaded, and stays once it is stripped; else the same as ``size``.
    """

    path: str
    size: int
    compressed: int
    loaded: int


@dataclass(frozen=True)
class Wheel:
    """A wheel of a lock.

    Attributes:
        name, version: The distribution's.
        files: What is installed of the wheel.
        metadata: Its METADATA.
    """

    name: str
    version: str
    files: tuple[WheelFile, ...]
    metadata: bytes
