"""The page of ``lambdapack report`` in a real Chromium."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from lambdapack.report import page
from lambdapack.report.page.cells import UNITS, Source
from tests.support import report_world
from tests.support.browser import SCREENS, Browser, Opened, screenshot, started
from tests.support.command_line import Run

ROOT = Path(__file__).parents[2]
OF_A_FIGURE = "nodes => nodes.map(node => [node.dataset.at, node.dataset.unit, node.textContent])"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all tests of this file."""
    with started() as browser:
        yield browser


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with every part, and its document beside it."""
    folder = tmp_path_factory.mktemp("page")
    document = report_world.full(folder)
    (folder / "report.json").write_text(json.dumps(document))
    path = folder / "report.html"
    path.write_text(page.render(document))
    return path


def hold(opened: Opened, file: Path) -> None:
    """What holds of every page: drawn, silent, alone, as wide as its window, every figure of its document."""
    document = json.loads(file.with_suffix(".json").read_text())
    source = Source(document)
    assert opened.said == []
    assert opened.requests == [file.as_uri()]
    figures = opened.page.eval_on_selector_all("[data-at]", OF_A_FIGURE)
    assert len(figures) > 100
    for at, unit, text in figures:
        assert text == UNITS.get(unit, UNITS["number"])(source.get(at)), at
    for name, traces in drawn(opened).items():
        assert traces, name
        assert opened.page.eval_on_selector(f"#{name}", "node => node.querySelectorAll('svg').length") > 0
    opened.page.eval_on_selector_all("details", "nodes => nodes.forEach(node => { node.open = true; })")
    widths = opened.page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert widths[0] == widths[1], "the page itself does not scroll sideways"
    opened.page.eval_on_selector_all("details", "nodes => nodes.forEach(node => { node.open = false; })")


def drawn(opened: Opened) -> dict[str, Any]:
    """Picture -> the traces that plotly has drawn."""
    code = """nodes => nodes.map(node => [node.id, node.data.map(({type, name, x, y, values, base}) =>
        ({type, name, x, y, values, base}))])"""
    return dict(opened.page.eval_on_selector_all(".figure", code))


@pytest.mark.parametrize("screen", SCREENS)
def test_the_page_is_drawn_silent_and_alone(
    browser: Browser, file: Path, tmp_path: Path, screen: str
) -> None:
    """On a wide screen, on a phone and in the dark; markup in a name does nothing."""
    with browser.open(file, *SCREENS[screen]) as opened:
        hold(opened, file)
        assert opened.page.title() == f"name{report_world.HARM}: lambdapack report"
        assert screenshot(opened.page, tmp_path / f"{screen}.png").stat().st_size > 20_000


def test_the_pictures_have_the_figures_of_the_document(browser: Browser, file: Path) -> None:
    """Each trace is a list of the document's own values."""
    document = json.loads(file.with_suffix(".json").read_text())
    with browser.open(file, *SCREENS["wide"]) as opened:
        found = drawn(opened)
    rows, settings = document["plan"]["rows"], document["tune"][0]["settings"]
    assert found["sizes"][0]["values"] == [row["stored"] for row in rows if row["stored"]]
    invocations = document["series"]["invocations"]
    assert found["series"][0]["y"] == [each["duration_ms"] for each in invocations]
    assert found["series"][1]["y"] == [each["init_ms"] or 0 for each in invocations]
    assert found["series"][2]["y"] == [each["total_ms"] for each in invocations if each["cold"]]
    able = [each for each in settings if each["failure"] is None]
    assert found["tune-0"][0]["x"] == [each["time_ms"] for each in able]
    assert found["tune-0"][0]["y"] == [each["million"] for each in able]
    imports = {(each["start_ms"], each["cumulative_ms"]) for each in document["profile"]["imports"]}
    bars = {name: trace for trace in found["start"] if (name := trace["name"])}
    assert set(zip(bars["the pack"]["base"], bars["the pack"]["x"], strict=True)) <= imports
    waits = document["profile"]["waits"]
    assert bars["waits for the pack"]["x"] == [each["self_ms"] for each in waits]
    assert bars["waits for the pack"]["y"][1] == 0, "what no import waits for is init's"
    options = [each for each in document["plan"]["costs"]["options"] if not each["refused"]]
    parts = {trace["name"]: trace["x"] for trace in found["costs"] if trace["type"] == "bar"}
    for part, amounts in parts.items():
        assert amounts == [each["bill"][part] for each in options]
    assert [sum(column) for column in zip(*parts.values(), strict=True)] == pytest.approx(
        [each["month"] for each in options]
    )


def test_durations_of_a_log_are_drawn_with_their_waits(browser: Browser, tmp_path: Path) -> None:
    """Init, handler and waits of each call are the document's, and words stand where there is room."""
    document = report_world.logged()
    (tmp_path / "report.json").write_text(json.dumps(document))
    (tmp_path / "report.html").write_text(page.render(document))
    with browser.open(tmp_path / "report.html", *SCREENS["phone"]) as opened:
        hold(opened, tmp_path / "report.html")
        traces = drawn(opened)["series"]
    invocations = document["series"]["invocations"]
    cold = [each for each in invocations if each["cold"]]
    assert traces[0]["y"] == [each["duration_ms"] for each in invocations]
    assert traces[1]["y"] == [each["init_ms"] or 0 for each in invocations]
    worded = traces[2]["x"]
    assert max(traces[2]["y"]) == max(each["total_ms"] for each in cold)
    assert 4 <= len(worded) <= 9 and all(b - a >= 300 / 9 for a, b in pairwise(worded))
    assert traces[4]["y"] == [each["wait_ms"] for each in cold]
    assert traces[4]["base"] == [each["duration_ms"] for each in cold]


def test_a_change_of_the_theme_recolours_the_pictures(browser: Browser, file: Path) -> None:
    """While the page is open; no colour of the page's is left unknown to plotly."""
    colours = "() => [...document.querySelectorAll('#series .point path')].map(path => path.style.fill)"
    with browser.open(file, *SCREENS["wide"]) as opened:
        light = opened.page.evaluate(colours)
        opened.page.emulate_media(color_scheme="dark")
        opened.page.wait_for_function(f"light => ({colours})()[0] !== light", arg=light[0])
        dark = opened.page.evaluate(colours)
        assert len(dark) == len(light) > 0
        assert not set(dark) & set(light)
        assert opened.said == []


def test_a_keyboard_reaches_everything(browser: Browser, file: Path) -> None:
    """First the way past the head, then links, tables that open with Enter, and boxes that scroll."""
    focused = "() => document.activeElement.className || document.activeElement.tagName"
    with browser.open(file, *SCREENS["phone"]) as opened:
        keyboard, page = opened.page.keyboard, opened.page
        keyboard.press("Tab")
        assert page.evaluate(focused) == "skip"
        keyboard.press("Enter")
        assert page.evaluate("() => location.hash") == "#content"
        keyboard.press("Tab")
        assert page.evaluate(focused) == "SUMMARY"
        keyboard.press("Enter")
        assert page.evaluate("() => document.querySelector('details').open")
        keyboard.press("Tab")
        assert page.evaluate(focused) == "scroll"
        before = page.evaluate("() => document.activeElement.scrollLeft")
        keyboard.press("ArrowRight")
        page.wait_for_function("before => document.activeElement.scrollLeft > before", arg=before)


def test_a_turned_phone_is_drawn_anew(browser: Browser, file: Path) -> None:
    """Pictures are as wide as the page after its window was resized, to 360 pixels too."""
    width = "() => document.querySelector('#sizes .main-svg').getBoundingClientRect().width"
    with browser.open(file, *SCREENS["wide"]) as opened:
        opened.page.set_viewport_size({"width": 360, "height": 740})
        opened.page.wait_for_function(f"() => ({width})() <= 360")
        hold(opened, file)


def test_on_paper_every_table_is_open(browser: Browser, file: Path) -> None:
    """And closed again afterwards."""
    with browser.open(file, *SCREENS["dark"]) as opened:
        opened.page.evaluate("() => addEventListener('beforeprint', () => { window.seen = "
                             "document.querySelectorAll('details:not([open])').length; })")  # fmt: skip
        assert len(opened.page.pdf()) > 20_000
        assert opened.page.evaluate("() => window.seen") == 0
        assert opened.page.evaluate("() => document.querySelectorAll('details[open]').length") == 0
        assert opened.said == []


@pytest.mark.slow
def test_the_page_of_the_spacy_example(
    browser: Browser, run_lambdapack: Run, lambdapack_cache: Path, tmp_path: Path
) -> None:
    """Built, tuned and started here; LAMBDAPACK_SCREENSHOTS=docs/report renews the pictures of the docs."""
    folder = tmp_path / "spacy"
    folder.mkdir()
    for name in ("app.py", "event.json", "lambdapack.toml"):
        (folder / name).write_bytes((ROOT / "examples/spacy" / name).read_bytes())
    with (folder / "lambdapack.toml").open("a") as configuration:
        configuration.write("\n[traffic]\ninvocations = 100_000\nduration = 200\n")
    for words in (("build",), ("deploy",), ("calibrate",), ("tune", "--runs", "2"), ("report",)):
        run_lambdapack(*words, cwd=folder)
    made = folder / ".lambdapack/build/report.html"
    assert made.stat().st_size < 8_000_000
    where = Path(os.environ.get("LAMBDAPACK_SCREENSHOTS") or tmp_path / "shots")
    for name, screen in SCREENS.items():
        with browser.open(made, *screen) as opened:
            hold(opened, made)
            assert screenshot(opened.page, where / f"{name}.png").stat().st_size < 300_000
