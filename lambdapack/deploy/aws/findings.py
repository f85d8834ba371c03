"""What a look at an account or a bucket gives: a line each, with what mends it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lambdapack.deploy.aws.errors import explain
from lambdapack.errors import LambdapackError
from lambdapack.store.aws_errors import code_of, status_of

State = Literal["ok", "warn", "fail"]
_LONGEST = 300
"""Characters of what AWS, or whatever answers for AWS, said."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: The thing, in a word or two.
        state: ``warn``: it works less well, or was not seen; ``fail``: a deployment cannot work.
        found: What was seen.
        fix: What mends it; ``""`` where there is nothing to mend.
    """

    name: str
    state: State
    found: str
    fix: str = ""


def unseen(name: str, error: Any, action: str, resource: str = "") -> Finding:
    """What could not be looked at, and what would let these credentials look."""
    told: LambdapackError = explain(error, f"looking at {name}", action=action, resource=resource)
    said = " ".join((told.message.partition(": ")[2] or told.message).split())
    return Finding(name, "warn", said[:_LONGEST], told.hint or f"see that {action or 'the call'} is allowed")


def ask(call: Callable[..., Mapping[str, Any]], *absent: str, **parameters: Any) -> Mapping[str, Any] | None:
    """The answer; ``None`` where AWS says, with one of the codes ``absent`` or a 404, that there is none.

    Raises:
        ClientError, BotoCoreError: AWS refused, or was not reached.
    """
    from botocore.exceptions import ClientError  # noqa: PLC0415 - slow

    try:
        return call(**parameters)
    except ClientError as error:
        if code_of(error) in absent or status_of(error) == 404:
            return None
        raise
