"""A page in the system's own Chromium, without a window, and what it did."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

# What a browser asks of the network by itself must not count as the page's.
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
SCREENS = {"wide": (1280, 900, "light"), "phone": (390, 844, "light"), "dark": (1280, 900, "dark")}
"""Name -> width, height and theme."""


@dataclass
class Opened:
    """A page that was opened.

    Attributes:
        page: As playwright drives it.
        requests: The addresses that were asked for.
        said: What came to the console, and errors that no script caught.
    """

    page: Page
    requests: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


class Browser:
    """A Chromium with a profile of its own, which goes with it."""

    def __init__(self, program: Any) -> None:
        self._program = program

    @contextmanager
    def open(self, file: Path, width: int, height: int, theme: str) -> Iterator[Opened]:
        """The page when all its pictures are drawn."""
        context = self._program.new_context(viewport={"width": width, "height": height}, color_scheme=theme)
        opened = Opened(context.new_page())
        opened.page.on("request", lambda request: opened.requests.append(request.url))
        opened.page.on("console", lambda message: opened.said.append(f"{message.type}: {message.text}"))
        opened.page.on("pageerror", lambda error: opened.said.append(str(error)))
        try:
            opened.page.goto(file.as_uri())
            opened.page.wait_for_selector("html[data-drawn]", timeout=60_000)
            yield opened
        finally:
            context.close()


@contextmanager
def started() -> Iterator[Browser]:
    """A browser; the test is skipped where there is none, and fails in CI instead."""
    found = shutil.which("chromium")
    if found is None and not os.environ.get("CI"):
        pytest.skip("no chromium here: apt-get install chromium")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - slow

    with sync_playwright() as drivers:
        program = drivers.chromium.launch(executable_path=found or "chromium", args=list(FLAGS))
        try:
            yield Browser(program)
        finally:
            program.close()


def screenshot(page: Page, path: Path) -> Path:
    """A picture of the whole page, with so few colours that it can be kept in a repository."""
    from PIL import Image  # noqa: PLC0415 - slow

    path.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(io.BytesIO(page.screenshot(full_page=True))) as taken:
        taken.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
    return path
