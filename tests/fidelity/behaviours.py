"""What programs do with packages besides importing them; each must come out the same in both worlds.

Every public function is one of them and runs in a process of its own, ``site`` being the packages' folder
(those of ``cases_small``).
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any


def run_python(*arguments: str, **more: Any) -> list[Any]:
    """What another Python process prints."""
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=100, check=False, **more
    )
    return [done.returncode, done.stdout, done.stderr[-1500:]]


def threads_import_at_once(site: str) -> Any:
    import importlib
    import threading

    names = [
        "jinja2.sandbox",
        "rich.progress",
        "requests",
        "jsonschema",
        "yaml",
        "click.testing",
        "websockets.sync.client",
    ]
    barrier = threading.Barrier(len(names) * 2)
    found = []

    def work(name: str) -> None:
        barrier.wait()
        found.append(importlib.import_module(name).__name__)

    running = [threading.Thread(target=work, args=(name,)) for name in names * 2]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(60)
    return sorted(found)


def fork_and_import_in_the_child(site: str) -> Any:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        try:
            import rich.markdown

            with open(rich.markdown.__file__) as file:
                os.write(writing, str(len(file.read())).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    status = os.waitpid(child, 0)[1]
    return [status, os.read(reading, 100).decode(), __import__("rich.table").__name__]


def _double(value: int) -> list[Any]:
    import yaml

    return [value * 2, yaml.safe_load("[1]"), yaml.__file__]


def processes_of_every_start_method(site: str) -> Any:
    import multiprocessing

    found = {}
    for method in ("fork", "spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        with context.Pool(1) as pool:
            found[method] = pool.map(_double, [1, 2])
            found[method] += pool.map(os.path.getsize, [site + "/rich/table.py"])
    return found


def processes_by_name(site: str) -> Any:
    found = [
        run_python("-m", "rich.emoji"),
        run_python("-m", "certifi"),
        run_python(
            "-c", "import sys, jinja2; print(jinja2.__file__, sys.path[1], 'runtime_shim' in sys.argv)"
        ),
        run_python(site + "/certifi/__main__.py"),
        run_python(
            "-c",
            "import subprocess, sys; "
            "subprocess.run([sys.executable, '-c', 'import yaml; print(yaml.__file__)'])",
        ),
        run_python("-c", "import importlib.metadata as m; print(m.version('rich'), len(m.files('rich')))"),
        run_python("-E", "-c", "import rich"),
        run_python("-X", "importtime", "-c", "import orjson")[:2],
        run_python("-c", "import rich", env={"PATH": os.environ["PATH"]}),
    ]
    changed = dict(os.environ, PYTHONPATH="/nowhere" + os.pathsep + os.environ["PYTHONPATH"])
    return [*found, run_python("-c", "import rich; print(rich.__path__)", env=changed)]


def programs_get_files(site: str) -> Any:
    def said(command: Any, **more: Any) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=False, **more).stdout

    probe = ["sh", "-c", f"test -f {site}/rich/cells.py"]
    return [
        said(["wc", "-c", site + "/rich/box.py"]),
        said(f"wc -c '{site}/rich/align.py' && ls {site}/click | sort", shell=True),
        said(["sh", "-c", "wc -c __init__.py"], cwd=site + "/jinja2"),
        sorted(said(["find", site + "/requests", "-type", "f"]).split()),
        os.system(f"test -f {site}/rich/bar.py"),
        os.waitpid(os.posix_spawn("/bin/sh", probe, os.environ), 0)[1],
    ]


def relative_paths(site: str) -> Any:
    os.chdir(site + "/rich")
    found: list[Any] = [
        open("table.py").read(20),
        sorted(os.listdir())[:9],
        os.path.getsize("text.py"),
        os.path.exists("../click/core.py"),
    ]
    os.chdir("..")
    found += [
        os.path.isfile("click/core.py"),
        sorted(entry.name for entry in os.scandir("yaml")),
        os.stat("pytz/tzinfo.py").st_size,
    ]
    os.chdir("/")
    return [*found, os.path.exists("rich")]


def folders_by_descriptor(site: str) -> Any:
    found = sorted(
        (folder, sorted(names), sorted(files)) for folder, names, files, _ in os.fwalk(site + "/click")
    )
    descriptor = os.open(site + "/yaml", os.O_RDONLY)
    try:
        names = sorted(os.listdir(descriptor))
        size = os.stat("cyaml.py", dir_fd=descriptor).st_size
    finally:
        os.close(descriptor)
    return [found, names, size]


def status_of_files(site: str) -> Any:
    import stat

    path = site + "/rich/columns.py"
    before = os.stat(path)
    with open(path) as file:
        opened = os.fstat(file.fileno())
    after = os.stat(path)
    return [
        stat.filemode(before.st_mode),
        before.st_size == opened.st_size == after.st_size,
        before.st_mtime == after.st_mtime,
        before.st_mtime_ns == after.st_mtime_ns,
        before.st_mtime > 315532800,
        before.st_blocks > 0,
        after.st_nlink,
        os.path.samefile(path, site + "/click/../rich/columns.py"),
        os.path.getmtime(path) == after.st_mtime,
        os.path.islink(path),
        os.access(path, os.R_OK),
        os.access(path, os.X_OK),
        os.path.realpath(path) == path,
        os.path.ismount(site),
    ]


def archives(site: str) -> Any:
    import io
    import tarfile
    import tempfile
    import zipfile

    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in ("core.py", "types.py"):
            archive.write(f"{site}/click/{name}", name)
    tarred = io.BytesIO()
    with tarfile.open(fileobj=tarred, mode="w") as tar:
        tar.add(site + "/yaml", "yaml")
    with tempfile.TemporaryDirectory() as folder:
        os.link(site + "/click/core.py", folder + "/linked.py")
        os.symlink(site + "/click/utils.py", folder + "/symlinked.py")
        sizes = [os.path.getsize(folder + "/" + name) for name in ("linked.py", "symlinked.py")]
    tarred.seek(0)
    with tarfile.open(fileobj=tarred) as tar:
        members = sorted((member.name, member.size, member.mode) for member in tar if member.isfile())
    return [[(info.filename, info.file_size) for info in zipfile.ZipFile(stream).infolist()], members, sizes]


def native_opens(site: str) -> Any:
    import sqlite3
    import ssl

    import certifi

    # No trace saw these files opened, so that they are there when the handler runs, not before.
    shim = sys.modules.get("runtime_shim")
    if shim is not None:
        shim.ready()
    libc = ctypes.CDLL(None)
    libc.fopen.restype = ctypes.c_void_p
    libc.fclose.argtypes = [ctypes.c_void_p]
    handle = libc.fopen(os.fsencode(certifi.where()), b"r")
    opened = handle is not None and not libc.fclose(handle)
    try:
        sqlite3.connect(f"file:{site}/rich/__init__.py?mode=ro", uri=True).execute(
            "select 1 from sqlite_master"
        )
    except sqlite3.DatabaseError as error:
        said = str(error)
    try:
        sqlite3.connect(site + "/rich/abc.py").execute("select 1 from sqlite_master")
    except sqlite3.DatabaseError as error:
        said += str(error)
    return [opened, said, ssl.create_default_context(cafile=certifi.where()).cert_store_stats()]


def modules_written_at_run_time(site: str) -> Any:
    import importlib
    import shutil

    added = [site + "/rich/zz_added.py", site + "/zz_package/__init__.py"]
    try:
        import rich

        os.mkdir(site + "/zz_package")
        for path in added:
            with open(path, "w") as file:
                file.write("VALUE = 3\n")
        importlib.invalidate_caches()
        return [importlib.import_module(name).VALUE for name in ("rich.zz_added", "zz_package")] + [
            rich.__file__
        ]
    finally:
        os.remove(added[0])
        shutil.rmtree(site + "/zz_package")


def code_by_path(site: str) -> Any:
    import importlib.machinery
    import importlib.util
    import runpy

    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    found: list[Any] = [sorted(runpy.run_path(site + "/certifi/core.py"))]
    for name, path in (
        ("a.b", "/pytz/lazy.py"),
        ("_yaml_again", "/yaml/_yaml" + suffix),
    ):
        spec = importlib.util.spec_from_file_location(name, site + path)
        assert spec is not None and spec.loader is not None
        try:
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            found.append([module.__name__, module.__file__])
        except ImportError as error:
            found.append(str(error))
    path_finder = importlib.machinery.PathFinder.find_spec("rich", [site])
    assert path_finder is not None
    return [*found, path_finder.origin, len(compile_file(site + "/rich/rule.py"))]


def compile_file(path: str) -> str:
    import py_compile
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return os.path.basename(py_compile.compile(path, folder + "/x.pyc", doraise=True))


def pickles(site: str) -> Any:
    import copy
    import importlib
    import pickle

    module = importlib.import_module("rich.table")
    spec = pickle.loads(pickle.dumps(module.__spec__))
    names = ("stat", "lstat", "access", "listdir", "scandir")
    return [
        [spec.name, spec.origin, type(spec.loader).__name__, copy.deepcopy(spec).origin],
        [pickle.loads(pickle.dumps(getattr(os, name))) == getattr(os, name) for name in names],
        [getattr(os, name).__name__ for name in names],
    ]


def tools_that_read_sources(site: str) -> Any:
    import doctest
    import linecache
    import tokenize
    import tracemalloc
    import warnings

    tracemalloc.start()
    import rich.emoji
    import rich.text

    snapshot = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, rich.text.__file__)])
    lines = sorted(
        {
            (
                statistic.traceback[0].lineno,
                linecache.getline(rich.text.__file__, statistic.traceback[0].lineno),
            )
            for statistic in snapshot.statistics("lineno")
        }
    )
    # Which lines hold memory depends on what was imported before; how each is shown does not.
    with tokenize.open(rich.text.__file__) as file:
        written = file.readlines()
    linecache.checkcache()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        import click

        getattr(click, "BaseCommand", None)
    said = [warnings.formatwarning(one.message, one.category, one.filename, one.lineno) for one in caught]
    return [
        len(lines) > 3,
        [line for number, line in lines if line != written[number - 1]],
        written[0],
        linecache.getline(rich.text.__file__, 3),
        said,
        list(doctest.testmod(rich.emoji)),
    ]


def tracing(site: str) -> Any:
    seen = set()

    def trace(frame: Any, event: str, argument: Any) -> Any:
        if "/rich/" in frame.f_code.co_filename:
            seen.add((frame.f_code.co_filename, frame.f_code.co_firstlineno))
        return None

    sys.settrace(trace)
    try:
        import rich.padding
    finally:
        sys.settrace(None)
    return [sorted(seen), rich.padding.__name__]


def signals(site: str) -> Any:
    import signal
    import time

    caught = set()

    def handle(number: int, frame: Any) -> None:
        with open(site + "/rich/rule.py") as file:
            caught.add(file.readline())

    signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.005)
    try:
        import jinja2.sandbox
        import rich.live

        sizes = [len(open(module.__file__).read()) for module in (jinja2.sandbox, rich.live)]
        while not caught:  # no pause(): the signal may come between the look and the pause
            time.sleep(0.001)
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    return [sizes, sorted(caught)]


def missing_things(site: str) -> Any:
    import importlib

    found = []
    for work in (
        lambda: importlib.import_module("rich.nothing"),
        lambda: open(site + "/rich/nothing.py"),
        lambda: os.stat(site + "/rich/nothing"),
        lambda: os.listdir(site + "/nothing"),
        lambda: os.listdir(site + "/rich/table.py"),
        lambda: os.scandir(site + "/rich/table.py"),
        lambda: os.mkdir(site + "/rich"),
        lambda: os.mkdir(site + "/rich/table.py"),
        lambda: os.rmdir(site + "/rich"),
        lambda: open(site + "/rich"),
        lambda: os.stat(site + "/rich/table.py/"),
        lambda: os.stat(3.5),  # type: ignore[arg-type]
        lambda: os.stat(None),  # type: ignore[arg-type]
        lambda: os.stat("\0"),
        lambda: os.chdir(site + "/rich/table.py"),
    ):
        try:
            found.append(repr(work()))
        except Exception as error:
            found.append([type(error).__name__, str(error)])
    return found


BEHAVIOURS: dict[str, Callable[[str], Any]] = {
    function.__name__: function
    for function in (
        threads_import_at_once,
        fork_and_import_in_the_child,
        processes_of_every_start_method,
        processes_by_name,
        programs_get_files,
        relative_paths,
        folders_by_descriptor,
        status_of_files,
        archives,
        native_opens,
        modules_written_at_run_time,
        code_by_path,
        pickles,
        tools_that_read_sources,
        tracing,
        signals,
        missing_things,
    )
}


def main(name: str, site: str) -> None:
    """Print what one of them gives."""
    print("\n" + json.dumps(BEHAVIOURS[name](site), default=repr).replace(site, "<site>"))
