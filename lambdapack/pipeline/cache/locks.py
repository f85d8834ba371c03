"""Locks in the build cache: the same question, asked again within some hours, has the same answer."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from pydantic import TypeAdapter

from lambdapack.memo import key_of
from lambdapack.model import Lock, PipOptions
from lambdapack.pipeline.cache.build_cache import BuildCache
from lambdapack.progress import Message
from lambdapack.python.interpreter import Interpreter

FRESH_SECONDS = 6 * 3600
"""How long an answer of a package index is taken for what it would say now."""
_KIND = "locks"


@dataclass(frozen=True)
class LockRecord:
    """A lock of the cache.

    Attributes:
        resolved: When the lock was resolved, in seconds since 1970.
        lock: The lock, with those ``sources`` alone that are local: others may hold credentials.
        said: What the user was told then.
    """

    resolved: float
    lock: Lock
    said: tuple[Message, ...]

    @property
    def seconds(self) -> float:
        """How long ago the lock was resolved."""
        return max(time.time() - self.resolved, 0.0)


_RECORD = TypeAdapter(LockRecord)
_INTERPRETER = TypeAdapter(Interpreter)


class Locks:
    """Locks by the key of the question that they answer.

    Args:
        store: Where locks are kept.
    """

    def __init__(self, store: BuildCache) -> None:
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
            record = _RECORD.validate_json(value)
        except ValueError:
            return None
        settled = settled or all(pin.name in hashed for pin in record.lock.pins)
        # A clock that was set back since then does not tell the age.
        fresh = record.resolved <= time.time() < record.resolved + FRESH_SECONDS
        return record if settled or fresh else None

    def keep(self, key: str, lock: Lock, said: Iterable[Message] = (), *, local: PipOptions) -> None:
        """Keep a lock, with what the user was told and, of its sources, the ``local`` ones."""
        record = LockRecord(time.time(), replace(lock, sources=local), tuple(said))
        self._store.put(_KIND, key, _RECORD.dump_json(record))

    def interpreter(self, image: Mapping[str, str]) -> Interpreter | None:
        """The Python of an image, if a container of it ran before."""
        value = self._store.get("images", key_of(dict(image)))
        return None if value is None else _INTERPRETER.validate_json(value)

    def keep_interpreter(self, image: Mapping[str, str], python: Interpreter) -> None:
        """Remember the Python of an image."""
        self._store.put("images", key_of(dict(image)), _INTERPRETER.dump_json(python))
