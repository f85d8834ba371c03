"""What a stage may remember from an earlier build: values by what they were made from.

A stage asks a ``Memo`` before it does something costly. The command line passes the build cache; tests
and library users pass none, and everything is done anew.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Protocol

__all__ = ["NOTHING", "Memo", "Nothing", "key_of"]


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
