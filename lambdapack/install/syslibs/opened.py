"""Find the libraries that a program opens by name, and the modules that do so.

No header tells of them: a program calls ``dlopen`` through ctypes or cffi, as WeasyPrint does for Pango. A
trace sees which were opened; who did is what the texts of the modules that it touched say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lambdapack.install.syslibs.find import names_of, objects_of
from lambdapack.install.syslibs.provided import Provided
from lambdapack.model import Lacking, Trace, Tree
from lambdapack.python.module_names import source_of
from runtime_shim._index import LIBRARIES

__all__ = ["TRACED", "named", "opened"]

TRACED = "the traced code"
"""Stands among the files that need a library, where it is no file of the tree that opens it."""
# What glibc opens by itself where the machine's settings say so, and what a machine's GPU driver brings.
_OF_THE_MACHINE = re.compile(r"libnss_|libcuda\.|libcudadebugger\.|libnvidia|libnvcuvid")
_FINDS = b"find_library"
# What every module that opens a library calls, in ctypes or in cffi.
_OPENS = re.compile(rb"CDLL|cdll|PyDLL|dlopen|LoadLibrary|" + _FINDS)
_PUT = (
    "put it, with what it needs in turn, into the folder lib beside the handler, or into lib of a layer, "
    "where the dynamic linker looks"
)
_OUTSIDE = f"code outside the pack opens it by name, before which nothing could map it: {_PUT}"
_OTHERWISE = f"it is opened as {{}}, and a library that is mapped is taken for its own name alone: {_PUT}"


def opened(tree: Tree, has: Provided, trace: Trace, search: Iterable[Path] = ()) -> tuple[Lacking, ...]:
    """The libraries that the traced program opened by name and had from the machine that it ran on.

    Those without a reason would be found in Lambda if they were mapped before their users run.

    Args:
        tree: The tree that was traced.
        has: What Lambda has.
        trace: The trace.
        search: Folders where the function's own code is, and where it would find them, too.
    """
    folders = list(search)
    wanted = {name for name, path in trace.foreign if name not in has.certain and _counts(name, path)}
    wanted = {name for name in wanted if not any((folder / name).exists() for folder in folders)}
    if not wanted:
        return ()
    objects = objects_of(tree)
    own = names_of({path: one for path, one in objects.items() if not path.startswith(LIBRARIES)})
    modules, outside = _modules(tree, trace), _opens_outside(trace, folders)
    return tuple(_whose(name, modules, outside) for name in sorted(wanted - own))


def named(tree: Tree, trace: Trace) -> Tree:
    """Count the touched modules that have a bundled library's name in their texts among those that need it.

    One that is mapped for another library may be opened by name as well, which no trace can tell.
    """
    if not tree.libraries:
        return tree
    modules = _modules(tree, trace)
    return replace(
        tree,
        libraries=tuple(
            replace(one, needed_by=tuple(sorted({*one.needed_by, *_saying(one.name, modules)})))
            for one in tree.libraries
        ),
    )


def _counts(name: str, path: str) -> bool:
    """Whether it is a library that somebody asked for, rather than a part of the machine's C library."""
    return not (Provided.is_glibc(name) or _OF_THE_MACHINE.match(name) or "/gconv/" in path)


def _modules(tree: Tree, trace: Trace) -> dict[str, bytes]:
    """The touched modules, by their sources, and what is in them: bytecode has every text as it is."""
    found: dict[str, bytes] = {}
    for path in trace.files:
        if path.endswith((".py", ".pyc")):
            source = source_of(path)
            module = source if (tree.root / source).exists() else path
            found[module] = found.get(module, b"") + (tree.root / path).read_bytes()
    return found


def _opens_outside(trace: Trace, folders: Sequence[Path]) -> bool:
    """Whether code that is not of the pack may open libraries itself."""
    if _OPENS.search(trace.code.encode()):
        return True
    return any(_OPENS.search(path.read_bytes()) for folder in folders for path in _sources(folder))


def _sources(folder: Path) -> Iterator[Path]:
    """The function's own modules; what lies in a hidden folder is no part of it."""
    for path in folder.rglob("*.py"):
        inside = path.relative_to(folder).parts
        if path.is_file() and not any(part.startswith(".") for part in inside):
            yield path


def _saying(name: str, modules: Mapping[str, bytes]) -> list[str]:
    """The modules that have this very name in their texts: not a path, and not a longer name."""
    exactly = re.compile(rb"(?<!/)" + re.escape(name.encode()) + rb"(?!\.?[0-9])")
    return [path for path, text in modules.items() if exactly.search(text)]


def _whose(name: str, modules: Mapping[str, bytes], outside: bool) -> Lacking:
    """Who opens ``name``: who says it, else whoever opens libraries at all and may have made the name up."""
    users = _saying(name, modules)
    if users:
        return Lacking(name, tuple(users))
    opening = {path: text for path, text in modules.items() if _OPENS.search(text)}
    if outside or not opening:
        return Lacking(name, (TRACED,), _OUTSIDE)
    # The name that a compiler looks for is no name for the dynamic linker.
    short = name.partition(".so")[0] + ".so"
    alone = re.compile(re.escape(short.encode()) + rb"(?!\.)")
    wrong = [path for path, text in opening.items() if _FINDS not in text and alone.search(text)]
    if short != name and wrong:
        return Lacking(name, tuple(wrong), _OTHERWISE.format(short))
    return Lacking(name, tuple(opening))
