"""The environments of a local cloud and their folders: made when needed, kept warm, discarded."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from lambdapack.errors import ToolError
from lambdapack.local.endpoint import Endpoint, new_credentials
from lambdapack.local.environment import cgroups
from lambdapack.local.environment.environment import Environment
from lambdapack.local.environment.isolation import Isolation, Limits, describe
from lambdapack.local.environment.managed import ManagedEnvironment
from lambdapack.local.environment.runtime import Runtime, install
from lambdapack.local.environment.sandbox import FunctionFolders
from lambdapack.local.environment.starts import MANAGED, Settings
from lambdapack.local.function import Function
from lambdapack.local.functions import Functions, locked
from lambdapack.local.link import LinkSettings
from lambdapack.local.s3.sigv4 import Credentials
from lambdapack.progress import Progress


class EnvironmentFolders:
    """The folders ``<state>/environments/<id>``.

    Each is locked for as long as its environment lives, so that ``sweep`` can tell it from a leftover.
    """

    def __init__(self, state: Path) -> None:
        self._parent = state / "environments"
        self._lock = state / "environments.lock"
        self._locks: dict[Path, int] = {}

    def new(self) -> Path:
        """A new folder, locked by this process."""
        self._parent.mkdir(parents=True, exist_ok=True)
        folder = self._parent / secrets.token_hex(8)
        with locked(self._lock):
            folder.mkdir()
            descriptor = os.open(folder / "lock", os.O_CREAT | os.O_RDWR)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        self._locks[folder] = descriptor
        return folder

    def remove(self, folder: Path) -> None:
        """Remove a folder of this process."""
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(KeyError):
            os.close(self._locks.pop(folder))

    @contextlib.contextmanager
    def sweep(self) -> Iterator[bool]:
        """Remove leftovers; inside the block no environment begins. Yields whether there is none at all."""
        if not self._parent.is_dir():
            yield False
            return
        with locked(self._lock):
            for folder in self._parent.iterdir():
                _sweep_folder(folder)
            yield not any(self._parent.iterdir())


def _sweep_folder(folder: Path) -> None:
    descriptor = os.open(folder / "lock", os.O_CREAT | os.O_RDWR)
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


class EnvironmentKeys:
    """The credentials of one environment at the S3 endpoint.

    Args:
        read: The objects (``bucket/key``) that they may read.
        ahead: Seconds by which S3's clock has gone on at each restore, and the environment's has not.
    """

    def __init__(self, endpoint: Endpoint, read: list[str], ahead: float) -> None:
        self._endpoint = endpoint
        self._read = read
        self._ahead = ahead
        self.link = LinkSettings()
        self.current = new_credentials()
        endpoint.grant(self.current, read)

    def set_link(self, link: LinkSettings) -> None:
        """Change the link to S3."""
        self._endpoint.set_link(self.current.access_key, link)
        self.link = link

    def renew(self) -> Credentials:
        """Other credentials over the same link; the old ones are refused, their connections broken."""
        self.revoke()
        self.current = new_credentials(self._ahead)
        self._endpoint.grant(self.current, self._read)
        self._endpoint.set_link(self.current.access_key, self.link)
        return self.current

    def revoke(self) -> None:
        """Refuse the credentials from now on."""
        self._endpoint.revoke(self.current.access_key)


class Pool:
    """Environments, and the S3 endpoint that they share. Safe to use from several threads.

    Args:
        isolations: The isolations to try, the most like Lambda first.
        cache_dir: Where the runtime client is kept.
        progress: Told once which of Lambda's limits hold on this machine.
        restore_after: Seconds by which S3's clock goes on between a snapshot and a restore.

    Attributes:
        limits: Which limits hold, ``None`` before the first environment.
        endpoint: The S3 endpoint, once it is needed.
    """

    def __init__(
        self,
        functions: Functions,
        isolations: tuple[Isolation, ...],
        cache_dir: Path,
        progress: Progress,
        restore_after: float = 0.0,
    ) -> None:
        self.limits: Limits | None = None
        self.endpoint: Endpoint | None = None
        self._functions = functions
        self._isolations = isolations
        self._cache_dir = cache_dir
        self._progress = progress
        self._restore_after = restore_after
        self._lock = threading.Lock()
        self._idle: list[Environment] = []
        self._busy: list[Environment] = []
        self._folders = EnvironmentFolders(functions.state)
        with self._folders.sweep() as empty:
            if empty:
                functions.forget_unused()

    def acquire(self, function: Function, settings: Settings, *, cold: bool) -> Environment:
        """A warm environment of that version, or a new one; ``cold`` discards the warm ones before."""
        # Those of other versions stay: the alias may send the next call there.
        if cold:
            self.discard(lambda e: e.function == function)
        with self._lock:
            for environment in reversed(self._idle):
                if environment.function == function and environment.settings == settings:
                    self._idle.remove(environment)
                    self._busy.append(environment)
                    return environment
        return self.make(function, settings)

    def make(self, function: Function, settings: Settings) -> Environment:
        """A new environment."""
        environment = self._create(function, settings)
        with self._lock:
            self._busy.append(environment)
        return environment

    def release(self, environment: Environment, *, keep: bool) -> None:
        """Keep the environment warm after an invocation, or end the environment, as after ``close``."""
        with self._lock:
            keep = keep and environment in self._busy
            if environment in self._busy:
                self._busy.remove(environment)
            if keep:
                self._idle.append(environment)
        if not keep:
            self._end(environment)

    @contextlib.contextmanager
    def lend(
        self, function: Function, settings: Settings, link: LinkSettings, *, cold: bool
    ) -> Iterator[Environment]:
        """An environment with that link to S3, for the time of the block; as for ``acquire``.

        After an error, or Ctrl-C in the middle of an invocation, the environment's state is unknown: the
        environment is not kept.
        """
        environment = self.acquire(function, settings, cold=cold)
        keep = False
        try:
            self.set_link(environment, link)
            yield environment
            keep = True
        finally:
            self.release(environment, keep=keep)

    def discard(self, choose: Callable[[Environment], bool]) -> None:
        """End the idle environments that ``choose`` chooses."""
        with self._lock:
            chosen = [environment for environment in self._idle if choose(environment)]
            self._idle = [environment for environment in self._idle if environment not in chosen]
        for environment in chosen:
            self._end(environment)

    def environments(self) -> list[tuple[Environment, bool]]:
        """All environments, each with whether it is busy."""
        with self._lock:
            return [(e, False) for e in self._idle] + [(e, True) for e in self._busy]

    def set_link(self, environment: Environment, link: LinkSettings) -> None:
        """Change an environment's link to S3; its requests are then counted from 1 for the faults."""
        if environment.keys.link != link or link.faults:
            environment.keys.set_link(link)

    def close(self) -> None:
        """End every environment, busy ones too, and the endpoint."""
        with self._lock:
            environments = self._idle + self._busy
            self._idle, self._busy = [], []
            endpoint, self.endpoint = self.endpoint, None
        for environment in environments:
            self._end(environment)
        if endpoint:
            endpoint.close()

    def _create(self, function: Function, settings: Settings) -> Environment:
        runtime = install(function.target, self._cache_dir, progress=self._progress)
        failures = []
        for isolation in self._isolations:
            covered = self._covers(function, runtime) if isolation.level != "none" else None
            if covered:
                failures.append(
                    f"{runtime.interpreter.path} is in {covered}, which an environment has its own of"
                )
                continue
            try:
                environment = self._try(isolation, function, settings, runtime)
            except ToolError as error:
                failures.append(error.message)
                continue
            limits = environment.sandbox.limits
            if self.limits is None:
                reasons = f" (because: {'; '.join(failures)})" if failures else ""
                self._progress.note(describe(limits) + reasons)
            self.limits = limits
            # What did not work once is not tried again.
            self._isolations = self._isolations[self._isolations.index(isolation) :]
            return environment
        raise ToolError("making an execution environment: " + "; ".join(failures))

    def _covers(self, function: Function, runtime: Runtime) -> str | None:
        """The folder of this machine that the environment has its own of and the Python is in."""
        own = ["/tmp", *(["/opt"] if function.opt else []), *(["/mnt"] if function.settings.mount else [])]
        python = runtime.interpreter.path.resolve()
        return next((folder for folder in own if python.is_relative_to(folder)), None)

    def _try(
        self, isolation: Isolation, function: Function, settings: Settings, runtime: Runtime
    ) -> Environment:
        endpoint = self._start_endpoint()
        read = [f"{place.bucket}/{place.key}" for place in function.objects]
        keys = EnvironmentKeys(endpoint, read, self._restore_after)
        folder = self._folders.new()
        try:
            kind = ManagedEnvironment if settings.start == MANAGED else Environment
            return kind(
                folder,
                function,
                self._mounted(function),
                settings,
                runtime,
                isolation=isolation,
                keys=keys,
                s3_url=endpoint.url,
            )
        except BaseException:
            keys.revoke()
            self._folders.remove(folder)
            raise

    def _mounted(self, function: Function) -> FunctionFolders:
        mount = function.settings.mount
        return FunctionFolders(
            self._functions.code(function),
            self._functions.opt(function),
            {mount: self._functions.mount(function)} if mount else {},
        )

    def _start_endpoint(self) -> Endpoint:
        with self._lock:
            if self.endpoint is None:
                self.endpoint = Endpoint(self._functions.objects)
            return self.endpoint

    def _end(self, environment: Environment) -> None:
        environment.close()
        if self.endpoint:
            environment.keys.revoke()
        self._folders.remove(environment.folder)
