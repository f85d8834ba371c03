"""Unpack the wheels of a lock with pip, and check that they are the lock's and the target's, by their tags.

The tree's binaries are checked when it is slimmed (``install.binaries``): what no pack holds need not fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from packaging.tags import parse_tag

from lambdapack.errors import ConfigurationError, ToolError
from lambdapack.files import NewFolder, new_folder
from lambdapack.install.records import read_tree, wheel_tags_of
from lambdapack.model import Lock, Tree
from lambdapack.progress import QUIET, Progress
from lambdapack.python import pip, wheel_tags

_ARGUMENTS = (
    "install",
    "--require-hashes",
    "--no-deps",
    "--only-binary=:all:",
    "--no-compile",
    # The resolver has compared it with the full version; all that pip is told here is 3.11.
    "--ignore-requires-python",
    "--ignore-installed",
    "--no-warn-script-location",
    "--root-user-action=ignore",
)


def unpack_wheels(lock: Lock, destination: Path, *, progress: Progress = QUIET) -> Tree:
    """Unpack the wheels of ``lock`` into the new folder ``destination``; no code of theirs is run.

    The tree is checked against the lock, and says nothing yet of the libraries that its wheels link to.

    Raises:
        ConfigurationError: ``destination`` is not empty.
        ToolError: pip failed, a hash did not match, or a wheel is not for the target; ``destination`` is
            not made then.
    """
    if destination.exists() and any(destination.iterdir()):
        raise ConfigurationError(
            f"{destination} is not empty: installing there would mix two trees",
            hint="remove it, or name another folder",
        )
    with new_folder(destination) as folder:
        _run_pip(lock, folder, progress)
        tree = read_tree(folder.path, lock.target)
        _check(tree, lock)
    return replace(tree, root=destination)


def _run_pip(lock: Lock, folder: NewFolder, progress: Progress) -> None:
    requirements, temporary = folder.work / "lock.txt", folder.work / "tmp"
    requirements.write_text(lock.text)
    temporary.mkdir()
    with progress.step(f"install {len(lock.pins)} wheels"):
        pip.run(
            [
                *_ARGUMENTS,
                *_platform(lock),
                *lock.sources.arguments,
                "--target",
                folder.path,
                "-r",
                requirements,
            ],
            doing=f"installing {len(lock.pins)} wheels for {lock.target}",
            # pip unpacks there and then renames: on the same disk, nothing has to be copied for that.
            variables={"TMPDIR": str(temporary)},
        )


def _platform(lock: Lock) -> Iterator[str]:
    """pip's options that say which machines the wheels are for."""
    yield from ("--implementation", "cp")
    yield from ("--python-version", lock.target.python)
    yield from ("--abi", "cp{}{}".format(*lock.target.version))
    for name in wheel_tags.platforms(lock.target, lock.glibc):
        yield from ("--platform", name)


def _check(tree: Tree, lock: Lock) -> None:
    """Refuse a tree in which a distribution is missing, not locked, or for another platform."""
    locked = {pin.name for pin in lock.pins}
    installed = {distribution.name for distribution in tree.distributions}
    if locked != installed:
        wrong = ", ".join(sorted(locked ^ installed))
        raise ToolError(f"pip installed something other than the lock: {wrong}", hint="build again")
    for info in sorted(tree.root.glob("*.dist-info")):
        names = wheel_tags_of(info)
        tags = frozenset(tag for name in names for tag in parse_tag(name))
        if tags.isdisjoint(wheel_tags.ranks(lock.target, lock.glibc)):
            distribution, glibc = info.name.removesuffix(".dist-info"), "{}.{}".format(*lock.glibc)
            raise ToolError(
                f"{distribution} was installed from a wheel for {', '.join(names)}, which does not fit "
                f"{lock.target} with glibc {glibc}",
                hint="build again; if it repeats, its name and contents disagree: use another version",
            )
