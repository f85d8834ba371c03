"""The page of ``lambdapack report`` and its document, without a browser."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdapack.deploy.log import LogEvent, invocations
from lambdapack.errors import ToolError
from lambdapack.report import page
from lambdapack.report.page import tables
from lambdapack.report.page.cells import UNITS, Source, Table
from lambdapack.report.page.waterfall import bar_of, bars
from tests.support import report_world
from tests.support.logged import report

CSS = Path(page.__file__).with_name("page.css")


class Reader(HTMLParser):
    """Of a page: the elements, and the text and place of each figure."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.figures: list[tuple[str, str, str]] = []
        self._figure: list[str] | None = None
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        self.elements.append((tag, names))
        if "data-at" in names:
            self._figure = [str(names["data-at"]), str(names["data-unit"])]

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._figure is not None:
            self.figures.append((self._figure[0], self._figure[1], data))
            self._figure = None


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A document with every part."""
    return report_world.full(tmp_path_factory.mktemp("record"))


def test_every_figure_is_the_one_at_its_place_in_the_document(full: dict[str, Any]) -> None:
    """The text of a figure follows from the document's value at the place that the figure names."""
    found = Reader(page.render(full)).figures
    source = Source(full)
    for at, unit, text in found:
        value = source.get(at)
        assert value is not None, at
        assert text == UNITS.get(unit, UNITS["number"])(value), at
    places = {at for at, _, _ in found}
    rows = range(len(full["plan"]["rows"]))
    assert {f"/plan/rows/{row}/{key}" for row in rows for key in ("stored", "hot", "slimmed")} <= places
    assert {f"/series/invocations/{row}/billed_ms" for row in range(15)} <= places
    assert {
        "/plan/stored",
        "/series/cold_ms",
        "/tune/0/recommended/knee",
        "/plan/costs/options/0/month",
    } <= places


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (tables.size_table, "in the pack=stored, of it hot=hot, slimmed=slimmed, installed=installed"),
        (tables.cold_table, "init=init, of it the runtime=runtime, waits for the pack=waits, "
         "imports=imports, first call=call, usually off by=error"),
        (tables.phase_table, "began=start_ms, took=ms, imports=imports_ms, waits for the pack=waited_ms, "
         "everything else=other_ms"),
        (tables.import_table, "began=start_ms, cumulative=cumulative_ms, self=self_ms, waited=waited_ms, "
         "for=waited_bytes, memory=memory_bytes, whose=origin"),
        (tables.wait_table, "frame=frame, compressed=bytes, began=start_ms, took=self_ms"),
        (tables.series_table, "Init Duration=init_ms, Duration=duration_ms, together=total_ms, "
         "billed=billed_ms, memory used=max_memory_mb"),
        (lambda source: tables.tune_table(source, "/tune/0"), "cold=cold_ms, warm=warm_ms, mixed=time_ms, "
         "a million=million, memory used=used_mb, runs=runs"),
        (tables.check_table, "measured=measured, at most=limit, what=note, what to do=fix"),
        (tables.place_table, "fits=fits, zip and layers=unzipped, layers=layers, "
         "predicted cold start=seconds"),
        (tables.asset_table, "files=files, size=size, over the link=stored"),
        (tables.cost_table, "a month=month, a million invocations=million, a cold start=cold_start, "
         "of the month: requests=requests, of the month: duration=duration"),
    ],
)  # fmt: skip
def test_each_column_has_what_its_heading_says(
    full: dict[str, Any], make: Callable[[Source], Table], expected: str
) -> None:
    """Of each table, heading by heading; cells without a figure are left out."""
    table = make(Source(full))
    for pair in expected.split(", "):
        heading, key = pair.split("=")
        (column,) = [at for at, each in enumerate(table.columns) if each.name == heading]
        places = {row[column].at for row in table.rows} - {""}
        assert places and {at.rpartition("/")[2] for at in places} == {key}, heading


def test_names_from_outside_are_text(full: dict[str, Any]) -> None:
    """A distribution, module, function or note that is called as markup is shown so, and is none."""
    text = page.render(full)
    reader = Reader(text)
    assert [tag for tag, _ in reader.elements if tag in ("img", "iframe", "object", "embed")] == []
    scripts = [names for tag, names in reader.elements if tag == "script"]
    assert [names.get("type") for names in scripts] == ["application/json"] * 5 + [None] * 2
    assert f"a note {report_world.HARM}" in reader.text
    assert not [names for _, names in reader.elements if any(name.startswith("on") for name in names)]


def test_nothing_is_asked_of_a_network(full: dict[str, Any]) -> None:
    """No element names an address, and the policy of the page would not let a script ask for one."""
    elements = Reader(page.render(full)).elements
    addresses = [
        names.get(key) or "" for _, names in elements for key in ("src", "href", "action") if key in names
    ]
    assert addresses
    assert [address for address in addresses if not address.startswith(("#", "data:,"))] == []
    (policy,) = [names["content"] for tag, names in elements if tag == "meta" and "http-equiv" in names]
    assert str(policy).startswith("default-src 'none'; ")


def test_pictures_tables_and_headings_tell_what_they_are(full: dict[str, Any]) -> None:
    """Each picture has a sentence, each table a caption, heads have their scope, headings skip no level."""
    elements = Reader(page.render(full)).elements
    pictures = [names for _, names in elements if names.get("role") == "img"]
    assert len(pictures) == 5
    assert all(str(names["aria-label"]).endswith(".") for names in pictures)
    tags = [tag for tag, _ in elements]
    assert tags.count("table") == tags.count("caption") == 11
    assert all(names.get("scope") in ("col", "row") for tag, names in elements if tag == "th")
    levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    identities = [names["id"] for _, names in elements if "id" in names]
    assert len(identities) == len(set(identities))
    boxes = [names for _, names in elements if names.get("class") == "scroll"]
    assert all(names["tabindex"] == "0" and names["role"] == "region" for names in boxes)


def test_what_is_missing_says_what_makes_it() -> None:
    """A section without its part has the reason and the command, and no picture."""
    reader = Reader(page.render(report_world.bare()))
    for absent in report_world.ABSENT:
        assert absent.reason in reader.text
        assert f"What helps: {absent.fix}" in reader.text
    assert [names["id"] for _, names in reader.elements if names.get("role") == "img"] == ["sizes"]
    assert "[traffic]" in reader.text and "Init, as predicted" in reader.text
    assert "Does not fit: budget.pack" in reader.text


def test_what_a_later_plan_says_besides_is_passed_over(full: dict[str, Any]) -> None:
    """Keys, units and checks that the page does not know change nothing else."""
    later = json.loads(json.dumps(full))
    later["plan"]["warm"] = {"seconds": 1.5}
    later["plan"]["checks"][0]["unit"] = "parsecs"
    later["plan"]["rows"][0]["risk"] = "low"
    assert len(Reader(page.render(later)).figures) == len(Reader(page.render(full)).figures)


def test_what_to_do_is_a_row_for_each_check_that_a_step_helps(full: dict[str, Any]) -> None:
    """With the gain in the check's own unit, and whether the step is enough."""
    steps = [
        {"words": "leave out <b>first</b>", "gains": {"budget.pack": 4_100_000, "tmp": 2**20},
         "mends": ["budget.pack"], "suffices": False, "cost": "nothing"},
        {"words": "place = zip", "gains": {"budget.pack": 9}, "mends": [], "suffices": True, "cost": "$1"},
    ]  # fmt: skip
    later = {**full, "plan": {**full["plan"], "steps": steps}}
    rows = [[cell.text for cell in row] for row in tables.step_table(Source(later)).rows]
    assert rows == [
        ["leave out <b>first</b>", "budget.pack", "4.1 MB", "nothing", "holds then"],
        ["leave out <b>first</b>", "tmp", "1 MiB", "nothing", ""],
        ["place = zip", "budget.pack", "9 B", "$1", "fits then"],
    ]
    assert "leave out <b>first</b>" in Reader(page.render(later)).text


def test_without_plotly_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with every extra."""
    monkeypatch.setitem(sys.modules, "plotly", None)
    with pytest.raises(ToolError) as raised:
        page.render(report_world.bare())
    assert raised.value.hint == "pip install 'lambdapack[report]'"


def test_a_series_counts_its_starts_and_adds_up() -> None:
    """Each cold invocation begins an environment; the middle of both kinds is taken apart."""
    series = report_world.series()
    assert [each.start for each in series.invocations] == [1] * 5 + [2] * 5 + [3] * 5
    assert [each.total_ms for each in series.invocations][:2] == [1007.75, 8.25]
    assert series.cold_ms == 1008.75
    assert series.warm_ms == 9.75
    assert page.Series.of(512, []) == page.Series(512, (), None, None)


@given(st.data(), st.integers(1, 8))
def test_the_waterfall_shows_the_longest_and_nothing_twice(data: st.DataObject, most: int) -> None:
    """No row is nearly the whole of the row around it; no other is longer than one that is shown."""
    imports: list[dict[str, Any]] = []
    for number in range(data.draw(st.integers(0, 12))):
        parent = data.draw(st.sampled_from([None, *range(number)]))
        longest = 1000.0 if parent is None else imports[parent]["cumulative_ms"]
        length, thread = data.draw(st.floats(0, longest)), data.draw(st.booleans())
        imports.append({"parent": parent, "cumulative_ms": length, "thread": thread})
    shown = bars(imports, most)
    numbers = [bar.number for bar in shown]
    assert numbers == sorted(set(numbers)) and len(numbers) <= most
    for number, each in enumerate(imports):
        around = bar_of(imports, each["parent"], shown)
        outer = None if around is None else imports[shown[around].number]["cumulative_ms"]
        differs = outer is None or each["cumulative_ms"] < 0.8 * outer
        if number in numbers:
            assert differs and not each["thread"]
            assert shown[numbers.index(number)].depth == (0 if around is None else shown[around].depth + 1)
        elif differs and not each["thread"]:
            assert len(shown) == most
            assert each["cumulative_ms"] <= min(imports[other]["cumulative_ms"] for other in numbers)


def palettes() -> dict[str, dict[str, str]]:
    """Theme -> the colours of its variables."""
    light, dark = CSS.read_text("utf-8").split("@media (prefers-color-scheme: dark)")
    dark = dark.partition("*, *::before")[0]
    found = {
        name: dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", text))
        for name, text in (("light", light), ("dark", dark))
    }
    assert found["light"].keys() == found["dark"].keys()
    return found


def contrast(one: str, other: str) -> float:
    """Of two colours, as WCAG 2.2 has it."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_have_enough_contrast(theme: str) -> None:
    """Text 4.5 to 1 wherever it stands, what pictures are drawn with 3 to 1: level AA."""
    colours = palettes()[theme]
    for ground in ("bg", "surface"):
        for name in ("text", "muted", "accent", "good", "bad", "warn"):
            assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
    for tile in ("tile-hot", "tile-cold"):
        assert contrast(colours[f"{tile}-text"], colours[tile]) >= 4.5, tile
    for number in range(1, 8):
        assert contrast(colours[f"c{number}"], colours["bg"]) >= 3, number


def test_durations_of_a_log_say_that_they_are_aws_s() -> None:
    """The newest calls are shown, the means are of all, and each cold start has what the shim told."""
    document = report_world.logged()
    series = document["series"]
    assert (series["cloud"], len(series["invocations"])) == ("aws", 300)
    # 40 inits from 900.5 to 939.5 ms, each before 20.25 ms of the handler.
    assert series["cold_ms"] == pytest.approx(940.25)
    cold = [each for each in series["invocations"] if each["cold"]]
    assert [each["wait_ms"] for each in cold] == [200.5 + start for start in range(10, 40)]
    reader = Reader(page.render(document))
    assert "Cold start, measured in AWS" in reader.text and "in the local cloud" not in reader.text
    assert "the newest 300 of 400 invocations" in reader.text and "versions 3, 4 in AWS" in reader.text
    heads = [column.name for column in tables.series_table(Source(document)).columns]
    assert heads[-2:] == ["waited for the pack", "fetched"]
    for at, unit, text in reader.figures:
        assert text == UNITS.get(unit, UNITS["number"])(Source(document).get(at)), at


def test_a_log_without_a_call_that_went_well_gives_no_series() -> None:
    """What failed is counted, and no duration of it is mixed with the others."""
    event = LogEvent(
        datetime(2026, 11, 26, tzinfo=timezone.utc), "2026/11/26/[3]a", report(3000, status="timeout")
    )
    series, notes = page.logged_series(invocations([event]))
    assert series is None and notes == ["Left out of the durations: 1 invocation that failed."]
