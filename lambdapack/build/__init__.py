"""A lock -> a tree: an installed site-packages for one target, on any machine."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from lambdapack.build.local import LocalBuilder
from lambdapack.build.records import read_tree
from lambdapack.errors import ConfigurationError
from lambdapack.model import Lock, Tree
from lambdapack.progress import QUIET, Progress
from lambdapack.target import Target

__all__ = ["Builder", "LocalBuilder", "choose", "read_tree"]


class Builder(Protocol):
    """Installs a lock."""

    name: str

    def install(self, lock: Lock, destination: Path, *, progress: Progress = QUIET) -> Tree:
        """Install ``lock`` into the new folder ``destination``, whole or not at all."""


def choose(name: str, target: Target) -> tuple[Builder, str]:
    """The builder called ``name`` (``auto``, ``local``, ``docker``) and the reason, for people.

    Raises:
        ConfigurationError: There is no such builder.
    """
    if name == "local":
        return LocalBuilder(), f"asked for: wheels for {target}, no Docker"
    if name == "auto":
        return LocalBuilder(), f"wheels for {target} need no Docker"
    if name == "docker":
        raise ConfigurationError(
            "this version builds from wheels only, without Docker", hint="use --builder local (or auto)"
        )
    raise ConfigurationError(
        f"there is no builder {name!r} (there are: auto, local)", hint="use --builder local"
    )
