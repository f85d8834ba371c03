"""Trees that are put together of cached and fresh distributions: file by file those of a fresh install."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdapack.install import read_tree
from lambdapack.model import Lock, Tree
from lambdapack.pipeline import cached_tree
from lambdapack.pipeline.cache import BuildCache
from lambdapack.progress import QUIET
from lambdapack.python.interpreter import Interpreter
from tests.pipeline.cache.test_build_cache import damage, files, lock_of

PYTHON = Interpreter(Path("python"), "3.11.7", "x86_64")
NAMES = ("alpha", "beta", "gamma", "delta")
PATHS = ("shared/__init__.py", "shared/a.py", "own.py", "data.bin", "bin/tool")
WORLDS = st.lists(
    st.dictionaries(
        st.sampled_from(NAMES),
        st.tuples(st.integers(1, 2), st.lists(st.sampled_from(PATHS), min_size=1, unique=True)),
        min_size=1,
    ),
    min_size=1,
    max_size=5,
)


@dataclass
class Workshop:
    """Installs as pip does with names: of files with the same path, the last one stays.

    Attributes:
        content: Name -> paths that the distribution brings.
        interpreter, identity: What compiled bytecode depends on.
        installed: The names that each ``unpack`` was asked for.
    """

    content: Mapping[str, Sequence[str]]
    interpreter: Interpreter = PYTHON
    identity: Mapping[str, str] = field(default_factory=dict)
    installed: list[list[str]] = field(default_factory=list)

    def unpack(self, lock: Lock, destination: Path, **_: Any) -> Tree:
        self.installed.append([pin.name for pin in lock.pins])
        destination.mkdir()
        for pin in sorted(lock.pins, reverse=True):
            info = f"{pin.name}-{pin.version}.dist-info"
            brought = sorted(self.content[pin.name])
            paths = [path if "/" in path else f"{pin.name}_{path}" for path in brought]
            texts = {path: f"{pin.name} {pin.version} {path}" for path in paths}
            texts[f"{info}/METADATA"] = f"Name: {pin.name}\nVersion: {pin.version}\n"
            texts[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*texts, f"{info}/RECORD"])
            for path, text in texts.items():
                file = destination / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.unlink(missing_ok=True)
                file.write_text(text)
                if path.startswith("bin/"):
                    file.chmod(0o755)
        return read_tree(destination, lock.target)

    def compile_tree(self, root: Path, **_: Any) -> None:
        for path in list(root.rglob("*.py")):
            compiled = path.parent / "__pycache__" / f"{path.stem}.cpython-311.pyc"
            compiled.parent.mkdir(exist_ok=True)
            compiled.write_text(f"compiled {path.read_text()}")

    def bundle(self, tree: Tree, lock: Lock, **_: Any) -> Tree:
        return tree


def installed(lock: Lock, destination: Path, workshop: Workshop, store: BuildCache) -> tuple[Tree, int]:
    """Install with the cache ``store``; the tree, and how many distributions the cache had."""
    return cached_tree.install(lock, destination, workshop, store, jobs=None, progress=QUIET)  # type: ignore[arg-type]


def contents(root: Path) -> dict[str, tuple[bytes, bool]]:
    return {
        path.relative_to(root).as_posix(): (path.read_bytes(), bool(path.stat().st_mode & 0o100))
        for path in files(root)
    }


@given(WORLDS, st.sampled_from(("", "damage", "lose")))
@settings(max_examples=80, deadline=None)
def test_a_tree_from_the_cache_is_the_tree_of_a_fresh_install(
    tmp_path_factory: pytest.TempPathFactory,
    worlds: list[dict[str, tuple[int, list[str]]]],
    mishap: str,
) -> None:
    """For any sequence of locks, also where distributions bring the same paths, and where entries of the
    cache were damaged or lost: file by file."""
    folder = tmp_path_factory.mktemp("trees")
    store = BuildCache(folder / "builds")
    for number, world in enumerate(worlds):
        versions = {
            name: f"{version}+{len(paths)}.{hash_of(paths)}" for name, (version, paths) in world.items()
        }
        lock = lock_of(*versions.items())
        workshop = Workshop({name: paths for name, (_, paths) in world.items()})
        tree, _ = installed(lock, folder / f"cached{number}", workshop, store)
        fresh = workshop.unpack(lock, folder / f"fresh{number}")
        workshop.compile_tree(fresh.root)
        assert contents(tree.root) == contents(fresh.root)
        assert tree.distributions == fresh.distributions
        kept = sorted(files(folder / "builds" / "trees")) if mishap else []
        for path in kept[number % 3 :: 3]:
            damage(path) if mishap == "damage" else path.unlink()


def hash_of(paths: Sequence[str]) -> int:
    """A number for a choice of ``PATHS``: a version brings the same files wherever it is installed."""
    return sum(1 << PATHS.index(path) for path in paths)


def test_what_the_cache_has_is_not_installed_again(tmp_path: Path) -> None:
    """Only what is missing is asked of the workshop; nothing at all where nothing is missing."""
    store, workshop = BuildCache(tmp_path / "builds"), Workshop({name: ["own.py"] for name in NAMES})
    counts = []
    for number, names in enumerate((("alpha", "beta"), ("alpha", "beta", "gamma"), ("alpha", "gamma"))):
        lock = lock_of(*((name, "1") for name in names))
        counts.append(installed(lock, tmp_path / str(number), workshop, store)[1])
    assert counts == [0, 2, 2]
    assert workshop.installed == [["alpha", "beta"], ["gamma"]]


def test_a_damaged_distribution_is_installed_again_with_the_rest_kept(tmp_path: Path) -> None:
    """One changed byte in the cache costs that distribution alone."""
    store, workshop = BuildCache(tmp_path / "builds"), Workshop({name: ["own.py"] for name in NAMES})
    lock = lock_of(("alpha", "1"), ("beta", "1"))
    installed(lock, tmp_path / "first", workshop, store)
    damage(next((tmp_path / "builds" / "trees").rglob("beta_own.py")))
    assert installed(lock, tmp_path / "second", workshop, store)[1] == 1
    assert workshop.installed[1:] == [["beta"]]


def test_distributions_that_bring_the_same_file_are_installed_together(tmp_path: Path) -> None:
    """pip decides which file stays: neither is linked then, neither is kept with the other's file, and what
    the cache has of each stays there."""
    store, workshop = BuildCache(tmp_path / "builds"), Workshop({name: ["shared/a.py"] for name in NAMES})
    pins = {"alpha": "1", "beta": "1"}
    both, alone = lock_of(*pins.items()), {name: lock_of((name, "1")) for name in pins}
    folders = iter(range(100))

    def reused(lock: Lock) -> int:
        tree, count = installed(lock, tmp_path / str(next(folders)), workshop, store)
        fresh = workshop.unpack(lock, tmp_path / str(next(folders)))
        workshop.compile_tree(fresh.root)
        assert contents(tree.root) == contents(fresh.root)
        return count

    assert reused(both) == 0
    assert [reused(lock) for lock in alone.values()] == [0, 0]
    assert reused(both) == 0
    assert [reused(lock) for lock in alone.values()] == [1, 1]


@pytest.mark.parametrize("change", [
    "version", "hash", "glibc", "target", "python", "machine", "identity", "recipe", "pip", "tool",
])  # fmt: skip
def test_whatever_decides_a_tree_is_in_its_key(
    tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With any of it changed, the distribution is installed anew."""
    store, workshop = BuildCache(tmp_path / "builds"), Workshop({"alpha": ["own.py"]})
    lock = replace(lock_of(("alpha", "1")), built=("alpha",))
    installed(lock, tmp_path / "first", workshop, store)
    assert installed(lock, tmp_path / "again", workshop, store)[1] == 1
    python = workshop.interpreter
    match change:
        case "version":
            lock = replace(lock, pins=(replace(lock.pins[0], version="2"),))
        case "hash":
            lock = replace(lock, pins=(replace(lock.pins[0], hashes=("sha256:00",)),))
        case "glibc":
            lock = replace(lock, glibc=(2, 34))
        case "target":
            lock = replace(lock, target=replace(lock.target, arch="arm64"))
        case "python":
            workshop = replace(workshop, interpreter=replace(python, version="3.11.8"))
        case "machine":
            workshop = replace(workshop, interpreter=replace(python, machine="aarch64"))
        case "identity":
            workshop = replace(workshop, identity={"id": "sha256:1"})
        case "recipe":
            monkeypatch.setattr(cached_tree, "recipe", lambda sources: [["CFLAGS", "-O3"]])
        case "pip":
            monkeypatch.setattr("importlib.metadata.version", lambda name: "77")
        case "tool":
            monkeypatch.setattr(cached_tree, "tool_digest", lambda: "0" * 64)
    assert installed(lock, tmp_path / "changed", workshop, store)[1] == 0


def test_how_wheels_are_built_decides_only_what_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other compiler flags leave a distribution as it is that came as a wheel."""
    store, workshop = BuildCache(tmp_path / "builds"), Workshop({name: ["own.py"] for name in NAMES})
    lock = replace(lock_of(("alpha", "1"), ("beta", "1")), built=("alpha",))
    installed(lock, tmp_path / "first", workshop, store)
    monkeypatch.setattr(cached_tree, "recipe", lambda sources: [["CFLAGS", "-O3"]])
    assert installed(lock, tmp_path / "second", workshop, store)[1] == 1
    assert workshop.installed[1:] == [["alpha"]]
