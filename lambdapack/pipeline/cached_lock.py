"""Get a build's lock: from the build cache while it would come out the same, else from the resolver."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lambdapack import install as build_stage
from lambdapack.lock import Downloads, LockOptions, Requirements, reference_digests, resolve
from lambdapack.memo import facts_of, key_of, tool_digest
from lambdapack.model import Lock, PipOptions
from lambdapack.pipeline.cache import LockRecord, Locks
from lambdapack.pipeline.options import BuildOptions
from lambdapack.progress import Progress, ProgressRecorder, ago, say
from lambdapack.python.interpreter import Interpreter
from lambdapack.python.pip_settings import pip_digest
from lambdapack.python.wheel_recipe import recipe

# Where a line came from is for messages alone.
_ORIGINS = frozenset(("origin", "origins", "constraint_origins"))


class LockRequest:
    """One question to the package index, which the build cache may have the answer of.

    Args:
        options: The build's.
        requirements: What was read of their requirements.
        locks: Earlier answers.
        downloads: Fetches what requirements name by its address.
        refresh: Whether to ask the index even where an earlier answer is fresh.
    """

    def __init__(
        self,
        options: BuildOptions,
        requirements: Requirements,
        locks: Locks,
        downloads: Downloads,
        *,
        refresh: bool,
    ) -> None:
        self._target = options.target
        self._options = LockOptions(options.glibc, frozenset(options.exclude), options.runtime_provided)
        self._downloads = downloads
        self._requirements = requirements
        self._locks = locks
        self._refresh = refresh

    def recall(
        self, python: Interpreter, identity: Mapping[str, str], progress: Progress
    ) -> LockRecord | None:
        """The lock that was resolved before, if it is fresh; tells the user how old it is."""
        key = None if self._refresh else self._key(python, identity)
        hashed, settled = _hashed(self._requirements), self._requirements.settled
        record = self._locks.find(key, hashed=hashed, settled=settled) if key else None
        if record is None or not _has_pages(record.lock):
            return None
        say(record.said, progress)
        progress.note(f"lock: reused, resolved {ago(record.seconds)} ago (--refresh resolves anew)")
        sources = self._requirements.options + record.lock.sources
        return replace(record, lock=replace(record.lock, sources=sources))

    def ask_index(self, workshop: build_stage.Workshop, *, cache_dir: Path, progress: Progress) -> Lock:
        """Resolve, and keep the lock where the same question would be answered with it again."""
        told = ProgressRecorder(progress)
        python, identity = workshop.interpreter, workshop.identity
        key = self._key(python, identity)
        lock = resolve(
            self._requirements,
            self._target,
            python,
            options=self._options,
            cache_dir=cache_dir,
            place=workshop.place,
            wheelwright=workshop,
            downloads=self._downloads,
            progress=told,
        )
        # A local package that was saved meanwhile may be in the lock or not.
        unchanged = key is not None and key == self._key(python, identity)
        if key and unchanged and not lock.addressed:
            # The user's options, which may hold credentials, come first; then pages of wheels in the cache.
            pages = PipOptions(lock.sources.pairs[len(self._requirements.options.pairs) :])
            self._locks.keep(key, lock, told.said, local=pages)
        return lock

    def _key(self, python: Interpreter, identity: Mapping[str, str]) -> str | None:
        """The key of the lock; ``None`` where it cannot be known whether the lock would be the same."""
        requirements = self._requirements
        lines = (*requirements.lines, *requirements.constraints)
        prefixes = (Path(sys.prefix), python.path.parent.parent)
        settings = pip_digest(lines, requirements.options, prefixes)
        references = reference_digests(requirements, self._target, python, self._downloads)
        if settings is None or references is None:
            return None
        return key_of(
            tool_digest(),
            facts_of(requirements, without=_ORIGINS),
            facts_of(self._target),
            facts_of(self._options),
            settings,
            references,
            recipe(requirements.options) if references else None,
            [python.version, python.machine, dict(identity)],
        )


def _has_pages(lock: Lock) -> bool:
    """Whether the wheels that were named by address or path are still in the cache."""
    return all(Path(page).is_file() for page in lock.sources.values({"find-links"}))


def _hashed(requirements: Requirements) -> frozenset[str]:
    """Names whose line gives an exact version and the hashes of its files."""
    names = set()
    for line in requirements.lines:
        text, *hashes = line.split(" --hash=")
        if hashes and re.search(r"[^!<>~=]==\s*[^*\s;,]+\s*(;|$)", text):
            names.add(canonicalize_name(Requirement(text).name))
    return frozenset(names)
