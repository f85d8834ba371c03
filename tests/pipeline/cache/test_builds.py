"""Builds with a warm cache, a cold one and none: the same packs, and what they say."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from lambdapack.model.target import Target
from lambdapack.pipeline import BuildResult, Reuse, build
from lambdapack.pipeline.options import BuildOptions
from lambdapack.python import interpreter, toolchain
from lambdapack.slim import SlimOptions
from lambdapack.trace import TraceOptions
from tests.lock.test_direct import package
from tests.pipeline.cache.test_build_cache import damage, files
from tests.support.command_line import Run
from tests.support.told import Told
from tests.support.wheelhouse import wheel

PYTHON = ".".join(map(str, sys.version_info[:2]))
DEFAULT = Reuse()
Build = Callable[..., tuple[BuildResult, Told]]


def code(name: str, size: int = 20) -> dict[str, bytes]:
    """A package of a few modules, with tests and data."""
    lines = b"".join(b"VALUE_%d = %d\n" % (number, number * 7919) for number in range(size))
    return {
        f"{name}/__init__.py": lines,
        f"{name}/more.py": b"from . import *\n" + lines,
        f"{name}/table.bin": bytes(range(256)) * 40,
        f"{name}/tests/test_it.py": b"raise SystemExit\n",
    }


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """Three packages, two of them in two versions."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name, version, needs in (
        ("alpha", "1", ("beta",)), ("alpha", "2", ("beta",)),
        ("beta", "1", ()), ("beta", "2", ()), ("gamma", "1", ()),
    ):  # fmt: skip
        wheel(folder, name, version, needs=needs, files=code(name, 20 + int(version)))
    return folder


@pytest.fixture
def builds(wheels: Path, tmp_path: Path, lambdapack_cache: Path) -> Build:
    """Builds in this process with a cache of its own, into a folder of its own each time."""
    toolchain.ensure(interpreter.find(PYTHON), lambdapack_cache)
    count = iter(range(100))

    def run(
        *requirements: str,
        cache: str = "cache",
        reuse: Reuse = DEFAULT,
        output: Path | None = None,
        **options: object,
    ) -> tuple[BuildResult, Told]:
        number, heard = next(count), Told()
        folder = tmp_path / cache
        folder.mkdir(exist_ok=True)
        if not (folder / "tools").exists():
            (folder / "tools").symlink_to(lambdapack_cache / "tools")
        listed = tmp_path / f"requirements{number}.txt"
        listed.write_text("\n".join(["--no-index", f"--find-links {wheels}", *requirements]))
        wanted = BuildOptions(
            requirements=(), files=(listed,), target=Target(PYTHON), builder="local", level=3,
            output=output or tmp_path / f"out{number}",
        )  # fmt: skip
        wanted = replace(wanted, **options)  # type: ignore[arg-type]
        return build(wanted, cache_dir=folder, reuse=reuse, progress=heard), heard

    return run


ALL = ("alpha==1", "beta==1", "gamma==1")


def test_the_second_build_comes_from_the_cache_into_any_folder(builds: Build, tmp_path: Path) -> None:
    """Also after the first folder is gone; what it says is of now, what it gives is the same files."""
    first, _ = builds(*ALL)
    names = {path.name: path.read_bytes() for path in files(first.directory) if path.name != "build.json"}
    again, said = builds(*ALL, output=first.directory)
    assert (again.source, again.report.pack.id) == ("output", first.report.pack.id)
    assert not said.warnings
    shutil.rmtree(first.directory)
    second, heard = builds("gamma==1", "beta==1", "alpha==1", "alpha>0")
    assert (second.reused, second.source) == (False, ""), "other requirements are another question"
    third, heard = builds(*ALL)
    assert (third.reused, third.source) == (True, "cache")
    assert third.lock_age is not None and third.lock_age < 3600
    assert any("lock: reused" in note for note in heard.notes)
    assert any("taken from the cache" in note for note in heard.notes)
    assert {p.name: p.read_bytes() for p in files(third.directory) if p.name != "build.json"} == names
    assert not list(third.directory.glob(".*"))


def test_one_changed_pin_takes_the_rest_from_the_cache(builds: Build) -> None:
    """Distributions and frames are counted, in the notes and in build.json; the id is that of a build
    without a cache."""
    builds(*ALL)
    changed, heard = builds("alpha==2", "beta==1", "gamma==1")
    reuse = changed.report.reuse
    assert reuse["distributions"] == {"reused": 2, "all": 3}
    assert reuse["frames"]["all"] == changed.report.pack.frames
    assert any("2 of 3 distributions" in note for note in heard.notes)
    document = json.loads((changed.directory / "build.json").read_text())
    assert document["reuse"]["distributions"] == {"reused": 2, "all": 3}
    bare, _ = builds("alpha==2", "beta==1", "gamma==1", reuse=Reuse(cache=False))
    assert bare.report.pack.id == changed.report.pack.id
    assert bare.report.reuse["distributions"]["reused"] == 0


CHANGES: Sequence[tuple[str, tuple[str, ...], dict[str, object]]] = (
    ("another version", ("alpha==2", "beta==1", "gamma==1"), {}),
    ("one more", (*ALL, "gamma==1"), {}),
    ("one less", ("beta==1", "gamma==1"), {}),
    ("excluded", ALL, {"exclude": ("beta",)}),
    ("level", ALL, {"level": 7}),
    ("keep", ALL, {"slim": SlimOptions(keep=("*/tests/*",))}),
    ("drop", ALL, {"slim": SlimOptions(drop=("*.bin",))}),
    ("disable", ALL, {"slim": SlimOptions(disable=("tests",))}),
    ("no sources", ALL, {"slim": SlimOptions(sources=False)}),
    ("traced code", ALL, {"trace": TraceOptions(code="import gamma.more, alpha")}),
    ("environment", ALL, {"trace": TraceOptions(code="import os; __import__(os.environ.get('WHAT', 'alpha'))",
                                                environment={"WHAT": "beta"})}),
    ("architecture", ALL, {"target": Target(PYTHON, "arm64")}),
)  # fmt: skip


@pytest.mark.slow
def test_a_warm_cache_changes_no_id(builds: Build) -> None:
    """Whichever input changes: after a build of something else, in the same cache, the pack is that of a
    build without one; and each of them is found again by its own inputs alone."""
    builds(*ALL)
    ids = []
    for name, requirements, options in CHANGES:
        warm, _ = builds(*requirements, **options)
        cold, _ = builds(*requirements, reuse=Reuse(cache=False), **options)
        assert warm.report.pack.id == cold.report.pack.id, name
        ids.append(warm.report.pack.id)
    for (name, requirements, options), expected in zip(CHANGES, ids, strict=True):
        again, _ = builds(*requirements, **options)
        assert (again.source, again.report.pack.id) == ("cache", expected), name


def test_a_traced_handlers_own_data_is_an_input(builds: Build, tmp_path: Path) -> None:
    """A handler may read any of its files to decide what it imports."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "app.py").write_text(
        "import importlib, pathlib\n"
        "def handler(event, context):\n"
        "    importlib.import_module(pathlib.Path(__file__).with_name('which.txt').read_text())\n"
    )
    traced = TraceOptions(handler="app.handler", events=({},), source=source)
    ids = []
    for which in ("alpha", "gamma", "alpha"):
        (source / "which.txt").write_text(which)
        built, _ = builds(*ALL, trace=traced)
        ids.append(built.report.pack.id)
    assert ids[0] == ids[2] != ids[1]


def test_a_new_wheel_in_a_folder_of_wheels_is_seen_at_once(builds: Build, wheels: Path) -> None:
    """A lock is not taken for today's where something that can be looked at has changed."""
    first, _ = builds("gamma")
    assert builds("gamma")[0].reused
    wheel(wheels, "gamma", "5", files=code("gamma"))
    second, _ = builds("gamma")
    assert [one.version for one in first.report.distributions] == ["1"]
    assert [one.version for one in second.report.distributions] == ["5"]


def test_local_packages_and_files_are_looked_at_each_time(
    builds: Build, wheels: Path, tmp_path: Path
) -> None:
    """As long as they are what they were, the earlier lock and build are taken; one byte makes others."""
    wheel(wheels, "helper", "1")
    folder, file = package(tmp_path / "project"), wheel(tmp_path, "delta", "1", files=code("delta"))

    def again() -> tuple[bool, bool, str]:
        built, heard = builds(str(folder), str(file))
        known = any("lock: reused" in note for note in heard.notes)
        return known, built.source == "cache", built.report.pack.id

    *news, first = again()
    assert not any(news)
    assert again() == (True, True, first)
    (folder / "pure_thing.py").write_text("VALUE = 2\n")
    *news, second = again()
    assert not any(news)
    wheel(tmp_path, "delta", "1", files=code("delta", 21))
    *news, third = again()
    assert not any(news)
    assert len({first, second, third}) == 3
    for page in (tmp_path / "cache" / "files").rglob("index.html"):
        page.unlink()
    # Without its wheels a lock cannot be installed.
    assert again() == (False, True, third)


def test_a_reused_build_says_again_what_it_said(builds: Build, wheels: Path) -> None:
    """What was left out, what was restored and what was checked; from the cache, and in its own folder."""
    late = b"import importlib\nimportlib.import_module('delta.tests.helper')\n"
    parts = {"delta/__init__.py": b"", "delta/late/__init__.py": late, "delta/tests/helper.py": b""}
    wheel(wheels, "delta", "1", files=parts)
    asked = ("delta==1", "alpha==1")
    first, heard = builds(*asked, exclude=("beta",))
    about = [note for note in heard.notes if "left out" in note or "import as before" in note]
    assert len(about) == 2
    assert any("'tests' is not applied to delta" in warning for warning in heard.warnings)
    for output, source in ((first.directory, "output"), (None, "cache")):
        again, said = builds(*asked, exclude=("beta",), output=output)
        assert again.source == source
        assert [note for note in said.notes if note in about] == about
        assert said.warnings == heard.warnings


def test_refresh_resolves_anew_and_no_cache_leaves_no_trace(builds: Build, tmp_path: Path) -> None:
    """The one takes everything but the lock from the cache; the other neither reads nor writes it."""
    builds(*ALL)
    refreshed, heard = builds(*ALL, reuse=Reuse(lock=False))
    assert (refreshed.source, refreshed.lock_age) == ("cache", None)
    assert not any("lock: reused" in note for note in heard.notes)
    bare, _ = builds(*ALL, cache="none", reuse=Reuse(cache=False))
    assert not bare.reused and bare.report.pack.id == refreshed.report.pack.id
    assert not [path for path in files(tmp_path / "none" / "builds") if path.name != ".lock"]


@pytest.mark.parametrize("kinds", [("packs",), ("trees", "frames", "packs"), ("locks", "trees", "frames")])
def test_damaged_entries_are_noticed_and_made_again(
    builds: Build, tmp_path: Path, kinds: Sequence[str]
) -> None:
    """The pack is the same as ever, and the user is told."""
    first, _ = builds(*ALL)
    for kind in kinds:
        for path in files(tmp_path / "cache" / "builds" / kind):
            damage(path)
    if "packs" not in kinds:
        shutil.rmtree(tmp_path / "cache" / "builds" / "packs")
    again, heard = builds(*ALL)
    assert not again.reused
    assert again.report.pack.id == first.report.pack.id
    assert any("damaged entry of the build cache" in note for note in heard.notes)
    assert builds(*ALL)[0].source == "cache"


def test_a_cache_that_cannot_be_used_is_one_warning(builds: Build, tmp_path: Path) -> None:
    """The build goes on."""
    expected = builds(*ALL)[0].report.pack.id
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "builds").write_text("in the way")
    built, heard = builds(*ALL, cache="broken")
    assert built.report.pack.id == expected
    assert len([warning for warning in heard.warnings if "build cache" in warning]) == 1


def test_after_a_build_the_cache_is_within_its_limit(builds: Build, tmp_path: Path) -> None:
    """The least recently used goes; the tools beside it stay."""
    builds(*ALL, reuse=Reuse(limit=0))
    left = [path for path in files(tmp_path / "cache" / "builds") if path.name != ".lock"]
    assert not left
    assert (tmp_path / "cache" / "tools").exists()


@pytest.fixture
def proved(builds: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wheels: Path) -> Iterator[Path]:
    """A build whose wheels pip finds through its own configuration."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    built, _ = builds(*ALL, output=tmp_path / "proved")
    yield built.directory


def test_a_pack_is_proved_by_building_it_again(proved: Path, run_lambdapack: Run, tmp_path: Path) -> None:
    """From build.json alone, in a temporary folder: every byte is the same."""
    done = run_lambdapack("verify", proved, "--rebuild", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["differences"] == []
    assert "every byte is the same" in run_lambdapack("verify", proved, "--rebuild", cwd=tmp_path).stdout


def test_what_differs_is_named(proved: Path, run_lambdapack: Run, tmp_path: Path) -> None:
    """By distribution, file and first frame: here build.json asks for less than the pack was built with."""
    report = json.loads((proved / "build.json").read_text())
    report["options"]["slim"]["disable"] = ["tests"]
    (proved / "build.json").write_text(json.dumps(report))
    done = run_lambdapack("verify", proved, "--rebuild", cwd=tmp_path, status=1)
    assert "alpha 1: alpha/tests/test_it.py was not there" in done.stderr
    assert "frames: " in done.stderr and "is the first that differs" in done.stderr


def test_what_cannot_be_proved_is_said(
    proved: Path, run_lambdapack: Run, tmp_path: Path, wheels: Path
) -> None:
    """No build.json, another pack's, another version's, a changed lock, a wheel that is gone."""
    path = proved / "build.json"
    text = path.read_text()
    path.write_text(text.replace("lambdapack 0", "lambdapack 77.0"))
    assert "77.0" in run_lambdapack("verify", proved, "--rebuild", cwd=tmp_path, status=2).stderr
    path.write_text(text.replace("gamma==1", "gamma==3"))
    assert "lock" in run_lambdapack("verify", proved, "--rebuild", cwd=tmp_path, status=2).stderr
    path.write_text(text)
    next(wheels.glob("gamma-1-*")).unlink()
    done = run_lambdapack("verify", proved, "--rebuild", cwd=tmp_path, status=3)
    assert "gamma==1" in done.stderr and "PIP_FIND_LINKS" in done.stderr
    pack = next(proved.glob("*.tar.zst"))
    path.unlink()
    assert "build.json" in run_lambdapack("verify", pack, "--rebuild", cwd=tmp_path, status=2).stderr
