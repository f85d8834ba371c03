"""Find the libraries that a program opens by name, and the modules that do so.

No header tells of them: a program calls ``dlopen`` through ctypes or cffi, as WeasyPrint does for Pango. A
trace sees which libraries were opened; which module did so is read out of the texts of the touched modules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lambdapack.install.syslibs.find import RuntimeLibraries, names_of, objects_of
from lambdapack.model import MissingLibrary, Trace, Tree, source_of
from runtime_shim._index import LIBRARIES

TRACED = "the traced code"
"""Stands among the files that need a library, where no file of the tree opens that library."""
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


def opened_libraries(
    tree: Tree, has: RuntimeLibraries, trace: Trace, search: Iterable[Path] = ()
) -> tuple[MissingLibrary, ...]:
    """The libraries that the traced program opened by name and had from the machine that it ran on.

    Those without a reason would be found in Lambda if they were mapped before their users run.

    Args:
        tree: The tree that was traced.
        has: What Lambda has.
        trace: The trace.
        search: Folders of the function's own code, where the function would find libraries, too.
    """
    folders = list(search)
    # A program asked for these, rather than the machine's own C library or driver.
    names = {
        name
        for name, path in trace.foreign
        if not (name in has.certain or has.is_glibc(name) or _OF_THE_MACHINE.match(name) or "/gconv/" in path)
    }
    names = {name for name in names if not any((folder / name).exists() for folder in folders)}
    if not names:
        return ()
    objects = objects_of(tree)
    own = names_of({path: headers for path, headers in objects.items() if not path.startswith(LIBRARIES)})
    modules, outside = _modules(tree, trace), _opens_outside(trace, folders)
    return tuple(_with_users(name, modules, outside) for name in sorted(names - own))


def with_openers(tree: Tree, trace: Trace) -> Tree:
    """``tree``, with its bundled libraries also needed by the touched modules that have their names in them.

    A library that is mapped for another library may be opened by name as well, which no trace can tell.
    """
    if not tree.libraries:
        return tree
    modules = _modules(tree, trace)
    return replace(
        tree,
        libraries=tuple(
            replace(library, needed_by=tuple(sorted({*library.needed_by, *_naming(library.name, modules)})))
            for library in tree.libraries
        ),
    )


def _modules(tree: Tree, trace: Trace) -> dict[str, bytes]:
    """Source of each touched module -> the bytes of it and its bytecode, which has every text as it is."""
    modules: dict[str, bytes] = {}
    for path in trace.files:
        if path.endswith((".py", ".pyc")):
            source = source_of(path)
            module = source if (tree.root / source).exists() else path
            modules[module] = modules.get(module, b"") + (tree.root / path).read_bytes()
    return modules


def _opens_outside(trace: Trace, folders: Sequence[Path]) -> bool:
    """Whether the traced code, or the function's own outside of hidden folders, may open libraries itself."""
    if _OPENS.search(trace.code.encode()):
        return True
    for folder in folders:
        for path in folder.rglob("*.py"):
            hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
            if path.is_file() and not hidden and _OPENS.search(path.read_bytes()):
                return True
    return False


def _naming(name: str, modules: Mapping[str, bytes]) -> list[str]:
    """The modules that have this very name in their texts: not a path, and not a longer name."""
    exactly = re.compile(rb"(?<!/)" + re.escape(name.encode()) + rb"(?!\.?[0-9])")
    return [path for path, text in modules.items() if exactly.search(text)]


def _with_users(name: str, modules: Mapping[str, bytes], outside: bool) -> MissingLibrary:
    """Library ``name`` with the modules that have its name in them, else with all that open any library."""
    users = _naming(name, modules)
    if users:
        return MissingLibrary(name, tuple(users))
    opening = {path: text for path, text in modules.items() if _OPENS.search(text)}
    if outside or not opening:
        return MissingLibrary(name, (TRACED,), _OUTSIDE)
    # The name that a compiler looks for is no name for the dynamic linker.
    short = name.partition(".so")[0] + ".so"
    alone = re.compile(re.escape(short.encode()) + rb"(?!\.)")
    wrong = [path for path, text in opening.items() if _FINDS not in text and alone.search(text)]
    if short != name and wrong:
        return MissingLibrary(name, tuple(wrong), _OTHERWISE.format(short))
    return MissingLibrary(name, tuple(opening))
