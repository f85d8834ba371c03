"""What people read: units, progress, tables, and build.json as a document."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from lambdapack.errors import ConfigurationError
from lambdapack.local import Invocation
from lambdapack.model import ImportCheck, Need, RuleSaving, SlimReport
from lambdapack.pipeline import build_json as buildreport
from lambdapack.pipeline.build_json import BuildReport, BuiltDistribution, PackFacts
from lambdapack.plan import AssetFacts, Check, PlaceOption, Row, Share, Sizes, Traffic, Verdict, prices
from lambdapack.plan.costs import Shape, compare
from lambdapack.report import listing
from lambdapack.report.costs import costs_table
from lambdapack.report.invocation import log_lines, timing
from lambdapack.report.live import LineProgress, TerminalProgress
from lambdapack.report.tables import build_table
from lambdapack.report.units import dollars, megabytes, seconds
from lambdapack.report.verdict import verdict_tables
from runtime_shim._index import Index

ID = "ab" * 32
NEED = Need("other", ">=1", ("fast",), ("x", "y"))


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
        distributions=(BuiltDistribution("thing", "1", True, ("thing",), 3_000_000, 1_000_000, (NEED,)),),
        slim=SlimReport(
            3_000_000, 1_000_000, 30, 10,
            (RuleSaving("tests", "thing", 20, 1_500_000), RuleSaving("strip", "thing", 1, 500_000)),
            {"thing/x.so": "not page-aligned [in [brackets]]"}, ("thing/tests/data.py",),
            {"thing": (3_000_000, 1_000_000)},
        ),
        restored=("stripping was taken back: it failed",),
        imports=ImportCheck("imported", 3, {"thing.late": "took too long"}),
        trace={"how": "traced", "code": "import thing", "files": ["thing.py"], "native": []},
        pack=PackFacts(
            ID, f"{ID}.tar.zst", f"{ID}.index.json",
            400_000, 1_100_000, 12, 4, 2, 200_000, 3, 300_000, 100, 900, "",
        ),
        seconds={"lock": 1.5},
        shares=(Share("thing", "1", Sizes(3_000_000, 1_000_000, 400_000, 200_000)),),
        messages=(("note", "one module imports"), ("warning", "thing/x.so lacks libc.so.5")),
    )  # fmt: skip
    return replace(report, **changes)


def _text(renderable: Any) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(renderable)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    return "".join(f"{line.rstrip()}\n" for line in lines)


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


def test_every_key_of_build_json_is_documented_in_its_own_row() -> None:
    """docs/build-json.md has a row for each key and for no other; a row names the keys inside its key."""
    page = (Path(__file__).parents[2] / "docs" / "build-json.md").read_text(encoding="utf-8")
    cells = [line.strip("|").split(" | ", 1) for line in page.splitlines() if line.startswith("| `")]
    rows = {key: text for keys, text in cells for key in re.findall(r"`(\w+)`", keys)}
    document = buildreport.to_json(_report())
    assert rows.keys() == document.keys()
    (distribution,), (share,) = document["distributions"], document["shares"]
    for name, inside in (
        ("pack", document["pack"]),
        ("distributions", {**distribution, **distribution["requires"][0]}),
        ("shares", {**share, **share["sizes"]}),
    ):
        assert set(inside) <= set(re.findall(r"`(\w+)`", rows[name]))
    for name in ("dropped", "reverted", "kept", "sizes"):
        assert name in document["slim"]
        assert f"`{name}`" in rows["slim"]


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
    """Every figure in its column; reverted files with their reason, warnings, the pack and the id."""
    assert (
        _text(build_table(_report(), tmp_path))
        == f"""
distribution  version  installed  slimmed
thing               1     3.0 MB   1.0 MB

slimming  files   saved
tests        20  1.5 MB
strip         1  0.5 MB

size                          bytes     files
installed                    3.0 MB        30
slimmed                      1.0 MB        10
pack                         0.4 MB        12
of it hot, fetched first     0.2 MB  2 frames
before the first invocation  0.3 MB  3 frames
/tmp needed                  1.0 kB

kept unstripped: thing/x.so (not page-aligned [in [brackets]])
warning: stripping was taken back: it failed
pack {tmp_path}/{ID}.tar.zst
id   {ID}
"""
    )


def test_the_build_table_names_the_twelve_largest_and_sums_up_the_rest(tmp_path: Path) -> None:
    """The largest after slimming come first; the others are one line, each column its own sum."""
    many = tuple(
        BuiltDistribution(f"d{number}", "1", False, (), 1_000_000 * (number + 20), 1_000_000 * number)
        for number in range(1, 15)
    )
    lines = _text(build_table(_report(distributions=many), tmp_path)).splitlines()
    assert [line.split()[0] for line in lines[2:14]] == [f"d{number}" for number in range(14, 2, -1)]
    assert lines[14].split() == ["2", "more", "43.0", "MB", "3.0", "MB"]


def _index() -> Index:
    """Three files, and three frames of which one is hot and two are fetched before the first invocation."""
    return Index(
        target="python3.11/x86_64", lock="1" * 64, tool="lambdapack 0.1.0", glibc="2.17", hot=1, eager=2,
        frame_stored=[100, 200, 400], frame_size=[1024, 3072, 2560],
        frame_sha256=["a" * 64, "b" * 64, "c" * 64], paths=["a/x.so", "b/data", "a/y.py"], classes="xds",
        sizes=[400, 2000, 600], offsets=[512, 1536, 4608], executable=[1], needs={0: [1]}, native={},
    )  # fmt: skip


def test_inspect_says_where_the_bytes_of_a_pack_are(tmp_path: Path) -> None:
    """Every figure in its column: by band, by class and by top-level folder, the largest first."""
    path = tmp_path / "x.tar.zst"
    path.write_bytes(bytes(777))
    assert (
        _text(listing.summary(ID, path, _index()))
        == f"""\
id      {ID}
pack    {path} (777 B)
target  python3.11/x86_64
glibc   2.17
tool    lambdapack 0.1.0
lock    {"1" * 64}
sbom    none

band                         frames  compressed    size
hot                               1       100 B  1.0 kB
before the first invocation       1       200 B  3.1 kB
on demand                         1       400 B  2.6 kB

class      files    size
data           1  2.0 kB
source         1   600 B
extension      1   400 B

folder  files    size
b           1  2.0 kB
a           2  1.0 kB
"""
    )


def test_inspect_lists_files_and_says_the_same_to_machines() -> None:
    """A line a file: class, size, first frame, path; the document has each fact of the index once."""
    assert list(listing.listing(_index())) == [
        "extension             400     0  a/x.so",
        "data                2,000     1  b/data",
        "source                600     2  a/y.py",
    ]
    document = listing.document(ID, Path("x.tar.zst"), _index())
    assert (document["id"], document["path"], document["hot"], document["eager"]) == (ID, "x.tar.zst", 1, 2)
    assert document["frames"][1] == {"stored": 200, "size": 3072, "sha256": "b" * 64}
    assert document["files"][:2] == [
        {"path": "a/x.so", "class": "extension", "size": 400, "offset": 512, "executable": False,
         "needs": ["b/data"]},
        {"path": "b/data", "class": "data", "size": 2000, "offset": 1536, "executable": True, "needs": []},
    ]  # fmt: skip


def test_a_verdict_has_a_row_for_each_distribution_and_each_check() -> None:
    """Bytes by distribution with their sum, the assets, every check with its mark, and the verdict."""
    made = Verdict(
        target="python3.11/x86_64",
        rows=(Row("big", "2", 9_000_000, 7_000_000, 4_000_000, 1_000_000), Row("(x)", "", None, 5, 6, 7)),
        checks=(
            Check("tmp", "limit", 700 << 20, 512 << 20, "bytes", False, "stream mode", "set tmp to 700 MB"),
            Check("init", "limit", 1.5, 10, "seconds", True, "fetching"),
            Check("zip", "advice", 3_000_000, 2_000_000, "bytes", False, "in the request"),
            Check("library.libx.so", "limit", 1, 0, "files", False, "a needs it", "add it"),
        ),
        installed=None, slimmed=7_000_005, stored=4_000_006, hot=1_000_007, eager=2_000_000,
        without_lambdapack=None, tmp_stream=1, tmp_disk=2, tmp_all=3, hot_seconds=0.1, eager_seconds=0.2,
        tmp_mb=512, memory_mb=1769, mode="stream",
        assets=(
            AssetFacts("model", "start", 75_000_000, 0, 90_000_000, 3),
            AssetFacts("data", "use", 1_000_000, 0, 2_000_000, 1),
        ),
        place="zip",
        places=(
            PlaceOption("zip", False, 300_000_000, 0, 1.84, "over"),
            PlaceOption("layer", True, 100_000_000, 2, None, "no bucket"),
        ),
    )  # fmt: skip
    assert (
        _text(verdict_tables(made))
        == """\
distribution  installed  slimmed  in the pack     hot
big 2            9.0 MB   7.0 MB       4.0 MB  1.0 MB
(x)                          5 B          6 B     7 B
total                     7.0 MB       4.0 MB  1.0 MB

asset                  files     size  over the link  seconds
model                      3  90.0 MB        75.0 MB      1.0
data (when asked for)      1   2.0 MB         1.0 MB      0.0

place         fits  zip and layers  layers  cold start
zip (as set)    no        300.0 MB              1.84 s  over
layer          yes        100.0 MB       2              no bucket

        check            measured  at most  what
no      tmp               700 MiB  512 MiB  stream mode: set tmp to 700 MB
ok      init                1.5 s   10.0 s  fetching
advice  zip                3.0 MB   2.0 MB  in the request
no      library.libx.so    1 file  0 files  a needs it: add it

cost: state invocations and duration in the [traffic] table, and plan says what the function costs a month

python3.11/x86_64 does not fit: tmp, library.libx.so
"""
    )


def test_costs_stand_side_by_side_with_what_they_rest_on() -> None:
    """A row for each kind of start, its parts the largest first, a reason instead where Lambda refuses."""
    shape = Shape(1024, 1024, gets=3, s3_bytes=2**30, refused="takes at most 512 MB of tmp")
    found = compare(
        Traffic(10_000, 100, init_ms=1000), shape, prices.of("eu-west-1", "x86_64"), asked="mars-1"
    )
    rows, *words = _text(costs_table(found)).split("\nfor ")
    table = [" ".join(row.split()) for row in rows.splitlines()]
    assert table == [
        "cost a month a million invocations a cold start of a month",
        "on-demand $0.64 $2.12 $0.000018 duration $0.50, requests $0.06, init $0.05, s3 $0.03, tmp $0.00056",
        "snap-start not to be had: takes at most 512 MB of tmp",
        "provisioned-concurrency $12.45 $41.50 $0.00 reserved $12.04, provisioned $0.33, requests $0.06, "
        "s3 $0.02, tmp $0.00051",
    ]
    said = " ".join(" ".join(words).split())
    assert "10,000 invocations a day of 100 ms each" in said and "1.00 s of billed init (as stated)" in said
    assert "not verified: the prices are eu-west-1's: lambdapack has none of mars-1" in said
    assert "prices of eu-west-1, x86_64" in said and "snap-start:" not in said


@pytest.mark.parametrize(
    ("amount", "said"),
    [(0, "$0.00"), (1234.5, "$1,234.50"), (0.004, "$0.0040"), (0.0000123, "$0.000012"), (0.005, "$0.01")],
)
def test_dollars(amount: float, said: str) -> None:
    """What is less than a cent keeps two digits that tell something."""
    assert dollars(amount) == said


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
    """Cold says where the time went, warm says that it was warm; what did not happen is not mentioned."""
    assert timing(_invocation()) == (
        "cold: init 1.00 s, of it waiting for the pack 300.0 ms (45.0 MB in 50 frames and 4 requests, "
        "800.0 ms beside the imports, 2 retries, 1 on demand), then the handler 2.5 ms, 99 MB used"
    )
    one = timing(_invocation(stats={"bytes": 1000, "frames": 1, "requests": 1}))
    assert "(1.0 kB in 1 frame and 1 request, " in one
    filed = timing(_invocation(stats={"bytes": 1000, "frames": 1, "requests": 3, "source": "file"}))
    assert "(1.0 kB in 1 frame and 3 reads, " in filed
    assert timing(_invocation(stats=None)) == "cold: init 1.00 s, then the handler 2.5 ms, 99 MB used"
    assert timing(_invocation(cold=False, stats=None, init_ms=None)) == "warm: 2.5 ms, 99 MB used"
