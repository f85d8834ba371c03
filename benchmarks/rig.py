"""Where cold starts are measured: the link, the S3 endpoint, the execution environments and their limits."""

from __future__ import annotations

import json
import os
import queue
import select
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.network import Network
from benchmarks.watch import Watch
from benchmarks.ways import REGION, Way
from lambdapack import limits
from lambdapack.errors import ConfigurationError, ToolError
from lambdapack.local.endpoint import Endpoint, new_credentials
from lambdapack.local.environment.isolation import ISOLATIONS, describe
from lambdapack.local.environment.runtime import Runtime
from lambdapack.local.environment.runtime_api import Happening
from lambdapack.local.environment.sandbox import FunctionFolders, Sandbox

__all__ = ["Box", "Raw", "Rig", "Setting"]

_LOOK = 0.01
_MARKS = ("BENCH-INIT", "BENCH-WARM")
_TIMEOUT = 300.0
# Where the peers unpack to, whatever TMPDIR says; in the way only where /tmp is not private.
_FIXED = ("dependencies", "dependencies.zip", "project", "sls-py-req", "_temp-sls-py-req")


@dataclass(frozen=True)
class Setting:
    """What a function is given.

    Attributes:
        memory_mb: Lambda's setting, which decides the CPU time too.
        boost: Whether init gets at least two CPUs.
        tmp_mb: Size of /tmp.
    """

    memory_mb: int
    boost: bool
    tmp_mb: int

    @property
    def cpus(self) -> float:
        """Processors' worth of time, outside of init."""
        return self.memory_mb / limits.MEMORY_PER_VCPU_MB


@dataclass(frozen=True)
class Raw:
    """What one start left behind.

    Attributes:
        started: Monotonic time at which the process was executed.
        document: What the driver told, ``None`` if it did not get so far.
        log: Everything else that was printed.
        status: Exit status, ``None`` where it had to be killed.
        watch: What was seen from outside.
    """

    started: float
    document: dict[str, Any] | None
    log: str
    status: int | None
    watch: Watch


class Rig:
    """The link and the endpoint; a context manager.

    Args:
        runtime: What runs the functions.
        s3: Folder of ``bucket/key``.
        mbit: Bandwidth of the link, Megabits a second.
        scratch: Folder for file system images; it must not be on tmpfs for times to mean anything.

    Attributes:
        limited: What is limited, and how, for people.
    """

    def __init__(self, runtime: Runtime, s3: Path, *, mbit: float, scratch: Path) -> None:
        self.runtime = runtime
        self.keys = new_credentials()
        self._scratch = scratch
        self._stack = ExitStack()
        self._isolation = 0
        self._link_of_endpoint: float | None = None
        self.limited: dict[str, str] = {}
        with ExitStack() as stack:
            self.endpoint = self._connect(stack, s3, mbit)
            scratch.mkdir(parents=True, exist_ok=True)
            _sweep(scratch)
            self._stack = stack.pop_all()

    def __enter__(self) -> Rig:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _connect(self, stack: ExitStack, s3: Path, mbit: float) -> Endpoint:
        try:
            network = stack.enter_context(Network(mbit))
        except ToolError as error:
            self._link_of_endpoint = mbit
            self.limited["link"] = (
                f"{mbit:g} Mbit/s by the endpoint itself over loopback, not by the kernel ({error.message})"
            )
            endpoint = Endpoint(s3)
        else:
            self.limited["link"] = f"{mbit:g} Mbit/s by tc tbf between two network namespaces"
            endpoint = Endpoint(s3, host=network.host, prefix=network.prefix)
            network.enter()
        stack.callback(endpoint.close)
        return endpoint

    def variables(self, way: Way, task: str, handler: str | None, warm_calls: int) -> dict[str, str]:
        """The environment of a function: Lambda's variables, the way's own and the driver's."""
        return {
            "AWS_ACCESS_KEY_ID": self.keys.access_key,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL_S3": self.endpoint.url,
            "AWS_LAMBDA_FUNCTION_NAME": "bench",
            "AWS_REGION": REGION,
            "AWS_SECRET_ACCESS_KEY": self.keys.secret_key,
            "AWS_SESSION_TOKEN": self.keys.session_token,
            "BENCH_WARM": str(warm_calls),
            "LAMBDA_TASK_ROOT": task,
            "LANG": "en_US.UTF-8",
            "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin:/bin",
            "TZ": ":UTC",
            "_HANDLER": handler or way.handler,
            **way.environment,
        }

    @contextmanager
    def box(self, way: Way, setting: Setting) -> Iterator[Box]:
        """A new execution environment with an empty /tmp, ready to be started.

        Raises:
            ToolError: No isolation works here.
        """
        self.endpoint.grant(self.keys, way.objects, bandwidth_mbps=self._link_of_endpoint)
        for place in (way.task, *([way.opt] if way.opt else [])):
            _read_all(place)
        # A pipe of its own: what is printed is timed as it comes.
        reader, writer = os.pipe()
        folder = Path(tempfile.mkdtemp(prefix=f"bench-{os.getpid()}-", dir=self._scratch))
        happenings: queue.Queue[Happening] = queue.Queue()
        held: Sandbox | None = None
        try:
            held = self._sandbox(folder, way, setting, writer, happenings)
            os.sync()
            yield Box(self, way, setting, held=held, happenings=happenings, reader=reader)
        finally:
            if held is not None:
                held.close()
                if held.paths.tmp != "/tmp":
                    _tidy()
            os.close(reader)
            os.close(writer)
            shutil.rmtree(folder, ignore_errors=True)

    def _sandbox(
        self, folder: Path, way: Way, setting: Setting, log: int, happenings: queue.Queue[Happening]
    ) -> Sandbox:
        while True:
            isolation = ISOLATIONS[self._isolation]
            try:
                held = Sandbox(
                    folder,
                    isolation,
                    FunctionFolders(way.task, way.opt),
                    self.runtime,
                    memory_mb=setting.memory_mb,
                    tmp_mb=setting.tmp_mb,
                    log=log,
                    happenings=happenings,
                )
            except ToolError:
                self._isolation += 1
                if self._isolation == len(ISOLATIONS):
                    raise
                continue
            self.limited["environment"] = describe(held.limits)
            if held.paths.tmp != "/tmp":
                _refuse_leftovers()
            return held


class Box:
    """One execution environment. Its /tmp outlives the processes that are started in it."""

    def __init__(
        self,
        rig: Rig,
        way: Way,
        setting: Setting,
        *,
        held: Sandbox,
        happenings: queue.Queue[Happening],
        reader: int,
    ) -> None:
        self._rig = rig
        self._way = way
        self._setting = setting
        self._held = held
        self._happenings = happenings
        self._reader = reader
        self._generation = 0

    def start(self, handler: str | None = None, *, warm_calls: int = 0) -> Raw:
        """Start a process, let it answer once, and wait for its end.

        Args:
            handler: Instead of the way's own.
            warm_calls: How often to call it again, for ``warm_us``.
        """
        held, setting = self._held, self._setting
        self._generation += 1
        cpus = max(setting.cpus, limits.INIT_VCPUS) if setting.boost else setting.cpus
        held.limit_cpu(cpus)
        paths = held.paths
        variables = self._rig.variables(self._way, paths.task, handler, warm_calls)
        if paths.tmp != "/tmp":
            variables |= {"TMPDIR": paths.tmp, "LAMBDAPACK_ROOT": f"{paths.tmp}/lambdapack"}
        if paths.root:
            variables["LAMBDAPACK_FILES"] = paths.root
        argv = [f"{paths.lang}/{self._rig.runtime.executable}", f"{paths.client}/driver.py"]
        procs = [Path(name) for name in held.group.procs]
        # A /tmp that is not private is filled by others too.
        watch = Watch(procs[0] if procs else None, f"{paths.client}/driver.py", tmp=paths.tmp == "/tmp")
        started = held.start(self._generation, argv, variables, paths.task)
        output, status = self._follow(started + _TIMEOUT, watch)
        document, log = _split(output)
        return Raw(started, document, log, status, watch)

    def out_of_memory(self) -> bool:
        """Whether the kernel has killed for memory in here."""
        return self._held.group.oom_kills() > 0

    def _follow(self, deadline: float, watch: Watch) -> tuple[bytes, int | None]:
        output = b""
        looked = 0.0
        boosted = self._setting.boost
        while time.monotonic() < deadline:
            readable = select.select([self._reader], [], [], _LOOK)[0]
            if readable:
                output += os.read(self._reader, 1 << 16)
            if boosted and b"\nBENCH-INIT\n" in output:
                self._held.limit_cpu(self._setting.cpus)
                boosted = False
            if time.monotonic() - looked >= _LOOK:
                watch.look()
                looked = time.monotonic()
            with suppress(queue.Empty):
                happening = self._happenings.get_nowait()
                return output + _rest(self._reader), happening.status
        self._held.kill()
        return output + _rest(self._reader), None


def _split(output: bytes) -> tuple[dict[str, Any] | None, str]:
    """The driver's line, and the rest."""
    document = None
    lines = []
    for line in output.decode("utf-8", "replace").splitlines():
        if line.startswith("BENCH "):
            document = json.loads(line[len("BENCH ") :])
        elif line and line not in _MARKS:
            lines.append(line)
    return document, "\n".join(lines)


def _rest(reader: int) -> bytes:
    output = b""
    while select.select([reader], [], [], 0)[0]:
        output += os.read(reader, 1 << 16)
    return output


def _read_all(folder: Path) -> None:
    """Have the function's own files in the page cache, as just after Lambda has unzipped it."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb", buffering=0) as file:
                while file.read(1 << 20):
                    pass


def _sweep(scratch: Path) -> None:
    """Remove what runs that were killed left behind."""
    for path in scratch.glob("bench-*"):
        if not Path("/proc", path.name.split("-")[1]).exists():
            shutil.rmtree(path, ignore_errors=True)


def _present(names: Sequence[str]) -> list[Path]:
    return [path for name in names if (path := Path("/tmp") / name).exists()]


def _refuse_leftovers() -> None:
    if found := _present(_FIXED):
        raise ConfigurationError(
            f"/tmp cannot be made private here, and {found[0]} is in the way of what is measured",
            hint=f"remove it: rm -r {found[0]}",
        )


def _tidy() -> None:
    for path in _present(_FIXED):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
