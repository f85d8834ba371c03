"""The embedded cloud: functions in a folder, environments as processes, S3 on 127.0.0.1."""

from __future__ import annotations

import atexit
import contextlib
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from lambdapack.errors import ConfigurationError, LinuxError
from lambdapack.local import client
from lambdapack.local.checks import check_payload, check_settings, settings_of
from lambdapack.local.environment.environment import Environment
from lambdapack.local.environment.isolation import Limits, candidates, describe
from lambdapack.local.environment.managed import ManagedEnvironment
from lambdapack.local.environment.runtime import install
from lambdapack.local.environment.starts import MANAGED, ON_DEMAND, Settings
from lambdapack.local.function import Function
from lambdapack.local.functions import Functions
from lambdapack.local.invocation import Invocation
from lambdapack.local.link import Fault, LinkSettings
from lambdapack.local.log_store import LogEvent, LogReader
from lambdapack.local.pool import Pool
from lambdapack.local.s3.objects import Entry
from lambdapack.local.status import describe_function
from lambdapack.local.versions import LIVE
from lambdapack.memo import default_cache_dir
from lambdapack.model import FunctionSpec
from lambdapack.progress import QUIET, Progress
from lambdapack.python import machine

DEFAULT_STATE = Path(".lambdapack/local")
_IDLE_SECONDS = 600.0


class LocalCloud:
    """Functions of one state folder; safe to use from several threads.

    Environments stay warm until ``close``, or until they were idle for too long. Where a server
    (``lambdapack.local.server``) runs on the same folder, invocations go to it.

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
        chance: Gives random numbers from 0 to below 1, by which the alias chooses among two versions; only
            where no server is used.

    Attributes:
        state: The folder, absolute.
        functions: What is deployed: versions, aliases, logs and metrics.
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
        chance: Callable[[], float] = random.random,
    ) -> None:
        if not machine.is_linux():
            raise LinuxError(
                "the local cloud needs Linux, on which Lambda runs its functions",
                hint="lambdapack's commands run it in a container; in Python, use a container of your own",
            )
        self.state = state.resolve()
        self.functions = Functions(self.state)
        self._progress = progress
        self._cache_dir = cache_dir or default_cache_dir()
        self._idle_seconds = idle_seconds
        self._use_server = use_server
        self._boost = boost
        self._chance = chance
        self._pool = Pool(self.functions, candidates(isolation), self._cache_dir, progress, restore_after)
        atexit.register(self.close)

    def __enter__(self) -> LocalCloud:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def limits(self) -> Limits | None:
        """Which of Lambda's limits hold, ``None`` before the first environment was made."""
        return self._pool.limits

    def deploy(self, spec: FunctionSpec, pack: Path | None, *, dry_run: bool = False) -> str | None:
        """Publish a version and send every call there, at once; its number.

        Zip, pack and assets are copied into the state folder. What is deployed already is published no second
        time. A dry run checks the settings and changes nothing.

        Raises:
            ConfigurationError: A setting that Lambda would refuse, a missing or broken file, or a
                target that this machine cannot run.
            CheckError: Larger than Lambda takes.
        """
        if dry_run:
            check_settings(spec.name, spec.settings, spec.target)
            return None
        return self._put(spec, pack, live=True)

    def publish(self, spec: FunctionSpec, pack: Path | None) -> str:
        """``deploy``, but calls go where they went; the version's number."""
        return self._put(spec, pack, live=False)

    def _put(self, spec: FunctionSpec, pack: Path | None, *, live: bool) -> str:
        check_settings(spec.name, spec.settings, spec.target)
        install(spec.target, self._cache_dir, progress=self._progress)
        return self.functions.put(spec, pack, live=live)

    def rollback(self, name: str, to: str | None = None, *, dry_run: bool = False) -> Function:
        """Send every call to version ``to``, or to the one before that which has calls; that version.

        A shift that is under way ends with the older of its two versions.

        Raises:
            ConfigurationError: There is no such function or version, or its pack is gone.
        """
        target = self.functions.get(name).earlier(to)
        if missing := self.functions.missing_packs(target):
            raise ConfigurationError(
                f"rolling back {name}: a pack of version {target.version} is not at {missing[0]} any more",
                hint="build and deploy that state again",
            )
        if not dry_run:
            self.functions.point(name, target.version)
        return target

    def describe(self, name: str, qualifier: str | None = None) -> dict[str, Any]:
        """A version and its settings, as a document for JSON; by default the live one.

        Raises:
            ConfigurationError: There is no such function.
        """
        return self.functions.get(name).get(qualifier).as_dict()

    def log_events(self, name: str, *, since: datetime, version: str | None = None) -> Iterator[LogEvent]:
        """What a function has logged since then, by time, as far as it is kept.

        Raises:
            ConfigurationError: There is no such function.
        """
        with contextlib.closing(self.log_reader(name, since=since, version=version)) as reader:
            yield from reader.read()

    def log_reader(self, name: str, *, since: datetime, version: str | None = None) -> LogReader:
        """The same for following a log: each ``read`` of it gives what has come since the one before.

        Raises:
            ConfigurationError: There is no such function.
        """
        self.functions.get(name)
        return self.functions.records.logs.reader(name, since, version)

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
        qualifier: str | None = None,
    ) -> Invocation:
        """Run one event through a function; what it took and logged is kept.

        Args:
            name: The function's name.
            payload: JSON.
            cold: Discard the version's warm environments, and take a new one with an empty /tmp.
            memory_mb, tmp_mb: Replace the function's settings.
            bandwidth_mbps, latency_ms, faults: Of the link to S3, as in ``LinkSettings``.
            start: How the environment is started, as AWS_LAMBDA_INITIALIZATION_TYPE names it; ``None``: with
                SnapStart where the function has it, else on demand.
            qualifier: A version's number; ``None``, or ``live``: the alias chooses by weight.

        Raises:
            ConfigurationError: No such function or version, a payload or a setting that Lambda would refuse.
            ToolError: The environment cannot be made.
        """
        payload = payload or b"{}"
        check_payload(payload)
        link = LinkSettings(bandwidth_mbps, latency_ms, tuple(faults))
        if server := self._server():
            asked = {"memory_mb": memory_mb, "tmp_mb": tmp_mb, "start": start, "qualifier": qualifier}
            return server.invoke(name, payload, cold=cold, **asked, **asdict(link))
        function = self.functions.get(name).pick(qualifier, self._chance())
        settings = settings_of(function, memory_mb, tmp_mb, start, boost=self._boost)
        self.expire()
        with self._lend(function, settings, link, qualifier or LIVE, cold=cold) as (environment, ended):
            ended.append(environment.invoke(payload))
        return ended[0]

    @contextlib.contextmanager
    def _lend(
        self, function: Function, settings: Settings, link: LinkSettings, qualifier: str, *, cold: bool
    ) -> Iterator[tuple[Environment, list[Invocation]]]:
        """An environment, and where its invocations of the block are put, so that they are kept."""
        records, live = self.functions.records, qualifier == LIVE
        with self._pool.lend(function, settings, link, cold=cold) as environment:
            environment.qualifier = qualifier
            stream = environment.log_stream
            with records.invocations(function.name, function.version, stream, live=live) as ended:
                yield environment, ended

    def prepare(
        self, name: str, environments: int = 1, *, start: str | None = None, qualifier: str | None = None
    ) -> list[str]:
        """Start environments before any invocation; what each has logged.

        With SnapStart each is started up to its snapshot, and its first invocation restores it. They are
        started one by one: a process cannot be copied from outside, as Lambda copies its virtual machines.

        Raises:
            ConfigurationError: No such function, or a start that the function cannot have.
            CheckError: Init fails, so that there is no snapshot.
            ToolError: An environment cannot be made.
        """
        if server := self._server():
            return server.prepare(name, environments, start=start, qualifier=qualifier)
        function, settings = self._choose(name, None, None, start, qualifier=qualifier)
        made: list[Environment] = []
        try:
            logs = []
            for _ in range(environments):
                made.append(self._pool.make(function, settings))
                logs.append(made[-1].prepare())
                stream = made[-1].log_stream
                self.functions.records.add_init(name, function.version, stream, logs[-1])
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
            check_payload(payload)
        function, settings = self._choose(name, memory_mb, tmp_mb, MANAGED, workers=workers)
        link = LinkSettings(bandwidth_mbps, latency_ms)
        with self._lend(function, settings, link, LIVE, cold=cold) as (environment, ended):
            assert isinstance(environment, ManagedEnvironment)
            ended.extend(environment.invoke_together(payloads))
        return ended

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
        not asked. What they take and log is not kept: they are no calls like others.

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
            check_payload(payload)
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
        qualifier: str | None = None,
    ) -> tuple[Function, Settings]:
        """A version, of the alias the main one, and the settings of an environment of the version."""
        function = self.functions.get(name).get(qualifier)
        return function, settings_of(function, memory_mb, tmp_mb, start, workers=workers, boost=self._boost)

    def status(self) -> dict[str, Any]:
        """The functions, their versions and their environments, as a document for JSON."""
        if server := self._server():
            return {**server.status(), "server": server.address}
        environments, kept = self._pool.environments(), self.functions.records.metrics
        return {
            "state": str(self.state),
            "server": None,
            "limits": describe(self.limits) if self.limits else None,
            "functions": [
                describe_function(versions, environments, kept.calls(versions.name), self.functions.size)
                for versions in self.functions.all()
            ],
        }

    def requests(self, *, clear: bool = False) -> list[Entry]:
        """The requests to S3 so far; ``clear`` forgets them."""
        if server := self._server():
            return server.requests(clear=clear)
        endpoint = self._pool.endpoint
        return endpoint.log(clear=clear) if endpoint else []

    def destroy(self, name: str) -> None:
        """Remove a function, its versions, logs and environments, and each pack that no other function uses.

        Raises:
            ConfigurationError: There is no such function.
        """
        self.functions.remove(name)
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
