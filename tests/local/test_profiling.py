"""Profiles of cold starts: their arithmetic, and real starts in the local cloud."""

from __future__ import annotations

import textwrap
import zipfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdapack.errors import CheckError
from lambdapack.local import Invocation, LocalCloud
from lambdapack.local.profiling import Import, Profile, profile
from lambdapack.local.profiling.analysis import analyse
from lambdapack.local.profiling.spans import (
    IMPORT,
    WAIT,
    Span,
    own_lengths,
    packages,
    sums_around,
    tops,
    unused,
    used,
)
from lambdapack.model import FunctionSettings
from lambdapack.model.target import Target
from lambdapack.python.interpreter import installed
from lambdapack.report.profile import profile_tables
from tests.support import packed_function
from tests.support.assets_world import running_assets_world
from tests.support.local_cloud import make_spec

NAMES = [f"m{number}" for number in range(6)]
GRAPHS = st.dictionaries(st.sampled_from(NAMES), st.sets(st.sampled_from(NAMES)))


@st.composite
def starts(draw: st.DrawFn) -> list[Span]:
    """Spans in the order in which they begin, each within its parent and behind its siblings."""
    spans: list[Span] = []
    now = 0
    open_spans: list[int] = []
    for kind in draw(st.lists(st.sampled_from([IMPORT, WAIT, None]), max_size=30)):
        now += draw(st.integers(0, 1000))
        if kind is not None:
            parent = open_spans[-1] if open_spans else -1
            open_spans.append(len(spans))
            spans.append(Span(kind, f"m{len(spans)}", parent, False, 0, now, now))
        elif open_spans:
            number = open_spans.pop()
            spans[number] = replace(spans[number], end=now)
    for number in open_spans:
        spans[number] = replace(spans[number], end=now)
    return spans


@given(starts())
def test_what_each_span_takes_by_itself_adds_up_to_the_whole(spans: list[Span]) -> None:
    """No part is negative or in two spans: together they are as long as the outermost spans."""
    own = own_lengths(spans)
    assert all(0 <= length <= span.length for length, span in zip(own, spans, strict=True))
    assert sum(own) == sum(span.length for span in spans if span.parent < 0)


@given(starts())
def test_a_wait_counts_for_the_import_around_it_alone(spans: list[Span]) -> None:
    """What imports wait for adds up to all the waits within imports."""
    own = own_lengths(spans)
    sums = sums_around(spans, WAIT, own)
    outside = 0
    for number, span in enumerate(spans):
        outer = span.parent
        while outer >= 0 and spans[outer].kind == WAIT:
            outer = spans[outer].parent
        outside += own[number] if span.kind == WAIT and outer < 0 else 0
    assert sum(sums) + outside == sum(own[n] for n, span in enumerate(spans) if span.kind == WAIT)
    assert not any(total for total, span in zip(sums, spans, strict=True) if span.kind == WAIT)


def reached(names: Collection[str], importers: Mapping[str, Collection[str]], without: str) -> set[str]:
    """The modules to which a way of imports leads from outside of ``names``, not through ``without``."""
    found: set[str] = set()
    while True:
        ways = {name: importers.get(name) or {"outside"} for name in set(names) - found - {without}}
        new = {name for name, ends in ways.items() if any(e in found or e not in names for e in ends)}
        if not new:
            return found
        found |= new


@given(st.sets(st.sampled_from(NAMES)), GRAPHS)
def test_without_the_top_of_a_group_the_whole_group_would_go(
    names: set[str], importers: dict[str, set[str]]
) -> None:
    """Against brute force: every way to a module leads through its top, and to the top through no other."""
    top = tops(sorted(names), importers)
    assert set(top) == names
    whole = reached(names, importers, "")
    cuts = {name: {each for each in whole if name not in reached(names, importers, each)} for name in whole}
    for name in whole:
        assert [each for each in cuts[name] if cuts[each] == {each}] == [top[name]]


@given(st.dictionaries(st.sampled_from(NAMES), st.integers(0, 9)), st.sets(st.sampled_from(NAMES)), GRAPHS)
def test_unused_imports_are_each_in_one_group(
    lengths: dict[str, int], in_use: set[str], importers: dict[str, set[str]]
) -> None:
    """Groups and packages have the same total, that of the modules that are not in use."""
    idle = [name for name in lengths if name not in in_use]
    groups = unused(lengths, in_use, importers)
    assert sorted(name for group in groups for name in group.modules) == sorted(idle)
    total = sum(lengths[name] for name in idle)
    by_package = packages(lengths, in_use, importers)
    assert sum(group.self_us for group in groups) == total == sum(each.unused_us for each in by_package)
    assert sum(each.self_us for each in by_package) == sum(lengths.values())


def test_what_is_called_for_a_module_that_is_used_is_used() -> None:
    """Calls outside of imports count, and those for the import of what counts; a package with its modules."""
    calls = {
        "app": {""}, "lib.core": {"app"}, "lib.helper": {"lib.core"}, "own": {"own"},
        "left": {"right"}, "right": {"left"}, "_fast": {"app"},
    }  # fmt: skip
    names = {"app", "lib", "lib.core", "lib.helper", "lib.idle", "own", "left", "right", "fast", "_fast"}
    expected = {"app", "lib", "lib.core", "lib.helper", "fast", "_fast"}
    assert used(names, calls, {}, ()) == expected
    assert used(
        {*names, "native", "idle"}, calls, {"native": {"app"}, "idle": {"own"}}, {"native", "idle"}
    ) == {
        *expected,
        "native",
    }


def test_what_the_loader_imports_in_a_wait_is_not_the_waiting_modules() -> None:
    """Its time is an import's, not the wait's, and the module that waits is not who imports the module."""
    spans = (
        Span(IMPORT, "app", -1, False, 0, 0, 9_000_000),
        Span(WAIT, "app", 0, False, 0, 1_000_000, 6_000_000, bytes=70, frame=3, file="1234"),
        Span(IMPORT, "ahead", 1, False, 0, 2_000_000, 4_000_000, file="/lib/ahead.py"),
    )
    told = {
        "phases": [[0, 10_000_000]], "cpu": [0], "fetching": 0,
        "spans": [asdict(span) for span in spans], "handler": "app.handler",
        "folders": {"python": "/lib"}, "memory_mb": 512,
        "calls": {"app": [""]}, "importers": {"ahead": ["runtime_shim._prepare"]},
    }  # fmt: skip
    done = Invocation("1", b"", error=False, log="", cold=True, duration_ms=1.0, billed_ms=13, init_ms=12.0,
                      max_memory_mb=30)  # fmt: skip
    made = analyse("function", [done], told, told)
    adds_up(made)
    app, ahead = made.imports
    assert (app.self_ms, app.waited_ms, app.waited_bytes, app.cumulative_ms) == (4.0, 3.0, 70, 9.0)
    assert (ahead.self_ms, ahead.parent, ahead.importers, ahead.origin) == (2.0, 0, (), "python")
    assert [(wait.parent, wait.pack, wait.frame, wait.self_ms) for wait in made.waits] == [
        (0, "1234", 3, 3.0)
    ]
    assert (made.before_ms, made.phases[0].other_ms, made.too_long) == (2.0, 1.0, False)
    assert [group.name for group in made.never_called] == ["ahead"]


@pytest.fixture
def cloud(tmp_path: Path, lambdapack_cache: Path) -> Iterator[LocalCloud]:
    with LocalCloud(tmp_path / "state", cache_dir=lambdapack_cache) as cloud:
        yield cloud


MODULES = {
    "app.py": """
        import calledlib, idlelib, importlib, threading, os, sys, time

        class Finder:
            def find_spec(name, path=None, target=None):
                if name == "searched":
                    import searching

        sys.meta_path.insert(0, Finder)
        import searched
        sys.meta_path.remove(Finder)
        importlib.import_module("dynamic")
        other = threading.Thread(target=lambda: importlib.import_module("aside"))
        other.start(); other.join()
        if not os.fork():
            import wave
            os._exit(0)
        os.wait()

        def handler(event, context):
            import late
            if event.get("fail"):
                raise KeyError("as asked")
            return calledlib.inner.work(event.get("more"))
        """,
    "calledlib/__init__.py": "from calledlib import inner\n",
    "calledlib/inner.py": """
        def work(more):
            if more:
                import idlelib
                idlelib.work()
            return 1
        """,
    "idlelib/__init__.py": """
        import bytearrays
        from idlelib import part
        def work(): return 1
        work()
        """,
    "idlelib/part.py": "import shared\nclass Thing:\n    def method(self): pass\nshared.work()\n",
    "bytearrays.py": "import shared\nKEPT = bytearray(b'x') * 30_000_000\n",
    "shared.py": "def work(): pass\n",
    "searching.py": "import time\ntime.sleep(0.1)\n",
    "searched.py": "",
    "dynamic.py": "def work(): pass\n",
    "aside.py": "def work(): pass\n",
    "late.py": "def work(): pass\n",
}
PYTHONS = [each.python for each in installed() if each.python in ("3.8", "3.11", "3.12", "3.13", "3.14")]


def deploy(cloud: LocalCloud, folder: Path, python: str = "3.11") -> None:
    """Deploy a function of ``MODULES``, without a pack."""
    spec = make_spec(folder, target=Target(python))
    with zipfile.ZipFile(spec.zip_path, "w") as archive:
        for name, text in MODULES.items():
            archive.writestr(name, textwrap.dedent(text))
    cloud.deploy(spec, None)


def adds_up(made: Profile) -> None:
    """That the parts of each phase are the phase, to the microsecond."""
    last: dict[int | None, float] = {}
    for each in made.imports:
        if not each.thread:
            assert each.start_ms >= last.get(each.parent, 0.0), "no two of one import's imports overlap"
            last[each.parent] = round(each.start_ms + each.cumulative_ms, 3)
    for phase in made.phases:
        own = [each.self_ms for each in made.imports if each.phase == phase.name and not each.thread]
        waits = [each.self_ms for each in made.waits if each.phase == phase.name and not each.thread]
        assert round(sum(own), 3) == round(phase.imports_ms, 3)
        assert round(sum(waits), 3) == round(phase.waited_ms, 3)
        assert round(phase.imports_ms + phase.waited_ms + phase.other_ms, 3) == round(phase.ms, 3)
        assert phase.other_ms >= 0
    assert round(made.before_ms + made.phases[0].ms, 3) == round(made.init_ms, 3)


def by_name(made: Profile) -> dict[str, Import]:
    return {each.name: each for each in made.imports}


@pytest.mark.parametrize("python", sorted({"3.11", PYTHONS[-1]}))
def test_a_profile_tells_what_is_called_from_what_is_not(
    cloud: LocalCloud, tmp_path: Path, python: str
) -> None:
    """Each import with who imports it; what is called for idle modules alone, or by itself, is idle, too."""
    deploy(cloud, tmp_path, python)
    made = profile(cloud, "function", [b"{}"])
    adds_up(made)
    found = by_name(made)
    assert {name: found[name].used for name in ("app", "calledlib", "calledlib.inner")} == {
        "app": True, "calledlib": True, "calledlib.inner": True,
    }  # fmt: skip
    idle = ("idlelib", "idlelib.part", "shared", "bytearrays", "dynamic", "aside", "late")
    assert not any(found[name].used for name in idle)
    assert made.imports[found["idlelib.part"].parent or 0].name == "idlelib"
    assert found["shared"].importers == ("bytearrays", "idlelib.part"), "the second by a statement alone"
    assert found["calledlib.inner"].importers == ("app", "calledlib") or found[
        "calledlib.inner"
    ].importers == ("calledlib",)
    assert found["aside"].thread and not found["dynamic"].thread
    assert (found["app"].phase, found["late"].phase) == ("init", "invocation 1")
    assert {found[name].origin for name in idle} == {"function"}
    assert found["awslambdaric"].origin == "runtime" and found["threading"].origin in ("runtime", "python")
    assert "wave" not in found, "a process that is forked has its own imports"
    assert found["bytearrays"].memory_bytes > 25_000_000 > found["idlelib"].memory_bytes
    group = next(group for group in made.never_called if group.name == "idlelib")
    assert set(group.modules) == {"idlelib", "idlelib.part", "shared", "bytearrays"}
    assert "app" in group.importers
    rows = {each.name: each for each in made.packages}
    assert (rows["idlelib"].modules, rows["idlelib"].unused_modules) == (2, 2)
    assert not {"app", "calledlib"} & {group.name for group in made.never_called}
    advised = {found[name].origin for group in made.never_called for name in group.modules}
    assert advised <= {"function", "python"}, "Lambda's own imports are nobody's to change"


def test_what_one_event_of_several_calls_is_called(cloud: LocalCloud, tmp_path: Path) -> None:
    """Each event is a phase, and the function is as it was before."""
    deploy(cloud, tmp_path)
    made = profile(cloud, "function", [b"{}", b'{"more": 1}'])
    adds_up(made)
    assert [phase.name for phase in made.phases] == ["init", "invocation 1", "invocation 2"]
    found = by_name(made)
    assert found["idlelib"].used and found["idlelib.part"].used is False
    after = cloud.invoke("function", b"{}")
    assert after.cold and "lambdapack-profile" not in after.log
    (row,) = cloud.status()["functions"]
    assert len(row["environments"]) == 1, "the environments of the profile are gone"


def test_a_function_with_an_exec_wrapper_has_a_profile(cloud: LocalCloud, tmp_path: Path) -> None:
    """The wrapper starts what times the imports, as it starts the runtime."""
    spec = make_spec(tmp_path, environment={"AWS_LAMBDA_EXEC_WRAPPER": "/bin/env"})
    cloud.deploy(spec, None)
    made = profile(cloud, "function", [b"{}"])
    adds_up(made)
    assert by_name(made)["app"].used


def test_a_function_that_fails_is_no_profile(cloud: LocalCloud, tmp_path: Path) -> None:
    """The error says which event failed, with the function's own answer and log."""
    deploy(cloud, tmp_path)
    with pytest.raises(CheckError, match=r"invocation 2 failed.*as asked") as raised:
        profile(cloud, "function", [b"{}", b'{"fail": 1}'])
    assert "REPORT RequestId" in (raised.value.detail or "") and "lambdapack-profile" not in str(
        raised.value.detail
    )


def test_waits_for_a_pack_are_told_from_imports(
    cloud: LocalCloud, tmp_path: Path, lambdapack_cache: Path
) -> None:
    """An import of what comes on demand waits for frames, whose bytes it names; all adds up."""
    interpreter = next(each for each in installed() if each.python in PYTHONS)
    with running_assets_world(tmp_path / "world", interpreter, lambdapack_cache) as world:
        packed_function.deploy(cloud, world, FunctionSettings(memory_mb=1769, timeout=30))
        made = profile(cloud, "function", [b'{"lazy": 1}'], bandwidth_mbps=40, latency_ms=30)
        index = world.pack.index
    adds_up(made)
    found = by_name(made)
    assert found["heavy"].origin == "pack" and found["runtime_shim._start"].origin == "loader"
    assert made.pack["bytes"] > 0 and made.waits
    own = [each for each in made.waits if each.pack == made.pack["pack"]]
    assert own and all(each.bytes == index.frame_stored[each.frame] for each in own)
    assert [each for each in made.imports if each.waited_bytes and each.waited_ms <= each.cumulative_ms]
    assert sum(each.waited_bytes for each in made.imports) <= sum(each.bytes for each in made.waits)
    document = made.document()
    assert document["imports"][0]["name"] == made.imports[0].name
    total = sum(group["self_ms"] for group in document["never_called"])
    assert round(total, 3) == round(sum(each["unused_ms"] for each in document["packages"]), 3)
    assert profile_tables(made, 5)
