"""Shared libraries of the image, searched there as its own dynamic linker would."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lambdapack.errors import ToolError
from lambdapack.install.docker.container import WORK, Container
from lambdapack.install.docker.workers import ImageWorkers
from lambdapack.install.syslibs import LibraryOrigin, LibraryQuery

_WORKER = Path(__file__).with_name("libraries_worker.py")
_DOING = "looking for shared libraries in the image"


class ImageLibraries:
    """The shared libraries of the image of a running container; a ``syslibs.Source``."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def fetch(self, queries: Sequence[LibraryQuery], destination: Path) -> Mapping[str, LibraryOrigin]:
        """Copy the libraries that are there into ``destination``; see ``syslibs.Source``."""
        names = {query.name for query in queries}
        origins = {
            name: origin
            for name, origin in self._ask({"ask": [asdict(query) for query in queries]}).items()
            if name in names and "/" not in name
        }
        for name, origin in origins.items():
            self._container.read(origin.path, destination / name, doing=f"copying {name} from the image")
        return origins

    def listed(self) -> dict[str, LibraryOrigin]:
        """Name -> origin of every library that programs of the image find."""
        return self._ask({"list": True})

    def _ask(self, request: Mapping[str, Any]) -> dict[str, LibraryOrigin]:
        name = f"{self._container.new_folder()}/request.json"
        ended = ImageWorkers(self._container).run(
            _WORKER,
            members=[(name, json.dumps(request).encode())],
            environment={"LC_ALL": "C"},
            doing=_DOING,
            stdin=f"{WORK}/{name}",
        )
        try:
            answer = json.loads(ended.output)
            return {str(name): LibraryOrigin(*map(str, origin)) for name, origin in answer.items()}
        except (ValueError, AttributeError, TypeError):
            raise ToolError(f"{_DOING} failed with status {ended.status}", detail=ended.complaint) from None
