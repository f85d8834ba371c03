"""Libraries that a program opens by name: who does, that they go along, and that they are mapped in time."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lambdapack.install import syslibs
from lambdapack.model import Distribution, MissingLibrary, Trace, Tree, source_of
from lambdapack.model.target import Target
from lambdapack.pack import check, write
from lambdapack.progress import QUIET
from lambdapack.python import bytecode, interpreter
from lambdapack.slim.copy import slim_copy
from lambdapack.slim.loading import TargetPython
from lambdapack.slim.select import SlimOptions
from lambdapack.trace import TraceOptions
from lambdapack.trace import run as traced
from runtime_shim._index import Index, decode, encode
from tests.support.shim_world import World, running_world
from tests.support.system_libraries import Folder, compile_c, libraries

PYTHON = ".".join(map(str, sys.version_info[:2]))
HAS = syslibs.runtime_libraries(Target(PYTHON))
ODD = "/usr/lib64/libodd.so.1"
MODULES = {
    "by_name/__init__.py": "from by_name.inner import odd\n",
    "by_name/inner.py": "import ctypes\nodd = ctypes.CDLL('libodd.so.1').odd\n",
    # Mapped for the other one already: that it is opened as well, no trace can tell.
    "by_need.py": "import ctypes\neven = ctypes.CDLL('libeven.so.2').even\n",
    "by_search.py": "import ctypes\nfrom ctypes.util import find_library\n"
    "odd = ctypes.CDLL(find_library('quaint')).quaint\n",
    "by_cffi.py": "import cffi\nffi = cffi.FFI()\nffi.cdef('int odd(void);')\n"
    "odd = ffi.dlopen('libodd.so.1').odd\n",
    "idle.py": "",
}
CODE = "import by_name, by_need, by_search, by_cffi, idle"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a build image has and Lambda has not, where only its own dynamic linker looks."""
    folder = tmp_path_factory.mktemp("image")
    libraries(folder)
    compile_c(
        "int quaint(void) { return 42; }", folder / "libquaint.so.3",
        "-shared", "-fPIC", "-Wl,-soname,libquaint.so.3",
    )  # fmt: skip
    # What the linker goes by, which find_library asks.
    (folder / "libquaint.so").symlink_to("libquaint.so.3")
    return folder


def tree_of(root: Path, modules: Mapping[str, str], *, compiled: bool = False) -> Tree:
    """An installed tree of modules."""
    for path, text in modules.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    if compiled:
        bytecode.compile_tree(root, interpreter.find(PYTHON), jobs=1)
    files = tuple(sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()))
    tops = tuple(sorted({path.partition("/")[0].removesuffix(".py") for path in modules}))
    return Tree(root, Target(PYTHON), (Distribution("named", "1.0", files, tops),))


def with_cffi(root: Path) -> None:
    """Bring cffi, as it is installed here, into a tree."""
    import _cffi_backend  # noqa: PLC0415 - comes with cryptography
    import cffi  # noqa: PLC0415
    import pycparser  # noqa: PLC0415

    for package in (cffi, pycparser):
        folder = Path(str(package.__file__)).parent
        shutil.copytree(folder, root / folder.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(_cffi_backend.__file__, root)


def built(root: Path, image: Path) -> tuple[Tree, Trace]:
    """The tree as the docker builder makes it: traced where the libraries are, then given them."""
    with_cffi(root)
    tree = tree_of(root, MODULES, compiled=True)
    trace = traced(
        tree,
        interpreter.find(PYTHON),
        CODE,
        options=TraceOptions(environment={"LD_LIBRARY_PATH": str(image)}),
    )
    assert dict(trace.foreign).keys() == {"libodd.so.1", "libquaint.so.3"}
    found = syslibs.opened_libraries(tree, HAS, trace)
    made = syslibs.bundle(tree, HAS, Folder(image), QUIET, glibc=(2, 99), opened=found)
    return syslibs.with_openers(made, trace), trace


@pytest.fixture(scope="module", params=["sources", "bytecode"])
def world(
    request: pytest.FixtureRequest,
    image: Path,
    tmp_path_factory: pytest.TempPathFactory,
    lambdapack_cache: Path,
) -> Iterator[World]:
    """A function whose pack was slimmed, with the sources of its modules and without."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "tree").mkdir()
    tree, trace = built(folder / "tree", image)
    options = SlimOptions(sources=request.param == "sources")
    slimmed = slim_copy(tree, folder / "slim", trace=trace, python=TargetPython(), options=options).tree
    with running_world(folder, interpreter.find(PYTHON), lambdapack_cache, (slimmed, trace)) as running:
        yield running


PROBES = {
    "ctypes": "import runtime_shim\nimport by_name\nprint(by_name.odd())",
    "cffi": "import runtime_shim\nimport by_cffi\nprint(by_cffi.odd())",
    "find_library": "import runtime_shim\nimport by_search\nprint(by_search.odd())",
    "needed": "import runtime_shim\nimport by_need\nprint(by_need.even() + 1)",
    "child": "import runtime_shim\nimport subprocess, sys\n"
    "print(subprocess.run([sys.executable, '-c', 'import by_name; print(by_name.odd())'], check=True,"
    " capture_output=True, text=True).stdout)",
    "threads": "import runtime_shim\nimport threading\nfound = []\n"
    "def run(name):\n    found.append(__import__(name).odd())\n"
    "names = ['by_name', 'by_cffi', 'by_search'] * 3\n"
    "threads = [threading.Thread(target=run, args=(name,)) for name in names]\n"
    "[t.start() for t in threads]; [t.join() for t in threads]\nprint(set(found).pop(), len(found))",
}


@pytest.mark.parametrize("mode", ["stream", "disk"])
@pytest.mark.parametrize("probe", list(PROBES))
def test_what_a_module_opens_by_name_is_mapped(world: World, probe: str, mode: str) -> None:
    """Cold, while the pack arrives, and warm: by ctypes, cffi and ``find_library``, also where the library is
    one that another one needs, in a child process, and by many threads."""
    world.forget()
    world.link(bandwidth_mbps=50)
    for _ in ("cold", "warm"):
        out = world.run(PROBES[probe], LAMBDAPACK_MODE=mode)
        assert out.split()[0] == "42"
    if probe == "threads":
        assert out.split() == ["42", "9"]


@pytest.mark.parametrize("name", ["by_name", "by_need", "by_search", "by_cffi"])
def test_without_the_shim_nothing_finds_it(world: World, name: str) -> None:
    """No search path of this machine has them: what the others prove is the shim's doing."""
    world.forget()
    where = "import runtime_shim\nprint(runtime_shim._pack.place.site)"
    site = world.run(where, LAMBDAPACK_MODE="disk").splitlines()[0]
    code = f"import sys; sys.path.insert(0, {site!r})\nimport {name}"
    error = world.run(code, status=1)
    assert "cannot open shared object" in error or "undefined symbol: quaint" in error


def test_what_opens_none_maps_none(world: World) -> None:
    """Until a module that opens them is imported, none is mapped, and ``ctypes`` is not imported for them."""
    world.forget()
    code = (
        "import runtime_shim, sys\nimport idle\nbefore = 'ctypes' in sys.modules\nimport by_name\n"
        "import ctypes.util as util\nprint(before, *map(util.find_library, ['odd', 'no-such', 'dd']))"
    )
    # A wait may import what the trace saw, ctypes too.
    out = world.run(code, LAMBDAPACK_PREPARE="off")
    assert out.split() == ["False", "libodd.so.1", "None", "None"]


def test_the_index_says_who_opens_what(world: World) -> None:
    """Under the file that an import finds; the libraries are hot, before the bytecode that opens them."""
    index = decode((world.function / "runtime_shim" / "index.json").read_bytes())
    needs = {index.paths[file]: {index.paths[one] for one in needed} for file, needed in index.needs.items()}
    odd, even = "lambdapack.libs/libodd.so.1", "lambdapack.libs/libeven.so.2"
    # Nobody says the name of the one that find_library found, so whoever opens any may be who asked for it.
    quaint = "lambdapack.libs/libquaint.so.3"
    modules = {source_of(path): needed for path, needed in needs.items() if path.endswith((".py", ".pyc"))}
    assert modules == {
        "by_name/inner.py": {odd, even, quaint},
        "by_need.py": {even, quaint},
        "by_search.py": {quaint},
        "by_cffi.py": {odd, even, quaint},
        "cffi/api.py": {quaint},
    }
    opener = next(
        number
        for number, path in enumerate(index.paths)
        if source_of(path) == "by_name/inner.py" and path.endswith(".pyc")
    )
    for library in (odd, even):
        number = index.paths.index(library)
        assert number < opener
        assert index.frames_of(number)[-1] < index.hot


def seen(tmp_path: Path, modules: Mapping[str, str], **more: Any) -> dict[str, tuple[tuple[str, ...], str]]:
    """What is known of ``libodd.so.1`` after a trace that touched ``modules``."""
    tree = replace(tree_of(tmp_path / "tree", modules), **more.pop("tree", {}))
    trace = Trace(
        tuple(modules), frozenset(), "traced", more.pop("code", "import mine"), (("libodd.so.1", ODD),)
    )
    found = syslibs.opened_libraries(tree, HAS, trace, more.pop("search", ()))
    return {one.name: (one.needed_by, one.reason) for one in found}


def test_who_says_the_name_opens_it(tmp_path: Path) -> None:
    """That very name: neither a path that ends in it nor a longer one."""
    users, reason = seen(
        tmp_path,
        {
            "a.py": "CDLL('libodd.so.1')",
            "b.py": "names = ['libodd.so.1', 'libodd.dylib']",
            "c.py": f"CDLL({ODD!r})",
            "d.py": "CDLL('libodd.so.12', 'libodd.so.1.2')",
        },
    )["libodd.so.1"]
    assert users == ("a.py", "b.py")
    assert reason == ""


@pytest.mark.parametrize(
    "opens", ["CDLL('lib%s.so.1' % name)", "ffi.dlopen(x)", "find_library('odd') or 'libodd.so'"]
)
def test_who_opens_any_may_have_made_the_name_up(tmp_path: Path, opens: str) -> None:
    """Where nobody says it."""
    assert seen(tmp_path, {"a.py": opens, "b.py": ""}) == {"libodd.so.1": (("a.py",), "")}


@pytest.mark.parametrize(("said", "code", "app"), [
    ("", "import a", ""), ("CDLL(x)", "CDLL('libodd.so.1')", ""), ("CDLL(x)", "app", "CDLL('libodd.so.1')"),
])  # fmt: skip
def test_what_the_functions_own_code_opens_has_a_reason(
    tmp_path: Path, said: str, code: str, app: str
) -> None:
    """Nothing precedes that code in which it could be mapped."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "app.py").write_text(app)
    ((users, reason),) = seen(tmp_path, {"a.py": said}, code=code, search=[tmp_path / "app"]).values()
    assert users == (syslibs.TRACED,)
    assert "lib beside the handler" in reason


def test_what_is_opened_by_another_name_has_a_reason(tmp_path: Path) -> None:
    """The dynamic linker takes what is mapped for its own name alone."""
    ((users, reason),) = seen(tmp_path, {"a.py": "CDLL('libodd.so')", "b.py": "CDLL(x)"}).values()
    assert users == ("a.py",)
    assert "opened as libodd.so," in reason


def test_what_has_a_reason_is_not_bundled(tmp_path: Path, image: Path) -> None:
    """It stays missing, with that reason; so does what the image's linker does not find by its name."""
    tree = tree_of(tmp_path / "tree", {"a.py": ""})
    opened = [MissingLibrary("libodd.so.1", ("a.py",), "said why"), MissingLibrary("libplugin.so", ("a.py",))]
    source = Folder(image)
    made = syslibs.bundle(tree, HAS, source, QUIET, glibc=(2, 99), opened=opened)
    assert source.asked == ["libplugin.so"]
    assert made.libraries == ()
    assert {one.name: one.reason[:8] for one in made.missing} == {
        "libodd.so.1": "said why",
        "libplugin.so": "a progra",
    }


def test_a_library_that_is_linked_to_and_opened_is_there_once(tmp_path: Path, image: Path) -> None:
    """Bundled for a file that links to it, it is mapped for the module that opens it by name as well."""
    tree = tree_of(tmp_path / "tree", {"a.py": "CDLL('libodd.so.1')"})
    compile_c(
        "int odd(void); int use(void) { return odd(); }", tree.root / "libuse.so", "-shared", "-fPIC",
        "-Xlinker", str(image / "libodd.so.1"), "-Wl,--allow-shlib-undefined",
    )  # fmt: skip
    first = syslibs.bundle(tree, HAS, Folder(image), QUIET, glibc=(2, 99))
    trace = Trace(("a.py",), frozenset(), "traced", "import a", (("libodd.so.1", ODD),))
    made = syslibs.bundle(
        first, HAS, Folder(image), QUIET, glibc=(2, 99), opened=syslibs.opened_libraries(first, HAS, trace)
    )
    assert {one.name: one.needed_by for one in made.libraries} == {
        "libeven.so.2": ("lambdapack.libs/libodd.so.1",),
        "libodd.so.1": ("a.py", "libuse.so"),
    }
    assert made.missing == ()


def test_what_the_functions_own_code_opens_stays_missing(tmp_path: Path, image: Path) -> None:
    """Also where the library goes along for somebody else: it may not be mapped yet then."""
    tree = tree_of(tmp_path / "tree", {"a.py": ""})
    opened = [
        MissingLibrary("libeven.so.2", (syslibs.TRACED,), "not of the pack"),
        MissingLibrary("libodd.so.1", ("a.py",)),
    ]
    for _ in ("by need", "by name"):
        tree = syslibs.bundle(tree, HAS, Folder(image), QUIET, glibc=(2, 99), opened=opened)
        assert [one.name for one in tree.libraries] == ["libeven.so.2", "libodd.so.1"]
        assert tree.missing == (opened[0],)
    assert tree.libraries[0].needed_by == ("lambdapack.libs/libodd.so.1",)


def test_a_part_of_an_opened_library_that_is_missing_is_fatal(tmp_path: Path, image: Path) -> None:
    """In the pack, whose module maps the library that asks for it; also where its bytecode alone is there."""
    (tmp_path / "part").mkdir()
    shutil.copy(image / "libodd.so.1", tmp_path / "part")
    tree = tree_of(tmp_path / "tree", {"a.py": ""})
    opened = [MissingLibrary("libodd.so.1", ("a.py",))]
    made = syslibs.bundle(tree, HAS, Folder(tmp_path / "part"), QUIET, glibc=(2, 99), opened=opened)
    ((name, users),) = ((one.name, one.needed_by) for one in made.missing)
    assert (name, users) == ("libeven.so.2", ("lambdapack.libs/libodd.so.1",))
    for module in ("a.py", "a.pyc"):
        used = syslibs.PackUse(["__pycache__/a.cpython-312.pyc"], {module: users}, {})
        (found,) = syslibs.weigh(made.missing, HAS, [module, *users], used, image=True)
        assert found.fatal


def index_of(folder: Path, image: Path) -> Index:
    """The index of a pack with a module that opens ``libodd.so.1``."""
    tree = tree_of(folder / "tree", {"a.py": "", "a-1.dist-info/METADATA": ""})
    opened = [MissingLibrary("libodd.so.1", ("a.py",))]
    made = syslibs.bundle(tree, HAS, Folder(image), QUIET, glibc=(2, 99), opened=opened)
    trace = Trace(("a.py",), frozenset(), "traced", "import a")
    return decode(write(made, trace, "0" * 64, folder / "out", level=1).index_path.read_bytes())


def test_a_module_may_need_shared_objects(tmp_path: Path, image: Path) -> None:
    """And nothing else; metadata needs none."""
    index = index_of(tmp_path, image)
    module = index.paths.index("a.py")
    assert [index.paths[one] for one in index.needs[module]] == [
        "lambdapack.libs/libeven.so.2", "lambdapack.libs/libodd.so.1",
    ]  # fmt: skip
    assert check.problems(encode(index)) == []
    metadata = index.paths.index("a-1.dist-info/METADATA")
    index.needs = {metadata: index.needs[module]}
    assert any("metadata needs no shared objects" in one for one in check.problems(encode(index)))
    index.needs = {index.paths.index("lambdapack.libs/libodd.so.1"): [module]}
    assert any("are not shared objects" in one for one in check.problems(encode(index)))


def test_the_first_error_is_told_and_the_module_goes_on(
    image: Path, tmp_path: Path, lambdapack_cache: Path
) -> None:
    """A library that cannot be mapped is the log's; what fails is the module's own call, as ever."""
    (tmp_path / "part").mkdir()
    shutil.copy(image / "libodd.so.1", tmp_path / "part")
    text = "import ctypes\ntry: ctypes.CDLL('libodd.so.1')\nexcept OSError as error: said = str(error)\n"
    tree = tree_of(tmp_path / "tree", {"a.py": text}, compiled=True)
    opened = [MissingLibrary("libodd.so.1", ("a.py",))]
    made = syslibs.bundle(tree, HAS, Folder(tmp_path / "part"), QUIET, glibc=(2, 99), opened=opened)
    trace = Trace((source_of("a.py"),), frozenset(), "traced", "import a")
    with running_world(tmp_path, interpreter.find(PYTHON), lambdapack_cache, (made, trace)) as running:
        told, said = running.run("import runtime_shim\nimport a\nprint(a.said)").splitlines()
    assert "libeven.so.2: cannot open" in json.loads(told)["library_error"]
    assert said.startswith("libodd.so.1: cannot open")
