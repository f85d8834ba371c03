"""What people read: units, progress, tables, and build.json as a document."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from lambdapack.errors import ConfigurationError
from lambdapack.local import Invocation
from lambdapack.model import Dropped, ImportCheck, SlimReport
from lambdapack.pipeline import build_json as buildreport
from lambdapack.pipeline.build_json import BuildReport, BuiltDistribution, PackFacts
from lambdapack.report.invocation import log_lines, timing
from lambdapack.report.live import LineProgress, TerminalProgress
from lambdapack.report.tables import build_table
from lambdapack.report.units import megabytes, seconds

ID = "ab" * 32


def _report(**changes: Any) -> BuildReport:
    report = BuildReport(
        tool="lambdapack 0.1.0",
        inputs="0" * 64,
        target="python3.11/x86_64",
        glibc="2.26",
        builder={"name": "local", "reason": "wheels"},
        requirements=("thing",),
        lock={"digest": "1" * 64, "text": "thing==1\n"},
        options={"level": 19},
        distributions=(BuiltDistribution("thing", "1", True, ("thing",), 3_000_000, 1_000_000),),
        slim=SlimReport(
            3_000_000, 1_000_000, 30, 10,
            (Dropped("tests", "thing", 20, 1_500_000), Dropped("strip", "thing", 1, 500_000)),
            {"thing/x.so": "not page-aligned [in [brackets]]"}, ("thing/tests/data.py",),
            {"thing": (3_000_000, 1_000_000)},
        ),
        restored=("stripping was taken back: it failed",),
        imports=ImportCheck("imported", 3, {"thing.late": "took too long"}),
        trace={"how": "traced", "code": "import thing", "files": ["thing.py"], "native": []},
        pack=PackFacts(
            ID, f"{ID}.tar.zst", f"{ID}.index.json",
            400_000, 1_100_000, 10, 4, 2, 200_000, 3, 300_000, 100, 900, "",
        ),
        seconds={"lock": 1.5},
        messages=(("note", "one module imports"), ("warning", "thing/x.so lacks libc.so.5")),
    )  # fmt: skip
    return replace(report, **changes)


def _text(renderable: Any) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(renderable)
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (50_300_000, "50.3 MB"), (1_234_000_000, "1,234.0 MB"),
     (-2_000_000, "-2.0 MB")],
)  # fmt: skip
def test_a_megabyte_is_a_million_bytes(size: int, text: str) -> None:
    """Sizes are in units of 1000, as a zip's and a link's are."""
    assert megabytes(size) == text


def test_seconds() -> None:
    """Below a second in milliseconds."""
    assert (seconds(12.34), seconds(1234)) == ("12.3 ms", "1.23 s")


def test_build_json_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Nothing is lost on the way, and the document names itself and its version."""
    report = _report()
    path = buildreport.write(report, tmp_path)
    assert buildreport.read(tmp_path) == report
    document = json.loads(path.read_text())
    assert (document["document"], document["version"], document["id"]) == ("lambdapack.build", 1, ID)
    assert [one.name for one in tmp_path.iterdir()] == ["build.json"]


def test_every_key_of_build_json_is_documented() -> None:
    """docs/build-json.md names each key of the document, and each key of its pack."""
    page = (Path(__file__).parents[2] / "docs" / "build-json.md").read_text(encoding="utf-8")
    document = buildreport.to_json(_report())
    for key in (*document, *document["pack"], *document["distributions"][0]):
        assert f"`{key}`" in page, key


_HEAD = '{"document": "lambdapack.build"'


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", _HEAD + "}", '{"document": "x", "version": 1}',
             _HEAD + ', "version": 2}', _HEAD + ', "version": 1}'],
)  # fmt: skip
def test_a_foreign_build_json_is_a_message(tmp_path: Path, text: str) -> None:
    """Whatever the file holds, reading it gives a report or says what to run."""
    (tmp_path / "build.json").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        buildreport.read(tmp_path)
    assert "lambdapack build" in (caught.value.hint or "")


@given(st.binary(max_size=50))
def test_any_bytes_as_build_json_are_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """No bytes end in a traceback."""
    folder = tmp_path_factory.mktemp("any")
    (folder / "build.json").write_bytes(data)
    with pytest.raises(ConfigurationError):
        buildreport.read(folder)


def test_the_build_table_says_what_was_dropped_and_what_was_taken_back(tmp_path: Path) -> None:
    """Sizes by distribution and rule, reverted files with their reason, warnings, the id."""
    text = _text(build_table(_report(), tmp_path))
    for said in ("thing", "3.0 MB", "1.0 MB", "tests", "1.5 MB", ID, "stripping was taken back",
                 "kept unstripped: thing/x.so (not page-aligned [in [brackets]])"):  # fmt: skip
        assert said in text


def test_lines_for_logs() -> None:
    """Off a terminal, a step is one line when it has ended; notes and warnings are lines."""
    stream = io.StringIO()
    progress = LineProgress(stream)
    with progress.step("compress", total=10, unit="B") as advance:
        advance(2_000_000, note="x")
    progress.note("a [bracket]")
    progress.warn("look")
    first, *rest = stream.getvalue().splitlines()
    assert first.startswith("compress: ") and first.endswith(" s, 2.0 MB")
    assert rest == ["a [bracket]", "warning: look"]


def test_bars_leave_a_line_and_print_brackets_as_they_are() -> None:
    """On a terminal, steps may be nested, and no text is taken for markup."""
    stream = io.StringIO()
    progress = TerminalProgress(Console(file=stream, force_terminal=True, width=120, highlight=False))
    with progress.step("outer"), progress.step("fetch", total=2, unit="files") as advance:
        advance(1, note="[oops")
        advance()
        progress.note("[/] note")
        progress.warn("[build] look")
    text = stream.getvalue()
    for said in ("outer", "fetch", "2 files", "[/] note", "[build] look"):
        assert said in text


def test_bars_end_with_an_error() -> None:
    """A step that fails stops the bars, so that the message is not drawn over."""
    progress = TerminalProgress(Console(file=io.StringIO(), force_terminal=True))
    with pytest.raises(ValueError, match="x"), progress.step("fails"):
        raise ValueError("x")
    with progress.step("again"):
        pass


def _invocation(**changes: Any) -> Invocation:
    made = Invocation(
        "id", b"{}", False, 'START\n{"_aws": {}, "lambdapack": "cold_start"}\n{"mine": 1}\nREPORT\n', True,
        2.5, 1003, 1000.0, 99,
        {"wait_ms": 300.0, "bytes": 45_000_000, "frames": 50, "requests": 4, "fetch_ms": 800.0, "retries": 2,
         "resumed": 0, "on_demand": 1},
    )  # fmt: skip
    return replace(made, **changes)


def test_the_log_leaves_out_the_shims_own_line_alone() -> None:
    """The line for CloudWatch is said in words instead; the function's own JSON stays."""
    assert list(log_lines(_invocation())) == ["START", '{"mine": 1}', "REPORT"]


def test_timing_of_a_cold_and_a_warm_invocation() -> None:
    """Cold says where the time went, warm says that it was warm."""
    cold = timing(_invocation())
    for said in ("cold: init 1.00 s", "waiting for the pack 300.0 ms", "45.0 MB in 50 frames", "2 retries",
                 "1 on demand", "the handler 2.5 ms"):  # fmt: skip
        assert said in cold
    assert "resumed" not in cold
    assert timing(_invocation(cold=False, stats=None, init_ms=None)) == "warm: 2.5 ms, 99 MB used"
