"""The embedded cloud: functions in a folder, environments as processes, S3 on 127.0.0.1."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import json
import os
import secrets
import shutil
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from lambdapack.errors import ConfigurationError, ToolError
from lambdapack.local import client
from lambdapack.local.endpoint import Endpoint, new_credentials
from lambdapack.local.environment import cgroups
from lambdapack.local.environment.environment import Environment, Settings
from lambdapack.local.environment.runtime import install
from lambdapack.local.environment.runtime_api import MAX_REQUEST
from lambdapack.local.environment.sandbox import ISOLATIONS, Isolation, Limits, describe
from lambdapack.local.functions import Function, Functions, check_settings
from lambdapack.local.invocation import Invocation
from lambdapack.local.link import Fault
from lambdapack.local.s3.objects import Entry
from lambdapack.model import FunctionSpec
from lambdapack.progress import QUIET, Progress

DEFAULT_STATE = Path(".lambdapack/local")
_IDLE_SECONDS = 600.0


class LocalCloud:
    """Functions of one state folder; safe to use from several threads.

    Environments stay warm until ``close``, until they were idle for too long, or until their function
    changes. Where a server (``lambdapack.local.server``) runs on the same folder, invocations go to it.

    Args:
        state: Folder of functions, packs and environments; made when needed.
        progress: Told once which of Lambda's limits hold on this machine.
        cache_dir: Where the runtime client is kept; ``None``: lambdapack's usual one.
        isolation: ``auto`` takes the best that the system allows; ``root``, ``user`` or ``none``
            insist on one level.
        idle_seconds: After which a warm environment is discarded.
        use_server: Whether to look for a running server.
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
    ) -> None:
        self.state = state.resolve()
        self.limits: Limits | None = None
        self._functions = Functions(self.state)
        self._progress = progress
        self._cache_dir = cache_dir or _default_cache()
        self._isolations = _candidates(isolation)
        self._idle_seconds = idle_seconds
        self._use_server = use_server
        self._lock = threading.Lock()
        self._endpoint: Endpoint | None = None
        self._idle: list[Environment] = []
        self._busy: list[Environment] = []
        self._locks: dict[Path, int] = {}
        self._links: dict[str, tuple[float | None, float | None, tuple[Fault, ...]]] = {}
        self._sweep()
        atexit.register(self.close)

    def __enter__(self) -> LocalCloud:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def deploy(self, spec: FunctionSpec, pack: Path | None, *, dry_run: bool = False) -> None:
        """Create or replace a function; its zip, pack and assets are copied into the state folder.

        A dry run checks the settings and changes nothing.

        Raises:
            ConfigurationError: A setting that Lambda would refuse, a missing or broken file, or a
                target that this machine cannot run.
            CheckError: Larger than Lambda takes.
        """
        check_settings(spec.name, spec.settings)
        if not dry_run:
            install(spec.target, self._cache_dir, progress=self._progress)
            self._functions.put(spec, pack)

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
    ) -> Invocation:
        """Run one event through a function.

        Args:
            name: Of the function.
            payload: JSON.
            cold: Discard the function's warm environments, and take a new one with an empty /tmp.
            memory_mb, tmp_mb: Instead of the function's settings.
            bandwidth_mbps: Of the link to S3, in megabits a second; ``None``: as fast as it goes.
            latency_ms: Before the first byte of each of S3's responses.
            faults: What goes wrong on that link, counted from now.

        Raises:
            ConfigurationError: No such function, a payload that Lambda would refuse, a bad setting.
            ToolError: The environment cannot be made.
        """
        payload = payload or b"{}"
        _check_payload(payload)
        options: dict[str, Any] = {
            "cold": cold,
            "memory_mb": memory_mb,
            "tmp_mb": tmp_mb,
            "bandwidth_mbps": bandwidth_mbps,
            "latency_ms": latency_ms,
        }
        script = tuple(faults)
        server = client.find(self.state) if self._use_server else None
        if server:
            return server.invoke(name, payload, faults=[fault.as_dict() for fault in script], **options)
        function = self._functions.get(name)
        settings = Settings(memory_mb or function.settings.memory_mb, tmp_mb or function.settings.tmp_mb)
        check_settings(name, replace(function.settings, memory_mb=settings.memory_mb, tmp_mb=settings.tmp_mb))
        environment = self._acquire(function, settings, cold)
        try:
            self._set_link(environment, (bandwidth_mbps, latency_ms, script))
            result = environment.invoke(payload)
        except BaseException:
            # Ctrl-C in the middle of an invocation: nobody knows what state it is in.
            self._release(environment)
            self._discard(environment)
            raise
        if not self._release(environment, keep=True):
            self._discard(environment)
        return result

    def status(self) -> dict[str, Any]:
        """The functions and their environments, for people and for JSON."""
        server = client.find(self.state) if self._use_server else None
        if server:
            return {**server.status(), "server": server.address}
        with self._lock:
            environments = [(e, False) for e in self._idle] + [(e, True) for e in self._busy]
        functions = []
        for function in self._functions.all():
            own = [
                {
                    "id": environment.folder.name,
                    "busy": busy,
                    "memory_mb": environment.settings.memory_mb,
                    "tmp_mb": environment.settings.tmp_mb,
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
        """What was asked of S3 so far."""
        server = client.find(self.state) if self._use_server else None
        if server:
            return server.requests(clear=clear)
        return self._endpoint.log(clear=clear) if self._endpoint else []

    def destroy(self, name: str) -> None:
        """Remove a function, its environments, and its pack where no other function uses the pack.

        Raises:
            ConfigurationError: There is none.
        """
        self._functions.remove(name)
        self.discard(name)
        server = client.find(self.state) if self._use_server else None
        if server:
            server.discard(name)

    def discard(self, name: str) -> None:
        """End the warm environments of a function."""
        self._discard_where(lambda environment: environment.function.name == name)

    def expire(self) -> None:
        """End the environments that were idle for too long."""
        oldest = time.monotonic() - self._idle_seconds
        self._discard_where(lambda environment: environment.used_at < oldest)

    def close(self) -> None:
        """End every environment and the S3 endpoint. The functions stay."""
        atexit.unregister(self.close)
        with self._lock:
            environments = self._idle + self._busy
            self._idle, self._busy = [], []
            endpoint, self._endpoint = self._endpoint, None
        for environment in environments:
            self._discard(environment)
        if endpoint:
            endpoint.close()

    def _acquire(self, function: Function, settings: Settings, cold: bool) -> Environment:
        self.expire()
        # A changed function gets new environments, as in Lambda.
        self._discard_where(lambda e: e.function.name == function.name and (cold or e.function != function))
        with self._lock:
            for environment in reversed(self._idle):
                if environment.function == function and environment.settings == settings:
                    self._idle.remove(environment)
                    self._busy.append(environment)
                    return environment
        environment = self._create(function, settings)
        with self._lock:
            self._busy.append(environment)
        return environment

    def _release(self, environment: Environment, *, keep: bool = False) -> bool:
        """No longer busy; whether it is kept, which it is not after ``close``."""
        with self._lock:
            kept = keep and environment in self._busy
            if environment in self._busy:
                self._busy.remove(environment)
            if kept:
                self._idle.append(environment)
        return kept

    def _create(self, function: Function, settings: Settings) -> Environment:
        runtime = install(function.target, self._cache_dir, progress=self._progress)
        endpoint = self._start_endpoint()
        credentials = new_credentials()
        endpoint.grant(credentials, [f"{place.bucket}/{place.key}" for place in function.locations])
        failures = []
        for isolation in self._isolations:
            if isolation.level != "none" and runtime.interpreter.path.resolve().is_relative_to("/tmp"):
                failures.append(f"{runtime.interpreter.path} is in /tmp, which an environment has its own of")
                continue
            folder = self._new_folder()
            try:
                environment = Environment(
                    folder,
                    function,
                    self._functions.code(function),
                    settings,
                    runtime,
                    isolation=isolation,
                    credentials=credentials,
                    s3_url=endpoint.url,
                )
            except ToolError as error:
                failures.append(error.message)
                self._remove_folder(folder)
                continue
            except BaseException:
                self._remove_folder(folder)
                raise
            self._settle(isolation, environment.sandbox.limits, failures)
            return environment
        raise ToolError("making an execution environment: " + "; ".join(failures))

    def _settle(self, isolation: Isolation, limits: Limits, failures: list[str]) -> None:
        """Remember what worked, and say once what that means."""
        if self.limits is None:
            reasons = f" (because: {'; '.join(failures)})" if failures else ""
            self._progress.note(describe(limits) + reasons)
        self.limits = limits
        self._isolations = self._isolations[self._isolations.index(isolation) :]

    def _start_endpoint(self) -> Endpoint:
        with self._lock:
            if self._endpoint is None:
                self._endpoint = Endpoint(self._functions.objects)
            return self._endpoint

    def _set_link(
        self, environment: Environment, link: tuple[float | None, float | None, tuple[Fault, ...]]
    ) -> None:
        key = environment.credentials.access_key
        if self._links.get(key, (None, None, ())) != link or link[2]:
            self._start_endpoint().set_link(key, *link)
            self._links[key] = link

    def _discard_where(self, wanted: Any) -> None:
        with self._lock:
            chosen = [environment for environment in self._idle if wanted(environment)]
            self._idle = [environment for environment in self._idle if environment not in chosen]
        for environment in chosen:
            self._discard(environment)

    def _discard(self, environment: Environment) -> None:
        environment.close()
        self._links.pop(environment.credentials.access_key, None)
        if self._endpoint:
            self._endpoint.revoke(environment.credentials.access_key)
        self._remove_folder(environment.folder)

    def _new_folder(self) -> Path:
        """A folder whose lock we hold: as long as we live, nobody takes it for a leftover."""
        parent = self.state / "environments"
        parent.mkdir(parents=True, exist_ok=True)
        folder = parent / secrets.token_hex(8)
        with (self.state / "environments.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            folder.mkdir()
            descriptor = os.open(folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        self._locks[folder] = descriptor
        return folder

    def _remove_folder(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(KeyError):
            os.close(self._locks.pop(folder))

    def _sweep(self) -> None:
        """Clear away what a killed process of ours has left."""
        parent = self.state / "environments"
        if not parent.is_dir():
            return
        with (self.state / "environments.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            for folder in parent.iterdir():
                _sweep_folder(folder)
            if not any(parent.iterdir()):
                self._functions.forget_unused()


def _sweep_folder(folder: Path) -> None:
    descriptor = os.open(folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    finally:
        os.close(descriptor)
    groups = folder / "cgroups.json"
    if groups.exists():
        for group in json.loads(groups.read_text() or "[]"):
            cgroups.remove(Path(group))
    shutil.rmtree(folder, ignore_errors=True)


def _candidates(isolation: str) -> tuple[Isolation, ...]:
    if isolation == "auto":
        return ISOLATIONS if os.geteuid() == 0 else ISOLATIONS[2:]
    chosen = tuple(candidate for candidate in ISOLATIONS if candidate.level == isolation)
    if not chosen:
        raise ConfigurationError(f"isolation {isolation!r} is not one of auto, root, user, none")
    return chosen


def _default_cache() -> Path:
    given = os.environ.get("LAMBDAPACK_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lambdapack"


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
