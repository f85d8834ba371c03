"""What a stage may remember from an earlier build: values by what they were made from.

A stage asks a ``Memo`` before it does something costly. The command line passes the build cache; tests
and library users pass none, and everything is done anew.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import lambdapack
from runtime_shim import _index

__all__ = ["NOTHING", "Memo", "Nothing", "key_of", "tool_digest"]


class Memo(Protocol):
    """Values by kind and key; threads may share it. What it loses is made again."""

    def get(self, kind: str, key: str) -> bytes | None:
        """The value, or ``None`` where there is none that is sound."""

    def put(self, kind: str, key: str, value: bytes) -> None:
        """Remember a value; a failure to do so is nobody's error."""


class Nothing:
    """A ``Memo`` that remembers nothing."""

    def get(self, kind: str, key: str) -> bytes | None:
        """Nothing."""
        return None

    def put(self, kind: str, key: str, value: bytes) -> None:
        """Forget it."""


NOTHING = Nothing()
"""For callers that want everything made anew."""


def key_of(*parts: Any) -> str:
    """SHA-256, hex, of ``parts``, which JSON must be able to tell apart."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@cache
def tool_digest() -> str:
    """SHA-256, hex, of lambdapack itself: a version number stays the same while it is worked on.

    Every file counts, tables and data too, but for the packages that come after a pack.
    """
    digest = hashlib.sha256(lambdapack.__version__.encode())
    root = Path(lambdapack.__file__).parent
    for path in sorted(path for path in root.rglob("*") if path.is_file() and path.suffix != ".pyc"):
        name = path.relative_to(root)
        if name.parts[0] not in AFTER_A_PACK:
            digest.update(f"{name.as_posix()}\0".encode() + path.read_bytes())
    digest.update(Path(_index.__file__).read_bytes())
    return digest.hexdigest()


AFTER_A_PACK = frozenset(("cli", "config", "deploy", "local", "plan", "report", "store"))
"""Packages that no pack depends on: nothing that makes one imports them."""
