"""One execution environment: a runtime, its limits, and its life from init to the end.

https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
"""

from __future__ import annotations

import contextlib
import json
import queue
import secrets
import signal
import time
import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path

from lambdapack import limits
from lambdapack.local.environment.log_pipe import LogPipe
from lambdapack.local.environment.runtime import Runtime
from lambdapack.local.environment.runtime_api import MAX_RESPONSE, Event, Happening, RuntimeApi
from lambdapack.local.environment.sandbox import Isolation, Sandbox
from lambdapack.local.environment.variables import variables
from lambdapack.local.functions import Function
from lambdapack.local.invocation import Invocation, Report, find_stats, init_report
from lambdapack.local.s3.sigv4 import Credentials

_BOOST_CPUS = 2.0
"""What init gets at least, whatever the memory: undocumented, but measured by many."""


@dataclass(frozen=True)
class Settings:
    """What environments of one function may differ in."""

    memory_mb: int
    tmp_mb: int


@dataclass(frozen=True)
class _Failure:
    """Why an invocation failed: the payload's error, the log's line, the report's status."""

    error_type: str
    message: str
    line: str
    status: str = "error"


@dataclass
class _Init:
    """How the init phase ended."""

    ok: bool
    milliseconds: float
    error_type: str = ""
    body: bytes = b""
    failure: _Failure | None = field(default=None)


class Environment:
    """An execution environment. One invocation at a time.

    Args:
        folder: Its own folder, whose name is its id.
        function: What it runs.
        code: The function's unpacked zip.
        settings: Memory and /tmp.
        runtime: What runs it.
        isolation: What the system allows.
        credentials: What it may sign with.
        s3_url: The S3 endpoint.

    Raises:
        ToolError: The isolation is not to be had.
    """

    def __init__(
        self,
        folder: Path,
        function: Function,
        code: Path,
        settings: Settings,
        runtime: Runtime,
        *,
        isolation: Isolation,
        credentials: Credentials,
        s3_url: str,
    ) -> None:
        self.folder = folder
        self.function = function
        self.settings = settings
        self.credentials = credentials
        self.used_at = time.monotonic()
        self._happenings: queue.Queue[Happening] = queue.Queue()
        self._log = LogPipe()
        self._alive = False
        self._frozen = False
        self._peak = 0
        self._interpreter = runtime.interpreter
        try:
            self.sandbox = Sandbox(
                folder,
                isolation,
                code,
                runtime,
                memory_mb=settings.memory_mb,
                tmp_mb=settings.tmp_mb,
                log=self._log.writer,
                happenings=self._happenings,
            )
        except BaseException:
            self._log.close()
            raise
        self._api = RuntimeApi(self._happenings)
        paths = self.sandbox.paths
        self._argv = [f"{paths.lang}/{runtime.executable}", "-m", "awslambdaric", function.handler]
        stream = f"{datetime.now(timezone.utc):%Y/%m/%d}/[$LATEST]{secrets.token_hex(16)}"
        self._variables = variables(
            function,
            memory_mb=settings.memory_mb,
            credentials=credentials,
            paths=paths,
            s3_url=s3_url,
            api=self._api.address,
            log_stream=stream,
        )
        self._init: _Init | None = None
        self._oom_kills = 0
        self._closed = False

    def invoke(self, payload: bytes) -> Invocation:
        """Run one event through the function. The first call runs the init phase before."""
        cold = self._init is None
        self._log.take()
        text = ""
        if cold:
            text = f"INIT_START Runtime Version: python:{self._interpreter.version}.lambdapack\n"
            self._init = self._run_init(limits.INIT_TIMEOUT)
            text += self._log.take() + _init_line(self._init, "init", limits.INIT_TIMEOUT)
        init = self._init if cold else None
        request_id = str(uuid.uuid4())
        text += f"START RequestId: {request_id} Version: $LATEST\n"
        began = time.monotonic()
        body, failure, extra = self._run(request_id, payload)
        duration = (time.monotonic() - began) * 1000
        text += self._log.take() + extra
        if failure:
            text += failure.line
        report = Report(
            request_id,
            # A timeout is reported as what was set, as Lambda does.
            self.function.settings.timeout * 1000.0 if failure and failure.status == "timeout" else duration,
            init.milliseconds if init and init.ok else None,
            init.milliseconds if init and not init.ok else 0.0,
            self.settings.memory_mb,
            self._measure(failure),
            failure.status if failure else "",
            failure.error_type if failure and failure.status == "error" else "",
        )
        self._rest()
        text += report.lines()
        return self._result(report, body, failure, text, cold)

    def close(self) -> None:
        """Kill what runs; nothing of the environment stays but its folder."""
        if not self._closed:
            self._closed = True
            self._api.close()
            self.sandbox.close()
            self._log.close()

    def _result(
        self, report: Report, body: bytes | None, failure: _Failure | None, text: str, cold: bool
    ) -> Invocation:
        if failure and body is None:
            body = json.dumps(
                {"errorType": failure.error_type, "errorMessage": failure.message}, ensure_ascii=False
            ).encode()
        return Invocation(
            report.request_id,
            body or b"",
            failure is not None,
            text,
            cold,
            report.duration_ms,
            report.billed_ms,
            report.init_ms,
            report.max_memory_mb,
            find_stats(text),
        )

    def _run_init(self, timeout: float) -> _Init:
        """Start the runtime and wait until it asks for an event, or fails to."""
        generation = self._api.restart()
        vcpus = self.settings.memory_mb / limits.MEMORY_PER_VCPU_MB
        self.sandbox.limit_cpu(max(vcpus, _BOOST_CPUS))
        environment = self._variables
        began = self.sandbox.start(generation, self._argv, environment, self.sandbox.paths.task)
        body, error_type = b"", ""
        while True:
            happening = self._wait(began + timeout)
            spent = (time.monotonic() - began) * 1000
            if happening is None:
                self._kill()
                return _Init(False, timeout * 1000, "timeout")
            if happening.kind == "next":
                self._alive = True
                self.sandbox.limit_cpu(vcpus)
                return _Init(True, spent)
            if happening.kind == "init_error":
                body, error_type = happening.body, happening.error_type
            elif happening.kind == "exit":
                failure = self._exit_failure(happening, "")
                self._kill()
                return _Init(False, spent, error_type or failure.error_type, body, failure)

    def _run(self, request_id: str, payload: bytes) -> tuple[bytes | None, _Failure | None, str]:
        """The invoke phase: ``(body, failure, further log lines)``."""
        deadline = time.monotonic() + self.function.settings.timeout
        extra = ""
        self._wake()
        if not self._alive:
            init = self._run_init(self.function.settings.timeout)
            if not init.ok:
                extra = self._log.take() + _init_line(init, "invoke", self.function.settings.timeout)
                return self._failed_init(init, request_id, extra)
        self._api.offer(
            Event(
                request_id,
                payload,
                int((time.time() + deadline - time.monotonic()) * 1000),
                self.function.arn,
                f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)};Parent={secrets.token_hex(8)};Sampled=0",
            )
        )
        body, failure = self._await_outcome(request_id, deadline)
        return body, failure, extra

    def _failed_init(
        self, init: _Init, request_id: str, extra: str
    ) -> tuple[bytes | None, _Failure | None, str]:
        if init.error_type == "timeout":
            return None, self._timeout_failure(request_id), extra
        failure = init.failure or _Failure(init.error_type, "", "")
        if init.body:
            return init.body, replace(failure, error_type=init.error_type, line=""), extra
        named = f"RequestId: {request_id} {failure.message}"
        return None, replace(failure, message=named, line=f"{named}\n{failure.error_type}\n"), extra

    def _await_outcome(self, request_id: str, deadline: float) -> tuple[bytes | None, _Failure | None]:
        """Wait for the answer, and then until the runtime asks for the next event."""
        body: bytes | None = None
        failure: _Failure | None = None
        while True:
            happening = self._wait(deadline)
            if happening is None:
                self._note_peak()
                self._kill()
                return (body, failure) if body is not None else (None, self._timeout_failure(request_id))
            if happening.kind == "next":
                return body, failure
            if happening.kind == "exit":
                crash = self._exit_failure(happening, request_id)
                self._kill()
                return (body, failure) if body is not None or failure else (None, crash)
            if happening.request_id != request_id:
                continue
            if happening.kind == "response":
                body = happening.body
            elif happening.kind == "too_large":
                failure = _Failure(
                    "Function.ResponseSizeTooLarge",
                    f"Response payload size exceeded maximum allowed payload size ({MAX_RESPONSE} bytes).",
                    "",
                )
            elif failure is None:
                body = happening.body
                failure = _Failure(happening.error_type, "", "", "")

    def _wait(self, deadline: float) -> Happening | None:
        """What happens next to the runtime of now; ``None`` at the deadline."""
        while True:
            try:
                happening = self._happenings.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return None
            if happening.generation == self._api.generation:
                return happening

    def _wake(self) -> None:
        if self._frozen:
            self.sandbox.thaw()
            self._frozen = False
        # Whatever was said since the last invocation: only the runtime's death matters.
        with contextlib.suppress(queue.Empty):
            while True:
                happening = self._happenings.get_nowait()
                if happening.kind == "exit" and happening.generation == self._api.generation:
                    self._kill()

    def _rest(self) -> None:
        self.used_at = time.monotonic()
        if self._alive:
            self.sandbox.freeze()
            self._frozen = True

    def _kill(self) -> None:
        self._alive = False
        self._frozen = False
        self.sandbox.kill()

    def _note_peak(self) -> None:
        self._peak = max(self._peak, self.sandbox.peak_memory())

    def _measure(self, failure: _Failure | None) -> int:
        if failure and failure.error_type == "Runtime.OutOfMemory":
            return self.settings.memory_mb * limits.MIB
        self._note_peak()
        return self._peak or self.sandbox.group.peak_memory()

    def _exit_failure(self, happening: Happening, request_id: str) -> _Failure:
        status = happening.status
        over = happening.over_memory or self._out_of_memory(status)
        if status < 0:
            how = "signal: killed" if status == -9 else f"signal: {_signal_name(-status)}"
        else:
            how = f"exit status {status}"
        message = f"Error: Runtime exited with error: {how}"
        if not status:
            message = "Error: Runtime exited without providing a reason"
        kind = "Runtime.OutOfMemory" if over else "Runtime.ExitError"
        if not request_id:
            return _Failure(kind, message, "")
        named = f"RequestId: {request_id} {message}"
        return _Failure(kind, named, f"{named}\n{kind}\n")

    def _out_of_memory(self, status: int) -> bool:
        kills = self.sandbox.group.oom_kills()
        seen, self._oom_kills = self._oom_kills, kills
        return status == -9 and kills > seen

    def _timeout_failure(self, request_id: str) -> _Failure:
        text = f"Task timed out after {self.function.settings.timeout:.2f} seconds"
        stamp = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return _Failure(
            "Sandbox.Timedout",
            f"RequestId: {request_id} Error: {text}",
            f"{stamp} {request_id} {text}\n\n",
            "timeout",
        )


def _init_line(init: _Init, phase: str, timeout: float) -> str:
    if init.ok:
        return ""
    if init.error_type == "timeout":
        return init_report(timeout * 1000, phase, "timeout")
    return init_report(init.milliseconds, phase, "error", init.error_type)


def _signal_name(number: int) -> str:
    """As Go prints it, in whose words Lambda reports."""
    return signal.strsignal(number) or str(number)
