"""A package in C whose libraries are nowhere but in one folder, as on a build image."""

from __future__ import annotations

import subprocess
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path

from lambdapack import elf
from lambdapack.install.syslibs import LibraryOrigin, LibraryQuery
from lambdapack.model import Distribution, Tree
from lambdapack.model.target import Target

EXTENSION = r"""
#include <Python.h>
int odd(void);
static PyObject *answer(PyObject *self, PyObject *none) { return PyLong_FromLong(odd()); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, ""}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "oddly", "", -1, methods};
PyMODINIT_FUNC PyInit_oddly(void) { return PyModule_Create(&module); }
"""
PROGRAM = '#include <stdio.h>\nint odd(void); int main(void) { return printf("%d\\n", odd()) < 0; }\n'


def compile_c(source: str, output: Path, *arguments: str) -> Path:
    """Compile ``source`` with this machine's compiler."""
    output.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["cc", "-O1", "-g0", "-x", "c", "-", "-o", str(output), *arguments],
        input=source, text=True, check=True,
    )  # fmt: skip
    return output


def libraries(folder: Path) -> None:
    """``libodd.so.1``, which needs ``libeven.so.2``."""
    shared = ("-shared", "-fPIC")
    even = compile_c(
        "int even(void) { return 41; }", folder / "libeven.so.2", *shared, "-Wl,-soname,libeven.so.2"
    )
    compile_c(
        "int even(void); int odd(void) { return even() + 1; }", folder / "libodd.so.1",
        *shared, "-Wl,-soname,libodd.so.1", "-Xlinker", str(even),
    )  # fmt: skip


def package(root: Path, images: Path, python: str) -> Tree:
    """``oddly``: an extension, a library for ctypes and a program that all need ``libodd.so.1``."""
    link = (str(images / "libodd.so.1"), "-Wl,--allow-shlib-undefined")
    link = ("-Xlinker", link[0], link[1])
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    include = sysconfig.get_paths()["include"]
    compile_c(EXTENSION, root / f"oddly{suffix}", "-shared", "-fPIC", "-I", include, *link)
    compile_c(
        "int odd(void); int twice(void) { return 2 * odd(); }", root / "oddlib" / "libtwice.so",
        "-shared", "-fPIC", *link,
    )  # fmt: skip
    (root / "oddlib" / "__init__.py").write_text("")
    compile_c(PROGRAM, root / "oddlib" / "program", *link)
    info = root / "oddly-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: oddly\nVersion: 1.0\n")
    files = tuple(sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()))
    return Tree(root, Target(python), (Distribution("oddly", "1.0", files, ("oddlib", "oddly")),))


class Folder:
    """A folder as the source of libraries: what the image of a build is otherwise."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked: list[str] = []

    def fetch(self, queries: Sequence[LibraryQuery], destination: Path) -> Mapping[str, LibraryOrigin]:
        """Copy the libraries that are there."""
        origins = {}
        for query in queries:
            self.asked.append(query.name)
            for folder in (*map(Path, query.folders), self.path):
                path = folder / query.name
                if path.is_file():
                    (destination / query.name).write_bytes(path.read_bytes())
                    origins[query.name] = LibraryOrigin(str(path), "odd-1", "pkg:rpm/amzn/odd@1")
                    break
        return origins


def needed(path: Path) -> tuple[str, ...]:
    """What an ELF file asks for."""
    return elf.read(path).needed
