"""AWS's errors in words: what was being done, what AWS said, what to do next."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lambdapack.errors import CheckError, ConfigurationError, LambdapackError, ToolError

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

__all__ = ["code_of", "explained", "translate"]

_EXPIRED = frozenset(["ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"])
_UNKNOWN_KEY = frozenset(
    [
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "InvalidSignatureException",
        "AuthFailure",
        "IncompleteSignature",
    ]
)
_DENIED = frozenset(["AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"])
_THROTTLED = frozenset(
    [
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "SlowDown",
        "RequestThrottled",
        "LimitExceededException",
    ]
)
_WRONG_INPUT = frozenset(
    [
        "InvalidParameterValueException",
        "ValidationException",
        "ValidationError",
        "InvalidParameterException",
        "MalformedPolicyDocument",
        "NoSuchBucket",
        "InvalidRequestContentException",
    ]
)
_SIZE = frozenset(["RequestEntityTooLargeException", "CodeStorageExceededException"])
# Codes, the error they become, the message and the hint.
_REFUSALS: tuple[tuple[frozenset[str], type[LambdapackError], str, str | None], ...] = (
    (_EXPIRED, ToolError, "the AWS credentials have expired", "aws sso login, or refresh them"),
    (
        _UNKNOWN_KEY,
        ToolError,
        "AWS does not know these credentials",
        "aws sts get-caller-identity shows whose they are; AWS_PROFILE chooses others",
    ),
    (_THROTTLED, ToolError, "AWS throttles this account's calls", "wait a minute and run it again"),
    (
        frozenset({"ResourceConflictException"}),
        ToolError,
        "another change to it is in progress",
        "wait until lambdapack status says that it is active, then run it again",
    ),
    (
        _SIZE,
        CheckError,
        "it is larger than Lambda takes",
        "lambdapack plan shows where the bytes are; deleting old versions frees code storage",
    ),
    (_WRONG_INPUT, ConfigurationError, "AWS refused it", None),
)
_WHO_MAY_WHAT = re.compile(
    r"(?:User|user): (?P<who>\S+) is not authorized to perform: (?P<action>\S+)"
    r"(?: on resource: (?P<resource>.+?))?"
    r"(?: because|\Z| with an)"
)


def code_of(error: ClientError) -> str:
    """AWS's error code, e.g. ``ResourceNotFoundException``."""
    return str(error.response.get("Error", {}).get("Code", "unknown"))


@contextmanager
def explained(doing: str, *, action: str = "", resource: str = "") -> Iterator[None]:
    """Let botocore's errors out of the block as lambdapack's.

    Args:
        doing: What is being done, e.g. ``creating the function demo``.
        action: IAM's name for it, e.g. ``lambda:CreateFunction``.
        resource: What it is done to.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - slow

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise translate(error, doing, action=action, resource=resource) from error


def translate(error: Exception, doing: str, *, action: str = "", resource: str = "") -> LambdapackError:
    """The lambdapack error for one of botocore's."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - slow

    if isinstance(error, ClientError):
        return _refused(error, doing, action, resource)
    return _not_reached(error, doing)


def _refused(error: ClientError, doing: str, action: str, resource: str) -> LambdapackError:
    code = code_of(error)
    said = str(error.response.get("Error", {}).get("Message", "")).strip()
    if code in _DENIED:
        return _denied(said, doing, action, resource)
    for codes, kind, message, hint in _REFUSALS:
        if code in codes:
            return kind(f"{doing}: {message} ({code}: {said})", hint=hint)
    return ToolError(f"{doing}: AWS refused it ({code}: {said})")


def _denied(said: str, doing: str, action: str, resource: str) -> ToolError:
    found = _WHO_MAY_WHAT.search(said)
    who = "these credentials"
    if found:
        who, action = found["who"], found["action"]
        resource = found["resource"] or resource
    on = f" on {resource}" if resource else ""
    return ToolError(
        f"{doing}: {who} may not {action or 'do this'}{on}",
        hint=f"allow {action} there, or use other credentials (AWS_PROFILE)" if action else None,
    )


def _not_reached(error: Exception, doing: str) -> LambdapackError:
    from botocore import exceptions as boto  # noqa: PLC0415 - slow  # noqa: PLC0415 - slow

    if isinstance(error, boto.WaiterError):
        return ToolError(f"{doing}: {_why_waiting_failed(error)}", hint="lambdapack status shows its state")
    # Kinds of error, the error they become, the message and the hint.
    known: tuple[tuple[tuple[type[Exception], ...], type[LambdapackError], str, str], ...] = (
        (
            (boto.NoCredentialsError, boto.PartialCredentialsError),
            ToolError,
            "there are no AWS credentials",
            "aws configure, or set AWS_PROFILE",
        ),
        (
            (boto.SSOError, boto.TokenRetrievalError, boto.CredentialRetrievalError),
            ToolError,
            "the AWS credentials could not be loaded",
            "aws sso login",
        ),
        (
            (boto.NoRegionError,),
            ConfigurationError,
            "no AWS region is set",
            "set AWS_REGION, or region in the [store] table of lambdapack.toml",
        ),
        ((boto.ProfileNotFound,), ConfigurationError, "no such profile", "aws configure list-profiles"),
        (
            (boto.HTTPClientError, boto.ConnectionError),
            ToolError,
            "cannot reach AWS",
            "check the network, the region, and AWS_ENDPOINT_URL if it is set",
        ),
    )
    for kinds, kind, message, hint in known:
        if isinstance(error, kinds):
            return kind(f"{doing}: {message} ({error})", hint=hint)
    return ToolError(f"{doing}: {error}")


def _why_waiting_failed(error: Any) -> str:
    response: Mapping[str, Any] = error.last_response or {}
    state = response.get("Configuration", response)
    reason = state.get("StateReason") or state.get("LastUpdateStatusReason")
    return f"it did not become active: {reason or error}"
