"""Weigh each missing library: whether the function will fail in Lambda for want of that library."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from lambdapack.errors import CheckError
from lambdapack.install.syslibs.opened import TRACED
from lambdapack.install.syslibs.runtime import RuntimeLibraries
from lambdapack.install.syslibs.tell import NOT_FOUND, remedy, sentence
from lambdapack.model import MissingLibrary, source_of


@dataclass(frozen=True)
class PackUse:
    """What is known of the use of a pack's files.

    Attributes:
        touched: Paths that the traced code touched; ``None`` where nothing was run.
        needs: Shared object, or module that opens some by name -> shared objects of the pack that are mapped.
        failed: Module -> the error of its import, where it could not be imported.
    """

    touched: Collection[str] | None
    needs: Mapping[str, Sequence[str]]
    failed: Mapping[str, str]


@dataclass(frozen=True)
class LibraryRisk:
    """What a ``MissingLibrary`` means for a deployment of the pack.

    Attributes:
        name: Its soname.
        users: Paths in the pack that ask for it; those that decide come first.
        fatal: Whether a deployment to AWS is refused for it.
        message: What is missing, which files need it and how that is known.
        hint: What helps.
    """

    name: str
    users: tuple[str, ...]
    fatal: bool
    message: str
    hint: str


def weigh(
    missing: Iterable[MissingLibrary],
    has: RuntimeLibraries,
    paths: Collection[str],
    use: PackUse,
    *,
    allowed: Collection[str] = (),
    image: bool,
) -> tuple[LibraryRisk, ...]:
    """Weigh the libraries that a build found missing.

    Args:
        missing: The libraries.
        has: What Lambda has.
        paths: The files of the pack; a library that only dropped files asked for is no risk.
        use: How the files of the pack are used.
        allowed: Sonames that the user takes upon himself.
        image: Whether the build image was searched.
    """
    # A module is the same wherever its bytecode lies.
    there = {*map(source_of, paths), TRACED}
    reached = _reached(use)
    risks = []
    for library in missing:
        users = [path for path in library.needed_by if source_of(path) in there]
        if not users:
            continue
        decisive = users if reached is None else [path for path in users if source_of(path) in reached]
        why = _why(library.name, use, decisive)
        ordered = tuple(dict.fromkeys((*decisive, *users)))
        fatal = bool(why) and library.name not in allowed
        message = f"{sentence(library, ordered, has)}; {why or 'the traced code did not use it'}"
        if library.name in allowed:
            message += " (allowed)"
        hint = (
            f"{remedy(library, image=image)}; if the function can do without it, or gets it from a layer: "
            f"--allow-lacking {library.name}"
        )
        risks.append(LibraryRisk(library.name, ordered, fatal, message, hint))
    return tuple(risks)


def _reached(use: PackUse) -> frozenset[str] | None:
    """Files that were touched or mapped for a touched one; ``None`` where nothing was run."""
    if use.touched is None:
        return None
    touched = frozenset((*map(source_of, use.touched), TRACED))
    return touched.union(*(needed for path, needed in use.needs.items() if source_of(path) in touched))


def _why(name: str, use: PackUse, decisive: Sequence[str]) -> str:
    """How it is known that the library is needed, ``""`` where it is not."""
    failing = sorted(module for module, error in use.failed.items() if f"{name}: {NOT_FOUND}" in error)
    if failing:
        return f"import {failing[0]} fails without it"
    if not decisive:
        return ""
    if use.touched is None:
        return "nothing was traced that could tell whether the function uses it"
    return "the traced code uses it"


def refuse(risks: Iterable[LibraryRisk], doing: str) -> None:
    """Stop where the function will fail for want of a library.

    Args:
        risks: Of all missing libraries.
        doing: What is being done, e.g. ``deploying hello``.

    Raises:
        CheckError: With every library that is fatal, and what helps.
    """
    fatal = [risk for risk in risks if risk.fatal]
    if fatal:
        listed = "\n".join(f"  {risk.message}" for risk in fatal)
        raise CheckError(
            f"{doing}: it would fail in Lambda for want of a library:\n{listed}",
            hint="\n".join(dict.fromkeys(risk.hint for risk in fatal)),
        )
