"""Report missing libraries: a warning where the traced program needs them, else a note."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from lambdapack.errors import CheckError
from lambdapack.install.syslibs.runtime import RuntimeLibraries
from lambdapack.model import MissingLibrary, source_of
from lambdapack.progress import Progress

NOT_FOUND = "cannot open shared object file"
"""What the dynamic linker says behind a library's name."""
_NAMES_SHOWN = 3
_LOCAL = (
    "this machine's own is not what Lambda would run: build with --builder docker (and --system-package, "
    "[build] system-packages, where the image lacks it too), or use a package that brings it along"
)
_IMAGE = (
    "the build image lacks it too: install it there with --system-package PACKAGE ([build] system-packages), "
    "or name an image that has it with --image"
)


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


def sentence(library: MissingLibrary, users: Sequence[str], has: RuntimeLibraries) -> str:
    """Which files need a library that neither the pack nor Lambda has."""
    shown = ", ".join(users[:_NAMES_SHOWN]) + (" and others" if len(users) > _NAMES_SHOWN else "")
    known = f" ({has.absent[library.name]})" if library.name in has.absent else ""
    needs = "needs" if len(users) == 1 else "need"
    return f"{shown} {needs} {library.name}, which neither the pack nor Lambda's {has.system} has{known}"


def remedy(library: MissingLibrary, *, image: bool) -> str:
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
            if f"{library.name}: {NOT_FOUND}" in output:
                raise CheckError(
                    f"the traced code needs {library.name}, which neither the pack nor Lambda's "
                    f"{has.system} has",
                    hint=remedy(library, image=image),
                    detail=error.detail,
                ) from error
        raise
