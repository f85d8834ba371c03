"""Runs in the function's folder and prints, as JSON, what a program can see of one distribution.

    python -c "import runtime_shim, sys; sys.path.append(HERE); import probe; probe.main()" CASE SITE

Everything that differs between two runs of a plain directory (addresses, times, process ids) stays out.
"""

from __future__ import annotations

import glob
import importlib
import importlib.machinery
import importlib.metadata
import importlib.util
import inspect
import json
import linecache
import mmap
import os
import pathlib
import pickle
import pkgutil
import re
import shutil
import subprocess
import sys
import tempfile
import traceback
import tracemalloc
import types
import warnings
from collections.abc import Callable, Iterator
from importlib import resources
from typing import Any

LIMIT = 150
"""Of a distribution's files, every so many are looked at: at least this number, where it has them."""


def sample(names: list[str], limit: int = LIMIT) -> list[str]:
    """Up to twice ``limit`` names, evenly spread."""
    return names[:: max(1, len(names) // limit)]


def imports(modules: tuple[str, ...]) -> dict[str, Any]:
    """What an import leaves behind."""
    found = {}
    for name in modules:
        module = importlib.import_module(name)
        spec = module.__spec__
        loader = module.__loader__
        found[name] = {
            "file": getattr(module, "__file__", None),
            "cached": getattr(module, "__cached__", None),
            "path": list(getattr(module, "__path__", ())),
            "names": sorted(name for name in dir(module) if not name.startswith("__warning")),
            "doc": module.__doc__,
            "spec": spec and [spec.name, spec.origin, spec.cached, spec.has_location, spec.parent],
            "locations": list((spec and spec.submodule_search_locations) or ()),
            "loader": [
                cls.__name__ for cls in type(loader).__mro__ if not cls.__module__.startswith("runtime_shim")
            ],
            "get_data": hasattr(loader, "get_data"),
        }
    return found


def loaded(tops: set[str]) -> list[str]:
    """Which modules of the distribution the imports brought: lazy loaders stay lazy."""
    return sorted(name for name in sys.modules if name.partition(".")[0] in tops)


def package_of(modules: tuple[str, ...]) -> types.ModuleType:
    """The first package among them, else the first module."""
    loaded = [importlib.import_module(name) for name in modules]
    return next(
        (module for module in loaded if getattr(module, "__file__", None) and hasattr(module, "__path__")),
        loaded[0],
    )


def walk(module: types.ModuleType) -> Any:
    """Names below a package as pkgutil finds them, importing nothing."""
    return sorted(
        (found.name, found.ispkg, isinstance(found.module_finder, importlib.machinery.FileFinder))
        for path in getattr(module, "__path__", ())
        for found in pkgutil.iter_modules([path, *folders(path)])
    )


def folders(path: str) -> list[str]:
    return sorted(entry.path for entry in os.scandir(path) if entry.is_dir())


def files(module: types.ModuleType) -> dict[str, Any]:
    """The package's folder by os, glob, pathlib and open."""
    here = os.path.dirname(module.__file__ or "")
    if here.endswith(("site", "plain")):  # a single module: its folder is everybody's
        return {"file": [os.path.exists(module.__file__), os.path.getsize(module.__file__)]}
    every = sorted(os.path.join(folder, name) for folder, _, names in os.walk(here) for name in names)
    out: dict[str, Any] = {
        "every": [[path, os.path.getsize(path), os.access(path, os.X_OK)] for path in every],
        "listdir": sorted(os.listdir(here)),
        "scandir": sorted((e.name, e.is_dir(), e.is_file(), e.is_symlink()) for e in os.scandir(here)),
        "glob": [sorted(glob.glob(here + "/*.py")), len(glob.glob(here + "/**", recursive=True))],
        "rglob": sorted(map(str, pathlib.Path(here).rglob("*.py")))[:300],
        "exists": [os.path.exists(here + "/" + name) for name in ("__init__.py", "__pycache__", "nothing")],
        "pathlib": [
            pathlib.Path(module.__file__ or "").resolve().is_file(),
            pathlib.Path(here).resolve().name,
        ],
        "samefile": [
            os.path.samefile(every[0], here + "/../" + os.path.basename(here) + every[0][len(here) :])
        ],
        "contents": {path: checksum(path) for path in sample(every)},
    }
    return out


def checksum(path: str) -> list[Any]:
    """Size and hash of a file, read three ways that must agree."""
    import hashlib

    with open(path, "rb") as file:
        data = file.read()
        size = os.fstat(file.fileno()).st_size
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if data:
            with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as mapped:
                assert mapped[:] == data
    finally:
        os.close(descriptor)
    status = os.stat(path)
    return [len(data), size, status.st_size, status.st_nlink, hashlib.sha256(data).hexdigest()[:16]]


def copies(module: types.ModuleType) -> Any:
    """``shutil.copytree`` of a package, relative opens inside it, and a zip of its sources."""
    here = os.path.dirname(module.__file__ or "")
    if here.endswith(("site", "plain")) or sum(1 for _ in pathlib.Path(here).rglob("*")) > 600:
        return None
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(here, folder + "/copy")
        copied = sorted(
            [os.path.relpath(os.path.join(where, name), folder), os.path.getsize(os.path.join(where, name))]
            for where, _, names in os.walk(folder)
            for name in names
        )
        archive = shutil.make_archive(folder + "/all", "zip", here)
        os.chdir(here)
        try:
            with open(os.path.basename(module.__file__ or ""), "rb") as file:
                relative = [
                    len(file.read()),
                    len(os.listdir()),
                    os.path.exists("__init__.py"),
                    len(glob.glob("*")),
                ]
        finally:
            os.chdir(before)
        return [
            copied,
            len(shutil._get_gzip_name(archive)) if hasattr(shutil, "_get_gzip_name") else True,
            relative,
        ]


def find_resources(module: types.ModuleType) -> Any:
    """``importlib.resources``."""
    if not hasattr(module, "__path__"):
        return None
    root = resources.files(module)
    names = sorted([item.name, item.is_file(), item.is_dir()] for item in root.iterdir())
    modules = sorted(
        (item for item in root.iterdir() if item.is_file() and item.name.endswith(".py")), key=str
    )
    if not modules:
        return names
    plain = modules[0]
    with resources.as_file(plain) as path:
        return [names, type(root).__name__, len(plain.read_bytes()), str(path), path.exists()]


def metadata(name: str) -> dict[str, Any]:
    """``importlib.metadata``."""
    found = importlib.metadata.distribution(name)
    files = found.files or []
    return {
        "version": found.version,
        "name": found.metadata["Name"],
        "classifiers": found.metadata.get_all("Classifier"),
        "requires": found.requires,
        "files": sorted([str(file), file.size, file.hash and file.hash.value] for file in files),
        "located": [[str(file.locate()), file.locate().exists()] for file in sample(sorted(files), 40)],
        "entry points": sorted([point.group, point.name, point.value] for point in found.entry_points),
        "times found": sum(
            1
            for other in importlib.metadata.distributions()
            if other.metadata["Name"] == found.metadata["Name"]
        ),
        "text": found.read_text("METADATA"),
    }


def all_plugins() -> Any:
    """Every entry point that anything in this environment could discover."""
    every = importlib.metadata.distributions()
    return sorted([point.group, point.name, point.value] for found in every for point in found.entry_points)


def functions(tops: set[str]) -> Iterator[types.FunctionType]:
    """Python functions of the modules that are loaded, in a fixed order."""
    for name in loaded(tops):
        module = sys.modules[name]
        # Not vars() alone: a lazy module has no functions until it is asked.
        for attribute in sorted(vars(module)):
            value = vars(module).get(attribute)
            if (
                isinstance(value, types.FunctionType)
                and value.__module__ == name
                and value.__qualname__ == attribute
            ):
                yield value


def source(tops: set[str]) -> Any:
    """``inspect`` on some functions and classes."""
    found = []
    for function in sample(list(functions(tops)), 25)[:50]:
        code = function.__code__
        found.append(
            attempt(
                lambda function=function, code=code: [  # type: ignore[misc]
                    function.__qualname__,
                    code.co_filename,
                    code.co_firstlineno,
                    inspect.getsourcefile(function),
                    len(inspect.getsource(function)),
                    inspect.getsourcelines(function)[1],
                    getattr(inspect.getmodule(function), "__name__", None),
                    linecache.getline(code.co_filename, code.co_firstlineno),
                ]
            )
        )
    return found


def failure(tops: set[str]) -> Any:
    """A traceback through a function of the package, with its source lines."""
    for function in functions(tops):
        code = function.__code__
        if code.co_argcount and not code.co_flags & (
            inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
        ):
            try:
                function(*[Mine()] * code.co_argcount)
            except Mine.RaisedError:
                return re.sub(r"0x[0-9a-f]+", "0x", traceback.format_exc())
            except BaseException:
                continue
    return None


class Mine:
    """An object that fails wherever it is used."""

    class RaisedError(Exception):
        """What it fails with."""

    def _fail(self, *args: object) -> Any:
        raise Mine.RaisedError

    __getattr__ = __call__ = __iter__ = __len__ = __bool__ = __eq__ = __str__ = __getitem__ = __add__ = _fail  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]


def pickles(tops: set[str]) -> Any:
    """Functions and classes by reference."""
    found = []
    for name in loaded(tops):
        for attribute in sorted(vars(sys.modules[name])):
            value = vars(sys.modules[name]).get(attribute)
            if isinstance(value, (type, types.FunctionType)) and getattr(value, "__module__", "") == name:
                found.append(
                    [name, attribute, attempt(lambda value=value: pickle.loads(pickle.dumps(value)) is value)]
                )  # type: ignore[misc]
    return sample(found)


def children(modules: tuple[str, ...], name: str) -> Any:
    """Python processes that this one starts and that import the same packages."""
    first = modules[0]
    code = (
        f"import importlib, importlib.metadata as m, json; module = importlib.import_module({first!r}); "
        "found = [getattr(module, '__file__', None), list(getattr(module, '__path__', []))]; "
        f"print(json.dumps([*found, m.version({name!r})]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    return [ran.returncode, ran.stdout, ran.stderr[-2000:]]


def tools(modules: tuple[str, ...]) -> Any:
    """Warnings and memory traces that name lines of the package."""
    module = package_of(modules)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.warn_explicit("said", UserWarning, module.__file__ or "", 1)
    text = warnings.formatwarning(caught[0].message, UserWarning, module.__file__ or "", 1)
    trace = tracemalloc.Traceback([(module.__file__ or "", 1)])
    return [text, trace.format()]


def attempt(work: Callable[[], Any]) -> Any:
    """What it returns, or what it raises."""
    try:
        return work()
    except BaseException as error:
        return [type(error).__name__, re.sub(r"0x[0-9a-f]+", "0x", str(error))]


def look(case: Any) -> dict[str, Any]:
    """All of it."""
    modules = case.imports
    tops = {name.partition(".")[0] for name in modules}
    out: dict[str, Any] = {"imports": imports(modules), "loaded": loaded(tops)}
    module = package_of(modules)
    out["walk"] = walk(module)
    out["use"] = case.use()
    if getattr(module, "__file__", None):
        for name, work in (("source", source), ("traceback", failure), ("pickles", pickles)):
            out[name] = work(tops)
        out["resources"] = find_resources(module)
        out["files"] = files(module)
        out["tools"] = tools(modules)
        out["copies"] = copies(module)
    out["metadata"] = metadata(case.distribution)
    out["plugins"] = all_plugins()
    out["children"] = children(modules, case.distribution)
    out["missing"] = [
        attempt(lambda: importlib.import_module(modules[0] + ".nothing_at_all")),
        importlib.util.find_spec("nothing_at_all"),
    ]
    return out


def main(case: Any, site: str) -> None:
    """Print the case's JSON as the last line, the site's path taken out of it."""
    sys.stdout.flush()
    text = json.dumps(look(case), default=repr)
    print("\n" + text.replace(site, "<site>"))
