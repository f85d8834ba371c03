"""Shared libraries of the image, searched there as its own dynamic linker would."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lambdapack.errors import ToolError
from lambdapack.install.docker.container import WORK, Container
from lambdapack.install.syslibs import Wanted

__all__ = ["ImageLibraries"]

_WORKER = Path(__file__).with_name("libraries_worker.py")
_DOING = "looking for shared libraries in the image"
_CHARACTERS = 2000


class ImageLibraries:
    """What the image of a running container has."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def fetch(self, wanted: Sequence[Wanted], destination: Path) -> Mapping[str, tuple[str, str, str]]:
        """Copy those of ``wanted`` that are there into ``destination``; see ``syslibs.Source``."""
        asked = [{"name": one.name, "folders": list(one.folders)} for one in wanted]
        found = self._ask({"ask": asked})
        names = {one.name for one in wanted}
        answer = {}
        for name, (path, package, url) in found.items():
            if name in names and "/" not in name:
                self._container.read(path, destination / name, doing=f"copying {name} from the image")
                answer[name] = (path, package, url)
        return answer

    def listed(self) -> dict[str, tuple[str, str, str]]:
        """Name -> path, package and package URL of everything that programs of the image find."""
        return self._ask({"list": True})

    def _ask(self, request: Mapping[str, Any]) -> dict[str, tuple[str, str, str]]:
        self._container.put(iter([(f"lib/{_WORKER.name}", _WORKER)]), doing=_DOING)
        stdin = self._container.relay.keep_json("libraries.json", request)
        output, errors = bytearray(), bytearray()
        status = self._container.run(
            [self._container.relay.python, "-I", f"{WORK}/lib/{_WORKER.name}"],
            environment={"LC_ALL": "C"},
            output=output.extend,
            errors=errors.extend,
            stdin=stdin,
            doing=_DOING,
        )
        try:
            answer = json.loads(output)
            return {str(name): (str(path), str(one), str(url)) for name, (path, one, url) in answer.items()}
        except (ValueError, AttributeError, TypeError):
            text = errors.decode(errors="replace")[-_CHARACTERS:]
            raise ToolError(f"{_DOING} failed with status {status}", detail=text or None) from None
