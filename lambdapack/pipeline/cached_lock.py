"""Get a build's lock: from the build cache while it would come out the same, else from the resolver."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pydantic import TypeAdapter

from lambdapack.install import Workshop
from lambdapack.lock import Downloads, LockOptions, Requirements, reference_digests, resolve
from lambdapack.memo import facts_of, key_of, tool_digest
from lambdapack.model import Lock, PipOptions
from lambdapack.pipeline.cache import BuildCache
from lambdapack.pipeline.options import BuildOptions
from lambdapack.progress import Message, Progress, ProgressRecorder, ago, say
from lambdapack.python.interpreter import Interpreter
from lambdapack.python.pip_settings import pip_digest
from lambdapack.python.wheel_recipe import recipe

FRESH_SECONDS = 6 * 3600
"""How long an answer of a package index is taken for what it would say now."""
_KIND = "locks"
# Where a line came from is for messages alone.
_ORIGINS = frozenset(("origin", "origins", "constraint_origins"))


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


@dataclass(frozen=True)
class LockRequest:
    """One question to the package index, which the build cache may have the answer of.

    Attributes:
        downloads: Fetches what requirements name by its address.
        refresh: Whether to ask the index even where an earlier answer is fresh.
        unbuilt: Whether sdists are locked that nobody will build.
    """

    options: BuildOptions
    requirements: Requirements
    store: BuildCache
    downloads: Downloads
    refresh: bool
    progress: Progress
    unbuilt: bool = False

    @property
    def _lock_options(self) -> LockOptions:
        options = self.options
        excluded = frozenset(options.exclude)
        return LockOptions(options.glibc, excluded, options.runtime_provided, self.unbuilt)

    def recall(self, python: Interpreter, identity: Mapping[str, str]) -> LockRecord | None:
        """The lock that was resolved before, if it is fresh; tells the user how old it is."""
        key = None if self.refresh else self._key(python, identity)
        hashed, settled = _hashed(self.requirements), self.requirements.settled
        record = find(self.store, key, hashed=hashed, settled=settled) if key else None
        if record is None:
            return None
        # Wheels that were named by address or path must still be in the cache.
        if not all(Path(page).is_file() for page in record.lock.sources.values({"find-links"})):
            return None
        say(record.said, self.progress)
        self.progress.note(f"lock: reused, resolved {ago(record.seconds)} ago (--refresh resolves anew)")
        sources = self.requirements.options + record.lock.sources
        return replace(record, lock=replace(record.lock, sources=sources))

    def ask_index(self, workshop: Workshop, cache_dir: Path) -> Lock:
        """Resolve, and keep the lock where the same question would be answered with it again."""
        told = ProgressRecorder(self.progress)
        python, identity = workshop.interpreter, workshop.identity
        key = self._key(python, identity)
        lock = resolve(
            self.requirements,
            self.options.target,
            python,
            options=self._lock_options,
            cache_dir=cache_dir,
            place=workshop.place,
            builds=workshop.compiles,
            wheelwright=workshop,
            downloads=self.downloads,
            progress=told,
        )
        # A local package that was saved meanwhile may be in the lock or not.
        unchanged = key is not None and key == self._key(python, identity)
        if key and unchanged and not lock.addressed:
            # The user's options, which may hold credentials, come first; then pages of wheels in the cache.
            pages = PipOptions(lock.sources.pairs[len(self.requirements.options.pairs) :])
            keep(self.store, key, lock, told.said, local=pages)
        return lock

    def _key(self, python: Interpreter, identity: Mapping[str, str]) -> str | None:
        """The key of the lock; ``None`` where it cannot be known whether the lock would be the same."""
        requirements = self.requirements
        lines = (*requirements.lines, *requirements.constraints)
        prefixes = (Path(sys.prefix), python.path.parent.parent)
        settings = pip_digest(lines, requirements.options, prefixes)
        references = reference_digests(requirements, self.options.target, python, self.downloads)
        if settings is None or references is None:
            return None
        return key_of(
            tool_digest(),
            facts_of(requirements, without=_ORIGINS),
            facts_of(self.options.target),
            facts_of(self._lock_options),
            settings,
            references,
            recipe(requirements.options) if references else None,
            [python.version, python.machine, dict(identity)],
        )


def _hashed(requirements: Requirements) -> frozenset[str]:
    """Names whose line gives an exact version and the hashes of its files."""
    names = set()
    for line in requirements.lines:
        text, *hashes = line.split(" --hash=")
        if hashes and re.search(r"[^!<>~=]==\s*[^*\s;,]+\s*(;|$)", text):
            names.add(canonicalize_name(Requirement(text).name))
    return frozenset(names)


def find(
    store: BuildCache, key: str, *, hashed: Collection[str] = (), settled: bool = False
) -> LockRecord | None:
    """The lock with this key, if it is fresh.

    Args:
        key: ``memo.key_of`` everything that decides the lock, pip's configuration included.
        hashed: Names whose requirement is an exact version with hashes. A lock of these alone cannot
            come out differently, and never grows old.
        settled: Whether lock files say everything.
    """
    value = store.get(_KIND, key)
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


def keep(store: BuildCache, key: str, lock: Lock, said: Iterable[Message] = (), *, local: PipOptions) -> None:
    """Keep a lock, with what the user was told and, of its sources, the ``local`` ones."""
    record = LockRecord(time.time(), replace(lock, sources=local), tuple(said))
    store.put(_KIND, key, _RECORD.dump_json(record))
