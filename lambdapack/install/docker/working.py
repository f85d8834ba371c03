"""Workers (``python.worker``) in the image: they trace, and import modules, on a copy of the tree."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lambdapack.errors import ToolError
from lambdapack.install.docker.container import WORK, Container, Member
from lambdapack.python import worker

__all__ = ["PLACES", "ImageWorkers"]

PLACES = {"HOME": f"{WORK}/home", "TMPDIR": f"{WORK}/tmp"}
"""What the bytecode, the trace and imports see of the image besides its Python."""
_CHARACTERS = 2000


class ImageWorkers:
    """Runs workers in a running container, by the target's Python."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._rounds = 0

    def ask(
        self, request: Mapping[str, Any], work: Path, file: Path, environment: Mapping[str, str], doing: str
    ) -> dict[str, Any]:
        """Run a worker's ``file`` on copies of what ``request`` names; see ``worker.ask``.

        Args:
            request: ``root``, ``search`` and ``assets`` are folders and files of this machine.
            work: Where the result, and what was printed (``log``), come to.
            file: The worker's.
            environment: What it sees besides ``PLACES``.
            doing: What it does, for messages.

        Raises:
            ToolError: It gave no result.
        """
        self._rounds += 1
        folder = f"asked{self._rounds}"
        moved, places = _moved(request, f"{WORK}/{folder}")
        members = _members(folder, moved, places, file)
        self._container.put(members, doing="bringing the tree into the image")
        printed = bytearray()
        status = self._container.run(
            worker.command(
                self._container.relay.python, f"{WORK}/lib/{worker.STARTER.name}", f"{WORK}/lib/{file.name}",
                f"{WORK}/{folder}/request.json", f"{WORK}/{folder}/result/result.json",
            ),
            environment={**environment, **PLACES}, output=printed.extend, errors=printed.extend,
            doing=f"{doing} in the image",
        )  # fmt: skip
        self._container.get(f"{WORK}/{folder}/result", work, doing="fetching the result")
        try:
            result: dict[str, Any] = json.loads((work / "result.json").read_text())
        except (OSError, ValueError) as error:
            text = printed.decode(errors="replace")[-_CHARACTERS:]
            raise ToolError(f"{doing} failed in the image with status {status}", detail=text) from error
        return result


def _moved(request: Mapping[str, Any], folder: str) -> tuple[dict[str, Any], dict[str, Path]]:
    """The request with the container's paths, and what has to be at which of them."""
    search = [f"{folder}/search{number}" for number, _ in enumerate(request["search"])]
    named = {name: Path(path) for name, path in request.get("assets", {}).items()}
    assets = {name: f"{folder}/assets/{name}/{path.name}" for name, path in named.items()}
    moved = {
        **request,
        "assets": assets,
        "root": f"{folder}/tree",
        "search": search,
        "cwd": f"{folder}/cwd",
        "log": f"{folder}/result/log",
    }
    places = {
        f"{folder}/tree": Path(request["root"]),
        **dict(zip(search, map(Path, request["search"]), strict=True)),
        **{assets[name]: path for name, path in named.items()},
    }
    return moved, places


def _members(
    folder: str, request: Mapping[str, Any], places: Mapping[str, Path], file: Path
) -> Iterator[Member]:
    for needed in (worker.STARTER, file):
        yield f"lib/{needed.name}", needed
    yield f"{folder}/request.json", json.dumps(request).encode()
    yield f"{folder}/cwd", None
    yield f"{folder}/result", None
    for place, source in places.items():
        inside = place.removeprefix(f"{WORK}/")
        if source.is_file():
            yield inside, source
        for path in sorted(source.rglob("*")):
            if path.is_file():
                yield f"{inside}/{path.relative_to(source).as_posix()}", path
