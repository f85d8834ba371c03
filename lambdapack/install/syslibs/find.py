"""What Lambda has, and what the ELF files of a tree ask for that neither the tree nor Lambda has."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from lambdapack import elf
from lambdapack.elf import Elf
from lambdapack.files import walk
from lambdapack.model import MissingLibrary, Target, Tree

# Parts of the C library know each other's insides: a part of another build must never be mapped beside
# Lambda's own.
_GLIBC = re.compile(
    r"(ld-linux[\w-]*|libc|libm|libmvec|libpthread|libdl|librt|libutil|libresolv|libanl|libnsl|libcidn|"
    r"libthread_db|libBrokenLocale|libnss_(compat|db|dns|files|hesiod))\.so\.\d+\Z"
)
_PYTHON = "libpython{}.so.1.0"


@dataclass(frozen=True)
class RuntimeLibraries:
    """The libraries of one Lambda runtime.

    Attributes:
        system: The operating system, e.g. ``Amazon Linux 2023``.
        certain: Sonames that Lambda has for sure: never bundled.
        image: Sonames that AWS's images have beside the certain ones. Bundled where the build image has
            them, which does no harm; not reported as missing where that cannot be done.
        absent: Soname -> how it is known that Lambda does not have it.
    """

    system: str
    certain: frozenset[str]
    image: frozenset[str]
    absent: Mapping[str, str]

    @staticmethod
    def is_glibc(name: str) -> bool:
        """Whether ``name`` is a part of the C library, which must not be bundled."""
        return _GLIBC.match(name) is not None


@cache
def runtime_libraries(target: Target) -> RuntimeLibraries:
    """What Lambda has for ``target``."""
    name = "al2023.json" if target.operating_system == "Amazon Linux 2023" else "al2.json"
    path = resources.files("lambdapack.install.syslibs").joinpath("images").joinpath(name)
    table = json.loads(path.read_text(encoding="utf-8"))
    names = (*table["provided"], *table["by_architecture"][target.arch], _PYTHON.format(target.python))
    return RuntimeLibraries(table["system"], frozenset(names), frozenset(table["image"]), table["absent"])


def missing_libraries(
    tree: Tree, has: RuntimeLibraries, objects: Mapping[str, Elf] | None = None
) -> tuple[MissingLibrary, ...]:
    """The libraries that ELF files of a tree ask for and that are missing, by name.

    A name that any file of the tree has counts as there: packages load such libraries by their path before
    they import what needs them.

    Args:
        tree: An installed tree.
        has: What Lambda has.
        objects: The tree's ELF files by path, where they were read already.
    """
    objects = objects_of(tree) if objects is None else objects
    own = names_of(objects)
    needed_by: dict[str, list[str]] = {}
    for path, headers in sorted(objects.items()):
        for name in map(posixpath.basename, headers.needed):
            if name not in has.certain and name not in own:
                needed_by.setdefault(name, []).append(path)
    return tuple(MissingLibrary(name, tuple(paths)) for name, paths in sorted(needed_by.items()))


def merged(
    libraries: Iterable[MissingLibrary], has: RuntimeLibraries, reasons: Mapping[str, str] | None = None
) -> tuple[MissingLibrary, ...]:
    """Each missing library once, by name, without those that the runtime's image has.

    Args:
        libraries: Missing ones; a name may come several times, with other users.
        has: What Lambda has.
        reasons: Name -> why the library was not bundled, where ``libraries`` do not say.
    """
    users: dict[str, tuple[str, ...]] = {}
    why = dict(reasons or {})
    for library in libraries:
        if library.name not in has.image:
            known = users.get(library.name, ())
            users[library.name] = tuple(dict.fromkeys((*known, *library.needed_by)))
            why[library.name] = why.get(library.name) or library.reason
    return tuple(MissingLibrary(name, paths, why[name]) for name, paths in sorted(users.items()))


def objects_of(tree: Tree) -> dict[str, Elf]:
    """The ELF files of a tree that its target can map, by path."""
    # ``check_binaries`` tells of damaged files, once it is known which files stay in the pack.
    objects, _ = read_objects(tree.root)
    return {path: headers for path, headers in objects.items() if headers.machine == tree.target.machine}


def read_objects(root: Path) -> tuple[dict[str, Elf], dict[str, str]]:
    """Path -> headers of all ELF files below ``root``, and path -> problem of the damaged ones."""
    objects, damaged = {}, {}
    for path in walk(root):
        # Python's files are most, and never ELF.
        if path.endswith((".py", ".pyc", ".pyi")) or not elf.is_elf(root / path):
            continue
        try:
            objects[path] = elf.read(root / path)
        except elf.ElfError as error:
            damaged[path] = str(error)
    return objects, damaged


def names_of(objects: Mapping[str, Elf]) -> frozenset[str]:
    """Every name that other files could ask for these objects by."""
    return frozenset(name for path, headers in objects.items() for name in names_in(path, headers))


def names_in(path: str, headers: Elf) -> tuple[str, ...]:
    """The names that other files could ask for one object by: its file's and its soname."""
    return (posixpath.basename(path), *([headers.soname] if headers.soname else []))
