"""Imports and files of a pack behave as those of a plain directory, on every Python at hand."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import runtime_shim
from lambdapack.python import interpreter
from tests.support.shim_world import World, running_world

PROBE = r"""
    import sys, json, os
    if os.path.isdir("runtime_shim"):
        import runtime_shim
        site = next(p for p in sys.path if p.endswith("/site"))
    else:
        site = os.environ["PLAIN"]; sys.path.insert(1, site)
    import glob, importlib, importlib.metadata as metadata, inspect, pathlib, pickle, pkgutil, traceback
    def short(x): return json.loads(json.dumps(x, default=str).replace(site, "<site>"))
    out = {}
    import heavy, single
    from heavy.second import leaf
    import space.part
    from heavy import cold
    out["file"] = [heavy.__file__, single.__file__, single.WHERE, space.part.__file__, list(space.__path__)]
    out["cached"] = [getattr(heavy, "__cached__", "none since 3.15"), heavy.__spec__.cached,
        heavy.__spec__.origin, heavy.__package__]
    out["path"] = list(heavy.__path__)
    out["names"] = sorted(dir(heavy))
    out["walk"] = sorted((m.name, m.ispkg) for m in pkgutil.walk_packages([site]))
    out["source"] = inspect.getsource(heavy.fail)
    out["sourcefile"] = [inspect.getsourcefile(heavy.fail),
        heavy.deep.leaf.__loader__.get_source("heavy.deep.leaf")]
    try:
        heavy.fail()
    except ValueError:
        out["traceback"] = traceback.format_exc().splitlines()[-2:]
    out["pickle"] = pickle.loads(pickle.dumps(heavy.Thing(7))).value
    out["data"] = pkgutil.get_data("heavy", "data.txt").decode()
    here = os.path.dirname(heavy.__file__)
    out["exists"] = [os.path.exists(os.path.join(here, n)) for n in
        ("__init__.py", "cold.py", "data.txt", "empty.marker", "nested", "nested/more.txt", "no.txt")]
    out["isfile"] = [os.path.isfile(heavy.__file__), os.path.isdir(heavy.__file__), os.path.isdir(here),
        os.access(heavy.__file__, os.R_OK), pathlib.Path(heavy.__file__).exists(),
        pathlib.Path(heavy.__file__).stat().st_size, os.path.getsize(heavy.__file__)]
    out["listdir"] = sorted(os.listdir(here))
    out["scandir"] = sorted((e.name, e.is_dir(), e.is_file()) for e in os.scandir(here))
    out["glob"] = sorted(glob.glob(here + "/*.py"))
    out["rglob"] = sorted(str(p) for p in pathlib.Path(here).rglob("*.txt"))
    out["walkdir"] = sorted((d, sorted(ds), sorted(fs)) for d, ds, fs in os.walk(here))
    out["open"] = [open(os.path.join(here, "..", "heavy", "data.txt")).read(), open(heavy.__file__).read(),
        pathlib.Path(here, "nested", "more.txt").read_text(),
        open(os.path.join(here, "unseen.bin"), "rb").read()[:9].hex()]
    out["bytes path"] = len(os.listdir(os.fsencode(here)))
    d = metadata.distribution("heavy")
    out["metadata"] = [metadata.version("Heavy"), d.metadata["Name"], d.read_text("top_level.txt"),
        len([x for x in metadata.distributions() if x.metadata["Name"] == "heavy"])]
    eps = metadata.entry_points()
    eps = eps.select(group="heavy.plugins") if hasattr(eps, "select") else eps["heavy.plugins"]
    out["entry points"] = [(e.name, e.load()) for e in eps]
    if sys.version_info >= (3, 9):
        from importlib import resources
        r = resources.files("heavy")
        out["resources"] = [type(r).__name__, (r / "data.txt").read_text(),
            sorted(x.name for x in r.iterdir()), (r / "nested" / "more.txt").is_file()]
    from importlib.util import find_spec
    out["missing"] = [find_spec("heavy.nothing"), find_spec("nothing_at_all")]
    try:
        import heavy.nothing
    except ImportError as e:
        out["error"] = [type(e).__name__, str(e)]
    out["loader"] = [heavy.__loader__.is_package("heavy"), heavy.__loader__.get_filename("heavy"),
        isinstance(heavy.__loader__, importlib.machinery.SourceFileLoader)]
    import runpy
    out["reload"] = importlib.reload(heavy.deep.leaf).LEAF
    import io, contextlib
    with contextlib.redirect_stdout(io.StringIO()) as text:
        runpy.run_module("heavy", run_name="__main__")
    out["run"] = text.getvalue()
    print(json.dumps(short(out)))
    """

VERSIONS = [found.python for found in interpreter.installed()]


def test_the_running_python_is_among_those_tested() -> None:
    """At least the Python that runs the tests is tested."""
    assert "{}.{}".format(*sys.version_info) in VERSIONS


@pytest.fixture(scope="module", params=VERSIONS)
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, lambdapack_cache: Path
) -> Iterator[World]:
    with running_world(
        tmp_path_factory.mktemp("world" + request.param), interpreter.find(request.param), lambdapack_cache
    ) as world:
        yield world


def test_a_pack_cannot_be_told_from_a_plain_directory(world: World) -> None:
    """Every probe of modules, files, resources and metadata gives the same answer in both."""
    tree = world.function.parent / "tree"
    empty = world.function.parent / "empty"
    empty.mkdir(exist_ok=True)
    plain = World(**{**world.__dict__, "function": empty})
    expected = json.loads(plain.run(PROBE, PLAIN=str(tree)).splitlines()[-1])
    seen = json.loads(world.run(PROBE).splitlines()[-1])
    assert seen == expected


def test_modules_do_not_become_files(world: World) -> None:
    """After importing, no source and no bytecode of the pack is on disk."""
    world.forget()
    world.run("import runtime_shim, heavy.second, space.part, single\nruntime_shim.ready()")
    on_disk = [p.name for p in world.site.rglob("*") if p.suffix in (".py", ".pyc")]
    assert on_disk == []
    assert (world.site / "heavy/bulk1.bin").exists()


def test_bytecode_of_another_magic_number_is_not_executed(world: World) -> None:
    """If the function's Python cannot read the pack's bytecode, the source is compiled instead."""
    code = """
        import runtime_shim
        from runtime_shim import _importer
        _importer.MAGIC = b"none"
        import heavy
        print(heavy.VERSION)
        """
    assert world.run(code).splitlines()[-1] == "1.0"


# _sha2 is the standard library's since 3.12, and _sha256 before; compression since 3.14. snapshot_restore_py
# is part of Lambda's runtimes that have SnapStart.
ALLOWED_IN_SHIM = {"zstandard", "_sha2", "_sha256", "compression", "snapshot_restore_py"}


def test_the_shim_imports_only_the_standard_library() -> None:
    """Every import in the shim, wherever it stands, is of the standard library or the decoder."""
    outside = set()
    for file in sorted(Path(runtime_shim.__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            else:
                continue
            outside |= {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names)
    assert outside <= ALLOWED_IN_SHIM


HEAVY_MODULES = (
    "asyncio", "boto3", "email", "http", "inspect", "logging", "pathlib", "ssl", "tarfile", "tempfile",
    "threading", "typing", "urllib", "zipfile",
)  # fmt: skip


def test_a_start_imports_nothing_heavy(world: World) -> None:
    """What the shim adds to bare Python on a cold start is a short, known list."""
    code = f"""
        import sys
        before = set(sys.modules)  # a Python may have a .pth file that imports
        import runtime_shim
        print(sorted(set({HEAVY_MODULES!r}) & (set(sys.modules) - before)))
        """
    world.forget()
    assert world.run(code).splitlines()[-1] == "[]"
