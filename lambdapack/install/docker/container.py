"""A container for one build: files go in, commands run, files come out, and the container is removed."""

from __future__ import annotations

import json
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from tempfile import TemporaryFile
from typing import Any

from lambdapack.errors import ToolError
from lambdapack.install.docker import archive
from lambdapack.install.docker.archive import Member
from lambdapack.install.docker.engine import engine_errors
from lambdapack.install.docker.images import Image
from lambdapack.install.docker.relay import Relay
from lambdapack.model import Target

LABEL = "org.lambdapack.build"
WORK = "/lambdapack"
"""The container's folder for this build, on its own layer."""
SECRETS = "/run/lambdapack"
"""A tmpfs: its files are in no layer, and gone with the container."""
_TMP = f"{WORK}/tmp"
_HERE = Path(__file__).parent
_SECRETS_OPTIONS = "rw,noexec,nosuid,nodev,size=256m,mode=0700"
# All there before the first command, for any member of an archive that is unpacked there.
_FOLDERS: tuple[Member, ...] = tuple((name, None) for name in ("home", "tmp", "cache", "lib"))
# Lambda's images keep Python in a folder that is not on the PATH of a plain shell.
_SHELL = 'PATH="$PATH:/var/lang/bin:/usr/local/bin:/usr/bin:/bin"; export PATH; exec python{} -I {} {} {}'
_KILLED = 137
_PIDS = 4096
_CHARACTERS = 2000


@dataclass(frozen=True)
class BuildLimits:
    """What a build may use.

    Attributes:
        seconds: Time from the container's start to its end.
        memory_mb: Memory in MiB; ``None`` for what the engine has.
    """

    seconds: float = 3600
    memory_mb: int | None = None


@dataclass(frozen=True)
class CommandResult:
    """How a command in a container ended.

    Attributes:
        status: Its exit status.
        output: What it wrote to standard output.
        errors: What it wrote to standard error.
        printed: Both, in the order in which they came.
    """

    status: int
    output: bytes
    errors: bytes
    printed: bytes

    @property
    def complaint(self) -> str | None:
        """The last characters of ``errors``, for the detail of an error; ``None`` where there are none."""
        return self.errors.decode(errors="replace")[-_CHARACTERS:] or None


class Container:
    """A running container; ``start`` makes one.

    Attributes:
        relay: Hands in secrets and local folders.
        id: The engine's name for the container.
    """

    def __init__(self, client: Any, ident: str, relay: Relay, image: Image, limits: BuildLimits) -> None:
        self.relay = relay
        self.id = ident
        self._client = client
        self._image = image
        self._limits = limits
        self._end = time.monotonic() + limits.seconds
        self._jobs = 0
        self._folders = 0

    def new_folder(self) -> str:
        """The name below ``WORK`` of a folder that no command has used yet."""
        self._folders += 1
        return f"work{self._folders}"

    def run(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        doing: str,
        stdin: str | None = None,
        output: Callable[[bytes], None] | None = None,
    ) -> CommandResult:
        """Run ``command`` to its end.

        The engine knows neither the command nor its environment: both are in a file of ``SECRETS``.

        Args:
            command: With its arguments.
            environment: Over the image's own.
            doing: What it does, for messages.
            stdin: A file of the container to read.
            output: Called with each piece of its standard output, as it comes.

        Raises:
            ToolError: It took too long or too much memory, or the container or the engine is gone.
        """
        launcher = self._launcher(command, environment, stdin)
        pieces: list[tuple[bytes, bytes]] = [(b"", b"")]
        with self._errors(doing):
            ident = self._client.api.exec_create(self.id, launcher, stdout=True, stderr=True)["Id"]
            for out, err in self._client.api.exec_start(ident, stream=True, demux=True):
                pieces.append((out or b"", err or b""))
                if out and output:
                    output(out)
            status = self._client.api.exec_inspect(ident)["ExitCode"] if self._lives() else None
        if status is None:
            raise self._gone(doing)
        if status == _KILLED:
            raise _out_of_memory(doing)
        outputs, errors = zip(*pieces, strict=True)
        printed = b"".join(chain.from_iterable(pieces))
        return CommandResult(int(status), b"".join(outputs), b"".join(errors), printed)

    def _launcher(
        self, command: Sequence[str], environment: Mapping[str, str], stdin: str | None
    ) -> list[str]:
        """The command that the engine sees, which becomes ``command``."""
        self._jobs += 1
        job = {"command": list(command), "environment": dict(environment), "input": stdin, "folder": _TMP}
        path = self.relay.keep(f"job-{self._jobs}.json", json.dumps(job).encode())
        return [self.relay.python, "-I", f"{WORK}/lib/launch_worker.py", path]

    def put(self, members: Iterable[Member], *, doing: str) -> None:
        """Write files, each below ``WORK``, for the user of the container."""
        with self._errors(doing):
            _put(self._client, self.id, members, doing)

    def get(
        self, path: str, destination: Path, *, doing: str, keep: Callable[[str], bool] = bool
    ) -> list[Path]:
        """Copy the regular files below the container's folder ``path`` into ``destination``.

        Args:
            path: A folder of the container's own layer.
            destination: A folder of this machine.
            doing: What is done, for messages.
            keep: Whether the file of a name is copied.

        Returns:
            The files, in the archive's order.

        Raises:
            ToolError: The folder is not there, or a name leads out of ``destination``.
        """
        copied = []
        with self._archive(path, doing) as files:
            for member in files:
                inside = PurePosixPath(*PurePosixPath(member.name).parts[1:])
                if not member.isreg() or not keep(member.name):
                    continue
                if inside.is_absolute() or ".." in inside.parts or not inside.parts:
                    raise ToolError(f"{doing} failed: the container answered with {member.name!r}")
                copied.append(archive.unpack(files, member, destination / inside))
        return copied

    def read(self, path: str, destination: Path, *, doing: str) -> None:
        """Copy the container's regular file ``path`` to the file ``destination``."""
        with self._archive(path, doing) as files:
            member = files.next()
            if member is None or not member.isreg():
                raise ToolError(f"{doing} failed: {path} is not a regular file of the image")
            archive.unpack(files, member, destination)

    @contextmanager
    def _archive(self, path: str, doing: str) -> Iterator[tarfile.TarFile]:
        """The archive that the engine makes of the container's ``path``."""
        with TemporaryFile() as file:
            with self._errors(doing):
                chunks, _ = self._client.api.get_archive(self.id, path)
                for chunk in chunks:
                    file.write(chunk)
            file.seek(0)
            with tarfile.open(fileobj=file) as files:
                yield files

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        """``engine_errors``; where the container is gone, that and why is the error."""
        try:
            with engine_errors(doing):
                yield
        except ToolError:
            if self._lives():
                raise
            raise self._gone(doing) from None

    def _lives(self) -> bool:
        """Whether the container runs, as far as the engine says."""
        import docker.errors  # noqa: PLC0415 - an extra, and slow

        try:
            with engine_errors("asking for the container"):
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
    client: Any, image: Image, target: Target, limits: BuildLimits, folders: Mapping[Path, bool]
) -> Iterator[Container]:
    """Start a container of ``image``; when the block ends, the container is removed.

    Should this process be killed, the engine closes the container's input, and it ends by itself.

    Args:
        client: Of the engine.
        image: What to run.
        target: Whose Python the image has.
        limits: What the build may use.
        folders: Local folders that the relay may hand out; ``True`` for one that is an index.

    Raises:
        ToolError: It does not start, or has no such Python.
    """
    doing = f"starting a container of {image.name}"
    with engine_errors(doing):
        made = client.api.create_container_from_config(_configuration(client, image, target, limits))
    ident = made["Id"]
    try:
        own = ((f"lib/{name}", _HERE / name) for name in ("relay_worker.py", "launch_worker.py"))
        _put(client, ident, own, doing)
        with engine_errors(doing):
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
        # The container is gone already, or going: what else is wrong is being told.
        with suppress(Exception):
            client.api.remove_container(ident, force=True, v=True)


def _configuration(client: Any, image: Image, target: Target, limits: BuildLimits) -> Any:
    worker = f"{WORK}/lib/relay_worker.py"
    memory = limits.memory_mb * 2**20 if limits.memory_mb else None
    user = archive.user()
    host = client.api.create_host_config(
        network_mode="host",
        auto_remove=True,
        init=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        pids_limit=_PIDS,
        mem_limit=memory,
        memswap_limit=memory,
        tmpfs={SECRETS: f"{_SECRETS_OPTIONS},uid={user},gid={user}"},
        # The relay's messages name what pip asks for, and they would fill the engine's disk.
        log_config={"type": "none"},
    )
    return client.api.create_container_config(
        image.id,
        command=["-c", _SHELL.format(target.python, worker, SECRETS, f"{limits.seconds:g}")],
        entrypoint=["/bin/sh"],
        user=f"{user}:{user}",
        working_dir=_TMP,
        stdin_open=True,
        labels={LABEL: str(target)},
        host_config=host,
    )


def _out_of_memory(doing: str) -> ToolError:
    return ToolError(
        f"{doing} failed: it was killed in the container, which happens when memory runs out",
        hint="give it more: image_memory in [build], or the engine's own setting",
    )


def _no_python(image: Image, target: Target, relay: Relay) -> ToolError:
    return ToolError(
        f"the image {image.name} cannot run Python {target.python} for {target.arch}",
        hint=f"name an image with python{target.python} on its PATH; for another architecture than its "
        "own, the engine needs an emulator (docker run --privileged tonistiigi/binfmt --install all)",
        detail=relay.complaint or None,
    )


def _put(client: Any, ident: str, members: Iterable[Member], doing: str) -> None:
    """Unpack a tar of ``members`` and of the build's own folders below ``WORK``."""
    with TemporaryFile() as file:
        archive.write(file, WORK.lstrip("/"), chain(_FOLDERS, members))
        file.seek(0)
        with engine_errors(doing):
            client.api.put_archive(ident, "/", file)
