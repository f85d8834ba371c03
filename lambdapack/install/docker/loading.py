"""Load stripped libraries in the image, where the target's own dynamic linker and C library are."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lambdapack import elf
from lambdapack.errors import ToolError
from lambdapack.install.docker.container import WORK, Container, Member
from lambdapack.progress import Progress
from lambdapack.python.worker import command

__all__ = ["ImageLoader"]

_FAILED = b"! "
_FINE = b"."
_DOING = "loading the stripped libraries in the image"
_CHARACTERS = 2000


class ImageLoader:
    """Finds out which libraries load in a running container."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._rounds = 0

    def check(
        self, root: Path, destination: Path, paths: Sequence[str], worker: Path, progress: Progress
    ) -> Mapping[str, str]:
        """Path -> why a stripped library does not load there, where its original does.

        Args:
            root: The tree with the originals.
            destination: The tree with the stripped ones.
            paths: Which they are.
            worker: What tries them, see ``slim.load_worker``.
            progress: Told what is done.

        Raises:
            ToolError: The worker failed.
        """
        with progress.step("load in the image", total=len(paths), unit="files") as advance:
            alone = self._ask(destination, None, paths, worker)
            # Most load. Only for the others it matters whether their originals do, and those are big.
            doubtful = [path for path in paths if alone[path] != _FINE]
            answers = self._ask(destination, root, doubtful, worker) if doubtful else {}
            advance(len(paths))
        return {
            path: line[len(_FAILED) :].decode(errors="replace").strip()
            for path, line in answers.items()
            if line.startswith(_FAILED)
        }

    def _ask(
        self, destination: Path, root: Path | None, paths: Sequence[str], worker: Path
    ) -> dict[str, bytes]:
        """The worker's line for each path; without ``root``, ``-`` for what does not load."""
        self._rounds += 1
        folder = f"loading{self._rounds}"
        names = [f"{WORK}/{folder}/{part}/{path}" for path in paths for part in ("stripped", "original")]
        members = self._members(folder, {"stripped": destination, "original": root}, names, worker)
        self._container.put(members, doing="bringing the libraries into the image")
        output, errors = bytearray(), bytearray()
        status = self._container.run(
            command(self._container.relay.python, f"{WORK}/lib/{worker.name}"),
            environment={"LC_ALL": "C.UTF-8"},
            output=output.extend,
            errors=errors.extend,
            stdin=f"{WORK}/{folder}/pairs",
            doing=_DOING,
        )
        lines = bytes(output).splitlines()
        if status or len(lines) != len(paths):
            text = errors.decode(errors="replace")[-_CHARACTERS:]
            raise ToolError(f"{_DOING} failed with status {status}", detail=text or None)
        return dict(zip(paths, lines, strict=True))

    def _members(
        self, folder: str, trees: Mapping[str, Path | None], names: Sequence[str], worker: Path
    ) -> Iterator[Member]:
        yield f"lib/{worker.name}", worker
        yield f"{folder}/pairs", b"".join(os.fsencode(name) + b"\0" for name in names)
        for part, tree in trees.items():
            for path in sorted(tree.rglob("*")) if tree else ():
                # Libraries map each other, stripped or not.
                if elf.is_elf(path):
                    yield f"{folder}/{part}/{path.relative_to(tree).as_posix()}", path  # type: ignore[arg-type]
