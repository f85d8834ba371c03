"""lambdapack.lock: what is left out because the user or the runtime says so, and what goes with it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from lambdapack.lock import LockOptions, read_requirements, resolve
from lambdapack.lock.requirements.discover import PRECEDENCE, discover
from lambdapack.lock.resolver.left_out import needed, runtime_has
from lambdapack.lock.resolver.solution import Candidate
from lambdapack.model import LeftOut, Lock
from lambdapack.model.runtimes import PYTHONS
from lambdapack.model.target import Target
from lambdapack.python import toolchain
from tests.support.locking import RUNNING, TARGET, versions
from tests.support.told import Told
from tests.support.wheelhouse import only_place, wheel

FLOORS = runtime_has(TARGET)


class Shelf:
    """A folder of wheels that look like the AWS SDK's."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        self.cache = cache
        self.told = Told()
        wheel(folder, "boto3", "1.99.0", needs=["botocore>=1.99.0,<1.100", "jmespath>=0.7"])
        wheel(folder, "botocore", "1.99.0", needs=["jmespath>=0.7", "urllib3>=1.25.4,<3"])
        wheel(folder, "jmespath", "1.5")
        wheel(folder, "urllib3", "2.9")

    def lock(self, *asked: str, exclude: tuple[str, ...] = (), runtime_provided: bool = True) -> Lock:
        return resolve(
            read_requirements(asked, []),
            TARGET,
            RUNNING,
            options=LockOptions(exclude=frozenset(exclude), runtime_provided=runtime_provided),
            cache_dir=self.cache,
            progress=self.told,
        )


@pytest.fixture
def shelf(tmp_path: Path, lambdapack_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    toolchain.ensure(RUNNING, lambdapack_cache)
    return Shelf(only_place(tmp_path / "wheels", monkeypatch), lambdapack_cache)


def test_what_the_runtime_has_is_left_out_and_said(shelf: Shelf) -> None:
    """The SDK and what it needs go, with the bytes that this saves; what else there is stays."""
    wheel(shelf.folder, "app", "1", needs=["boto3>=1.20", "urllib3"], files={"app.py": b"x"})
    lock = shelf.lock("app")
    assert versions(lock) == {"app": "1"}
    assert {one.name for one in lock.left_out} == {"boto3", "botocore", "jmespath", "urllib3"}
    assert all(one.why == "runtime" and one.bytes > 0 for one in lock.left_out)
    assert any(note.startswith("left out, because the runtime has it: boto3") for note in shelf.told.notes)
    everything = shelf.lock("app", runtime_provided=False)
    assert set(versions(everything)) == {"app", "boto3", "botocore", "jmespath", "urllib3"}
    assert everything.left_out == ()


def test_what_the_runtime_may_not_have_as_it_is_needed_stays(shelf: Shelf) -> None:
    """A newer boto3 than is known stays, with its own botocore; what they need of the rest is there."""
    wheel(shelf.folder, "app", "1", needs=["boto3>=1.90"])
    lock = shelf.lock("app")
    assert set(versions(lock)) == {"app", "boto3", "botocore"}
    notes = "\n".join(shelf.told.notes)
    assert f"app 1 wants boto3>=1.90, and the runtime is only known to have {FLOORS['boto3']}" in notes
    assert "boto3 1.99.0 wants botocore" in notes


def test_the_users_own_line_is_a_wish_too(shelf: Shelf) -> None:
    """What the user asks for directly is held against the runtime; excluding it by name is not."""
    wheel(shelf.folder, "app", "1")
    assert "boto3" in versions(shelf.lock("app", "boto3==1.99.0"))
    assert versions(shelf.lock("app", "boto3==1.99.0", exclude=("Boto3",))) == {"app": "1"}


def test_excluding_takes_along_what_nothing_else_needs(shelf: Shelf) -> None:
    """A dependency of the excluded package alone goes; one that something else needs stays."""
    wheel(shelf.folder, "app", "1", needs=["tool", "common"])
    wheel(shelf.folder, "tool", "1", needs=["common", "only"])
    wheel(shelf.folder, "common", "1")
    wheel(shelf.folder, "only", "1")
    lock = shelf.lock("app", exclude=("tool",), runtime_provided=False)
    assert set(versions(lock)) == {"app", "common"}
    assert LeftOut("tool", "1", "excluded") in lock.left_out


def test_every_runtime_is_listed() -> None:
    """The list has each runtime, and newer runtimes never less than older ones."""
    before: dict[str, str] = {}
    for python in PYTHONS:
        found = runtime_has(Target(python))
        assert {"boto3", "botocore", "s3transfer", "jmespath", "urllib3", "python-dateutil", "six"} == set(
            found
        )
        assert all(Version(found[name]) >= Version(before.get(name, "0")) for name in found)
        before = found


names = st.sampled_from("abcdef")
graphs = st.dictionaries(names, st.sets(names), min_size=1)


@given(graphs, st.sets(names, min_size=1), st.sets(names))
def test_what_is_kept_is_closed_and_nothing_excluded(
    graph: dict[str, set[str]], requested: set[str], excluded: set[str]
) -> None:
    """What stays is never excluded, and has all that it needs but the excluded."""
    everything = set(graph) | {name for needs in graph.values() for name in needs} | requested
    found = [
        Candidate(name, "1", "", "", tuple(sorted(one for one in graph if name in graph[one])))
        for name in sorted(everything)
    ]
    kept = {one.name for one in needed(found, sorted(requested), excluded)}
    assert not kept & excluded
    assert requested - excluded <= kept
    for name in kept:
        assert graph.get(name, set()) - excluded <= kept
    if not excluded & everything:
        assert kept == everything


def test_the_most_exact_file_is_used(tmp_path: Path) -> None:
    """Locks come before requirements, those before a project; a project beside a lock belongs to it."""
    assert discover(tmp_path) == (None, ())
    (tmp_path / "pyproject.toml").write_text("[tool.black]\n")
    assert discover(tmp_path) == (None, ())
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\ndependencies = []\n')
    assert discover(tmp_path) == (tmp_path / "pyproject.toml", ())
    for number, name in enumerate(PRECEDENCE[-2::-1]):
        (tmp_path / name).write_text("")
        found, others = discover(tmp_path)
        assert found == tmp_path / name
        assert len(others) == number


def test_an_unreadable_project_is_not_passed_over(tmp_path: Path) -> None:
    """A pyproject.toml that cannot be read is used, so that reading it says what is wrong."""
    (tmp_path / "pyproject.toml").write_bytes(b"\xff\xfe" + os.urandom(3))
    assert discover(tmp_path)[0] == tmp_path / "pyproject.toml"
