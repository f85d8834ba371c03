"""How to run the resolver's driver, wherever the target's Python is: on this machine or in an image."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TextIO

from lambdapack.model import PipOptions
from lambdapack.progress import Advance

FOLDER = Path(__file__).parent / "driver"
"""The driver's package, which the target's Python imports; it sees nothing else of lambdapack."""
CODE = "import sys; sys.path.insert(0, sys.argv[1]); from driver.main import main; del sys.path[0]; main()"
"""What ``python -c`` runs, with the parent folder of ``driver`` as its argument."""


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


class AnswerReader:
    """Reads the driver's output as it comes.

    Attributes:
        last: The last event that did not only report progress.
    """

    def __init__(self, advance: Advance) -> None:
        self.last: dict[str, Any] | None = None
        self._advance = advance
        self._pending = b""

    def feed(self, data: bytes) -> None:
        """Take the next piece of the output.

        Raises:
            ValueError: The driver does not write such a line.
        """
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            event = json.loads(line)
            if event["event"] == "package":
                self._advance(1, note=event["name"])
            else:
                self.last = event
