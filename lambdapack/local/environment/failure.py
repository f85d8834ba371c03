"""Why an invocation failed, in Lambda's words."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass
from datetime import datetime, timezone

from lambdapack.local.environment.runtime_api import MAX_RESPONSE


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

    def payload(self) -> bytes:
        """The payload that Lambda answers where the runtime has sent none."""
        document = {"errorType": self.error_type, "errorMessage": self.message}
        return json.dumps(document, ensure_ascii=False).encode()


RESPONSE_TOO_LARGE = Failure(
    "Function.ResponseSizeTooLarge",
    f"Response payload size exceeded maximum allowed payload size ({MAX_RESPONSE} bytes).",
    "",
)


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
