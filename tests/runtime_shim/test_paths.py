"""The pack's files by whatever path, function or module a program looks at them, on every Python at hand."""

from __future__ import annotations

import json
import subprocess
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lambdapack.python import bytecode, interpreter
from runtime_shim import _views
from tests.support.shim_world import World, make_tree, running_world

VERSIONS = [found.python for found in interpreter.installed()]
ASSERTING = """
VALUE = "asserts do not run"
try:
    assert False
except AssertionError:
    VALUE = "asserts run"
def f():
    "A docstring."
"""


@pytest.fixture(scope="module", params=VERSIONS)
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, lambdapack_cache: Path
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("paths" + request.param)
    python = interpreter.find(request.param)
    tree, trace = make_tree(folder / "tree", python)
    (tree.root / "asserting.py").write_text(ASSERTING)
    table = tree.root / "share/zone/table.dat"
    table.parent.mkdir(parents=True)
    table.write_bytes(bytes(1000))
    bytecode.compile_tree(tree.root, python, jobs=1)
    files = tuple(sorted(str(p.relative_to(tree.root)) for p in tree.root.rglob("*") if p.is_file()))
    tree = replace(tree, distributions=(replace(tree.distributions[0], files=files),))
    # Opened by native code of a distribution without a module of its own: the first module waits for it.
    native = "share/zone/table.dat"
    trace = replace(trace, files=(*trace.files, native), native=frozenset({native}))
    with running_world(folder, python, lambdapack_cache, (tree, trace)) as world:
        yield world


LOOKS = r"""
    import json, os, pathlib, shutil, sys
    if os.path.isdir("runtime_shim"):
        import runtime_shim
        site = next(p for p in sys.path if p.endswith("/site"))
    else:
        site = os.environ["PLAIN"]
        sys.path.insert(1, site)
    import heavy
    out = {}
    def look(name, work):
        try:
            out[name] = work()
        except OSError as error:
            out[name] = [type(error).__name__, error.errno]
    def text(path, **more):
        fd = os.open(path, os.O_RDONLY, **more)
        with open(fd) as file:
            return file.read()
    here = site + "/heavy"
    scratch = os.environ["SCRATCH"]
    os.mkdir(scratch)
    os.symlink(here, scratch + "/folder")
    os.symlink(site + "/heavy/second.py", scratch + "/file")
    os.symlink(scratch + "/folder", scratch + "/again")
    spelled = {
        "plain": "/%s", "slash": "/%s", "two": "//%s", "dot": "/./%s", "dots": "/deep/../%s",
        "missing dots": "/nested/../deep/../%s",
    }
    roots = {"real": here, "relative": os.path.relpath(here), "root": "/" + here, "over": "/tmp/../" + here,
        "link": scratch + "/folder", "links": scratch + "/again", "link relative":
        os.path.relpath(scratch) + "/folder"}
    for root in roots:
        for kind in spelled:
            path = roots[root] + spelled[kind] % "deep/leaf.py"
            name = root + " " + kind + " "
            look(name + "stat", lambda: os.stat(path).st_size)
            look(name + "exists", lambda: [os.path.exists(path), os.path.exists(path + "x")])
            look(name + "bytes", lambda: os.path.isfile(os.fsencode(path)))
            look(name + "pathlike", lambda: pathlib.Path(path).stat().st_size)
            look(name + "access", lambda: [os.access(path, os.R_OK), os.access(path, os.X_OK)])
            look(name + "samefile", lambda: os.path.samefile(path, here + "/deep/leaf.py"))
            look(name + "list", lambda: sorted(os.listdir(os.path.dirname(path) + "/..")))
        look(root + " open", lambda: open(roots[root] + "/first.py").read())
        look(root + " data", lambda: open(roots[root] + "/nested/more.txt").read())
    look("link to a file", lambda: open(scratch + "/file").read())
    look("stat of a link", lambda: [os.path.islink(scratch + "/file"), os.path.getsize(scratch + "/file")])
    for function in ("readlink", "statvfs", "listdir", "rmdir"):
        def call():
            found = getattr(os, function)(here + "/cold.py")
            return function
        look(function, call)
    look("pathconf", lambda: os.pathconf(here + "/__main__.py", "PC_NAME_MAX"))
    look("realpath", lambda: os.path.relpath(os.path.realpath(scratch + "/again/second.py"), site))
    look("none", lambda: os.stat(here + "/none.py"))
    look("under a file", lambda: os.stat(here + "/cold.py/none"))
    fd = os.open(here, os.O_RDONLY)
    look("dir_fd stat", lambda: os.stat("deep/__init__.py", dir_fd=fd).st_size)
    look("dir_fd open", lambda: text("second.py", dir_fd=fd))
    look("dir_fd data", lambda: text("nested/more.txt", dir_fd=fd))
    look("dir_fd access", lambda: os.access("second.py", os.R_OK, dir_fd=fd))
    look("dir_fd utime", lambda: os.utime("first.py", (0, 0), dir_fd=fd))
    look("fd listing", lambda: sorted(os.listdir(fd)))
    look("fd scan", lambda: sorted((e.name, e.path, e.is_file()) for e in os.scandir(fd)))
    look("fwalk", lambda: sorted((os.path.relpath(d, here), sorted(ds), sorted(fs)) for d, ds, fs, _ in
        os.fwalk(here)))
    os.chdir(here)
    look("inside", lambda: [open("cold.py").read(), os.path.exists("deep/leaf.py"), sorted(os.listdir())])
    os.chdir("deep")
    look("inside, up", lambda: [open("../__main__.py").read(), os.path.getsize("../../single.py")])
    os.chdir("/")
    look("copy", lambda: sorted(os.listdir(shutil.copytree(here + "/deep", scratch + "/copy"))))
    os.symlink(site, scratch + "/root")
    print(json.dumps(out))
    """


def test_a_path_may_be_spelled_in_any_way(world: World, tmp_path: Path) -> None:
    """Slashes, dots, links, descriptors and working directories give the answers of a directory."""
    empty = world.function.parent / "empty"
    empty.mkdir(exist_ok=True)
    tree = tmp_path / "tree"
    subprocess.run(["cp", "-r", str(world.function.parent / "tree"), str(tree)], check=True)
    plain = replace(world, function=empty)
    expected = plain.run(LOOKS, PLAIN=str(tree), SCRATCH=str(tmp_path / "plain"))
    world.forget()
    seen = world.run(LOOKS, SCRATCH=str(tmp_path / "packed"))
    world.forget()
    assert json.loads(seen.splitlines()[-1]) == json.loads(expected.splitlines()[-1])


@pytest.mark.parametrize("early", ["", "import pathlib, glob, shutil, tempfile"])
def test_pathlib_and_glob_may_have_been_imported_before(world: World, early: str) -> None:
    """Each function finds the pack's modules, whichever of the two was imported first."""
    code = f"""
        {early}
        import runtime_shim, heavy
        import glob, os, pathlib
        here = pathlib.Path(heavy.__file__).parent
        print(len(list(here.glob("*.py"))), len(list(here.rglob("*.py"))),
            len(list(here.glob("deep/leaf.py"))),
            len([p for p in here.iterdir() if p.suffix == ".py"]), len(glob.glob(str(here) + "/**/*.py",
            recursive=True)), (here / "second.py").exists(), (here / "second.py").is_file(),
            (here / "second.py").lstat().st_size > 0, len((here / "cold.py").read_text()),
            sum(len(fs) for _, _, fs in here.walk()) > 30 if hasattr(here, "walk") else True)
        """
    world.forget()
    assert world.run(code).splitlines()[-1] == "5 7 1 5 7 True True True 22 True"


SCAN = """
    import importlib, json, os, pkgutil, sys, types, warnings
    warnings.simplefilter("ignore")
    names, keepers = json.loads(sys.argv[1])
    ids = {id(getattr(os, name)): name for name in names}
    folder = os.path.dirname(os.__file__)
    modules = {m.name for m in pkgutil.iter_modules([folder])} - {"antigravity", "this", "idlelib",
        "turtledemo", "test", "__phello__", "tkinter", "turtle", "lib2to3"}
    for name in sorted(modules | {"pathlib._local", "pathlib._os", "pathlib.types", "importlib.resources",
            "importlib.metadata", "multiprocessing.util", "concurrent.futures", "asyncio.base_events"}):
        try:
            importlib.import_module(name)
        except BaseException:
            pass
    found = set()
    def scan(module, owner, depth=0):
        for key, value in list(vars(owner).items()):
            function = getattr(value, "__func__", value)
            if id(function) in ids:
                found.add(module)
            elif isinstance(value, type) and depth < 2 and value is not owner:
                scan(value.__module__, value, depth + 1)
    for name, module in list(sys.modules.items()):
        if isinstance(module, types.ModuleType) and name not in ("os", "posix", "__main__"):
            scan(name, module)
    print(sorted(found - set(keepers)))
    """


@pytest.mark.parametrize("version", VERSIONS)
def test_every_module_that_keeps_a_function_of_os_is_known(version: str) -> None:
    """No module of the standard library keeps one that the shim replaces, but those that it looks after."""
    arguments = json.dumps([_views.NAMES, _views.KEEPERS])
    python = str(interpreter.find(version).path)
    done = subprocess.run(
        [python, "-S", "-c", textwrap.dedent(SCAN), arguments],
        capture_output=True,
        text=True,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("level", ["0", "1", "2"])
def test_optimised_python_sees_what_a_directory_gives(world: World, level: str) -> None:
    """Asserts, docstrings and ``__spec__.cached`` depend on -O and -OO, whatever bytecode the pack has."""
    code = """
        import os, sys
        if os.environ.get("PLAIN"):
            sys.path.insert(0, os.environ["PLAIN"])
        else:
            import runtime_shim
        import asserting
        print(asserting.VALUE, asserting.f.__doc__, os.path.basename(asserting.__spec__.cached))
        """
    tree = str(world.function.parent / "tree")
    expected = world.run(code, PLAIN=tree, PYTHONOPTIMIZE=level)
    assert world.run(code, PYTHONOPTIMIZE=level).splitlines()[-1] == expected.strip()


def test_an_entry_of_sys_path_may_be_spelled_in_any_way(world: World, tmp_path: Path) -> None:
    """Modules are imported through a link, slashes and dots, and say so in ``__file__``."""
    code = """
        import os, pkgutil, sys
        if os.environ.get("PLAIN"):
            site = os.environ["PLAIN"]
        else:
            import runtime_shim
            site = next(p for p in sys.path if p.endswith("/site"))
            sys.path.remove(site)
        link = os.environ["LINK"]
        os.symlink(site, link)
        out = []
        for entry in (link, link + "/", site + "//", site + "/./", site + "/heavy/..", os.path.relpath(site),
                link + "/heavy/../"):
            sys.path.insert(0, entry)
            import heavy.second, space.part
            out += [heavy.__file__, heavy.deep.__path__, list(space.__path__),
                heavy.second.leaf.__spec__.cached,
                heavy.__loader__.get_source("heavy")[:20], len(list(pkgutil.iter_modules([entry])))]
            sys.path.remove(entry)
            for name in [name for name in sys.modules if name.partition(".")[0] in ("heavy", "space")]:
                del sys.modules[name]
        text = str(out).replace(os.path.relpath(site), "<rel>")
        print(text.replace(site, "<site>").replace(link, "<link>"))
        """
    tree = str(world.function.parent / "tree")
    expected = world.run(code, PLAIN=tree, LINK=str(tmp_path / "plain"))
    world.forget()
    assert world.run(code, LINK=str(tmp_path / "packed")).splitlines()[-1] == expected.strip()


def test_removing_everything_fetches_nothing(world: World) -> None:
    """A clean-up loop downloads no lazy frame, leaves nothing, and what was removed comes back."""
    code = """
        import runtime_shim, heavy, os, shutil, sys
        runtime_shim.ready()
        here = os.path.dirname(heavy.__file__)
        site = os.path.dirname(here)
        assert not os.path.exists(here + "/none")
        for folder, folders, files in os.walk(site, topdown=False):
            for name in files:
                os.remove(os.path.join(folder, name))
            for name in folders:
                os.rmdir(os.path.join(folder, name))
        import posix
        print(runtime_shim.stats()["on_demand"], posix.listdir(site))
        shutil.rmtree(here)
        print(runtime_shim.stats()["on_demand"], posix.listdir(site))
        import heavy.cold
        print(open(here + "/second.py").read() == "from heavy.deep import leaf\\n", heavy.cold.COLD)
        """
    world.forget()
    out = world.run(code).splitlines()[-3:]
    assert out == ["0 []", "0 []", "True never traced"]


def test_what_became_a_file_and_was_removed_comes_back(world: World) -> None:
    """A module's source that was opened, then removed behind our back, opens again."""
    code = """
        import runtime_shim, heavy, os, posix
        for _ in range(2):
            text = open(heavy.__file__).read()
            posix.unlink(heavy.__file__)
        print(len(text) > 0, os.path.exists(heavy.__file__))
        """
    assert world.run(code).splitlines()[-1] == "True True"


def test_a_reload_of_the_shim_changes_nothing(world: World) -> None:
    """One path entry, one path hook, one answer to each event."""
    code = """
        import importlib, os, sys
        import runtime_shim, heavy
        before = list(sys.path), len(sys.path_hooks), os.stat
        importlib.reload(runtime_shim)
        assert (list(sys.path), len(sys.path_hooks), os.stat) == before
        import heavy.cold
        print(os.path.exists(heavy.cold.__file__), len(open(heavy.cold.__file__).read()))
        """
    assert world.run(code).splitlines()[-1] == "True 22"


@pytest.mark.parametrize("how", ["threads", "take over"])
def test_who_fetches_imports_without_waiting_for_himself(world: World, how: str) -> None:
    """Native data that the first module waits for arrives, whoever fetches and whatever he imports for it."""
    begin = {
        "threads": "threading.Thread(target=time.sleep, args=(100,), daemon=True).start()",
        "take over": "pass",
    }
    then = {"threads": "pass", "take over": "os.kill(runtime_shim._pack._fetching.pid, signal.SIGKILL)"}
    code = f"""
        import os, signal, threading, time
        {begin[how]}
        import runtime_shim
        {then[how]}
        import heavy, hashlib
        runtime_shim.ready()
        print(os.path.getsize(os.path.dirname(heavy.__file__) + "/../share/zone/table.dat"), flush=True)
        os._exit(0)
        """
    assert "*" in world.pack.index.native
    world.forget()
    world.link(bandwidth_mbps=300)
    try:
        assert world.run(code).splitlines()[-1] == "1000"
    finally:
        world.link()
