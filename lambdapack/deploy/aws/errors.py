"""What botocore raises while a function is deployed, as errors that say what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lambdapack.deploy.aws import denials
from lambdapack.errors import CheckError, ConfigurationError, LambdapackError, ToolError
from lambdapack.store.aws_errors import Explanation, Service, code_of, translate
from lambdapack.store.patience import gave_up

_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"})
_AWS = Service(
    (
        Explanation(
            frozenset({
                "LimitExceededException", "RequestLimitExceeded", "RequestThrottled", "SlowDown",
                "Throttling", "ThrottlingException", "TooManyRequestsException",
            }),
            "AWS throttles this account's calls ({code}: {said})",
            "wait a minute and run it again",
        ),
        Explanation(
            frozenset({"ResourceConflictException"}),
            "another change to it is in progress ({code}: {said})",
            "wait until lambdapack status says that it is active, then run it again",
        ),
        Explanation(
            frozenset({"CodeStorageExceededException", "RequestEntityTooLargeException"}),
            "it is larger than Lambda takes ({code}: {said})",
            "lambdapack plan shows where the bytes are; deleting old versions frees code storage",
            CheckError,
        ),
        Explanation(
            frozenset({"AccountLimitExceededException"}),
            "the account may not run more builds at a time ({code}: {said})",
            "wait for the builds that run, or ask for more in the Service Quotas console: AWS CodeBuild, "
            "concurrently running builds",
        ),
        Explanation(
            frozenset({
                "InvalidInputException", "InvalidParameterException", "InvalidParameterValueException",
                "InvalidRequestContentException", "MalformedPolicyDocument", "NoSuchBucket",
                "ValidationError", "ValidationException",
            }),
            "AWS refused it ({code}: {said})",
            kind=ConfigurationError,
        ),
    ),
    otherwise="AWS refused it ({code}: {said})",
)  # fmt: skip


def failures_of_aws() -> tuple[type[Exception], ...]:
    """What botocore raises where AWS refuses, is not reached, or something else answers for AWS."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - slow
    from botocore.parsers import ResponseParserError  # noqa: PLC0415 - slow

    return BotoCoreError, ClientError, ResponseParserError


@contextmanager
def errors_of_aws(doing: str, *, action: str = "", resource: str = "") -> Iterator[None]:
    """Let botocore's errors out of the block as lambdapack's.

    Args:
        doing: What is being done, e.g. ``creating the function demo``.
        action: IAM's name for it, e.g. ``lambda:CreateFunction``.
        resource: What it is done to.
    """
    try:
        yield
    except failures_of_aws() as error:
        raise explain(error, doing, action=action, resource=resource) from error


def explain(error: Any, doing: str, *, action: str = "", resource: str = "") -> LambdapackError:
    """The lambdapack error for one of botocore's; arguments as for ``errors_of_aws``."""
    from botocore.exceptions import ClientError, WaiterError  # noqa: PLC0415 - slow

    if isinstance(error, WaiterError) and "Error" in (error.last_response or {}):
        # It did not wait to the end: AWS would not say how far the change is.
        failed = ClientError(error.last_response, "Wait")
        return explain(failed, f"{doing}: waiting for the change", action=action, resource=resource)
    if isinstance(error, WaiterError):
        return ToolError(f"{doing}: {_why_waiting_failed(error)}", hint="lambdapack status shows its state")
    if isinstance(error, ClientError) and code_of(error) in _DENIED:
        said = str(error.response.get("Error", {}).get("Message", ""))
        return denials.explain(said, doing, action, resource)
    return translate(error, doing, _AWS)


def _why_waiting_failed(error: Any) -> str:
    response: Mapping[str, Any] = error.last_response or {}
    state = response.get("Configuration", response)
    reason = state.get("StateReason") or state.get("LastUpdateStatusReason")
    waited = gave_up(error)
    return f"it did not become active{f' within {waited}' if waited else ''}: {reason or error}"
