"""Read the distributions of an installed tree from its ``*.dist-info`` folders, which pip wrote."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from email.parser import BytesHeaderParser
from pathlib import Path, PurePosixPath

from packaging.utils import canonicalize_name

from lambdapack.errors import ToolError
from lambdapack.model import Distribution, Target, Tree

_IMPORTABLE = (".py", ".so", ".pyc")
# pip installs with --target into lib/python of a temporary home, and moves what lies beside that folder
# (bin, share) to the root: RECORD still says ../../bin/program.
_BESIDE = "../../"


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
