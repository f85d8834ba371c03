"""Tell of missing libraries: in a word while a pack is built, and of each what a deployment would risk."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from lambdapack.errors import CheckError
from lambdapack.install.syslibs.find import RuntimeLibraries
from lambdapack.install.syslibs.opened import TRACED
from lambdapack.model import MissingLibrary, source_of
from lambdapack.progress import Progress

# What the dynamic linker says behind a library's name.
_NOT_FOUND = "cannot open shared object file"
_NAMES_SHOWN = 3
_LOCAL = (
    "this machine's own is not what Lambda would run: build with --builder docker (and --system-package, "
    "[build] system-packages, where the image lacks it too), or use a package that brings it along"
)
_IMAGE = (
    "the build image lacks it too: install it there with --system-package PACKAGE ([build] system-packages), "
    "or name an image that has it with --image"
)


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


def report_missing(
    missing: Collection[MissingLibrary],
    has: RuntimeLibraries,
    traced: Collection[str],
    progress: Progress,
    *,
    image: bool,
) -> None:
    """Warn in one line of the missing libraries that the trace used, and note the others in another.

    A package that draws windows asks for a dozen libraries; ``lambdapack plan`` has a line for each.

    Args:
        missing: What the tree lacks.
        has: What Lambda has.
        traced: Files of the tree that the traced program touched.
        progress: Gets the messages.
        image: Whether the build image was searched.
    """
    touched = frozenset(map(source_of, traced))
    users = {lib.name: [path for path in lib.needed_by if source_of(path) in touched] for lib in missing}
    used = {name: paths for name, paths in users.items() if paths}
    rest = [name for name, paths in users.items() if not paths]
    if used:
        try_this = "--system-package PACKAGE" if image else "--builder docker"
        progress.warn(
            f"neither the pack nor Lambda's {has.system} has {in_short(used)}: try {try_this}; "
            "`lambdapack plan` says more"
        )
    if rest:
        progress.note(
            f"{has.system} as Lambda has it lacks {', '.join(rest)}, which only files ask for that the "
            "traced code did not use"
        )


def in_short(needed_by: Mapping[str, Sequence[str]]) -> str:
    """Library -> files that need it, as ``libGL.so.1 and libX11.so.6 (cv2/cv2.abi3.so needs them)``."""
    names = sorted(needed_by)
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    shown = ", ".join(names[:_NAMES_SHOWN]) if more else " and ".join(names)
    users = sorted({path for paths in needed_by.values() for path in paths})
    others = f" and {len(users) - 1} more" if len(users) > 1 else ""
    verb, pronoun = "need" if others else "needs", "it" if len(names) == 1 else "them"
    return f"{shown}{more} ({users[0]}{others} {verb} {pronoun})"


def _sentence(library: MissingLibrary, users: Sequence[str], has: RuntimeLibraries) -> str:
    """Which files need a library that neither the pack nor Lambda has."""
    shown = ", ".join(users[:_NAMES_SHOWN]) + (" and others" if len(users) > _NAMES_SHOWN else "")
    known = f" ({has.absent[library.name]})" if library.name in has.absent else ""
    needs = "needs" if len(users) == 1 else "need"
    return f"{shown} {needs} {library.name}, which neither the pack nor Lambda's {has.system} has{known}"


def _remedy(library: MissingLibrary, *, image: bool) -> str:
    """What helps; ``image`` is whether the build image was searched."""
    if library.reason:
        return f"it cannot be bundled: {library.reason}"
    return _IMAGE if image else _LOCAL


@contextmanager
def missing_library_errors(
    missing: Collection[MissingLibrary], has: RuntimeLibraries, *, image: bool
) -> Iterator[None]:
    """Where the block's program fails for want of one of ``missing``, name the library and what helps."""
    try:
        yield
    except CheckError as error:
        output = f"{error.message}\n{error.detail or ''}"
        for library in missing:
            if f"{library.name}: {_NOT_FOUND}" in output:
                raise CheckError(
                    f"the traced code needs {library.name}, which neither the pack nor Lambda's "
                    f"{has.system} has",
                    hint=_remedy(library, image=image),
                    detail=error.detail,
                ) from error
        raise


def weigh(
    missing: Iterable[MissingLibrary],
    has: RuntimeLibraries,
    paths: Collection[str],
    use: PackUse,
    *,
    allowed: Collection[str] = (),
    image: bool,
) -> tuple[LibraryRisk, ...]:
    """Weigh each library that a build found missing: whether the function will fail in Lambda without that.

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
        message = f"{_sentence(library, ordered, has)}; {why or 'the traced code did not use it'}"
        if library.name in allowed:
            message += " (allowed)"
        hint = (
            f"{_remedy(library, image=image)}; if the function can do without it, or gets it from a layer: "
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
    failing = sorted(module for module, error in use.failed.items() if f"{name}: {_NOT_FOUND}" in error)
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
