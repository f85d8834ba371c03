"""One of lambdapack's own commands in a Linux container: the local cloud for a machine that runs no Linux.

The container is of the image that packs are built in. It sees the project's folders at their own paths,
lambdapack's own code, and a folder with what lambdapack needs, as wheels for Linux.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from packaging.requirements import Requirement

import build_images
import lambdapack
import runtime_shim
from lambdapack.errors import ConfigurationError, ToolError
from lambdapack.files import new_folder
from lambdapack.install.docker import engine, images, settings
from lambdapack.memo import CacheFolder
from lambdapack.model import Target
from lambdapack.progress import QUIET, Progress
from lambdapack.python import pip, wheel_tags

_OLDEST = (3, 10)
_LABEL = "org.lambdapack.command"
_CODE, _DEPENDENCIES, _HANDED_IN = "/lambdapack/code", "/lambdapack/dependencies", "/lambdapack/settings"
_VENV = "/lambdapack/venv"
_NO_PYTHON = 127
# Lambda's images keep Python in a folder that is not on the PATH of a plain shell. The engine closes the
# input when this process is gone, however it went: then the command is to end as well. An environment of
# its own, and not PYTHONPATH, brings code and dependencies: the command's own workers have them too.
_SHELL = f"""
PATH="$PATH:/var/lang/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"; export PATH
exec 3<&0 < {_HANDED_IN}/stdin
(cat <&3 >/dev/null; kill -TERM $$) &
exec 3<&-
python$PYTHON -I -m venv --without-pip {_VENV} || exit {_NO_PYTHON}
printf '%s\\n' {_CODE} {_DEPENDENCIES} > {_VENV}/lib/python$PYTHON/site-packages/lambdapack.pth
unset PYTHON
exec {_VENV}/bin/python -I -m lambdapack "$@"
"""


@dataclass(frozen=True)
class ContainerCommand:
    """A command line for a container.

    Attributes:
        arguments: Of ``lambdapack``.
        target: Whose image and Python run it.
        image: Name of the image; ``None`` for the target's own.
        folders: Folders of this machine that the command may read and write, at their own paths.
        folder: The folder that it is run in.
        variables: Environment variables.
        stdin: What it reads.
    """

    arguments: Sequence[str]
    target: Target
    image: str | None
    folders: Sequence[Path]
    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    stdin: bytes = b""


def run(
    command: ContainerCommand,
    *,
    cache_dir: Path,
    output: IO[bytes] | None = None,
    errors: IO[bytes] | None = None,
    progress: Progress = QUIET,
) -> int:
    """Run a command of lambdapack's in a container, which is gone afterwards; returns the exit status.

    Ctrl-C goes to the command, which ends as it does anywhere.

    Args:
        command: What to run.
        cache_dir: Where what it needs is kept between runs.
        output, errors: What it writes goes there as it comes; by default to this process's own.
        progress: Told of what takes time.

    Raises:
        ConfigurationError: lambdapack does not run on the target's Python.
        ToolError: No engine, no image, or the engine does not share the folders.
    """
    if command.target.version < _OLDEST:
        raise ConfigurationError(
            f"running the local cloud for {command.target} in a container: lambdapack itself needs "
            f"Python {'.'.join(map(str, _OLDEST))}, and the image has the target's alone",
            hint="use --cloud aws, or a newer --python",
        )
    kept = CacheFolder.LINUX.of(cache_dir)
    dependencies = _dependencies(command.target, kept, progress)
    streams = (output or sys.stdout.buffer, errors or sys.stderr.buffer)
    with engine.connect() as client, _handed_in(kept, command.stdin) as (folder, variables, shared):
        image = images.find(client, command.target, command.image, progress)
        progress.note(f"the local cloud needs Linux: running this in a container of {image.name}")
        binds = [*map(_at_its_place, (*command.folders, *shared))]
        binds += [f"{folder}:{_HANDED_IN}:ro", f"{dependencies}:{_DEPENDENCIES}:ro"]
        cache = kept / "cache"
        cache.mkdir(exist_ok=True)
        binds.append(_at_its_place(cache))
        variables |= {"LAMBDAPACK_CACHE": str(cache), **command.variables}
        with _container(client, image, command, binds, variables) as (ident, connection):
            return _follow(client, ident, connection, streams)


def _dependencies(target: Target, kept: Path, progress: Progress) -> Path:
    """A folder with what lambdapack needs on Linux, as wheels for the target's Python."""
    try:
        needs = metadata.requires("lambdapack") or []
    except metadata.PackageNotFoundError:
        raise ConfigurationError(
            "running the local cloud in a container: lambdapack is not installed, so its needs are unknown",
            hint="pip install lambdapack",
        ) from None
    markers = {**target.markers(f"{target.python}.0"), "extra": ""}
    lines = sorted(
        f"{needed.name}{needed.specifier}"
        for needed in map(Requirement, needs)
        if needed.marker is None or needed.marker.evaluate(markers)
    )
    digest = hashlib.sha256(json.dumps([lines, target.python, target.arch]).encode()).hexdigest()
    place = kept / f"python{target.python}-{target.arch}-{digest[:12]}"
    if not place.is_dir():
        digits = target.python.replace(".", "")
        platforms = (f"--platform={tag}" for tag in wheel_tags.platforms(target, target.glibc))
        with progress.step("fetch what lambdapack needs on Linux"), new_folder(place) as new:
            pip.run(
                ["install", "--quiet", "--only-binary=:all:", "--implementation=cp", "--no-compile",
                 f"--python-version={digits}", f"--abi=cp{digits}", "--abi=abi3", "--abi=none", *platforms,
                 "--target", new.path, *lines],
                doing="fetching what lambdapack needs on Linux",
            )  # fmt: skip
    return place


class _Folder:
    """A ``Handover`` by a folder that the container sees read-only, and by folders at their own places."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, name: str, content: bytes) -> str:
        """Write a file for the container; returns the path there."""
        path = self.folder / name
        path.touch(0o600)
        path.write_bytes(content)
        return f"{_HANDED_IN}/{name}"

    def url(self, path: Path) -> str:
        """The address of a local path, which the container gets at that path."""
        return path.resolve().as_uri()


@contextmanager
def _handed_in(kept: Path, stdin: bytes) -> Iterator[tuple[Path, dict[str, str], list[Path]]]:
    """A folder with pip's settings and the input, the variables that name them, and folders to share."""
    # In the cache, which is in the user's home: engines on a Mac share that, and not always /tmp.
    kept.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=kept, prefix=".handed-in-") as name:
        handover, own = _Folder(Path(name)), settings.read()
        variables = own.hand_in(handover, {})
        handover.keep("stdin", stdin)
        # The pages of an index link to files beside the index's folder.
        shared = [
            path.resolve().parent if is_index else path.resolve() for path, is_index in own.folders.items()
        ]
        yield handover.folder, variables, shared


def _at_its_place(folder: Path) -> str:
    return f"{folder}:{folder}"


@contextmanager
def _container(
    client: Any,
    image: images.Image,
    command: ContainerCommand,
    binds: Sequence[str],
    variables: Mapping[str, str],
) -> Iterator[tuple[str, Any]]:
    """A running container and the socket of its streams; removed at the end.

    It is privileged, for the namespaces and control groups in which functions run, where the engine has that.
    """
    doing = f"running lambdapack in a container of {image.name}"
    made: list[str] = []
    try:
        with engine.engine_errors(doing):
            _sweep(client)
            for privileged in (True, False):
                made.append(_create(client, image, command, binds, variables, privileged=privileged))
                connection = _start(client, made[-1], refusable=privileged)
                if connection is not None:
                    break
        yield made[-1], connection
    finally:
        for ident in made:
            with suppress(Exception):  # what else is wrong is being told
                client.api.remove_container(ident, force=True, v=True)


def _sweep(client: Any) -> None:
    """Remove the containers that killed runs have left."""
    for left in client.api.containers(all=True, filters={"label": _LABEL, "status": "exited"}):
        with suppress(Exception):  # another run may be faster
            client.api.remove_container(left["Id"])


def _create(
    client: Any,
    image: images.Image,
    command: ContainerCommand,
    binds: Sequence[str],
    variables: Mapping[str, str],
    *,
    privileged: bool,
) -> str:
    host = client.api.create_host_config(
        binds=list(dict.fromkeys(binds)), network_mode="host", init=True, privileged=privileged
    )
    configuration = client.api.create_container_config(
        image.id,
        command=["-c", _SHELL, "lambdapack", *command.arguments],
        entrypoint=["/bin/sh"],
        environment={"PYTHON": command.target.python, **variables},
        user="0:0",
        working_dir=str(command.folder),
        stdin_open=True,
        labels={_LABEL: str(command.target)},
        host_config=host,
    )
    ident = str(client.api.create_container_from_config(configuration)["Id"])
    client.api.put_archive(ident, "/", _own_code())
    return ident


def _start(client: Any, ident: str, *, refusable: bool) -> Any:
    """Start the container; its streams' socket, ``None`` where a ``refusable`` start was refused."""
    import docker.errors  # noqa: PLC0415 - an extra, and slow

    connection = client.api.attach_socket(ident, {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
    try:
        client.api.start(ident)
    except docker.errors.APIError:
        if not refusable:
            raise
        return None
    return connection


def _own_code() -> bytes:
    """A tar of lambdapack's own packages, for ``_CODE``."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        entry.uid = entry.gid = 0
        return None if entry.name.endswith("__pycache__") else entry

    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for package in (lambdapack, runtime_shim, build_images):
            folder = Path(package.__path__[0])
            archive.add(folder, f"{_CODE}/{folder.name}".lstrip("/"), filter=plain)
    return stream.getvalue()


def _follow(client: Any, ident: str, connection: Any, streams: tuple[IO[bytes], IO[bytes]]) -> int:
    """Pass on what the container writes, and Ctrl-C to it; its exit status at its end."""
    from docker.utils.socket import frames_iter_no_tty  # noqa: PLC0415 - an extra, and slow

    doing = "running lambdapack in a container"
    frames = frames_iter_no_tty(connection)
    while True:
        try:
            for kind, data in frames:
                stream = streams[kind - 1]
                stream.write(data)
                stream.flush()
            break
        except KeyboardInterrupt:
            with suppress(Exception):  # the command may have ended by itself
                client.api.kill(ident, "SIGINT")
            frames = frames_iter_no_tty(connection)
    with engine.engine_errors(doing):
        state = client.api.inspect_container(ident)["State"]
        status = client.api.wait(ident)["StatusCode"] if state["Running"] else state["ExitCode"]
    if status == _NO_PYTHON:
        raise ToolError(
            f"{doing} failed: its image has no such Python", hint="name another with [build] image"
        )
    return int(status)
