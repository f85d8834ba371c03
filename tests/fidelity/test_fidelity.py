"""A program cannot tell a pack from a plain directory: small distributions, what programs do."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.append(str(HERE))

import behaviours  # noqa: E402
import cases_cloud  # noqa: E402
import cases_data  # noqa: E402
import cases_language  # noqa: E402
import cases_science  # noqa: E402
import cases_small  # noqa: E402
import cases_web  # noqa: E402
import harness  # noqa: E402
from case import Case  # noqa: E402
from differences import DIFFERENCES  # noqa: E402
from harness import Worlds  # noqa: E402

from lambdapack.local.endpoint import Endpoint  # noqa: E402
from tests.support import newer_pythons  # noqa: E402

GROUPS = {
    module.__name__: module for module in (cases_web, cases_cloud, cases_data, cases_science, cases_language)
}
NO_MORE: Mapping[str, str] = {}
DOCUMENT = HERE.parents[1] / "docs" / "compatibility.md"


PYTHONS = [harness.RUNNING, *newer_pythons.parameters(slow=True)]
LAZY = "3.15-lazy"
# All imports lazy: the same packs as 3.15's.
WORLDS = [*PYTHONS, *(pytest.param(LAZY, marks=one.marks) for one in PYTHONS[1:] if one.values == ("3.15",))]
HEAVY = [
    *((harness.RUNNING, group, case.distribution) for group in GROUPS for case in GROUPS[group].CASES),
    *(
        pytest.param(*one.values, group, case.distribution, marks=one.marks)
        # Not all of the others have wheels for a new Python yet.
        for one in PYTHONS[1:]
        for group in ("cases_web", "cases_cloud")
        for case in GROUPS[group].CASES
    ),
]


def open_worlds(folder: Path, more: Mapping[str, str] = NO_MORE, *, shared: bool) -> Iterator[Worlds]:
    """The worlds in ``folder``, with the variables ``more``; this process's own pack root is beside it."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0") if shared else "gw0"
    scratch = folder / f"{worker:>4.4}".replace(" ", "_")
    endpoint = Endpoint(folder / "s3")
    try:
        yield harness.enter(folder, scratch, endpoint, more)
    finally:
        endpoint.close()


@pytest.fixture(scope="module", params=WORLDS)
def small(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, lambdapack_cache: Path
) -> Iterator[Worlds]:
    """The small distributions, on each Python; all workers of a run share what is built."""
    base = tmp_path_factory.getbasetemp()
    python, _, lazy = request.param.partition("-")
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"fidelity{python}"
    harness.build_once(cases_small.CASES, folder, lambdapack_cache, python)
    yield from open_worlds(folder, harness.LAZY if lazy else NO_MORE, shared=True)


class Heavy:
    """One group of heavy distributions at a time: together they would fill a disk."""

    def __init__(self, make_folder: Callable[[str], Path], cache: Path) -> None:
        self._make_folder = make_folder
        self._cache = cache
        self._group = "", ""
        self._open = ExitStack()
        self._worlds: Worlds | None = None

    def worlds(self, python: str, group: str) -> Worlds:
        """The worlds of ``group`` on ``python``; the first of its cases makes a cold start."""
        if self._worlds is None or (python, group) != self._group:
            self.close()
            folder = self._make_folder(group)
            self._open.callback(shutil.rmtree, folder)
            harness.build(GROUPS[group].CASES, folder, self._cache, python)
            self._worlds = self._open.enter_context(contextmanager(open_worlds)(folder, shared=False))
            self._group = python, group
        return self._worlds

    def close(self) -> None:
        """Forget the group."""
        self._open.close()
        self._worlds = None


@pytest.fixture(scope="module")
def heavy(tmp_path_factory: pytest.TempPathFactory, lambdapack_cache: Path) -> Iterator[Heavy]:
    """Groups of heavy distributions."""
    groups = Heavy(tmp_path_factory.mktemp, lambdapack_cache)
    try:
        yield groups
    finally:
        groups.close()


@pytest.mark.parametrize("case", cases_small.CASES, ids=[case.distribution for case in cases_small.CASES])
def test_a_small_distribution_is_as_in_a_plain_directory(
    small: Worlds, case: Case, request: pytest.FixtureRequest
) -> None:
    """Modules, files, resources, metadata, sources, pickles and child processes, from a cold start."""
    world = request.node.callspec.params["small"]
    if world in case.not_on:
        pytest.skip(f"{case.distribution} itself does not work here: {case.not_on[world]}")
    small.forget()
    assert small.look("cases_small", case.distribution) == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("python", "group", "name"), HEAVY)
def test_a_heavy_distribution_is_as_in_a_plain_directory(
    heavy: Heavy, python: str, group: str, name: str
) -> None:
    """The same, over distributions with native code, data, namespaces, lazy modules and plugins."""
    assert heavy.worlds(python, group).look(group, name) == []


@pytest.mark.parametrize("name", behaviours.BEHAVIOURS)
def test_a_program_behaves_as_in_a_plain_directory(small: Worlds, name: str) -> None:
    """Threads, forks, child processes, archives, tools and mistakes come out the same."""
    code = f"\nif __name__ == '__main__':\n    import behaviours\n    behaviours.main({name!r}, site)"
    plain = small.answers(code, packed=False)
    small.forget()
    assert harness.differences(plain, small.answers(code, packed=True)) == []


def test_the_documented_differences_are_those_there_are(small: Worlds) -> None:
    """Each listed difference is one, in stream mode alone; disk mode avoids all but the times."""
    code = "\nimport differences\ndifferences.main(site)"
    plain = small.answers(code, packed=False)
    assert small.answers(code, packed=True, LAMBDAPACK_MODE="disk") == {**plain, "module_times": True}
    small.forget()
    packed = small.answers(code, packed=True)
    assert [name for name in plain if plain[name] == packed[name]] == []


def test_the_document_lists_what_is_tested() -> None:
    """docs/compatibility.md names every difference and every distribution, and no other."""
    text = DOCUMENT.read_text(encoding="utf-8")
    differences, distributions = text.split("## Tested distributions")
    assert re.findall(r"^\| `(\w+)` ", differences, re.MULTILINE) == list(DIFFERENCES)
    every = [case.distribution for group in (cases_small, *GROUPS.values()) for case in group.CASES]
    assert re.findall(r"`([\w-]+)`", distributions) == every
    assert len(set(every)) >= 40
