"""The embedded cloud: functions in a folder, environments as processes, S3 on 127.0.0.1."""

from __future__ import annotations

import atexit
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from lambdapack import limits
from lambdapack.errors import ConfigurationError, LinuxError
from lambdapack.local import client
from lambdapack.local.environment.environment import Environment
from lambdapack.local.environment.isolation import Limits, candidates, describe
from lambdapack.local.environment.managed import ManagedEnvironment
from lambdapack.local.environment.runtime import install
from lambdapack.local.environment.runtime_api import MAX_REQUEST
from lambdapack.local.environment.starts import MANAGED, ON_DEMAND, SNAP_START, Settings, workers_for
from lambdapack.local.functions import Function, Functions, check_settings
from lambdapack.local.invocation import Invocation
from lambdapack.local.link import Fault, LinkSettings
from lambdapack.local.pool import Pool
from lambdapack.local.s3.objects import Entry
from lambdapack.memo import default_cache_dir
from lambdapack.model import FunctionSpec
from lambdapack.progress import QUIET, Progress
from lambdapack.python import machine

DEFAULT_STATE = Path(".lambdapack/local")
_IDLE_SECONDS = 600.0


class LocalCloud:
    """Functions of one state folder; safe to use from several threads.

    Environments stay warm until ``close``, until they were idle for too long, or until their function
    changes. Where a server (``lambdapack.local.server``) runs on the same folder, invocations go to it.

    Args:
        state: Folder for functions, packs and environments; made when needed.
        progress: Told once which of Lambda's limits hold on this machine.
        cache_dir: Where the runtime client is kept; ``None``: lambdapack's usual one.
        isolation: ``auto`` takes the level that is most like Lambda and that the system allows;
            ``root``, ``user`` or ``none`` insist on one level.
        idle_seconds: How long a warm environment is kept without an invocation.
        use_server: Whether to look for a running server.
        boost: Whether init has two processors at least whatever the memory, as has been seen in Lambda; only
            where no server is used.
        restore_after: Seconds by which S3's clock goes on between a snapshot and a restore from it, while the
            environment's shows the time of the snapshot.
    """

    def __init__(
        self,
        state: Path = DEFAULT_STATE,
        *,
        progress: Progress = QUIET,
        cache_dir: Path | None = None,
        isolation: str = "auto",
        idle_seconds: float = _IDLE_SECONDS,
        use_server: bool = True,
        restore_after: float = 0.0,
        boost: bool = True,
    ) -> None:
        if not machine.is_linux():
            raise LinuxError(
                "the local cloud needs Linux, on which Lambda runs its functions",
                hint="lambdapack's commands run it in a container; in Python, use a container of your own",
            )
        self.state = state.resolve()
        self._functions = Functions(self.state)
        self._progress = progress
        self._cache_dir = cache_dir or default_cache_dir()
        self._idle_seconds = idle_seconds
        self._use_server = use_server
        self._boost = boost
        self._pool = Pool(self._functions, candidates(isolation), self._cache_dir, progress, restore_after)
        atexit.register(self.close)

    def __enter__(self) -> LocalCloud:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def limits(self) -> Limits | None:
        """Which of Lambda's limits hold, ``None`` before the first environment was made."""
        return self._pool.limits

    def deploy(self, spec: FunctionSpec, pack: Path | None, *, dry_run: bool = False) -> None:
        """Create or replace a function; its zip, pack and assets are copied into the state folder.

        A dry run checks the settings and changes nothing.

        Raises:
            ConfigurationError: A setting that Lambda would refuse, a missing or broken file, or a
                target that this machine cannot run.
            CheckError: Larger than Lambda takes.
        """
        check_settings(spec.name, spec.settings, spec.target)
        if not dry_run:
            install(spec.target, self._cache_dir, progress=self._progress)
            self._functions.put(spec, pack)

    def describe(self, name: str) -> dict[str, Any]:
        """A function and its settings, as a document for JSON.

        Raises:
            ConfigurationError: There is no such function.
        """
        return self._functions.get(name).as_dict()

    def invoke(
        self,
        name: str,
        payload: bytes,
        *,
        cold: bool = False,
        memory_mb: int | None = None,
        tmp_mb: int | None = None,
        bandwidth_mbps: float | None = None,
        latency_ms: float | None = None,
        faults: Iterable[Fault] = (),
        start: str | None = None,
    ) -> Invocation:
        """Run one event through a function.

        Args:
            name: The function's name.
            payload: JSON.
            cold: Discard the function's warm environments, and take a new one with an empty /tmp.
            memory_mb, tmp_mb: Replace the function's settings.
            bandwidth_mbps, latency_ms, faults: Of the link to S3, as in ``LinkSettings``.
            start: How the environment is started, as AWS_LAMBDA_INITIALIZATION_TYPE names it; ``None``: with
                SnapStart where the function has it, else on demand.

        Raises:
            ConfigurationError: No such function, a payload that Lambda would refuse, a bad setting.
            ToolError: The environment cannot be made.
        """
        payload = payload or b"{}"
        _check_payload(payload)
        link = LinkSettings(bandwidth_mbps, latency_ms, tuple(faults))
        if server := self._server():
            sizes = {"memory_mb": memory_mb, "tmp_mb": tmp_mb}
            return server.invoke(name, payload, cold=cold, start=start, **sizes, **asdict(link))
        function, settings = self._choose(name, memory_mb, tmp_mb, start)
        self.expire()
        with self._pool.lend(function, settings, link, cold=cold) as environment:
            return environment.invoke(payload)

    def prepare(self, name: str, environments: int = 1, *, start: str | None = None) -> list[str]:
        """Start environments before any invocation; what each has logged.

        With SnapStart each is started up to its snapshot, and its first invocation restores it. They are
        started one by one: a process cannot be copied from outside, as Lambda copies its virtual machines.

        Raises:
            ConfigurationError: No such function, or a start that the function cannot have.
            CheckError: Init fails, so that there is no snapshot.
            ToolError: An environment cannot be made.
        """
        if server := self._server():
            return server.prepare(name, environments, start=start)
        function, settings = self._choose(name, None, None, start)
        made: list[Environment] = []
        try:
            logs = []
            for _ in range(environments):
                made.append(self._pool.make(function, settings))
                logs.append(made[-1].prepare())
        finally:
            for environment in made:
                self._pool.release(environment, keep=environment.prepared)
        return logs

    def invoke_together(
        self,
        name: str,
        payloads: Sequence[bytes],
        *,
        workers: int | None = None,
        cold: bool = False,
        memory_mb: int | None = None,
        tmp_mb: int | None = None,
        bandwidth_mbps: float | None = None,
        latency_ms: float | None = None,
    ) -> list[Invocation]:
        """Run events at the same time in one environment, as a Managed Instance does.

        A server on the state folder is not asked.

        Args:
            name: The function's name.
            payloads: JSON each; more than there are ``workers`` queue.
            workers: Processes of the environment; by default 16 for each vCPU.
            cold: Discard the function's warm environments before.
            memory_mb, tmp_mb: Replace the function's settings.
            bandwidth_mbps, latency_ms: Of the link to S3, as in ``LinkSettings``.

        Raises:
            ConfigurationError: No such function, a payload that Lambda would refuse, or a Python that
                Managed Instances do not have.
            CheckError: Init fails.
            ToolError: The environment cannot be made.
        """
        for payload in payloads:
            _check_payload(payload)
        function, settings = self._choose(name, memory_mb, tmp_mb, MANAGED, workers=workers)
        link = LinkSettings(bandwidth_mbps, latency_ms)
        with self._pool.lend(function, settings, link, cold=cold) as environment:
            assert isinstance(environment, ManagedEnvironment)
            return environment.invoke_together(payloads)

    def start_with(
        self,
        name: str,
        payloads: Sequence[bytes],
        program: str,
        *,
        timeout: int,
        memory_mb: int | None = None,
        tmp_mb: int | None = None,
        link: LinkSettings,
    ) -> list[Invocation]:
        """Run events one by one in a new environment, whose runtime client ``program`` starts.

        The start is on demand, and the environment ends with the last event. A server on the state folder is
        not asked.

        Args:
            name: The function's name.
            payloads: JSON each.
            program: The text of a Python program, as in ``Settings``.
            timeout: Seconds that init and each invocation may take.
            memory_mb, tmp_mb: Replace the function's settings.
            link: The link to S3.

        Raises:
            ConfigurationError: No such function, or a payload that Lambda would refuse.
            ToolError: The environment cannot be made.
        """
        for payload in payloads:
            _check_payload(payload)
        function, settings = self._choose(name, memory_mb, tmp_mb, ON_DEMAND)
        settings = replace(settings, program=program, timeout=timeout)
        try:
            with self._pool.lend(function, settings, link, cold=True) as environment:
                return [environment.invoke(payload) for payload in payloads]
        finally:
            self.discard(name)

    def _choose(
        self,
        name: str,
        memory_mb: int | None,
        tmp_mb: int | None,
        start: str | None,
        *,
        workers: int | None = None,
    ) -> tuple[Function, Settings]:
        """A function, and the settings of an environment of the function."""
        function = self._functions.get(name)
        own = function.settings
        memory_mb, tmp_mb = memory_mb or own.memory_mb, tmp_mb or own.tmp_mb
        start = start or (SNAP_START if own.snap_start else ON_DEMAND)
        if start not in limits.INITIALIZATION_TYPES:
            kinds = ", ".join(limits.INITIALIZATION_TYPES)
            raise ConfigurationError(f"start {start!r} is not one of {kinds}")
        if start == MANAGED and function.target.version < limits.MANAGED_PYTHON:
            raise ConfigurationError(
                f"starting {name} as on a Managed Instance: {function.target.runtime} has none of these, "
                "Python 3.13 is the first"
            )
        asked = replace(own, memory_mb=memory_mb, tmp_mb=tmp_mb, snap_start=start == SNAP_START)
        check_settings(name, asked, function.target)
        return function, Settings(
            memory_mb, tmp_mb, start, workers or workers_for(start, memory_mb), boost=self._boost
        )

    def status(self) -> dict[str, Any]:
        """The functions and their environments, as a document for JSON."""
        if server := self._server():
            return {**server.status(), "server": server.address}
        environments = self._pool.environments()
        functions = []
        for function in self._functions.all():
            own = [
                {
                    "id": environment.folder.name,
                    "busy": busy,
                    "memory_mb": environment.settings.memory_mb,
                    "tmp_mb": environment.settings.tmp_mb,
                    "start": environment.settings.start,
                    "idle_seconds": round(time.monotonic() - environment.used_at, 1),
                }
                for environment, busy in environments
                if environment.function == function
            ]
            functions.append({**function.as_dict(), "environments": own})
        return {
            "state": str(self.state),
            "server": None,
            "limits": describe(self.limits) if self.limits else None,
            "functions": functions,
        }

    def requests(self, *, clear: bool = False) -> list[Entry]:
        """The requests to S3 so far; ``clear`` forgets them."""
        if server := self._server():
            return server.requests(clear=clear)
        endpoint = self._pool.endpoint
        return endpoint.log(clear=clear) if endpoint else []

    def destroy(self, name: str) -> None:
        """Remove a function, its environments, and its pack unless another function uses the pack.

        Raises:
            ConfigurationError: There is no such function.
        """
        self._functions.remove(name)
        self.discard(name)
        if server := self._server():
            server.discard(name)

    def discard(self, name: str) -> None:
        """End the warm environments of a function."""
        self._pool.discard(lambda environment: environment.function.name == name)

    def expire(self) -> None:
        """End the environments that were idle for too long."""
        oldest = time.monotonic() - self._idle_seconds
        self._pool.discard(lambda environment: environment.used_at < oldest)

    def close(self) -> None:
        """End every environment and the S3 endpoint. The functions stay."""
        atexit.unregister(self.close)
        self._pool.close()

    def _server(self) -> client.Client | None:
        """The server on the state folder, if there is one and it is to be used."""
        return client.find(self.state) if self._use_server else None


def _check_payload(payload: bytes) -> None:
    if len(payload) > MAX_REQUEST:
        raise ConfigurationError(
            f"invoking: the payload has {len(payload)} bytes, more than Lambda's {MAX_REQUEST}",
            hint="put it into S3 and pass its key",
        )
    try:
        json.loads(payload)
    except ValueError as error:
        raise ConfigurationError(f"invoking: the payload is not JSON ({error})") from None
