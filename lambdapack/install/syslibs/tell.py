"""Say which libraries are missing, loudly where the traced program needs them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from lambdapack.errors import CheckError
from lambdapack.install.syslibs.provided import Provided
from lambdapack.model import Lacking
from lambdapack.progress import Progress
from lambdapack.python.module_names import source_of

__all__ = ["NOT_FOUND", "explained", "in_short", "remedy", "sentence", "tell"]

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


def tell(
    missing: Collection[Lacking], has: Provided, traced: Collection[str], progress: Progress, *, image: bool
) -> None:
    """Warn in one line of the libraries that the trace used, and note the others in another.

    A package that draws windows asks for a dozen libraries. ``lambdapack plan`` takes them one by one.

    Args:
        missing: What the tree lacks.
        has: What Lambda has.
        traced: Files of the tree that the traced program touched.
        progress: Gets the messages.
        image: Whether the build image was searched.
    """
    touched = frozenset(map(source_of, traced))
    wanted = {one.name: [path for path in one.needed_by if source_of(path) in touched] for one in missing}
    used = {name: users for name, users in wanted.items() if users}
    rest = [name for name, users in wanted.items() if not users]
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


def in_short(wanted: Mapping[str, Sequence[str]]) -> str:
    """``libGL.so.1 and libX11.so.6 (cv2/cv2.abi3.so needs them)``, of library -> files that need it."""
    names = sorted(wanted)
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    shown = ", ".join(names[:_NAMES_SHOWN]) if more else " and ".join(names)
    users = sorted({path for paths in wanted.values() for path in paths})
    others = f" and {len(users) - 1} more" if len(users) > 1 else ""
    return f"{shown}{more} ({users[0]}{others} {'need' if others else 'needs'} {_pronoun(names)})"


def _pronoun(names: Sequence[str]) -> str:
    return "it" if len(names) == 1 else "them"


def sentence(one: Lacking, users: Sequence[str], has: Provided) -> str:
    """Who needs which library that neither the pack nor Lambda has."""
    shown = ", ".join(users[:_NAMES_SHOWN]) + (" and others" if len(users) > _NAMES_SHOWN else "")
    known = f" ({has.absent[one.name]})" if one.name in has.absent else ""
    needs = "needs" if len(users) == 1 else "need"
    return f"{shown} {needs} {one.name}, which neither the pack nor Lambda's {has.system} has{known}"


def remedy(one: Lacking, *, image: bool) -> str:
    """What helps; ``image`` is whether the build image was searched."""
    if one.reason:
        return f"it cannot be bundled: {one.reason}"
    return _IMAGE if image else _LOCAL


@contextmanager
def explained(missing: Collection[Lacking], has: Provided, *, image: bool) -> Iterator[None]:
    """Say of a program that failed for want of one of ``missing`` that it did, and what helps."""
    try:
        yield
    except CheckError as error:
        said = f"{error.message}\n{error.detail or ''}"
        for one in missing:
            if f"{one.name}: {NOT_FOUND}" in said:
                raise CheckError(
                    f"the traced code needs {one.name}, which neither the pack nor Lambda's {has.system} has",
                    hint=remedy(one, image=image),
                    detail=error.detail,
                ) from error
        raise
