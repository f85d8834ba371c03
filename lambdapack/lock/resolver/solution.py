"""What the resolver's driver is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lambdapack.errors import LambdapackError
from lambdapack.lock.requirements.read import Requirements
from lambdapack.model import Target


@dataclass(frozen=True)
class Question:
    """One resolution.

    Attributes:
        requirements: Lines, constraints and pip's options.
        target: What to resolve for.
        glibc: The newest C library that a wheel may ask for.
        constraints: Besides the user's own, e.g. ``torch==2.13.0+cpu``.
        sdists: Names of which an sdist is taken, ``:all:`` for every one; of all others wheels are.
        leaf_prefixes, leaf_names: Packages of which nothing but the name is needed, and no dependency.
        alone: Whether the requirements are looked up without their dependencies.
        weighed: Names of which the size is looked up.
    """

    requirements: Requirements
    target: Target
    glibc: tuple[int, int]
    constraints: tuple[str, ...] = ()
    sdists: frozenset[str] = frozenset()
    leaf_prefixes: tuple[str, ...] = ()
    leaf_names: tuple[str, ...] = ()
    alone: bool = False
    weighed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """One distribution of a solution.

    Attributes:
        name, version: Canonical name and exact version.
        filename: Of its wheel or sdist.
        hash: ``sha256:…`` of that file.
        parents: Names of the distributions that depend on it.
        cpu: Versions of it built for the CPU alone (``2.13.0+cpu``) that the target can use, newest first.
        needs: Its dependencies as requirements without markers: those that hold for the target.
        bytes: Its size unpacked; 0 where it was not looked up.
        url: The address by which the metadata of another distribution names it, else empty.
    """

    name: str
    version: str
    filename: str
    hash: str
    parents: tuple[str, ...] = ()
    cpu: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    bytes: int = 0
    url: str = field(default="", repr=False)


@dataclass(frozen=True)
class Solution:
    """A set of distributions that fit together.

    Attributes:
        candidates: Each of them, by name.
        unreachable: Index pages that could not be fetched, with the reason.
    """

    candidates: tuple[Candidate, ...]
    unreachable: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failure:
    """Why there is no solution, in the driver's words.

    Attributes:
        kind: ``unsatisfiable``, ``network``, ``hash`` or ``pip``.
        facts: The driver's whole answer.
    """

    kind: str
    facts: Mapping[str, Any]


class NoLockError(Exception):
    """One C library gives no lock; another one may.

    Attributes:
        error: What the user is told, if no other C library gives a lock.
        is_cuda: Whether there is a solution, but only with CUDA.
        is_final: Whether no other C library can help.
    """

    def __init__(self, error: LambdapackError, *, is_cuda: bool = False, is_final: bool = False) -> None:
        super().__init__(error.message)
        self.error = error
        self.is_cuda = is_cuda
        self.is_final = is_final
