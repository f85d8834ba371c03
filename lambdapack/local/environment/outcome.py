"""How the phases of an environment end, and why they fail, in Lambda's words."""

from __future__ import annotations

import math
import signal
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from lambdapack.local.environment.runtime_api import MAX_RESPONSE
from lambdapack.local.invocation import Invocation


@dataclass(frozen=True)
class Failure:
    """Why an invocation failed.

    Attributes:
        error_type, message: Those of the payload.
        line: The line in the log.
        status: The status in the REPORT line.
    """

    error_type: str
    message: str
    line: str
    status: str = "error"


@dataclass(frozen=True)
class Init:
    """How an init phase ended.

    Attributes:
        milliseconds: Its duration.
        ok: Whether the runtime asked for an event.
        error_type: ``timeout``, or the type that the runtime or its death gave.
        body: What the runtime has posted about its error.
        failure: Its death, unless it was killed at the timeout.
    """

    milliseconds: float
    ok: bool = True
    error_type: str = ""
    body: bytes = b""
    failure: Failure | None = None

    def line(self, phase: str) -> str:
        """The INIT_REPORT line, which only a failed init has; ``phase`` is ``init`` or ``invoke``."""
        if self.ok:
            return ""
        status = "timeout" if self.error_type == "timeout" else f"error\tError Type: {self.error_type}"
        return f"INIT_REPORT Init Duration: {self.milliseconds:.2f} ms\tPhase: {phase}\tStatus: {status}\n"


@dataclass(frozen=True)
class Outcome:
    """How an invoke phase ended.

    Attributes:
        body: What the runtime has posted, ``None`` if nothing.
        failure: Why it failed, ``None`` if it did not.
        log: Lines about an init phase inside it.
    """

    body: bytes | None
    failure: Failure | None = None
    log: str = ""


RESPONSE_TOO_LARGE = Failure(
    "Function.ResponseSizeTooLarge",
    f"Response payload size exceeded maximum allowed payload size ({MAX_RESPONSE} bytes).",
    "",
)


def report(result: Invocation, memory_mb: int, failure: Failure | None) -> str:
    """The END and REPORT lines."""
    parts = [
        f"REPORT RequestId: {result.request_id}",
        f"Duration: {result.duration_ms:.2f} ms",
        f"Billed Duration: {result.billed_ms} ms",
        f"Memory Size: {memory_mb} MB",
        f"Max Memory Used: {result.max_memory_mb} MB",
    ]
    if result.init_ms is not None:
        parts.append(f"Init Duration: {result.init_ms:.2f} ms")
    if result.restore_ms is not None:
        parts.append(f"Restore Duration: {result.restore_ms:.2f} ms")
        parts.append(f"Billed Restore Duration: {math.ceil(result.restore_ms)} ms")
    if failure and failure.status:
        parts.append(f"Status: {failure.status}")
    if failure and failure.status == "error" and failure.error_type:
        parts.append(f"Error Type: {failure.error_type}")
    # Lambda ends the line with a tab.
    return f"END RequestId: {result.request_id}\n" + "\t".join(parts) + "\t\n"


def exit_failure(status: int, over_memory: bool, request_id: str = "") -> Failure:
    """The runtime has died; ``status`` is negative for a signal, ``request_id`` empty in an init phase."""
    if status < 0:
        # Lambda is written in Go, and takes Go's names of signals.
        how = "signal: " + ("killed" if status == -9 else signal.strsignal(-status) or str(-status))
    else:
        how = f"exit status {status}"
    message = f"Error: Runtime exited with error: {how}"
    if not status:
        message = "Error: Runtime exited without providing a reason"
    kind = "Runtime.OutOfMemory" if over_memory else "Runtime.ExitError"
    if not request_id:
        return Failure(kind, message, "")
    message = f"RequestId: {request_id} {message}"
    return Failure(kind, message, f"{message}\n{kind}\n")


def failed_init(init: Init, timeout: float, request_id: str) -> Outcome:
    """An invocation that has found no runtime, because its init phase or its restore has failed."""
    if init.error_type == "timeout":
        return Outcome(None, timeout_failure(timeout, request_id))
    failure = init.failure or Failure(init.error_type, "", "")
    if init.body:
        return Outcome(init.body, replace(failure, error_type=init.error_type, line=""))
    message = f"RequestId: {request_id} {failure.message}"
    return Outcome(None, replace(failure, message=message, line=f"{message}\n{failure.error_type}\n"))


def timeout_failure(timeout: float, request_id: str) -> Failure:
    """The invocation has taken longer than the function's timeout, in seconds."""
    text = f"Task timed out after {timeout:.2f} seconds"
    stamp = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Failure(
        "Sandbox.Timedout",
        f"RequestId: {request_id} Error: {text}",
        f"{stamp} {request_id} {text}\n\n",
        "timeout",
    )
