"""How long AWS is waited for, and how often it is asked: the one place that makes boto3's clients.

Nothing is left to boto3's defaults, to ``AWS_MAX_ATTEMPTS`` or to a configuration file: who runs a command
can read below how long it takes at most, and an error says so too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botocore.config import Config

__all__ = ["CALLS", "QUICK", "WAIT_EVERY", "Patience", "gave_up", "make_client", "once", "wait"]

# Standard mode waits rand(0, 1) * min(2 ** i, 20) seconds after attempt i (from 0) where AWS throttles, and
# up to 5 s more where AWS names a time (botocore/retries/standard.py); after other failures far less.
_LONGEST_PAUSE = 20
_NAMED_BY_AWS = 5
_METADATA = "LambdapackGaveUp"
WAIT_EVERY = 1
"""Seconds between two looks of a waiter."""


@dataclass(frozen=True)
class Patience:
    """How often a call is made, and how long each attempt may take.

    Attributes:
        attempts: The first one and its repetitions, after throttling, an answer 5xx, a reset or a time-out.
        connect: Seconds for a connection to come about.
        read: Seconds of silence; an answer that keeps coming is waited for.
    """

    attempts: int = 6
    connect: float = 5
    read: float = 60

    @property
    def seconds(self) -> float:
        """The overall bound: every attempt times out, after the longest pauses that there are."""
        pauses = [min(1 << number, _LONGEST_PAUSE) + _NAMED_BY_AWS for number in range(self.attempts - 1)]
        return sum(pauses) + self.attempts * (self.connect + self.read)

    def __str__(self) -> str:
        noun = "attempt" if self.attempts == 1 else "attempts"
        return (
            f"{self.attempts} {noun}, each of at most {self.connect + self.read:.0f} s: {self.seconds:.0f} s"
        )

    def config(self, **more: Any) -> Config:
        """The same in botocore's words; ``more`` goes into the ``Config`` too."""
        from botocore.config import Config  # noqa: PLC0415 - slow

        return Config(
            retries={"mode": "standard", "total_max_attempts": self.attempts},
            connect_timeout=self.connect,
            read_timeout=self.read,
            user_agent_extra="lambdapack",
            **more,
        )


CALLS = Patience()
"""For all calls but those below: 446 s at most."""
QUICK = Patience(attempts=2, connect=3, read=10)
"""For what only informs: whoever has no way to AWS should not wait a minute to learn that."""


def once(seconds: float) -> Patience:
    """For a call that may take ``seconds`` and must not be repeated, since it is paid for each time."""
    return Patience(attempts=1, read=seconds)


def make_client(session: Any, service: str, patience: Patience, **arguments: Any) -> Any:
    """A client of ``service``, whose errors say after what it gave up.

    Args:
        session: A ``boto3.Session``.
        service: boto3's name, e.g. ``lambda``.
        patience: How long AWS is waited for.
        arguments: For ``Session.client``; ``config`` is a mapping of settings of botocore's ``Config``.
    """
    config = patience.config(**arguments.pop("config", {}))
    client = session.client(service, config=config, **arguments)
    _tell_of_giving_up(client, patience)
    return client


def _tell_of_giving_up(client: Any, patience: Patience) -> None:
    def after_answer(parsed: dict[str, Any], **_: Any) -> None:
        metadata = parsed.get("ResponseMetadata", {})
        if metadata.get("MaxAttemptsReached"):
            metadata[_METADATA] = _words(metadata.get("RetryAttempts", 0) + 1, patience)

    def after_failure(exception: BaseException, context: Mapping[str, Any], **_: Any) -> None:
        attempt = (context.get("retries") or {}).get("attempt", 1)
        if attempt >= patience.attempts:
            setattr(exception, _METADATA, _words(attempt, patience))

    service = client.meta.service_model.service_id.hyphenize()
    client.meta.events.register(f"after-call.{service}", after_answer)
    client.meta.events.register(f"after-call-error.{service}", after_failure)


def _words(attempts: int, patience: Patience) -> str:
    noun = "attempt" if attempts == 1 else "attempts"
    return f"{attempts} {noun} in at most {patience.seconds:.0f} s"


def gave_up(error: Any) -> str:
    """``6 attempts in at most 446 s`` where botocore's ``error`` came after the last attempt, else ``""``."""
    response = getattr(error, "response", None) or {}
    metadata = response.get("ResponseMetadata", {}) if isinstance(response, Mapping) else {}
    return str(metadata.get(_METADATA) or getattr(error, _METADATA, ""))


def wait(client: Any, waiter: str, seconds: int, subject: Mapping[str, Any]) -> None:
    """Look once a second, ``seconds`` times at most, until what ``subject`` names is as the waiter wants.

    Raises:
        WaiterError: It has not become so, or never will; ``gave_up`` says how long was waited.
    """
    from botocore.exceptions import WaiterError  # noqa: PLC0415 - slow

    often = {"Delay": WAIT_EVERY, "MaxAttempts": max(1, seconds // WAIT_EVERY)}
    try:
        client.get_waiter(waiter).wait(**subject, WaiterConfig=often)
    except WaiterError as error:
        if "Max attempts exceeded" in str(error):
            setattr(error, _METADATA, f"{seconds} s")
        raise
