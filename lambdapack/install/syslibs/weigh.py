"""Weigh each missing library: whether the function will fail in Lambda for want of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from lambdapack.errors import CheckError
from lambdapack.install.syslibs.opened import TRACED
from lambdapack.install.syslibs.provided import Provided
from lambdapack.install.syslibs.tell import NOT_FOUND, remedy, sentence
from lambdapack.model import Lacking
from lambdapack.python.module_names import source_of

__all__ = ["Missing", "Used", "refuse", "weigh"]


@dataclass(frozen=True)
class Used:
    """What is known of the use of a pack's files.

    Attributes:
        touched: Paths that the traced code touched; ``None`` where nothing was run.
        needs: Shared object, or module that opens some by name -> shared objects of the pack that are mapped.
        failed: Module -> what its import said, where it could not be imported.
    """

    touched: Collection[str] | None
    needs: Mapping[str, Sequence[str]]
    failed: Mapping[str, str]


@dataclass(frozen=True)
class Missing:
    """A library that files of a pack ask for and nobody has.

    Attributes:
        name: Its soname.
        users: Paths in the pack that ask for it; those that decide come first.
        fatal: Whether a deployment to AWS is refused for it.
        message: What is missing, who needs it and how that is known.
        hint: What helps.
    """

    name: str
    users: tuple[str, ...]
    fatal: bool
    message: str
    hint: str


def weigh(
    missing: Iterable[Lacking],
    has: Provided,
    paths: Collection[str],
    used: Used,
    *,
    allowed: Collection[str] = (),
    image: bool,
) -> tuple[Missing, ...]:
    """Weigh what a build found missing.

    Args:
        missing: What it found.
        has: What Lambda has.
        paths: The files of the pack; what only dropped files asked for is not missing.
        used: How they are used.
        allowed: Sonames that the user takes upon himself.
        image: Whether the build image was searched.
    """
    # A module is the same wherever its bytecode lies.
    there = {*map(source_of, paths), TRACED}
    reached = _reached(used)
    found = []
    for one in missing:
        users = [path for path in one.needed_by if source_of(path) in there]
        if not users:
            continue
        decisive = users if reached is None else [path for path in users if source_of(path) in reached]
        why = _why(one.name, used, decisive)
        ordered = tuple(dict.fromkeys((*decisive, *users)))
        allows = one.name in allowed
        said = why or "the traced code did not use it"
        found.append(
            Missing(
                name=one.name,
                users=ordered,
                fatal=bool(why) and not allows,
                message=f"{sentence(one, ordered, has)}; {said}{' (allowed)' if allows else ''}",
                hint=f"{remedy(one, image=image)}; if the function can do without it, or gets it from a "
                f"layer: --allow-lacking {one.name}",
            )
        )
    return tuple(found)


def _reached(used: Used) -> frozenset[str] | None:
    """All that the traced code made the dynamic linker map, as far as the pack has it."""
    if used.touched is None:
        return None
    touched = frozenset((*map(source_of, used.touched), TRACED))
    return touched.union(*(needed for path, needed in used.needs.items() if source_of(path) in touched))


def _why(name: str, used: Used, decisive: Sequence[str]) -> str:
    """How it is known that the library is needed, ``""`` where it is not."""
    wanting = sorted(module for module, said in used.failed.items() if f"{name}: {NOT_FOUND}" in said)
    if wanting:
        return f"import {wanting[0]} fails without it"
    if not decisive:
        return ""
    if used.touched is None:
        return "nothing was traced that could tell whether the function uses it"
    return "the traced code uses it"


def refuse(missing: Iterable[Missing], doing: str) -> None:
    """Stop where a library is missing that the function will fail for.

    Args:
        missing: What is missing.
        doing: What is being done, e.g. ``deploying hello``.

    Raises:
        CheckError: With every such library, and what helps.
    """
    fatal = [one for one in missing if one.fatal]
    if fatal:
        listed = "\n".join(f"  {one.message}" for one in fatal)
        hints = dict.fromkeys(one.hint for one in fatal)
        raise CheckError(f"{doing}: it would fail in Lambda for want of a library:\n{listed}",
                         hint="\n".join(hints))  # fmt: skip
