"""Say which libraries are missing, loudly where the traced program needs them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from lambdapack.errors import CheckError
from lambdapack.model import Lacking
from lambdapack.progress import Progress
from lambdapack.syslibs.provided import Provided

__all__ = ["NOT_FOUND", "explained", "remedy", "sentence", "tell"]

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
    """Warn of each library that the trace used, and note the others in one line.

    Args:
        missing: What the tree lacks.
        has: What Lambda has.
        traced: Files of the tree that the traced program touched.
        progress: Gets the messages.
        image: Whether the build image was searched.
    """
    touched = frozenset(traced)
    rest = []
    for one in missing:
        users = [path for path in one.needed_by if path in touched]
        if users:
            progress.warn(f"{sentence(one, users, has)}; {remedy(one, image=image)}")
        else:
            rest.append(one.name)
    if rest:
        progress.note(
            f"{has.system} as Lambda has it lacks {', '.join(rest)}, which only files ask for that the "
            "traced code did not use"
        )


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
