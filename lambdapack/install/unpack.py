"""Unpack the wheels of a lock with pip, and read from the ``*.dist-info`` folders what that installed.

The wheels are checked to be the lock's and the target's, by their tags. The tree's binaries are checked when
it is slimmed (``install.binaries``): what no pack holds need not fit.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import replace
from email.parser import BytesHeaderParser
from pathlib import Path, PurePosixPath

from packaging.tags import parse_tag
from packaging.utils import canonicalize_name

from lambdapack.errors import ConfigurationError, ToolError
from lambdapack.files import NewFolder, new_folder
from lambdapack.model import Distribution, Lock, Target, Tree
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
_IMPORTABLE = (".py", ".so", ".pyc")
# pip installs with --target into lib/python of a temporary home, and moves what lies beside that folder
# (bin, share) to the root: RECORD still says ../../bin/program.
_BESIDE = "../../"


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


def read_tree(root: Path, target: Target) -> Tree:
    """The distributions installed in ``root``.

    Raises:
        ToolError: A dist-info folder cannot be read.
    """
    distributions = [_distribution(root, info) for info in sorted(root.glob("*.dist-info"))]
    return Tree(root, target, tuple(sorted(distributions, key=lambda distribution: distribution.name)))


def wheel_tags_of(info: Path) -> tuple[str, ...]:
    """The tags in a dist-info's WHEEL file, e.g. ``("cp311-cp311-manylinux_2_17_x86_64",)``."""
    try:
        headers = BytesHeaderParser().parsebytes((info / "WHEEL").read_bytes())
    except OSError:
        return ()
    return tuple(str(value) for value in headers.get_all("Tag", []))


def _distribution(root: Path, info: Path) -> Distribution:
    try:
        metadata = BytesHeaderParser().parsebytes((info / "METADATA").read_bytes())
        with (info / "RECORD").open(encoding="utf-8", newline="") as lines:
            paths = sorted({path for path in _recorded(lines) if (root / path).is_file()})
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ToolError(
            f"the installed tree cannot be read: {info.name} has no sound METADATA and RECORD ({error})",
            hint="remove the build folder and build again",
        ) from error
    name, version = metadata["Name"], metadata["Version"]
    if not name or not version:
        raise ToolError(
            f"the installed tree cannot be read: {info.name}/METADATA names no package and version"
        )
    return Distribution(
        canonicalize_name(str(name)), str(version).strip(), tuple(paths), _top_level(info, paths)
    )


def _recorded(lines: Iterable[str]) -> Iterator[str]:
    """Paths of a RECORD, relative to the tree's root, without those that lead out of the tree."""
    for row in csv.reader(lines):
        if not row or not row[0]:
            continue
        path = PurePosixPath(row[0].replace("\\", "/").removeprefix(_BESIDE))
        if not path.is_absolute() and ".." not in path.parts:
            yield str(path)


def _top_level(info: Path, paths: Iterable[str]) -> tuple[str, ...]:
    """Importable names: those of top_level.txt for which there are files, else all that files give."""
    there: dict[str, None] = {}
    for path in paths:
        first, slash, rest = path.partition("/")
        name = first if slash else first.split(".")[0]
        if (rest or first).endswith(_IMPORTABLE) and name.isidentifier() and name != "__pycache__":
            there[name] = None
    try:
        declared = (info / "top_level.txt").read_text("utf-8").split()
    except (OSError, UnicodeDecodeError):
        declared = []
    chosen = [name for name in dict.fromkeys(declared) if name in there]
    return tuple(sorted(chosen or there))
