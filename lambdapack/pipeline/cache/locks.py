"""Locks in the build cache: the same question, asked again within some hours, has the same answer."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from lambdapack.memo import key_of
from lambdapack.model import Lock, PipOptions
from lambdapack.pipeline.cache.store import Store
from lambdapack.progress import Message
from lambdapack.python.interpreter import Interpreter

__all__ = ["FRESH_SECONDS", "LockRecord", "Locks"]

FRESH_SECONDS = 6 * 3600
"""How long an answer of a package index is taken for what it would say now."""
_KIND = "locks"


@dataclass(frozen=True)
class LockRecord:
    """A lock of the cache.

    Attributes:
        lock: The lock, with those ``sources`` alone that are local: others may hold credentials.
        seconds: How long ago the lock was resolved.
        said: What the user was told then.
    """

    lock: Lock
    seconds: float
    said: tuple[Message, ...]


@dataclass(frozen=True)
class _Entry:
    resolved: float
    lock: Lock
    said: tuple[Message, ...]


_ENTRY = TypeAdapter(_Entry)


class Locks:
    """Locks by the key of the question that they answer.

    Args:
        store: Where locks are kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, key: str, *, hashed: Collection[str] = (), settled: bool = False) -> LockRecord | None:
        """The lock with this key, if it is fresh.

        Args:
            key: ``memo.key_of`` everything that decides the lock, pip's configuration included.
            hashed: Names whose requirement is an exact version with hashes. A lock of these alone cannot
                come out differently, and never grows old.
            settled: Whether lock files say everything.
        """
        value = self._store.get(_KIND, key)
        if value is None:
            return None
        try:
            entry = _ENTRY.validate_json(value)
        except ValueError:
            return None
        seconds = time.time() - entry.resolved
        settled = settled or all(pin.name in hashed for pin in entry.lock.pins)
        if not settled and not 0 <= seconds < FRESH_SECONDS:
            return None
        return LockRecord(entry.lock, max(seconds, 0.0), entry.said)

    def keep(self, key: str, lock: Lock, said: Iterable[Message] = (), *, local: PipOptions) -> None:
        """Keep a lock, with what the user was told and, of its sources, the ``local`` ones."""
        entry = _Entry(time.time(), replace(lock, sources=local), tuple(said))
        self._store.put(_KIND, key, _ENTRY.dump_json(entry))

    def interpreter(self, image: Mapping[str, str]) -> Interpreter | None:
        """The Python of an image, if a container of it ran before."""
        value = self._store.get("images", key_of(dict(image)))
        if value is None:
            return None
        facts = json.loads(value)
        return Interpreter(Path(facts["path"]), facts["version"], facts["machine"])

    def keep_interpreter(self, image: Mapping[str, str], python: Interpreter) -> None:
        """Remember the Python of an image."""
        value = {"path": str(python.path), "version": python.version, "machine": python.machine}
        self._store.put("images", key_of(dict(image)), json.dumps(value).encode())
