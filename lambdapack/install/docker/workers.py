"""Workers in a container: files that the target's own Python runs there, on copies of this machine's files.

A worker needs the standard library alone. Its own file says what it does; this module brings that file and
its input into the container, runs it, and fetches the result.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

from lambdapack import elf
from lambdapack.errors import ToolError
from lambdapack.install.docker.archive import Member, members_below
from lambdapack.install.docker.container import WORK, CommandResult, Container
from lambdapack.install.syslibs import LibraryOrigin, LibraryQuery
from lambdapack.progress import Progress
from lambdapack.python import bytecode, worker

PLACES = {"HOME": f"{WORK}/home", "TMPDIR": f"{WORK}/tmp"}
"""What the bytecode, the trace and imports see of the image besides its Python."""
LIBRARIES_WORKER = Path(__file__).with_name("libraries_worker.py")
_FAILED = b"! "
_FINE = b"."


class ImageWorkers:
    """Runs workers in a running container, whose Python, dynamic linker and C library are the target's."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def _run(
        self,
        file: Path,
        arguments: Sequence[str] = (),
        *,
        members: Iterable[Member],
        environment: Mapping[str, str],
        doing: str,
        stdin: str | None = None,
        output: Callable[[bytes], None] | None = None,
    ) -> CommandResult:
        """Run a worker's file, see ``Container.run``; the files ``members`` are brought in first.

        Whether the worker failed is for the caller to see.
        """
        own: Member = (f"lib/{file.name}", file)
        self._container.put(chain([own], members), doing=doing)
        command = worker.command(self._container.relay.python, f"{WORK}/lib/{file.name}", *arguments)
        return self._container.run(command, environment=environment, doing=doing, stdin=stdin, output=output)

    def ask(
        self,
        request: Mapping[str, Any],
        work: Path,
        file: Path,
        environment: Mapping[str, str],
        doing: str,
    ) -> dict[str, Any]:
        """Run a worker that defines ``run(request)`` on copies of what ``request`` names; see ``worker.ask``.

        ``root``, ``search`` and ``assets`` are folders and files of this machine. The folder ``work`` gets
        the result and ``log``, what the worker printed, which sees ``PLACES`` besides ``environment``.

        Raises:
            ToolError: The worker gave no result.
        """
        name = self._container.new_folder()
        folder = f"{WORK}/{name}"
        moved, sources = _moved(request, folder)
        own: list[Member] = [(f"lib/{file.name}", file), (f"{name}/cwd", None), (f"{name}/result", None)]
        own.append((f"{name}/request.json", json.dumps(moved).encode()))
        copies = (members_below(path.removeprefix(f"{WORK}/"), source) for path, source in sources.items())
        ended = self._run(
            worker.STARTER,
            (f"{WORK}/lib/{file.name}", f"{folder}/request.json", f"{folder}/result/result.json"),
            members=chain(own, *copies),
            environment={**environment, **PLACES},
            doing=f"{doing} in the image",
        )
        self._container.get(f"{folder}/result", work, doing="fetching the result")
        try:
            result: dict[str, Any] = json.loads((work / "result.json").read_text())
        except (OSError, ValueError) as error:
            raise _failure(f"{doing} failed in the image", ended) from error
        return result

    def load(
        self, root: Path, destination: Path, paths: Sequence[str], file: Path, progress: Progress
    ) -> Mapping[str, str]:
        """Path -> why a stripped library does not load in the container, where its original does.

        The arguments are a ``Loader``'s; the worker's file is ``slim.load_worker``.

        Raises:
            ToolError: The worker failed.
        """
        with progress.step("load in the image", total=len(paths), unit="files") as advance:
            alone = self._load({"stripped": destination}, paths, file)
            # Most libraries load. Only for the others it matters whether their originals do, which are big.
            doubtful = [path for path in paths if alone[path] != _FINE]
            trees = {"stripped": destination, "original": root}
            lines = self._load(trees, doubtful, file) if doubtful else {}
            advance(len(paths))
        return {
            path: line[len(_FAILED) :].decode(errors="replace").strip()
            for path, line in lines.items()
            if line.startswith(_FAILED)
        }

    def _load(self, trees: Mapping[str, Path], paths: Sequence[str], file: Path) -> dict[str, bytes]:
        """The worker's line for each path; ``-`` for what does not load where there are no originals."""
        name, doing = self._container.new_folder(), "loading the stripped libraries in the image"
        pairs = [f"{WORK}/{name}/{part}/{path}" for path in paths for part in ("stripped", "original")]
        # Libraries map each other, stripped or not.
        libraries = (members_below(f"{name}/{part}", tree, elf.is_elf) for part, tree in trees.items())
        ended = self._run(
            file,
            members=chain([_listed(f"{name}/pairs", pairs)], *libraries),
            environment={"LC_ALL": "C.UTF-8"},
            doing=doing,
            stdin=f"{WORK}/{name}/pairs",
        )
        lines = ended.output.splitlines()
        if ended.status or len(lines) != len(paths):
            raise _failure(f"{doing} failed", ended)
        return dict(zip(paths, lines, strict=True))

    def compile_tree(self, root: Path, progress: Progress) -> None:
        """As ``bytecode.compile_tree``, by the container's Python.

        Raises:
            ToolError: The container's Python failed.
        """
        name = self._container.new_folder()
        paths = [path.relative_to(root).as_posix() for path in sorted(root.rglob("*.py")) if path.is_file()]
        if not paths:
            return
        sources: Iterator[Member] = ((f"{name}/tree/{path}", root / path) for path in paths)
        with progress.step("compile in the image", total=len(paths), unit="files") as advance:
            ended = self._run(
                bytecode.WORKER,
                [f"{WORK}/{name}/tree"],
                members=chain([_listed(f"{name}/names", paths)], sources),
                environment={**bytecode.ENVIRONMENT, **PLACES},
                doing="compiling to bytecode",
                stdin=f"{WORK}/{name}/names",
                output=lambda data: advance(data.count(b"\n")),
            )
        failures = [line for line in ended.output.splitlines() if line.startswith(_FAILED)]
        if ended.status or failures:
            detail = failures[0].decode(errors="replace") if failures else ended.complaint
            raise ToolError("compiling to bytecode failed in the image", detail=detail)
        self._container.get(
            f"{WORK}/{name}/tree",
            root,
            doing="fetching the bytecode",
            keep=lambda path: path.endswith(".pyc"),
        )

    def fetch(self, queries: Sequence[LibraryQuery], destination: Path) -> Mapping[str, LibraryOrigin]:
        """Copy the shared libraries that are there into ``destination``; see ``syslibs.Source``.

        They are searched as the image's own dynamic linker would.
        """
        names = {query.name for query in queries}
        origins = {
            name: origin
            for name, origin in self._find({"ask": [asdict(query) for query in queries]}).items()
            if name in names and "/" not in name
        }
        for name, origin in origins.items():
            self._container.read(origin.path, destination / name, doing=f"copying {name} from the image")
        return origins

    def libraries(self) -> dict[str, LibraryOrigin]:
        """Name -> origin of every shared library that programs of the image find."""
        return self._find({"list": True})

    def _find(self, request: Mapping[str, Any]) -> dict[str, LibraryOrigin]:
        name, doing = (
            f"{self._container.new_folder()}/request.json",
            "looking for shared libraries in the image",
        )
        ended = self._run(
            LIBRARIES_WORKER,
            members=[(name, json.dumps(request).encode())],
            environment={"LC_ALL": "C"},
            doing=doing,
            stdin=f"{WORK}/{name}",
        )
        try:
            answer = json.loads(ended.output)
            return {str(name): LibraryOrigin(*map(str, origin)) for name, origin in answer.items()}
        except (ValueError, AttributeError, TypeError):
            raise _failure(f"{doing} failed", ended) from None


def _moved(request: Mapping[str, Any], folder: str) -> tuple[dict[str, Any], dict[str, Path]]:
    """The request with the container's paths, and path in the container -> what is copied there."""
    search = {f"{folder}/search{number}": Path(path) for number, path in enumerate(request["search"])}
    named = {name: Path(path) for name, path in request.get("assets", {}).items()}
    assets = {name: f"{folder}/assets/{name}/{path.name}" for name, path in named.items()}
    moved = {
        **request,
        "assets": assets,
        "root": f"{folder}/tree",
        "search": list(search),
        "cwd": f"{folder}/cwd",
        "log": f"{folder}/result/log",
    }
    sources = {f"{folder}/tree": Path(request["root"]), **search}
    return moved, {**sources, **{assets[name]: path for name, path in named.items()}}


def _listed(name: str, paths: Sequence[str]) -> Member:
    """A file of paths, each ended by a NUL, as workers read them."""
    return name, b"".join(os.fsencode(path) + b"\0" for path in paths)


def _failure(problem: str, ended: CommandResult) -> ToolError:
    return ToolError(f"{problem} with status {ended.status}", detail=ended.complaint)
