"""A child process finds the pack by its environment alone, as it would find a plain directory."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from lambdapack.python import interpreter
from tests.support.shim_world import World, running_world

VERSIONS = [found.python for found in interpreter.installed()]


@pytest.fixture(scope="module", params=VERSIONS)
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, lambdapack_cache: Path
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("children" + request.param)
    with running_world(folder, interpreter.find(request.param), lambdapack_cache) as world:
        yield world


BEGIN = """
import runtime_shim, os, subprocess, sys
site = next(p for p in sys.path if p.endswith("/site"))
bare = {"PATH": os.environ["PATH"]}
def child(code, environment, *options):
    done = subprocess.run([sys.executable, *options, "-c", code], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, universal_newlines=True, env=environment)
    return done.stdout.strip()
"""

WAYS = {
    "sys.path": "dict(bare, PYTHONPATH=os.pathsep.join(sys.path))",
    "the folder": "dict(bare, PYTHONPATH=site)",
    "the folder, oddly": "dict(bare, PYTHONPATH=site + '/heavy/..//')",
    "bytes": "{b'PATH': os.environb[b'PATH'], b'PYTHONPATH': os.fsencode(site)}",
    "behind the shim's": "dict(os.environ, PYTHONPATH=os.environ['PYTHONPATH'] + os.pathsep + site)",
}


@pytest.mark.parametrize("way", WAYS)
def test_a_pythonpath_that_names_the_pack_gives_the_pack(world: World, way: str) -> None:
    """Whatever the variable's form and with no other variable."""
    code = f"""
        inner = "import heavy.second, sys; print(heavy.__file__, sum(p.endswith('site') for p in sys.path))"
        for _ in range(2):
            found = child(inner, {WAYS[way]})
            assert found == site + "/heavy/__init__.py 1", found
        print([name for name in os.listdir(site) if "sitecustomize" in name], [entry.name for entry in
            os.scandir(site) if "sitecustomize" in entry.name])
        """
    world.forget()
    assert run(world, code) == "[] []"


def test_a_child_that_can_fetch_does_so_itself(world: World) -> None:
    """Frames that nobody has asked for are fetched beforehand only for a child that lacks the means."""
    code = """
        inner = "import heavy.cold; print(heavy.cold.COLD)"
        print(child(inner, dict(os.environ, PYTHONPATH=site)), runtime_shim.stats()["on_demand"])
        print(child(inner, dict(bare, PYTHONPATH=site)), runtime_shim.stats()["on_demand"] > 0)
        """
    world.forget()
    out = world.run(BEGIN + textwrap.dedent(code)).splitlines()[-2:]
    assert out == ["never traced 0", "never traced True"]


def test_a_folder_inside_the_pack_gives_what_is_in_it(world: World) -> None:
    """A child with such a folder on its PYTHONPATH has its modules, and not those of the root."""
    code = """
        inner = "import importlib.util as u; import first, part; "
        inner += "print(first.__file__, part.PART, u.find_spec('heavy'))"
        both = dict(bare, PYTHONPATH=site + "/heavy" + os.pathsep + site + "/space")
        print(child(inner, both).replace(site, "<site>"))
        """
    assert run(world, code) == "<site>/heavy/first.py of a namespace None"


def test_the_environment_of_the_process_itself_counts(world: World) -> None:
    """os.environ, for a child that is given none, for os.system and for a program that takes the place."""
    code = """
        os.environ["PYTHONPATH"] = site
        os.environ.pop("LAMBDAPACK_TAG")
        print(child("import heavy; print(heavy.VERSION)", None), flush=True)
        os.system(sys.executable + " -c 'import heavy; print(heavy.VERSION)'")
        if not os.fork():
            os.execv(sys.executable, [sys.executable, "-c", "import heavy; print(heavy.VERSION)"])
        os.wait()
        """
    world.forget()
    assert world.run(BEGIN + textwrap.dedent(code)).splitlines()[-3:] == ["1.0"] * 3


def test_a_child_that_opts_out_does_not_see_it(world: World) -> None:
    """-E and -I hide it as they hide any directory."""
    code = """
        inner = "import importlib.util as u; print(u.find_spec('heavy'))"
        print(*[child(inner, dict(bare, PYTHONPATH=site), option) for option in ("-E", "-I")])
        """
    assert run(world, code) == "None None"


def test_every_sitecustomize_runs_once(world: World, tmp_path: Path) -> None:
    """The shim's own hide the program's, and so run it, however many of them are on the path."""
    (tmp_path / "sitecustomize.py").write_text("import heavy\nprint('customised')\n")
    code = f"""
        path = [site, site + "/heavy", os.environ["PYTHONPATH"], {str(tmp_path)!r}]
        print(child("import sitecustomize; print(sitecustomize.__file__)",
            dict(os.environ, PYTHONPATH=os.pathsep.join(path))).split())
        """
    assert run(world, code) == f"['customised', '{tmp_path}/sitecustomize.py']"


def test_any_variable_may_name_a_file_or_a_folder(world: World) -> None:
    """A program that is told by its environment finds the files there, modules too."""
    code = """
        script = 'cat "$NAMED/leaf.py" "$FILE"'
        named = dict(bare, NAMED=site + "/heavy/deep", FILE=site + "/heavy/cold.py")
        print(subprocess.check_output(["sh", "-c", script], env=named).decode().replace("\\n", " ").strip())
        """
    world.forget()
    assert run(world, code) == "LEAF = 'leaf' COLD = 'never traced'"


def run(world: World, code: str, **environment: str) -> str:
    """The last line that ``code`` prints, with ``child`` at hand."""
    return world.run(BEGIN + textwrap.dedent(code), **environment).splitlines()[-1]
