"""Distributions of a pack for ``importlib.metadata``; imported only when somebody asks for them."""

from __future__ import annotations

import re
from importlib.metadata import PathDistribution
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ._importer import Importer


class PackDistribution(PathDistribution):
    """A distribution whose metadata is read from the arena."""

    def __init__(self, importer: Importer, folder: str) -> None:
        super().__init__(Path(importer.site) / folder)
        self._importer = importer
        self._folder = folder

    def read_text(self, filename: Any) -> str | None:
        """A metadata file's text, None if there is none, as the base class has it."""
        file = self._importer.files.get("%s/%s" % (self._folder, filename))
        if file is None:
            return None
        return bytes(self._importer.read(file)).decode("utf-8")

    read_text.__doc__ = PathDistribution.read_text.__doc__


def distributions(importer: Importer, name: str | None) -> Iterator[PackDistribution]:
    """The pack's distributions, or the one of that name."""
    wanted = normalise(name) if name else None
    for folder in importer.contents.children[""]:
        if folder.endswith(".dist-info"):
            found = folder[: -len(".dist-info")].rpartition("-")[0]
            if wanted is None or normalise(found) == wanted:
                yield PackDistribution(importer, folder)


def normalise(name: str) -> str:
    """PEP 503's name."""
    return re.sub(r"[-_.]+", "-", name).lower()
