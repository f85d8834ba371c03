"""A container for one build: files in, commands, files out, and nothing left of it afterwards."""

from __future__ import annotations

import io
import os
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryFile
from typing import Any

from lambdapack.errors import ToolError
from lambdapack.install.docker.engine import explained
from lambdapack.install.docker.images import Image
from lambdapack.install.docker.relay import Relay
from lambdapack.model import Target

__all__ = ["LABEL", "SECRETS", "WORK", "Container", "Limits", "Member", "start"]

Member = tuple[str, Path | bytes | None]
"""A name below ``WORK``, and the file or the bytes to write there; ``None`` for a folder."""
LABEL = "org.lambdapack.build"
WORK = "/lambdapack"
"""The container's folder for this build, on its own layer."""
SECRETS = "/run/lambdapack"
"""A tmpfs: what is here is in no layer, and gone with the container."""
_HERE = Path(__file__).parent
_NOBODY = 1000
_SECRETS_OPTIONS = "rw,noexec,nosuid,nodev,size=256m,mode=0700"
_FOLDERS = ("home", "tmp", "cache", "out", "lib")
# Lambda's images keep Python where a shell that was not told does not look.
_SHELL = 'PATH="$PATH:/var/lang/bin:/usr/local/bin:/usr/bin:/bin"; export PATH; exec python{} -I {} {} {}'
_KILLED = 137
_PIDS = 4096
_FAREWELL_SECONDS = 5
_TIME = 315_532_800


@dataclass(frozen=True)
class Limits:
    """What a build may use.

    Attributes:
        seconds: From start to end.
        memory_mb: Of memory, in MiB; ``None`` for what the engine has.
    """

    seconds: float = 3600
    memory_mb: int | None = None


class Container:
    """A running container; ``start`` makes one.

    Attributes:
        relay: Hands in secrets and local folders.
        id: Its id.
    """

    def __init__(self, client: Any, ident: str, relay: Relay, image: Image, limits: Limits) -> None:
        self.relay = relay
        self.id = ident
        self._client = client
        self._image = image
        self._limits = limits
        self._end = time.monotonic() + limits.seconds
        self._jobs = 0

    def run(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        output: Callable[[bytes], None],
        errors: Callable[[bytes], None],
        doing: str,
        stdin: str | None = None,
        folder: str = f"{WORK}/tmp",
    ) -> int:
        """Run ``command`` to its end and return its status.

        Args:
            command: With its arguments; they and the environment are seen by nobody who asks the engine.
            environment: Over the image's own.
            output, errors: Called with what it prints, as it comes.
            doing: For messages.
            stdin: A file of the container to read.
            folder: Where to run it.

        Raises:
            ToolError: It took too long, or the container or the engine is gone.
        """
        self._jobs += 1
        job = {"command": list(command), "environment": dict(environment), "input": stdin, "folder": folder}
        path = self.relay.keep_json(f"job-{self._jobs}.json", job)
        launcher = [self.relay.python, "-I", f"{WORK}/lib/launch_worker.py", path]
        with self._explained(doing):
            ident = self._client.api.exec_create(self.id, launcher, stdout=True, stderr=True)["Id"]
            for out, err in self._client.api.exec_start(ident, stream=True, demux=True):
                if out:
                    output(out)
                if err:
                    errors(err)
            status = self._client.api.exec_inspect(ident)["ExitCode"] if self._lives() else None
        if status is None:
            raise self._gone(doing)
        if status == _KILLED:
            raise ToolError(
                f"{doing} failed: it was killed in the container, which happens when memory runs out",
                hint="give it more: image_memory in [build], or the engine's own setting",
            )
        return int(status)

    def put(self, members: Iterator[Member], *, doing: str) -> None:
        """Write files, each below ``WORK``, for the user of the container."""
        with self._explained(doing):
            _put(self._client, self.id, members, doing)

    def get(
        self, path: str, destination: Path, *, doing: str, wanted: Callable[[str], bool] = bool
    ) -> list[Path]:
        """Copy the regular files below the container's folder ``path`` into ``destination``.

        Args:
            path: A folder of the container's own layer.
            destination: Where they go.
            doing: For messages.
            wanted: Whether a file of that name is.

        Returns:
            The files, in the archive's order. A name that leads elsewhere is refused.
        """
        found = []
        with self._archive(path, doing) as archive:
            for member in archive:
                inside = PurePosixPath(*PurePosixPath(member.name).parts[1:])
                if not member.isreg() or not wanted(member.name):
                    continue
                if inside.is_absolute() or ".." in inside.parts or not inside.parts:
                    raise ToolError(f"{doing} failed: the container answered with {member.name!r}")
                found.append(_unpack(archive, member, destination / inside))
        return found

    def read(self, path: str, destination: Path, *, doing: str) -> None:
        """Copy the container's regular file ``path`` to the file ``destination``."""
        with self._archive(path, doing) as archive:
            member = archive.next()
            if member is None or not member.isreg():
                raise ToolError(f"{doing} failed: {path} is not a regular file of the image")
            _unpack(archive, member, destination)

    @contextmanager
    def _archive(self, path: str, doing: str) -> Iterator[tarfile.TarFile]:
        """What the engine answers when it is asked for the container's ``path``."""
        with TemporaryFile() as file:
            with self._explained(doing):
                chunks, _ = self._client.api.get_archive(self.id, path)
                for chunk in chunks:
                    file.write(chunk)
            file.seek(0)
            with tarfile.open(fileobj=file) as archive:
                yield archive

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        """Say of what fails because the container has gone that it has, and why."""
        try:
            with explained(doing):
                yield
        except ToolError:
            if self._lives():
                raise
            raise self._gone(doing) from None

    def _lives(self) -> bool:
        """Whether the container runs, as far as the engine says."""
        import docker.errors  # noqa: PLC0415 - an extra, and slow

        try:
            with explained("asking for the container"):
                return bool(self._client.api.inspect_container(self.id)["State"]["Running"])
        except ToolError as error:
            return not isinstance(error.__cause__, docker.errors.NotFound)

    def _gone(self, doing: str) -> ToolError:
        if time.monotonic() >= self._end:
            return ToolError(
                f"{doing} failed: it took longer than the {self._limits.seconds:g} s that a build may take",
                hint="give it more with image_timeout in [build]",
            )
        return ToolError(
            f"{doing} failed: the container in {self._image.name} ended before its work was done",
            hint="if nobody removed it, the engine's log says why",
        )


@contextmanager
def start(
    client: Any, image: Image, target: Target, limits: Limits, folders: Mapping[Path, bool]
) -> Iterator[Container]:
    """Start a container of ``image``; it is removed at the end, however that comes.

    Should this process be killed, the engine closes the container's input, and it ends by itself.

    Args:
        client: Of the engine.
        image: What to run.
        target: Whose Python the image has.
        limits: What the build may use.
        folders: What the relay may hand out.

    Raises:
        ToolError: It does not start, or has no such Python.
    """
    doing = f"starting a container of {image.name}"
    with explained(doing):
        made = client.api.create_container_from_config(_configuration(client, image, target, limits))
    ident = made["Id"]
    try:
        _put(client, ident, _outfit(), doing)
        with explained(doing):
            stream = client.api.attach_socket(ident, {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
            client.api.start(ident)
        relay = Relay(stream, folders, SECRETS)
        try:
            if not relay.begin():
                raise _no_python(image, target, relay)
            yield Container(client, ident, relay, image, limits)
        finally:
            relay.close()
    finally:
        # Gone already, or going: what else is wrong is being told.
        with suppress(Exception):
            client.api.remove_container(ident, force=True, v=True)


def user() -> int:
    """Who runs in the container: the caller, and nobody in particular where that is root."""
    return (os.getuid() if hasattr(os, "getuid") else 0) or _NOBODY


def _configuration(client: Any, image: Image, target: Target, limits: Limits) -> Any:
    worker = f"{WORK}/lib/relay_worker.py"
    memory = limits.memory_mb * 2**20 if limits.memory_mb else None
    host = client.api.create_host_config(
        network_mode="host",
        auto_remove=True,
        init=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        pids_limit=_PIDS,
        mem_limit=memory,
        memswap_limit=memory,
        tmpfs={SECRETS: f"{_SECRETS_OPTIONS},uid={user()},gid={user()}"},
        # What pip asks for is nobody's business later, and grows.
        log_config={"type": "none"},
    )
    return client.api.create_container_config(
        image.id,
        command=["-c", _SHELL.format(target.python, worker, SECRETS, f"{limits.seconds:g}")],
        entrypoint=["/bin/sh"],
        user=f"{user()}:{user()}",
        working_dir=f"{WORK}/tmp",
        stdin_open=True,
        labels={LABEL: str(target)},
        host_config=host,
    )


def _no_python(image: Image, target: Target, relay: Relay) -> ToolError:
    return ToolError(
        f"the image {image.name} cannot run Python {target.python} for {target.arch}",
        hint=f"name an image with python{target.python} on its PATH; for another architecture than its "
        "own, the engine needs an emulator (docker run --privileged tonistiigi/binfmt --install all)",
        detail=relay.complaint or None,
    )


def _outfit() -> Iterator[Member]:
    for name in ("relay_worker.py", "launch_worker.py"):
        yield f"lib/{name}", _HERE / name


def _put(client: Any, ident: str, members: Iterator[Member], doing: str) -> None:
    """Send a tar of ``members``, with the folders that they need, to be unpacked at the root."""
    root = WORK.lstrip("/")
    with TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            made: set[str] = set()
            for folder in ("", *_FOLDERS):
                _folder(archive, f"{root}/{folder}".rstrip("/"), made)
            for name, content in members:
                path = PurePosixPath(root, name)
                for parent in reversed(path.parents[:-2]):
                    _folder(archive, str(parent), made)
                if content is None:
                    _folder(archive, str(path), made)
                else:
                    _file(archive, str(path), content)
        file.seek(0)
        with explained(doing):
            client.api.put_archive(ident, "/", file)


def _folder(archive: tarfile.TarFile, name: str, made: set[str]) -> None:
    if name in made:
        return
    made.add(name)
    entry = _entry(name, 0o755)
    entry.type = tarfile.DIRTYPE
    archive.addfile(entry)


def _file(archive: tarfile.TarFile, name: str, content: Path | bytes) -> None:
    entry = _entry(name, 0o755 if isinstance(content, Path) and os.access(content, os.X_OK) else 0o644)
    if isinstance(content, bytes):
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
        return
    with content.open("rb") as file:
        entry.size = os.fstat(file.fileno()).st_size
        archive.addfile(entry, file)


def _entry(name: str, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    # A zip, and so a wheel that is built of it, has no time before 1980.
    entry.mtime = _TIME
    entry.mode, entry.uid, entry.gid = mode, user(), user()
    return entry


def _unpack(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    source = archive.extractfile(member)
    assert source is not None
    with source, path.open("wb") as file:
        while data := source.read(1 << 20):
            file.write(data)
    return path
