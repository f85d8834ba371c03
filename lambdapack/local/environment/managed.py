"""An environment of a Managed Instance: several processes take events at the same time.

https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances-runtimes.html
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence

from lambdapack.errors import CheckError
from lambdapack.local.environment.environment import Environment
from lambdapack.local.environment.outcome import RESPONSE_TOO_LARGE, Failure, Outcome, timeout_failure
from lambdapack.local.environment.runtime_api import Happening
from lambdapack.local.invocation import Invocation


class ManagedEnvironment(Environment):
    """An environment whose runtime has forked ``settings.workers`` processes. It is never frozen.

    Where one of the processes ends, its event ends with the function's timeout, and all processes with it.
    """

    def invoke(self, payload: bytes) -> Invocation:
        """Run one event, in whichever process takes the event."""
        return self.invoke_together([payload])[0]

    def invoke_together(self, payloads: Sequence[bytes]) -> list[Invocation]:
        """Run events at the same time; the log of all is in the first result.

        Raises:
            CheckError: Init fails: on AWS the instance would take no events.
        """
        cold = not self._invoked
        self._invoked = True
        text = self._begin() or self._log.take()
        if not self._alive and not self._run_init(self._timeout).ok:
            raise CheckError(
                f"starting {self.function.name} as on a Managed Instance: its init failed",
                hint="lambdapack invoke --start on-demand shows the function alone",
                detail=text + self._log.take(),
            )
        requests = [str(uuid.uuid4()) for _ in payloads]
        began = time.monotonic()
        for request_id, payload in zip(requests, payloads, strict=True):
            self._offer(request_id, payload, began + self._timeout)
        ended = self._collect(requests, began)
        text += self._log.take()
        results = []
        for request_id in requests:
            outcome, seconds = ended[request_id]
            text += f"START RequestId: {request_id} Version: {self.function.version}\n"
            text += outcome.failure.line if outcome.failure else ""
            results.append(self._result(request_id, text, seconds * 1000, outcome, cold=cold, restore=None))
            text = ""
        self.used_at = time.monotonic()
        return results

    def _collect(self, requests: Sequence[str], began: float) -> dict[str, tuple[Outcome, float]]:
        """Each event's outcome and duration, once as many processes ask for the next event."""
        ended: dict[str, tuple[Outcome, float]] = {}
        asking = 0
        while asking < len(requests):
            happening = self._wait(began + self._timeout)
            spent = time.monotonic() - began
            if happening is None or happening.kind == "exit":
                self._kill()
                for request_id in requests:
                    if request_id not in ended:
                        failure = (
                            timeout_failure(self._timeout, request_id)
                            if happening is None
                            else self._exit_failure(happening, request_id)
                        )
                        ended[request_id] = (Outcome(None, failure), spent)
                return ended
            if happening.kind == "next":
                asking += 1
            elif happening.request_id in requests:
                ended[happening.request_id] = (_outcome(happening), spent)
        return ended


def _outcome(happening: Happening) -> Outcome:
    if happening.kind == "response":
        return Outcome(happening.body)
    if happening.kind == "too_large":
        return Outcome(None, RESPONSE_TOO_LARGE)
    return Outcome(happening.body, Failure(happening.error_type, "", "", ""))
