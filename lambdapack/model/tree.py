"""What is installed, and which of its files a program touches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lambdapack.model.target import Target


@dataclass(frozen=True)
class Distribution:
    """An installed distribution.

    Attributes:
        name: Canonical name.
        files: Paths relative to the tree's root, POSIX style, that its RECORD lists and that exist.
        top_level: Names that it adds to ``import``, e.g. ``("sklearn",)``.
    """

    name: str
    version: str
    files: tuple[str, ...]
    top_level: tuple[str, ...]


@dataclass(frozen=True)
class SystemLibrary:
    """A shared library of the build image that the pack carries because Lambda has none of that name.

    Attributes:
        name: The name that it is asked for by, e.g. ``libgomp.so.1``.
        path: Where it is in the tree.
        origin: Where it was in the image.
        package: The image's package that it belongs to, with its version; empty where that is unknown.
        bytes: Its size.
        sha256: Of its bytes, hex, before slimming.
        needed_by: Paths of the tree that ask for it.
        purl: The package as a package URL; empty where that is unknown.
    """

    name: str
    path: str
    origin: str
    package: str
    bytes: int
    sha256: str
    needed_by: tuple[str, ...]
    purl: str = ""


@dataclass(frozen=True)
class MissingLibrary:
    """A shared library that files of a tree ask for, and that neither the tree nor Lambda has.

    What it means for a deployment is a ``LibraryRisk`` of ``install.syslibs``.

    Attributes:
        name: Its soname: the name that it is asked for by, e.g. ``libGL.so.1``.
        needed_by: Paths of the tree that ask for it.
        reason: Why it was not bundled, where there is more to say than that the image has none.
    """

    name: str
    needed_by: tuple[str, ...]
    reason: str = ""


@dataclass(frozen=True)
class Tree:
    """An installed site-packages for one target.

    Attributes:
        distributions: By name.
        libraries: Shared libraries of the image it was built in, which it brings along.
        missing: Shared libraries that it needs, and that neither it nor Lambda has.
    """

    root: Path
    target: Target
    distributions: tuple[Distribution, ...]
    libraries: tuple[SystemLibrary, ...] = ()
    missing: tuple[MissingLibrary, ...] = ()


@dataclass(frozen=True)
class Trace:
    """The files of a tree that a program touched, in order of first use.

    Attributes:
        files: Paths relative to the tree's root, POSIX style.
        native: The files that only native code opened, not Python and not the dynamic linker.
        how: ``traced`` or, where the target's Python cannot run here, ``heuristic``.
        code: What was run.
        foreign: Name and path of each shared library of the machine that it opened by name.
        stdlib: The standard library's modules that it imported and that may be imported earlier, in the order
            in which they are complete.
    """

    files: tuple[str, ...]
    native: frozenset[str]
    how: Literal["traced", "heuristic"]
    code: str
    foreign: tuple[tuple[str, str], ...] = ()
    stdlib: tuple[str, ...] = ()
