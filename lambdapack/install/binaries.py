"""Check that the binaries which a tree will be asked to load are for its target."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Collection, Mapping

from packaging.tags import parse_tag

from lambdapack.elf import Elf
from lambdapack.errors import ToolError
from lambdapack.install.syslibs.find import names_in, names_of, read_objects, runtime_libraries
from lambdapack.install.unpack import wheel_tags_of
from lambdapack.model import Target, Tree
from lambdapack.progress import Progress
from lambdapack.python.module_names import module_name

_NAMES_SHOWN = 3
# ELF files without a processor that could run them as a program: plain data, code for a GPU, for the kernel.
_NO_PROCESSOR = frozenset(("EM_NONE", "EM_CUDA", "EM_AMDGPU", "EM_BPF"))


def check_binaries(
    tree: Tree, *, portable: Collection[str], glibc: tuple[int, int], progress: Progress, said: str = ""
) -> None:
    """Refuse a tree with a binary that Python or the dynamic linker would load and cannot.

    These are extension modules, by the suffixes that the target's Python imports, and shared libraries that
    objects for the target ask for by name and that the tree has for another machine alone. Programs and
    other libraries for another machine are only warned of, and ELF files that no loader takes (object files,
    code for GPUs, data in ELF form) are passed over.

    Args:
        tree: The tree as it will be packed, so that nothing is refused for a file that slimming drops.
        portable: Files of wheels for any machine: a binary among them is data (a debugger's helper, say)
            and never refused.
        glibc: The newest C library that the pack may ask for.
        progress: Gets the warnings.
        said: The output of a program that failed on the tree; then only files that it names count.

    Raises:
        ToolError: There is such a binary; names the file.
    """
    objects, damaged = _read(tree, said)
    loaded = _loaded(objects, tree.target)
    others: dict[tuple[str, bool], list[str]] = defaultdict(list)
    for path, headers in objects.items():
        if headers.machine == tree.target.machine:
            if headers.glibc is not None and headers.glibc > glibc and not said:
                asked, allowed = "{}.{}".format(*headers.glibc), "{}.{}".format(*glibc)
                progress.warn(f"{path} asks for glibc {asked}, and the lock allows {allowed}")
        elif path in loaded and path not in portable:
            _refuse(path, f"is for {headers.machine}", tree.target)
        elif headers.program or headers.kind == "dyn":
            others[headers.machine, headers.program].append(path)
    for path, problem in damaged.items():
        if _is_extension(path, tree.target) and path not in portable:
            _refuse(path, f"is not a sound ELF file ({problem})", tree.target)
    if not said:
        _warn(others, progress)


def portable_files(tree: Tree) -> frozenset[str]:
    """The files of those of a tree's distributions that were installed from a wheel for any machine."""
    infos = {
        info.name
        for info in tree.root.glob("*.dist-info")
        if all(tag.platform == "any" for name in wheel_tags_of(info) for tag in parse_tag(name))
    }
    return frozenset(
        path
        for distribution in tree.distributions
        if any(path.partition("/")[0] in infos for path in distribution.files)
        for path in distribution.files
    )


def _read(tree: Tree, said: str) -> tuple[dict[str, Elf], dict[str, str]]:
    """Path -> headers of a tree's own ELF files, in order, and path -> problem of the damaged ones."""
    objects, damaged = read_objects(tree.root)
    bundled = {library.path for library in tree.libraries}
    own = [
        path
        for path in sorted((*objects, *damaged))
        if path not in bundled and not (tree.root / path).is_symlink() and (not said or path in said)
    ]
    loadable = {
        path: objects[path]
        for path in own
        # A processor could run it, or Python would try to import it.
        if path in objects
        and (objects[path].machine not in _NO_PROCESSOR or _is_extension(path, tree.target))
    }
    return loadable, {path: damaged[path] for path in own if path in damaged}


def _loaded(objects: Mapping[str, Elf], target: Target) -> set[str]:
    """Paths that an import opens, and those that the dynamic linker would look into for needed libraries."""
    loaded = {
        path
        for path, headers in objects.items()
        if headers.kind == "dyn" and not headers.program and _is_extension(path, target)
    }
    own = {path: headers for path, headers in objects.items() if headers.machine == target.machine}
    needed = {posixpath.basename(name) for headers in own.values() for name in headers.needed}
    needed -= names_of(own) | runtime_libraries(target).certain
    for path, headers in objects.items():
        if headers.kind == "dyn" and not needed.isdisjoint(names_in(path, headers)):
            loaded.add(path)
    return loaded


def _is_extension(path: str, target: Target) -> bool:
    """Whether the target's Python would import a file as a module (``importlib.machinery``)."""
    suffix = posixpath.basename(path).partition(".")[2]
    tagged = f"{target.cache_tag}-{target.machine}-linux-gnu.so"
    return suffix in (tagged, "abi3.so", "so") and module_name(path) is not None


def _refuse(path: str, problem: str, target: Target) -> None:
    raise ToolError(
        f"{path} {problem}, and the pack is for {target}",
        hint=f"use another version of that package (its wheel's name and contents disagree); or, if nothing "
        f"needs that file, leave it out: --drop '{path}', or drop in the [slim] table of lambdapack.toml",
    )


def _warn(others: Mapping[tuple[str, bool], list[str]], progress: Progress) -> None:
    """One line for each machine and kind."""
    for (machine, program), paths in sorted(others.items()):
        shown = ", ".join(paths[:_NAMES_SHOWN])
        rest = f" and {len(paths) - _NAMES_SHOWN:,} more" if len(paths) > _NAMES_SHOWN else ""
        noun = "program" if program else "shared library"
        if len(paths) > 1:
            noun = "programs" if program else "shared libraries"
        verb = "is a" if len(paths) == 1 else "are"
        progress.warn(f"{shown}{rest} {verb} {noun} for {machine}, which the pack's target cannot run")
