"""Resolved locks: the same question, asked again within some hours, has the same answer."""

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

__all__ = ["FRESH_SECONDS", "Locks", "Resolved"]

FRESH_SECONDS = 6 * 3600
"""How long an answer of a package index is taken for what it would say now."""
_KIND = "locks"


@dataclass(frozen=True)
class Resolved:
    """A lock of the cache.

    Attributes:
        lock: It, with those ``sources`` alone that are local: others may hold credentials and are not kept.
        seconds: How long ago it was resolved.
        said: What the user was told then.
    """

    lock: Lock
    seconds: float
    said: tuple[Message, ...]


@dataclass(frozen=True)
class _Kept:
    resolved: float
    lock: Lock
    said: tuple[Message, ...]


_KEPT = TypeAdapter(_Kept)


class Locks:
    """Locks by what was asked.

    Args:
        store: Where they are kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, key: str, *, hashed: Collection[str] = (), settled: bool = False) -> Resolved | None:
        """The answer to the question with this key, if it is fresh.

        Args:
            key: ``memo.key_of`` everything that was asked, pip's configuration included.
            hashed: Names whose requirement is an exact version with hashes. A lock of these alone cannot
                come out otherwise, and never grows old.
            settled: Whether lock files say everything.
        """
        value = self._store.get(_KIND, key)
        if value is None:
            return None
        try:
            kept = _KEPT.validate_json(value)
        except ValueError:
            return None
        seconds = time.time() - kept.resolved
        settled = settled or all(pin.name in hashed for pin in kept.lock.pins)
        if not settled and not 0 <= seconds < FRESH_SECONDS:
            return None
        return Resolved(kept.lock, max(seconds, 0.0), kept.said)

    def keep(self, key: str, lock: Lock, said: Iterable[Message] = (), *, local: PipOptions) -> None:
        """Keep an answer, and of its sources the ``local`` ones."""
        kept = _Kept(time.time(), replace(lock, sources=local), tuple(said))
        self._store.put(_KIND, key, _KEPT.dump_json(kept))

    def interpreter(self, image: Mapping[str, str]) -> Interpreter | None:
        """The Python of an image, if a container of it ran before."""
        value = self._store.get("images", key_of(dict(image)))
        if value is None:
            return None
        found = json.loads(value)
        return Interpreter(Path(found["path"]), found["version"], found["machine"])

    def keep_interpreter(self, image: Mapping[str, str], python: Interpreter) -> None:
        """Remember the Python of an image."""
        value = {"path": str(python.path), "version": python.version, "machine": python.machine}
        self._store.put("images", key_of(dict(image)), json.dumps(value).encode())
