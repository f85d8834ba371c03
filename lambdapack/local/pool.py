"""The environments of a local cloud: made when needed, kept warm, discarded."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from lambdapack.errors import ToolError
from lambdapack.local.endpoint import Endpoint, new_credentials
from lambdapack.local.environment.environment import Environment, Settings
from lambdapack.local.environment.folders import EnvironmentFolders
from lambdapack.local.environment.isolation import Isolation, Limits, describe
from lambdapack.local.environment.runtime import Runtime, install
from lambdapack.local.functions import Function, Functions
from lambdapack.local.link import LinkSettings
from lambdapack.progress import Progress


class Pool:
    """Environments, and the S3 endpoint that they share. Safe to use from several threads.

    Args:
        functions: The functions of the cloud.
        isolations: The isolations to try, the most like Lambda first.
        cache_dir: Where the runtime client is kept.
        progress: Told once which of Lambda's limits hold on this machine.

    Attributes:
        limits: Which limits hold, ``None`` before the first environment.
    """

    def __init__(
        self, functions: Functions, isolations: tuple[Isolation, ...], cache_dir: Path, progress: Progress
    ) -> None:
        self.limits: Limits | None = None
        self._functions = functions
        self._isolations = isolations
        self._cache_dir = cache_dir
        self._progress = progress
        self._lock = threading.Lock()
        self._endpoint: Endpoint | None = None
        self._idle: list[Environment] = []
        self._busy: list[Environment] = []
        self._links: dict[str, LinkSettings] = {}
        self._folders = EnvironmentFolders(functions.state)
        with self._folders.sweep() as empty:
            if empty:
                functions.forget_unused()

    def acquire(self, function: Function, settings: Settings, *, cold: bool) -> Environment:
        """A warm environment, or a new one; ``cold`` discards the warm ones before."""
        # A changed function gets new environments, as in Lambda.
        self.discard(lambda e: e.function.name == function.name and (cold or e.function != function))
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

    def discard(self, choose: Callable[[Environment], bool]) -> None:
        """End the idle environments that ``choose`` chooses."""
        with self._lock:
            chosen = [environment for environment in self._idle if choose(environment)]
            self._idle = [environment for environment in self._idle if environment not in chosen]
        for environment in chosen:
            self._end(environment)

    def expire(self, idle_seconds: float) -> None:
        """End the environments that were idle for longer."""
        oldest = time.monotonic() - idle_seconds
        self.discard(lambda environment: environment.used_at < oldest)

    def environments(self) -> list[tuple[Environment, bool]]:
        """All environments, each with whether it is busy."""
        with self._lock:
            return [(e, False) for e in self._idle] + [(e, True) for e in self._busy]

    def set_link(self, environment: Environment, link: LinkSettings) -> None:
        """Change an environment's link to S3; its requests are then counted from 1 for the faults."""
        key = environment.credentials.access_key
        if self._links.get(key, LinkSettings()) != link or link.faults:
            self._start_endpoint().set_link(key, link)
            self._links[key] = link

    @property
    def endpoint(self) -> Endpoint | None:
        """The S3 endpoint, once it is needed."""
        return self._endpoint

    def close(self) -> None:
        """End every environment, busy ones too, and the endpoint."""
        with self._lock:
            environments = self._idle + self._busy
            self._idle, self._busy = [], []
            endpoint, self._endpoint = self._endpoint, None
        for environment in environments:
            self._end(environment)
        if endpoint:
            endpoint.close()

    def _create(self, function: Function, settings: Settings) -> Environment:
        runtime = install(function.target, self._cache_dir, progress=self._progress)
        failures = []
        for isolation in self._isolations:
            if isolation.level != "none" and runtime.interpreter.path.resolve().is_relative_to("/tmp"):
                failures.append(f"{runtime.interpreter.path} is in /tmp, which an environment has its own of")
                continue
            try:
                environment = self._try(isolation, function, settings, runtime)
            except ToolError as error:
                failures.append(error.message)
                continue
            self._settle(isolation, environment.sandbox.limits, failures)
            return environment
        raise ToolError("making an execution environment: " + "; ".join(failures))

    def _try(
        self, isolation: Isolation, function: Function, settings: Settings, runtime: Runtime
    ) -> Environment:
        endpoint = self._start_endpoint()
        credentials = new_credentials()
        endpoint.grant(credentials, [f"{place.bucket}/{place.key}" for place in function.locations])
        folder = self._folders.new()
        try:
            return Environment(
                folder,
                function,
                self._functions.code(function),
                settings,
                runtime,
                isolation=isolation,
                credentials=credentials,
                s3_url=endpoint.url,
            )
        except BaseException:
            endpoint.revoke(credentials.access_key)
            self._folders.remove(folder)
            raise

    def _settle(self, isolation: Isolation, limits: Limits, failures: list[str]) -> None:
        """Remember the isolation that worked, and tell once which limits hold."""
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

    def _end(self, environment: Environment) -> None:
        environment.close()
        self._links.pop(environment.credentials.access_key, None)
        if self._endpoint:
            self._endpoint.revoke(environment.credentials.access_key)
        self._folders.remove(environment.folder)
