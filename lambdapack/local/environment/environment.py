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
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from lambdapack import limits
from lambdapack.local.environment.isolation import Isolation
from lambdapack.local.environment.log_pipe import LogPipe
from lambdapack.local.environment.outcome import (
    RESPONSE_TOO_LARGE,
    Failure,
    Init,
    Outcome,
    exit_failure,
    report,
    timeout_failure,
)
from lambdapack.local.environment.runtime import Runtime
from lambdapack.local.environment.runtime_api import Event, Happening, RuntimeApi
from lambdapack.local.environment.sandbox import FunctionFolders, Sandbox
from lambdapack.local.functions import Function
from lambdapack.local.invocation import Invocation, find_stats
from lambdapack.local.link import LinkSettings
from lambdapack.local.s3.sigv4 import Credentials

_BOOST_CPUS = 2.0
"""The processors that init gets at least, whatever the memory: undocumented, but measured by many."""
_FIXED = {
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
    "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
    "AWS_XRAY_DAEMON_ADDRESS": "169.254.79.129:2000",
    "LANG": "en_US.UTF-8",
    "SHLVL": "0",
    "TZ": ":UTC",
}
_BOOTSTRAP = (
    "import os; from awslambdaric.__main__ import main; main(['awslambdaric', os.environ['_HANDLER']])"
)
"""As Lambda's own bootstrap.py does: a wrapper may have changed which handler the environment names."""
_FREE = {"PATH", "LANG", "TZ", "LD_LIBRARY_PATH", "PYTHONPATH", "LAMBDAPACK_ROOT", "AWS_ENDPOINT_URL_S3"}
"""The variables that a function may set itself, as in Lambda; it cannot set keys and names."""


@dataclass(frozen=True)
class Settings:
    """The settings in which the environments of one function may differ."""

    memory_mb: int
    tmp_mb: int


class Environment:
    """An execution environment, whose id is the name of its folder. One invocation at a time.

    Attributes:
        used_at: When (monotonic) the last invocation ended.
        link: The link to S3 that was set for it.

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
        credentials: Credentials,
        s3_url: str,
    ) -> None:
        self.folder = folder
        self.function = function
        self.settings = settings
        self.credentials = credentials
        self.used_at = time.monotonic()
        self.link = LinkSettings()
        self._timeout = function.settings.timeout
        self._runtime = runtime
        self._init: Init | None = None
        self._peak = self._oom_kills = 0
        # Alive: the runtime has asked for an event and has not been killed since.
        self._alive = self._frozen = self._closed = False
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
        self._api = RuntimeApi(self._happenings)
        self._variables = self._all_variables(s3_url)

    def _all_variables(self, s3_url: str) -> dict[str, str]:
        """The environment variables of the runtime; most of Lambda's a function's own cannot replace.

        https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
        """
        function, credentials, paths = self.function, self.credentials, self.sandbox.paths
        stream = f"{datetime.now(timezone.utc):%Y/%m/%d}/[$LATEST]{secrets.token_hex(16)}"
        lambdas = {
            **_FIXED,
            "AWS_ACCESS_KEY_ID": credentials.access_key,
            "AWS_DEFAULT_REGION": function.region,
            "AWS_ENDPOINT_URL_S3": s3_url,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.target.runtime}",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self.settings.memory_mb),
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": stream,
            "AWS_LAMBDA_RUNTIME_API": self._api.address,
            "AWS_REGION": function.region,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
            "AWS_SESSION_TOKEN": credentials.session_token,
            "LAMBDA_RUNTIME_DIR": paths.client,
            "LAMBDA_TASK_ROOT": paths.task,
            "LD_LIBRARY_PATH": f"{paths.lang}/lib:/lib64:/usr/lib64:{paths.client}:{paths.client}/lib:"
            f"{paths.task}:{paths.task}/lib:/opt/lib",
            "PATH": f"{paths.lang}/bin:/usr/local/bin:/usr/bin:/bin:/opt/bin",
            "PYTHONPATH": self._pythonpath(),
            "_HANDLER": function.handler,
        }
        if paths.tmp != "/tmp":
            # Lambda does not set these; here they keep the function's files in its own folder.
            lambdas |= {"TMPDIR": paths.tmp, "LAMBDAPACK_ROOT": f"{paths.tmp}/lambdapack"}
        if paths.root:
            lambdas["LAMBDAPACK_FILES"] = paths.root
        own = function.settings.environment.items()
        return lambdas | {name: value for name, value in own if name in _FREE or name not in lambdas}

    def _pythonpath(self) -> str:
        """The runtime client's folder; before it, as in Lambda, those of layers where there are any.

        https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html
        """
        client, opt = self.sandbox.paths.client, f"{self.sandbox.paths.root}/opt/python"
        version = self.function.target.python
        return f"{opt}/lib/python{version}/site-packages:{opt}:{client}" if self.function.opt else client

    def _command(self) -> list[str]:
        """What starts the runtime; an exec wrapper gets that as its arguments.

        https://docs.aws.amazon.com/lambda/latest/dg/runtimes-modify.html
        """
        paths, wrapper = self.sandbox.paths, self._variables.get("AWS_LAMBDA_EXEC_WRAPPER")
        python = f"{paths.lang}/{self._runtime.executable}"
        if not wrapper:
            return [python, "-m", "awslambdaric", self.function.handler]
        in_layer = wrapper.startswith("/opt/")
        return [f"{paths.root}{wrapper}" if in_layer else wrapper, python, "-c", _BOOTSTRAP]

    def invoke(self, payload: bytes) -> Invocation:
        """Run one event through the function. The first call runs the init phase before."""
        self._log.take()
        text = ""
        init: Init | None = None
        if self._init is None:
            text = f"INIT_START Runtime Version: python:{self._runtime.interpreter.version}.lambdapack\n"
            init = self._init = self._run_init(limits.INIT_TIMEOUT)
            text += self._log.take() + init.line("init")
        request_id = str(uuid.uuid4())
        text += f"START RequestId: {request_id} Version: $LATEST\n"
        began = time.monotonic()
        outcome = self._run(request_id, payload)
        duration = (time.monotonic() - began) * 1000
        text += self._log.take() + outcome.log
        if outcome.failure:
            text += outcome.failure.line
        result = self._result(request_id, text, duration, init, outcome)
        self.used_at = time.monotonic()
        if self._alive:
            self.sandbox.freeze()
            self._frozen = True
        return result

    def close(self) -> None:
        """Kill all processes and unmount everything; only the environment's folder stays."""
        if not self._closed:
            self._closed = True
            self._api.close()
            self.sandbox.close()
            self._log.close()

    def _result(
        self, request_id: str, log: str, duration_ms: float, init: Init | None, outcome: Outcome
    ) -> Invocation:
        """The result, before the environment is frozen; the log ends with its figures."""
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
        billed_ms = math.ceil(round(duration_ms + (init.milliseconds if init else 0.0), 2))
        result = Invocation(
            request_id=request_id,
            payload=body or b"",
            error=failure is not None,
            log=log,
            cold=init is not None,
            duration_ms=duration_ms,
            billed_ms=billed_ms,
            init_ms=init.milliseconds if init and init.ok else None,
            max_memory_mb=min(self.settings.memory_mb, math.ceil(self._measure(failure) / limits.MIB)),
        )
        log += report(result, self.settings.memory_mb, failure)
        return replace(result, log=log, stats=find_stats(log))

    def _run_init(self, timeout: float) -> Init:
        """Start the runtime and wait until it asks for an event, or fails to."""
        vcpus = self.settings.memory_mb / limits.MEMORY_PER_VCPU_MB
        self.sandbox.limit_cpu(max(vcpus, _BOOST_CPUS))
        task = self.sandbox.paths.task
        began = self.sandbox.start(self._api.restart(), self._command(), self._variables, task)
        body, error_type = b"", ""
        while True:
            happening = self._wait(began + timeout)
            spent = (time.monotonic() - began) * 1000
            if happening is None:
                self._kill()
                return Init(timeout * 1000, ok=False, error_type="timeout")
            if happening.kind == "next":
                self._alive = True
                self.sandbox.limit_cpu(vcpus)
                return Init(spent)
            if happening.kind == "init_error":
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
                return replace(self._failed_init(init, request_id), log=log)
        trace = (
            f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)};Parent={secrets.token_hex(8)};Sampled=0"
        )
        deadline_ms = int((time.time() + deadline - time.monotonic()) * 1000)
        self._api.offer(Event(request_id, payload, deadline_ms, self.function.arn, trace))
        return self._await_outcome(request_id, deadline)

    def _failed_init(self, init: Init, request_id: str) -> Outcome:
        if init.error_type == "timeout":
            return Outcome(None, timeout_failure(self._timeout, request_id))
        failure = init.failure or Failure(init.error_type, "", "")
        if init.body:
            return Outcome(init.body, replace(failure, error_type=init.error_type, line=""))
        message = f"RequestId: {request_id} {failure.message}"
        return Outcome(None, replace(failure, message=message, line=f"{message}\n{failure.error_type}\n"))

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
