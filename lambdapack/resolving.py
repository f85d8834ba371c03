"""Get a build's lock: from the build cache while it would come out the same, else from the resolver."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lambdapack import build as build_stage
from lambdapack import lock as lock_stage
from lambdapack.buildcache import Locks, Resolved, surroundings
from lambdapack.buildoptions import BuildOptions, tool_digest
from lambdapack.interpreter import Interpreter
from lambdapack.lock import Requirements
from lambdapack.memo import key_of
from lambdapack.model import Lock
from lambdapack.progress import Advance, Progress
from lambdapack.report.units import ago

__all__ = ["Resolving"]


class Resolving:
    """One question to the package index: these requirements, options and surroundings.

    Args:
        options: The build's.
        requirements: What was read of them.
        locks: Earlier answers.
        refresh: Whether those do not count.
    """

    def __init__(
        self, options: BuildOptions, requirements: Requirements, locks: Locks, *, refresh: bool
    ) -> None:
        self._options = options
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
        if found is None:
            return None
        for warning in found.warnings:
            progress.warn(warning)
        progress.note(f"lock: reused, resolved {ago(found.seconds)} ago (--refresh resolves anew)")
        return dataclasses.replace(
            found, lock=dataclasses.replace(found.lock, sources=self._requirements.options)
        )

    def resolve(self, workshop: build_stage.Workshop, *, cache_dir: Path, progress: Progress) -> Lock:
        """Ask the package index, and remember what it said."""
        told = _Told(progress)
        lock = lock_stage.resolve(
            self._requirements,
            self._options.target,
            workshop.interpreter,
            glibc=self._options.glibc,
            exclude=self._options.exclude,
            runtime_provided=self._options.runtime_provided,
            cache_dir=cache_dir,
            place=workshop.place,
            wheelwright=workshop,
            progress=told,
        )
        key = self._key(workshop.interpreter, workshop.identity)
        if key is not None and lock.sources == self._requirements.options:
            self._locks.keep(key, lock, told.warnings)
        return lock

    def _key(self, python: Interpreter, identity: Mapping[str, str]) -> str | None:
        wanted = self._requirements
        # Where a line came from is for messages alone.
        asked = [
            (one.name, repr(getattr(wanted, one.name)))
            for one in dataclasses.fields(wanted)
            if not one.name.endswith("origins")
        ]
        about = surroundings(
            (*wanted.lines, *wanted.constraints, *wanted.options),
            (Path(sys.prefix), python.path.parent.parent),
        )
        if about is None:
            return None
        return key_of(
            *(tool_digest(), about, asked, _said(self._options)),
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


class _Told:
    """Passes everything on, and remembers the warnings."""

    def __init__(self, progress: Progress) -> None:
        self.warnings: list[str] = []
        self._progress = progress

    def step(self, name: str, *, total: int | None = None, unit: str = "") -> AbstractContextManager[Advance]:
        return self._progress.step(name, total=total, unit=unit)

    def note(self, message: str) -> None:
        self._progress.note(message)

    def warn(self, message: str) -> None:
        self.warnings.append(message)
        self._progress.warn(message)
