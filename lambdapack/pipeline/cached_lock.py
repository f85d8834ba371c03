"""Get a build's lock: from the build cache while it would come out the same, else from the resolver."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lambdapack import install as build_stage
from lambdapack import lock as lock_stage
from lambdapack.lock import Requirements
from lambdapack.memo import facts_of, key_of, tool_digest
from lambdapack.model import Lock, PipOptions
from lambdapack.pipeline.cache import Locks, Resolved
from lambdapack.pipeline.options import BuildOptions
from lambdapack.progress import Message, Progress, Remembering, ago, say
from lambdapack.python.interpreter import Interpreter
from lambdapack.python.pip_digest import pip_digest
from lambdapack.python.wheel_recipe import recipe

__all__ = ["Resolving"]


class Resolving:
    """One question to the package index: these requirements, options and surroundings.

    Args:
        options: The build's.
        requirements: What was read of them.
        locks: Earlier answers.
        downloads: Fetches what requirements name by its address.
        refresh: Whether earlier answers do not count.
    """

    def __init__(
        self,
        options: BuildOptions,
        requirements: Requirements,
        locks: Locks,
        downloads: lock_stage.Downloads,
        *,
        refresh: bool,
    ) -> None:
        self._options = options
        self._downloads = downloads
        self._requirements = requirements
        self._locks = locks
        self._refresh = refresh

    def earlier(
        self, python: Interpreter, identity: Mapping[str, str], progress: Progress
    ) -> Resolved | None:
        """The lock that was resolved before, with a word on how old it is."""
        key = None if self._refresh else self._key(python, identity)
        hashed, settled = _hashed(self._requirements), self._requirements.settled
        found = self._locks.find(key, hashed=hashed, settled=settled) if key else None
        if found is None or not all(
            Path(page).is_file() for page in found.lock.sources.values({"find-links"})
        ):
            return None
        say(found.said, progress)
        progress.note(f"lock: reused, resolved {ago(found.seconds)} ago (--refresh resolves anew)")
        sources = self._requirements.options + found.lock.sources
        return dataclasses.replace(found, lock=dataclasses.replace(found.lock, sources=sources))

    def resolve(self, workshop: build_stage.Workshop, *, cache_dir: Path, progress: Progress) -> Lock:
        """Ask the package index, and remember what it said."""
        told = Remembering(progress)
        python, identity = workshop.interpreter, workshop.identity
        key = self._key(python, identity)
        lock = lock_stage.resolve(
            self._requirements,
            self._options.target,
            python,
            glibc=self._options.glibc,
            exclude=self._options.exclude,
            runtime_provided=self._options.runtime_provided,
            cache_dir=cache_dir,
            place=workshop.place,
            wheelwright=workshop,
            downloads=self._downloads,
            progress=told,
        )
        # A source that somebody saved meanwhile may be in the lock or not.
        if key is not None and key == self._key(python, identity):
            self._keep(key, lock, told.said)
        return lock

    def _keep(self, key: str, lock: Lock, said: Sequence[Message]) -> None:
        # Behind the user's options, which may hold credentials, are the pages of wheels in the cache.
        own = len(self._requirements.options.pairs)
        pages = PipOptions(lock.sources.pairs[own:])
        if not lock.addressed:
            self._locks.keep(key, lock, said, local=pages)

    def _key(self, python: Interpreter, identity: Mapping[str, str]) -> str | None:
        wanted = self._requirements
        # Where a line came from is for messages alone.
        asked = facts_of(wanted, frozenset(("origin", "origins", "constraint_origins")))
        about = pip_digest(
            (*wanted.lines, *wanted.constraints),
            wanted.options,
            (Path(sys.prefix), python.path.parent.parent),
        )
        named = lock_stage.contents(wanted, self._options.target, python, self._downloads)
        if about is None or named is None:
            return None
        how = recipe(wanted.options) if named else None
        return key_of(
            *(tool_digest(), about, asked, named, how, _said(self._options)),
            *(python.version, python.machine, dict(identity)),
        )


def _said(options: BuildOptions) -> list[tuple[str, str]]:
    """The options that may change a lock: all but those that are known not to."""
    return [
        (one.name, repr(getattr(options, one.name)))
        for one in dataclasses.fields(options)
        if one.name not in _AFTER_THE_LOCK
    ]


_AFTER_THE_LOCK = frozenset(("requirements", "files", "output", "limits", "slim", "trace", "level"))


def _hashed(requirements: Requirements) -> frozenset[str]:
    """Names whose line gives an exact version and the hashes of its files."""
    names = set()
    for line in requirements.lines:
        text, *hashes = line.split(" --hash=")
        if hashes and re.search(r"[^!<>~=]==\s*[^*\s;,]+\s*(;|$)", text):
            names.add(canonicalize_name(Requirement(text).name))
    return frozenset(names)
