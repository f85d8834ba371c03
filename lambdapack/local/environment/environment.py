"""One execution environment: its init and invoke phases, and what the log says about them.

https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
"""

from __future__ import annotations

import contextlib
import json
import math
import queue
import secrets
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from lambdapack import limits
from lambdapack.errors import CheckError
from lambdapack.local.environment.isolation import Isolation
from lambdapack.local.environment.log_pipe import LogPipe
from lambdapack.local.environment.outcome import (
    RESPONSE_TOO_LARGE,
    Failure,
    Init,
    Outcome,
    exit_failure,
    failed_init,
    report,
    timeout_failure,
)
from lambdapack.local.environment.runtime import Runtime
from lambdapack.local.environment.runtime_api import Event, Happening, RuntimeApi
from lambdapack.local.environment.sandbox import FunctionFolders, Sandbox
from lambdapack.local.environment.starts import MANAGED, ON_DEMAND, SNAP_START, Settings
from lambdapack.local.environment.variables import variables
from lambdapack.local.function import Function
from lambdapack.local.invocation import Invocation, find_stats
from lambdapack.local.link import LinkSettings
from lambdapack.local.s3.sigv4 import Credentials

_BOOTSTRAP = (
    "import os; from awslambdaric.__main__ import main; main(['awslambdaric', os.environ['_HANDLER']])"
)
"""As Lambda's own bootstrap.py does: a wrapper may have changed which handler the environment names."""


class Keys(Protocol):
    """An environment's credentials.

    Attributes:
        current: Those that are valid now.
        link: Their link to S3.
    """

    current: Credentials
    link: LinkSettings

    def set_link(self, link: LinkSettings) -> None:
        """Change the link to S3."""

    def revoke(self) -> None:
        """Refuse the credentials from now on."""

    def renew(self) -> Credentials:
        """Others instead; the old ones are refused from now on, and their connections broken."""


class Environment:
    """An execution environment, whose id is the name of its folder. One invocation at a time.

    Attributes:
        used_at: When (monotonic) the last invocation ended.
        qualifier: By what alias or version its next events are sent.
        log_stream: The name of its log stream.
        keys: Its credentials, and its link to S3.

    Raises:
        ToolError: This machine does not allow the isolation.
    """

    def __init__(
        self,
        folder: Path,
        function: Function,
        folders: FunctionFolders,
        settings: Settings,
        runtime: Runtime,
        *,
        isolation: Isolation,
        keys: Keys,
        s3_url: str,
    ) -> None:
        self.folder = folder
        self.function = function
        self.settings = settings
        self.keys = keys
        self.used_at = time.monotonic()
        self.qualifier = function.version
        self._timeout = settings.timeout or function.settings.timeout
        self._runtime = runtime
        self._init: Init | None = None
        self._peak = self._oom_kills = 0
        # Alive: the runtime has asked for an event and has not been killed since. In a snapshot: one has been
        # taken, and the environment is not restored yet.
        self._alive = self._in_snapshot = self._frozen = self._invoked = self._closed = False
        self._log = LogPipe()
        self._happenings: queue.Queue[Happening] = queue.Queue()
        try:
            self.sandbox = Sandbox(
                folder, isolation, folders, runtime,
                memory_mb=settings.memory_mb, tmp_mb=settings.tmp_mb,
                log=self._log.writer, happenings=self._happenings,
            )  # fmt: skip
        except BaseException:
            self._log.close()
            raise
        self._api = RuntimeApi(self._happenings, keys.current)
        self._variables = variables(function, settings, self.sandbox.paths, self._api, s3_url)
        self.log_stream = self._variables["AWS_LAMBDA_LOG_STREAM_NAME"]

    def prepare(self) -> str:
        """Run the init phase before any invocation, with SnapStart up to the snapshot; what it has logged.

        Raises:
            CheckError: Init fails under SnapStart: there is no snapshot, and AWS would publish no version.
        """
        text = self._begin()
        self._rest()
        return text

    def _begin(self) -> str:
        """``prepare``, but the environment is not frozen unless for its snapshot."""
        if self._init is not None:
            return ""
        self._log.take()
        text = f"INIT_START Runtime Version: {self._runtime_version}\n"
        self._init = self._run_init(self.settings.init_timeout(self._timeout))
        text += self._log.take() + self._init.line("init")
        if self.settings.start == SNAP_START and not self._in_snapshot:
            raise CheckError(
                f"taking a snapshot of {self.function.name}: its init failed ({self._init.error_type}), and "
                "AWS would publish no version",
                hint="lambdapack invoke --start on-demand shows the function without a snapshot",
                detail=text,
            )
        if self._in_snapshot:
            self._rest()
        return text

    def _command(self) -> list[str]:
        """What starts the runtime; an exec wrapper gets that as its arguments.

        https://docs.aws.amazon.com/lambda/latest/dg/runtimes-modify.html
        """
        paths, wrapper = self.sandbox.paths, self._variables.get("AWS_LAMBDA_EXEC_WRAPPER")
        python = f"{paths.lang}/{self._runtime.executable}"
        program = self.settings.program
        if not wrapper:
            runtime = ["-c", program] if program else ["-m", "awslambdaric", self.function.handler]
            return [python, *runtime]
        in_layer = wrapper.startswith("/opt/")
        return [f"{paths.root}{wrapper}" if in_layer else wrapper, python, "-c", program or _BOOTSTRAP]

    def invoke(self, payload: bytes) -> Invocation:
        """Run one event through the function. The first call runs the init phase before."""
        self._log.take()
        cold = not self._invoked
        self._invoked = True
        text, restore = self._begin(), None
        if self._in_snapshot:
            restore = self._restore()
            text += f"RESTORE_START Runtime Version: {self._runtime_version}\n" + self._log.take()
            text += f"RESTORE_REPORT Restore Duration: {restore.milliseconds:.2f} ms\n"
        request_id = str(uuid.uuid4())
        text += f"START RequestId: {request_id} Version: {self.function.version}\n"
        began = time.monotonic()
        if restore is None or restore.ok:
            outcome = self._run(request_id, payload)
        else:
            outcome = failed_init(restore, self._timeout, request_id)
        duration = (time.monotonic() - began) * 1000
        text += self._log.take() + outcome.log
        if outcome.failure:
            text += outcome.failure.line
        result = self._result(request_id, text, duration, outcome, cold=cold, restore=restore)
        self.used_at = time.monotonic()
        self._rest()
        return result

    @property
    def _runtime_version(self) -> str:
        return f"python:{self._runtime.interpreter.version}.lambdapack"

    def _rest(self) -> None:
        """Freeze the environment; a Managed Instance is never frozen."""
        if self.prepared and self.settings.start != MANAGED:
            self.sandbox.freeze()
            self._frozen = True

    def _restore(self) -> Init:
        """Go on from the snapshot, with other credentials and without the connections of before."""
        self._in_snapshot = False
        self._api.credentials = self.keys.renew()
        began = time.monotonic()
        self._wake()
        self._api.restore()
        self.sandbox.limit_cpu(self.settings.init_vcpus)
        return self._await_init(began, limits.RESTORE_TIMEOUT)

    @property
    def prepared(self) -> bool:
        """Whether it waits for an event, or for its restore from a snapshot."""
        return self._alive or self._in_snapshot

    def close(self) -> None:
        """Kill all processes and unmount everything; only the environment's folder stays."""
        if not self._closed:
            self._closed = True
            self._api.close()
            self.sandbox.close()
            self._log.close()

    def _result(
        self,
        request_id: str,
        log: str,
        duration_ms: float,
        outcome: Outcome,
        *,
        cold: bool,
        restore: Init | None,
    ) -> Invocation:
        """The result, before the environment is frozen; the log ends with its figures."""
        init = self._init if cold and self.settings.start != SNAP_START else None
        restore_ms = restore.milliseconds if restore else None
        body, failure = outcome.body, outcome.failure
        if body is None and failure:
            # Lambda answers for a runtime that has sent nothing.
            document = {"errorType": failure.error_type, "errorMessage": failure.message}
            body = json.dumps(document, ensure_ascii=False).encode()
        if failure and failure.status == "timeout":
            # Lambda reports a timeout as the setting, not as measured.
            duration_ms = self._timeout * 1000.0
        # Init is billed since August 2025, a failed one too, which is not reported (https://aws.amazon.com/
        # blogs/compute/aws-lambda-standardizes-billing-for-init-phase/).
        # What runs ahead of the invocations has a price of its own.
        before_ms = init.milliseconds if init and self.settings.start == ON_DEMAND else 0.0
        billed_ms = math.ceil(round(duration_ms + before_ms + (restore_ms or 0.0), 2))
        result = Invocation(
            request_id=request_id,
            payload=body or b"",
            error=failure is not None,
            log=log,
            cold=cold,
            duration_ms=duration_ms,
            billed_ms=billed_ms,
            init_ms=init.milliseconds if init and init.ok else None,
            max_memory_mb=min(self.settings.memory_mb, math.ceil(self._measure(failure) / limits.MIB)),
            restore_ms=restore_ms,
            version=self.function.version,
        )
        log += report(result, self.settings.memory_mb, failure)
        return replace(result, log=log, stats=find_stats(log))

    def _run_init(self, timeout: float) -> Init:
        """Start the runtime and wait until it asks for an event or can be frozen, or fails to."""
        self.sandbox.limit_cpu(self.settings.init_vcpus)
        task = self.sandbox.paths.task
        began = self.sandbox.start(self._api.restart(), self._command(), self._variables, task)
        return self._await_init(began, timeout)

    def _await_init(self, began: float, timeout: float) -> Init:
        """Wait until all workers of the runtime ask for an event, or it can be frozen for the snapshot."""
        body, error_type, ready = b"", "", 0
        while True:
            happening = self._wait(began + timeout)
            spent = (time.monotonic() - began) * 1000
            if happening is None:
                self._kill()
                return Init(timeout * 1000, ok=False, error_type="timeout")
            if happening.kind == "next":
                ready += 1
                if ready == self.settings.workers:
                    self._alive = True
                    self.sandbox.limit_cpu(self.settings.vcpus)
                    return Init(spent)
            elif happening.kind == "restore":
                if self._invoked and self._init is not None:
                    # After a crash: there is only the one snapshot, which has been used up.
                    self._api.restore()
                else:
                    self._in_snapshot = True
                    return Init(spent)
            elif happening.kind == "init_error":
                body, error_type = happening.body, happening.error_type
            elif happening.kind == "exit":
                failure = self._exit_failure(happening)
                self._kill()
                return Init(spent, False, error_type or failure.error_type, body, failure)

    def _run(self, request_id: str, payload: bytes) -> Outcome:
        """The invoke phase; after a crash or a failed init it begins with an init phase."""
        deadline = time.monotonic() + self._timeout
        self._wake()
        if not self._alive:
            init = self._run_init(self._timeout)
            if not init.ok:
                log = self._log.take() + init.line("invoke")
                return replace(failed_init(init, self._timeout, request_id), log=log)
        self._offer(request_id, payload, deadline)
        return self._await_outcome(request_id, deadline)

    def _offer(self, request_id: str, payload: bytes, deadline: float) -> None:
        """Give the runtime an event that must have ended by ``deadline`` (monotonic)."""
        trace = (
            f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)};Parent={secrets.token_hex(8)};Sampled=0"
        )
        deadline_ms = int((time.time() + deadline - time.monotonic()) * 1000)
        arn = f"{self.function.arn}:{self.qualifier}"
        self._api.offer(Event(request_id, payload, deadline_ms, arn, trace))

    def _await_outcome(self, request_id: str, deadline: float) -> Outcome:
        """Wait for the answer, and then until the runtime asks for the next event."""
        body: bytes | None = None
        failure: Failure | None = None
        while True:
            happening = self._wait(deadline)
            if happening is None:
                self._note_peak()
                self._kill()
                if body is None:
                    return Outcome(None, timeout_failure(self._timeout, request_id))
                return Outcome(body, failure)
            if happening.kind == "next":
                return Outcome(body, failure)
            if happening.kind == "exit":
                crash = self._exit_failure(happening, request_id)
                self._kill()
                answered = body is not None or failure is not None
                return Outcome(body, failure) if answered else Outcome(None, crash)
            if happening.request_id != request_id:
                continue
            if happening.kind == "response":
                body = happening.body
            elif happening.kind == "too_large":
                failure = RESPONSE_TOO_LARGE
            elif failure is None:
                body = happening.body
                failure = Failure(happening.error_type, "", "", "")

    def _wait(self, deadline: float) -> Happening | None:
        """What the runtime does next, ``None`` if nothing until ``deadline`` (monotonic)."""
        while True:
            try:
                happening = self._happenings.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return None
            # Earlier runtimes of the environment are ignored.
            if happening.generation == self._api.generation:
                return happening

    def _wake(self) -> None:
        """Let the runtime run again, and see whether it has died since the last invocation."""
        if self._frozen:
            self.sandbox.thaw()
            self._frozen = False
        with contextlib.suppress(queue.Empty):
            while True:
                happening = self._happenings.get_nowait()
                if happening.kind == "exit" and happening.generation == self._api.generation:
                    self._kill()

    def _kill(self) -> None:
        """Kill the runtime and all processes that it has started."""
        self._alive = self._frozen = False
        self.sandbox.kill()

    def _exit_failure(self, happening: Happening, request_id: str = "") -> Failure:
        kills = self.sandbox.group.oom_kills()
        killed = happening.status == -9 and kills > self._oom_kills
        self._oom_kills = kills
        return exit_failure(happening.status, happening.over_memory or killed, request_id)

    def _note_peak(self) -> None:
        self._peak = max(self._peak, self.sandbox.peak_memory())

    def _measure(self, failure: Failure | None) -> int:
        """The peak of memory in bytes, for the REPORT line."""
        if failure and failure.error_type == "Runtime.OutOfMemory":
            return self.settings.memory_mb * limits.MIB
        self._note_peak()
        return self._peak or self.sandbox.group.peak_memory()
