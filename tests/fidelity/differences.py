"""What a program can see of a pack that is not as in a plain directory, one function each.

``docs/compatibility.md`` lists them by these names. Each gives one answer in a plain directory and with
``mode = "disk"``, and another in stream mode.
"""

from __future__ import annotations

import ctypes
import inspect
import json
import os
import posix
import subprocess
import sys
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from typing import Any


def loader_class(site: str) -> Any:
    import rich

    return type(rich.__loader__) is SourceFileLoader


def direntry_class(site: str) -> Any:
    with os.scandir(site + "/rich") as entries:
        return all(isinstance(entry, os.DirEntry) for entry in entries)


def builtin_functions(site: str) -> Any:
    return inspect.isbuiltin(os.stat)


def module_times(site: str) -> Any:
    return os.path.getmtime(site + "/rich/box.py") == 315619200


def written_files(site: str) -> Any:
    path = site + "/rich/align.py"
    with open(path, "rb") as file:
        before = file.read()
    with open(path, "ab") as file:
        file.write(b"#")
    with open(path, "rb") as file:
        after = file.read()
    with open(path, "wb") as file:
        file.write(before)
    return after == before + b"#"


def posix_functions(site: str) -> Any:
    try:
        return posix.stat(site + "/rich/box.py").st_size > 0
    except FileNotFoundError:
        return False


def native_open_of_a_module(site: str) -> Any:
    libc = ctypes.CDLL(None)
    libc.fopen.restype = ctypes.c_void_p
    return libc.fopen(os.fsencode(site + "/rich/box.py"), b"r") is not None


def program_with_a_hidden_path(site: str) -> Any:
    script = "test -f " + site + "/rich/box.py"
    return subprocess.run(["sh"], input=script.encode(), check=False).returncode


def python_without_site(site: str) -> Any:
    command = [sys.executable, "-S", "-c", "__import__('rich.box')"]
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode


def pythonpath(site: str) -> Any:
    return os.environ["PYTHONPATH"].split(os.pathsep)[0] == site


DIFFERENCES: dict[str, Callable[[str], Any]] = {
    function.__name__: function
    for function in (
        loader_class,
        direntry_class,
        builtin_functions,
        module_times,
        written_files,
        posix_functions,
        native_open_of_a_module,
        program_with_a_hidden_path,
        python_without_site,
        pythonpath,
    )
}


def main(site: str) -> None:
    """Print the answers of all."""
    print("\n" + json.dumps({name: function(site) for name, function in DIFFERENCES.items()}))
