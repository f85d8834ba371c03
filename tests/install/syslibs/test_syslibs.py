"""Libraries that Lambda lacks: found, brought along, mapped before what needs them, and said where not."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdapack import limits
from lambdapack.errors import CheckError
from lambdapack.install import syslibs
from lambdapack.model import MissingLibrary, Trace, Tree
from lambdapack.model.runtimes import PYTHONS
from lambdapack.model.target import Target
from lambdapack.progress import QUIET, Progress
from lambdapack.python import interpreter, toolchain
from tests.support.command_line import Run
from tests.support.shim_world import World, running_world
from tests.support.system_libraries import Folder, compile_c, libraries, package
from tests.support.told import Told
from tests.support.wheelhouse import wheel

PYTHON = ".".join(map(str, sys.version_info[:2]))
MACHINE = platform.machine()
HERE = {"aarch64": "arm64"}.get(MACHINE, MACHINE)
TARGETS = [Target(python, arch) for python in PYTHONS for arch in limits.ARCHITECTURES]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the libraries, which no search path of this machine has."""
    folder = tmp_path_factory.mktemp("image")
    libraries(folder)
    return folder


@pytest.fixture
def tree(images: Path, tmp_path: Path) -> Tree:
    return package(tmp_path / "tree", images, PYTHON)


def bundled(tree: Tree, images: Path, progress: Progress = QUIET) -> Tree:
    has = syslibs.runtime_libraries(tree.target)
    return syslibs.bundle(tree, has, Folder(images), progress, glibc=(2, 99))


def test_what_neither_pack_nor_lambda_has_is_found(tree: Tree) -> None:
    """Each missing name once, with every file that asks for it; libc and the like are not missing."""
    found = syslibs.missing_libraries(tree, syslibs.runtime_libraries(tree.target))
    assert [one.name for one in found] == ["libodd.so.1"]
    assert len(found[0].needed_by) == 3
    assert "oddlib/libtwice.so" in found[0].needed_by


def test_what_is_missing_is_bundled_with_what_it_needs(tree: Tree, images: Path) -> None:
    """Transitively, byte for byte as the image has it, under the name that is asked for."""
    result = bundled(tree, images)
    assert [one.name for one in result.libraries] == ["libeven.so.2", "libodd.so.1"]
    assert result.missing == ()
    for one in result.libraries:
        assert (tree.root / one.path).read_bytes() == (images / one.name).read_bytes()
        assert one.package == "odd-1"
    even = next(one for one in result.libraries if one.name == "libeven.so.2")
    assert even.needed_by == ("lambdapack.libs/libodd.so.1",)
    assert syslibs.missing_libraries(result, syslibs.runtime_libraries(tree.target)) == ()


def test_what_the_pack_has_itself_is_not_looked_for(tree: Tree, images: Path) -> None:
    """A library anywhere in the tree counts: packages load such by their path."""
    (tree.root / "oddlib" / "libodd.so.1").write_bytes((images / "libodd.so.1").read_bytes())
    (tree.root / "oddlib" / "libeven.so.2").write_bytes((images / "libeven.so.2").read_bytes())
    source = Folder(images)
    result = syslibs.bundle(tree, syslibs.runtime_libraries(tree.target), source, QUIET, glibc=(2, 99))
    assert source.asked == []
    assert not (tree.root / "lambdapack.libs").exists()
    assert result == tree


def test_what_the_image_lacks_too_stays_missing(tree: Tree, images: Path, tmp_path: Path) -> None:
    """A part of the chain that nobody has is named with the library that asks for it."""
    part = tmp_path / "part"
    part.mkdir()
    (part / "libodd.so.1").write_bytes((images / "libodd.so.1").read_bytes())
    result = bundled(tree, part)
    assert [(one.name, one.needed_by) for one in result.missing] == [
        ("libeven.so.2", ("lambdapack.libs/libodd.so.1",))
    ]


def test_a_library_of_another_soname_is_refused(tree: Tree, images: Path, tmp_path: Path) -> None:
    """The linker goes by the soname: what calls itself otherwise could never be taken for it."""
    wrong = tmp_path / "wrong"
    compile_c(
        "int odd(void) { return 1; }", wrong / "libodd.so.1", "-shared", "-fPIC", "-Wl,-soname,libodd.so.9"
    )
    (missing,) = bundled(tree, wrong).missing
    assert "libodd.so.9" in missing.reason
    assert not (tree.root / "lambdapack.libs").exists()


def test_the_c_librarys_own_parts_are_never_bundled(tree: Tree, images: Path, tmp_path: Path) -> None:
    """A part of glibc from elsewhere beside Lambda's own would crash: it stays missing, with the reason."""
    source = "int odd(void); int nsl(void) { return odd(); }"
    folder = tmp_path / "glibc"
    libraries(folder)
    fake = compile_c(
        "int nsl_(void) { return 1; }", folder / "libnsl.so.1", "-shared", "-fPIC", "-Wl,-soname,libnsl.so.1"
    )
    compile_c(
        source, tree.root / "oddlib" / "libnisuser.so", "-shared", "-fPIC",
        "-Wl,--no-as-needed", "-Xlinker", str(fake),
    )  # fmt: skip
    has = replace(syslibs.runtime_libraries(tree.target), certain=frozenset(("libc.so.6",)))
    result = syslibs.bundle(tree, has, Folder(folder), QUIET, glibc=(2, 99))
    (missing,) = result.missing
    assert missing.name == "libnsl.so.1"
    assert "C library" in missing.reason


def test_a_bundled_library_that_wants_a_newer_glibc_is_warned_of(tree: Tree, images: Path) -> None:
    """What the lock allows counts for libraries of the image, too."""
    heard = Told()
    has = syslibs.runtime_libraries(tree.target)
    odd = images / "libodd.so.1"
    asks = compile_c(
        "#include <stdlib.h>\nint odd(void) { return atoi(getenv(\"X\")); }", odd.parent / "new" / odd.name,
        "-shared", "-fPIC", "-Wl,-soname,libodd.so.1",
    )  # fmt: skip
    syslibs.bundle(tree, has, Folder(asks.parent), heard, glibc=(2, 0))
    assert any("libodd.so.1" in one and "glibc" in one for one in heard.warnings)


@pytest.fixture(scope="module")
def world(images: Path, tmp_path_factory: pytest.TempPathFactory, lambdapack_cache: Path) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("bundled")
    made = bundled(package(folder / "tree", images, PYTHON), images)
    trace = Trace(("oddlib/libtwice.so",), frozenset(), "traced", "import oddly")
    with running_world(folder, interpreter.find(PYTHON), lambdapack_cache, (made, trace)) as running:
        yield running


PROBES = {
    "import": "import runtime_shim\nimport oddly\nprint(oddly.answer())",
    "ctypes": "import runtime_shim\nimport ctypes, oddlib, os\n"
    "path = os.path.join(os.path.dirname(oddlib.__file__), 'libtwice.so')\n"
    "print(ctypes.CDLL(path).twice() // 2)",
    "python": "import runtime_shim\nimport subprocess, sys\n"
    "print(subprocess.run([sys.executable, '-c', 'import oddly; print(oddly.answer())'], check=True,"
    " capture_output=True, text=True).stdout)",
    "program": "import runtime_shim\nimport oddlib, os, subprocess\n"
    "path = os.path.join(os.path.dirname(oddlib.__file__), 'program')\n"
    "print(subprocess.run([path], check=True, capture_output=True, text=True).stdout)",
    "threads": "import runtime_shim\nimport threading\nfound = []\n"
    "def run():\n    import oddly\n    found.append(oddly.answer())\n"
    "threads = [threading.Thread(target=run) for _ in range(8)]\n"
    "[t.start() for t in threads]; [t.join() for t in threads]\nprint(set(found).pop(), len(found))",
}


@pytest.mark.parametrize("mode", ["stream", "disk"])
@pytest.mark.parametrize("probe", list(PROBES))
def test_bundled_libraries_are_mapped(world: World, probe: str, mode: str) -> None:
    """By an import, by ctypes, in a Python and in a program that the function starts, by many threads."""
    world.forget()
    out = world.run(PROBES[probe], LAMBDAPACK_MODE=mode)
    assert out.split()[0] == "42"


def test_without_the_shim_it_would_not_load(world: World, images: Path) -> None:
    """The test's library is on no search path: what the others prove is the shim's doing."""
    world.forget()
    world.run(PROBES["import"])
    code = f"import sys; sys.path.insert(0, {str(world.site)!r})\nimport oddly"
    assert "libodd.so.1" in world.run(code, status=1)


def test_a_pack_without_them_does_not_pay(world: World) -> None:
    """The module that maps them is imported only where the index names such libraries."""
    world.forget()
    out = world.run(
        PROBES["import"] + "\nimport sys; print('runtime_shim._libraries' in sys.modules)"
        "\nprint('library_error' in runtime_shim.stats())"
    )
    assert out.split() == ["42", "True", "False"]
    data = (world.function / "runtime_shim" / "index.json").read_bytes()
    assert data.count(b'"lambdapack.libs/') == 2


@pytest.fixture(scope="module")
def broken(images: Path, tmp_path_factory: pytest.TempPathFactory, lambdapack_cache: Path) -> Iterator[World]:
    """A pack whose one bundled library needs another, which is nowhere."""
    folder = tmp_path_factory.mktemp("broken")
    (folder / "part").mkdir()
    (folder / "part" / "libodd.so.1").write_bytes((images / "libodd.so.1").read_bytes())
    made = bundled(package(folder / "tree", images, PYTHON), folder / "part")
    trace = Trace(("oddlib/libtwice.so",), frozenset(), "traced", "import oddly")
    with running_world(folder, interpreter.find(PYTHON), lambdapack_cache, (made, trace)) as running:
        yield running


@pytest.mark.parametrize("mode", ["stream", "disk"])
def test_the_first_error_of_a_bundled_library_is_told(broken: World, mode: str) -> None:
    """The import's own error names the symptom; the cause is in a line of the log before it, in ``stats()``
    and in the line of the cold start; whoever needs no such library starts as ever."""
    broken.forget()
    out = broken.run(
        "import runtime_shim\ntry:\n    import oddly\nexcept ImportError as error: print(error)\n"
        "runtime_shim.ready()\nprint(runtime_shim.stats()['library_error'])\nimport oddlib",
        LAMBDAPACK_MODE=mode,
    )
    told, symptom, line, said = out.splitlines()
    assert "libodd.so.1: cannot open" in symptom
    assert said.startswith("lambdapack.libs/libodd.so.1: libeven.so.2: cannot open shared object file")
    assert json.loads(told) == {"lambdapack": "library", "library_error": said}
    assert json.loads(line)["library_error"] == said


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_the_lists_are_sound(target: Target) -> None:
    """Nothing is certain and absent at once, the C library and Python are certain, libgomp is absent."""
    has = syslibs.runtime_libraries(target)
    assert {"libc.so.6", "libm.so.6", "libstdc++.so.6", "libgcc_s.so.1", "libz.so.1"} <= has.certain
    assert f"libpython{target.python}.so.1.0" in has.certain
    assert ("ld-linux-aarch64.so.1" in has.certain) == (target.arch == "arm64")
    assert has.certain.isdisjoint(has.image)
    assert (has.certain | has.image).isdisjoint(has.absent)
    assert {"libgomp.so.1", "libGL.so.1", "libX11.so.6"} <= has.absent.keys()


@given(st.text("abcdefglnmprstu-_+.", max_size=14), st.integers(0, 99))
def test_only_the_c_librarys_names_are_its_own(stem: str, number: int) -> None:
    """Whatever else a library is called, it may be bundled."""
    name = f"{stem}.so.{number}"
    known = ("libc", "libm", "libresolv", "libutil", "libpthread", "libdl", "librt", "libanl", "libnsl")
    if stem not in (*known, "libmvec", "libcidn") and not stem.startswith(("ld-linux", "libnss_")):
        assert not syslibs.RuntimeLibraries.is_glibc(name)


def missing(*paths: str, reason: str = "") -> Any:
    return [MissingLibrary("libgomp.so.1", paths, reason)]


def test_a_missing_library_is_told_where_it_matters() -> None:
    """A warning with name, user and way out where the trace used it; a note where it did not."""
    has = syslibs.runtime_libraries(Target("3.12"))
    heard = Told()
    syslibs.report_missing(missing("a.so", "b.so"), has, ["b.so"], heard, image=False)
    assert heard.notes == []
    (said,) = heard.warnings
    for word in ("libgomp.so.1 (b.so needs it)", "Amazon Linux 2023", "--builder docker", "lambdapack plan"):
        assert word in said
    heard = Told()
    syslibs.report_missing(missing("a.so"), has, [], heard, image=True)
    assert heard.warnings == []
    assert "libgomp.so.1" in heard.notes[0]
    heard = Told()
    syslibs.report_missing(missing("a.so"), has, ["a.so"], heard, image=True)
    assert "--system-package" in heard.warnings[0]


def test_many_missing_libraries_are_one_line() -> None:
    """However many a package asks for: the first of them, how many more, and who asks."""
    has, heard = syslibs.runtime_libraries(Target("3.12")), Told()
    users = ("cv2/cv2.abi3.so", "cv2/qt/libqxcb.so", "cv2/qt/libshm.so")
    many = [MissingLibrary(f"libX{number}.so.6", users[: 1 + number % 3]) for number in range(9)]
    syslibs.report_missing(many, has, users, heard, image=False)
    (said,) = heard.warnings
    assert "libX0.so.6, libX1.so.6, libX2.so.6 and 6 more (cv2/cv2.abi3.so and 2 more need them)" in said
    assert len(said) < 250
    assert "\n" not in said
    two = {"libGL.so.1": ["cv2.so"], "libX11.so.6": ["cv2.so"]}
    assert syslibs.in_short(two) == "libGL.so.1 and libX11.so.6 (cv2.so needs them)"


def weighed(touched: list[str] | None, **more: Any) -> Any:
    """What becomes of ``libgomp.so.1``, which ``a.so`` and ``b.so`` ask for."""
    used = syslibs.PackUse(touched, more.pop("needs", {}), more.pop("failed", {}))
    paths = more.pop("paths", ["a.so", "b.so", "c.so"])
    has = syslibs.runtime_libraries(Target("3.12"))
    found = syslibs.weigh(missing("a.so", "b.so"), has, paths, used, image=False, **more)
    return found[0] if found else None


def test_what_the_traced_code_needs_is_fatal() -> None:
    """Touched by itself, or mapped for what was touched; what nobody touched is not, nor what was dropped."""
    assert weighed(["b.so"]).fatal
    assert weighed(["b.so"]).users == ("b.so", "a.so")
    assert weighed(["c.so"], needs={"c.so": ["b.so"]}).fatal
    unused = weighed(["c.so"])
    assert not unused.fatal
    assert "did not use it" in unused.message
    assert weighed(["b.so"], paths=["c.so"]) is None


def test_what_an_import_fails_for_is_fatal() -> None:
    """Also where the traced code never got there; another import's other failure is not."""
    said = "ImportError: libgomp.so.1: cannot open shared object file: No such file or directory"
    found = weighed([], failed={"lightgbm": said})
    assert found.fatal
    assert "import lightgbm fails" in found.message
    assert not weighed([], failed={"other": said.replace("gomp", "odd")}).fatal


def test_without_a_trace_every_user_counts() -> None:
    """Nobody can know then: it is refused, and named with what lifts that."""
    found = weighed(None)
    assert found.fatal
    assert "nothing was traced" in found.message
    assert "--allow-lacking libgomp.so.1" in found.hint


def test_what_is_allowed_is_never_fatal() -> None:
    """By its own name alone."""
    assert not weighed(["b.so"], allowed=["libgomp.so.1"]).fatal
    assert weighed(["b.so"], allowed=["libgomp.so"]).fatal
    syslibs.refuse([weighed(["b.so"], allowed=["libgomp.so.1"])], "deploying hello")
    with pytest.raises(CheckError, match="deploying hello") as caught:
        syslibs.refuse([weighed(["b.so"])], "deploying hello")
    assert all(word in caught.value.message for word in ("b.so", "libgomp.so.1", "Amazon Linux 2023"))


@pytest.fixture(scope="module")
def lacking_project(
    images: Path, tmp_path_factory: pytest.TempPathFactory, run_lambdapack: Run, lambdapack_cache: Path
) -> Path:
    """A function that is built on a machine which has the library."""
    folder = tmp_path_factory.mktemp("lacking")
    toolchain.ensure(interpreter.find(PYTHON), lambdapack_cache)
    made = package(folder / "tree", images, PYTHON)
    files = {path: (made.root / path).read_bytes() for path in made.distributions[0].files if ".so" in path}
    wheel(
        folder, "oddly", "1.0", tag=f"cp{PYTHON.replace('.', '')}-abi3-manylinux_2_17_{MACHINE}", files=files
    )
    (folder / "lambdapack.toml").write_text(
        f'[build]\npython = "{PYTHON}"\narch = "{HERE}"\n'
        'requirements = ["oddly"]\n[function]\nname = "odd"\n'
        '[store]\nlocation = "s3://nowhere-at-all/packs"\nregion = "eu-central-1"\n'
    )
    (folder / "app.py").write_text(
        "import runtime_shim\nimport oddly\ndef handler(event, context): return oddly.answer()\n"
    )
    environment = [("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", str(folder)), ("LD_LIBRARY_PATH", str(images))]
    run_lambdapack("build", "--builder", "local", cwd=folder, environment=environment)
    return folder


def test_plan_fails_for_a_library_that_the_function_needs(run_lambdapack: Run, lacking_project: Path) -> None:
    """Exit status 1 with the library, who needs it and what helps; allowing it makes it advice."""
    done = run_lambdapack("plan", "--json", cwd=lacking_project, status=1)
    check = next(one for one in json.loads(done.stdout)["checks"] if one["name"] == "library.libodd.so.1")
    assert (check["kind"], check["ok"], check["limit"]) == ("limit", False, 0)
    assert "oddly" in check["note"]
    for word in ("libodd.so.1", "the traced code uses it", "--builder docker", "--allow-lacking libodd.so.1"):
        assert word in done.stderr
    shown = run_lambdapack("plan", "--allow-lacking", "libodd.so.1", cwd=lacking_project)
    assert "library.libodd.so.1" in shown.stdout


def test_aws_gets_no_function_that_lacks_a_library(run_lambdapack: Run, lacking_project: Path) -> None:
    """Refused before anything is asked of AWS, dry run or not; allowed, it goes as far as to AWS."""
    nowhere = [
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"), ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "secret"), ("AWS_MAX_ATTEMPTS", "1"),
    ]  # fmt: skip
    aws = ("deploy", "--cloud", "aws", "--dry-run")
    refused = run_lambdapack(*aws, cwd=lacking_project, environment=nowhere, status=1)
    assert "deploying odd: it would fail in Lambda for want of a library" in refused.stderr
    allowed = run_lambdapack(
        *aws, "--allow-lacking", "libodd.so.1", cwd=lacking_project, environment=nowhere, status=3
    )
    assert "libodd.so.1" in allowed.stderr
    assert "would fail" not in allowed.stderr


def test_the_embedded_cloud_warns_of_it(run_lambdapack: Run, lacking_project: Path) -> None:
    """It is what AWS would refuse, and the function may work here."""
    done = run_lambdapack("deploy", "--dry-run", cwd=lacking_project)
    (said,) = [line for line in done.stderr.splitlines() if "libodd.so.1" in line]
    assert "in AWS the function would fail for want of libodd.so.1 (" in said
    assert "lambdapack plan" in said
    (lacking_project / "function.zip").unlink(missing_ok=True)
    assert "libodd.so.1" in run_lambdapack("package", cwd=lacking_project).stderr


def test_a_trace_that_fails_for_want_of_one_says_so() -> None:
    """The linker's words in the traced program's output become the name, and what helps."""
    has = syslibs.runtime_libraries(Target("3.12"))
    detail = "ImportError: libgomp.so.1: cannot open shared object file: No such file or directory"
    with (
        pytest.raises(CheckError) as caught,
        syslibs.missing_library_errors(missing("a.so"), has, image=False),
    ):
        raise CheckError("the traced code ended with status 1: import a", detail=detail)
    assert "libgomp.so.1" in caught.value.message
    assert "--builder docker" in str(caught.value.hint)
    with (
        pytest.raises(CheckError, match="ended with status 1"),
        syslibs.missing_library_errors([], has, image=False),
    ):
        raise CheckError("the traced code ended with status 1: import a", detail=detail)
