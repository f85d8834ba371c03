"""How to run the resolver's driver, wherever the target's Python is: on this machine or in an image."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TextIO

from lambdapack.model import PipOptions
from lambdapack.progress import Advance, Progress

__all__ = ["CODE", "FOLDER", "Answers", "DriverRequest", "Place", "Wheelwright"]

FOLDER = Path(__file__).parent / "driver"
"""The driver's package, which the target's Python imports; nothing else of lambdapack is there."""
CODE = "import sys; sys.path.insert(0, sys.argv[1]); from driver.main import main; del sys.path[0]; main()"
"""What ``python -c`` runs, with the folder that ``driver`` is in as its argument."""


@dataclass(frozen=True)
class DriverRequest:
    """What the driver is asked, before a place adds its own paths.

    Attributes:
        facts: What goes into the driver's JSON request as it is.
        options: pip's options; ``pip_args`` of the JSON request.
        texts: Content of files that the place writes; the JSON request names their paths by these keys.
    """

    facts: Mapping[str, Any]
    options: PipOptions
    texts: Mapping[str, str]


class Place(Protocol):
    """Where the driver runs."""

    def ask(
        self, request: DriverRequest, tools: Path, log: TextIO, advance: Advance
    ) -> dict[str, Any] | None:
        """The driver's last answer to ``request``, ``None`` where it died.

        Args:
            request: What the driver is asked.
            tools: The folder with pip-tools.
            log: Gets what pip prints.
            advance: Told each package that is looked up.
        """


class Answers:
    """Reads the driver's output as it comes.

    Attributes:
        last: The last event that was no progress.
    """

    def __init__(self, advance: Advance) -> None:
        self.last: dict[str, Any] | None = None
        self._advance = advance
        self._pending = b""

    def feed(self, data: bytes) -> None:
        """Take a piece of it.

        Raises:
            ValueError: It is not what the driver writes.
        """
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            event = json.loads(line)
            if event["event"] == "package":
                self._advance(1, note=event["name"])
            else:
                self.last = event


class Wheelwright(Protocol):
    """Builds wheels for the target of local packages and sdists."""

    @property
    def identity(self) -> Mapping[str, str]:
        """What built wheels depend on besides their source, e.g. an image's id."""

    def wheel(self, source: Path, destination: Path, *, label: str, progress: Progress) -> Path:
        """Build a wheel of ``source``, a folder that may be written to or an sdist.

        Args:
            source: What to build.
            destination: A folder for the wheel; it is made.
            label: The package's name, for messages.
            progress: Told what is done.

        Raises:
            ConfigurationError: This builder cannot build such a package.
            ToolError: The build failed.
        """
