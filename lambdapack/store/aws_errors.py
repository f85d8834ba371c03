"""What botocore raises, as lambdapack's own errors: what was being done, what AWS said, what helps.

The codes and exceptions that all services of AWS share are explained here. Those of one service stand beside
the code that calls it (``store/s3.py``, ``deploy/aws/errors.py``) and are looked through first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lambdapack.errors import ConfigurationError, LambdapackError, ToolError
from lambdapack.store.patience import gave_up

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

__all__ = ["Explanation", "Service", "code_of", "status_of", "translate"]


@dataclass(frozen=True)
class Explanation:
    """How one kind of error is told; ``message`` and ``hint`` are format strings.

    Attributes:
        of: AWS's error codes, or the names of botocore's exceptions.
        message: May name ``{code}`` and ``{said}``, which is AWS's or botocore's own text, and the caller's
            facts.
        hint: The same; ``""`` where there is no next step to name.
        kind: The error that it becomes, and so the exit status.
    """

    of: frozenset[str]
    message: str
    hint: str = ""
    kind: type[LambdapackError] = ToolError


@dataclass(frozen=True)
class Service:
    """How one service's errors are told.

    Attributes:
        explanations: Its own; the first that matches is taken, before those of all services.
        otherwise: A format string for an answer that none of the explanations fits.
    """

    explanations: tuple[Explanation, ...]
    otherwise: str


_SHARED = (
    Explanation(
        frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}),
        "the AWS credentials have expired ({code}: {said})",
        "renew them (aws sso login, or a new session token) and run it again",
    ),
    Explanation(
        frozenset({
            "AuthFailure", "IncompleteSignature", "InvalidAccessKeyId", "InvalidClientTokenId",
            "InvalidSignatureException", "SignatureDoesNotMatch", "UnrecognizedClientException",
        }),
        "AWS does not know these credentials ({code}: {said})",
        "aws sts get-caller-identity shows whose they are; AWS_PROFILE chooses others",
    ),
    Explanation(
        frozenset({"NoCredentialsError", "PartialCredentialsError", "ConfigNotFound"}),
        "there are no AWS credentials ({said})",
        "set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run: aws configure",
    ),
    Explanation(
        frozenset({"SSOTokenLoadError", "UnauthorizedSSOTokenError", "TokenRetrievalError"}),
        "the AWS login has expired ({said})",
        "run: aws sso login",
    ),
    Explanation(
        frozenset({"SSOError", "CredentialRetrievalError"}),
        "the AWS credentials could not be loaded ({said})",
        "run: aws sso login",
    ),
    Explanation(
        frozenset({"NoRegionError"}),
        "no AWS region is set ({said})",
        "set AWS_REGION, or region in the [store] table of lambdapack.toml",
        ConfigurationError,
    ),
    Explanation(
        frozenset({"ProfileNotFound"}),
        "no such profile ({said})",
        "check AWS_PROFILE against: aws configure list-profiles",
        ConfigurationError,
    ),
    Explanation(
        frozenset({"ParamValidationError", "InvalidRegionError"}), "{said}", kind=ConfigurationError
    ),
    Explanation(
        frozenset({"ResponseParserError"}),
        "the answer is not one of AWS's ({said})",
        "something between here and AWS answers in its stead: check proxies, the network's login page, and "
        "AWS_ENDPOINT_URL if it is set",
    ),
    Explanation(
        frozenset({"HTTPClientError", "ConnectionError"}),
        "cannot reach AWS ({said})",
        "check the network, the region, and AWS_ENDPOINT_URL if it is set",
    ),
)  # fmt: skip


def code_of(error: ClientError) -> str:
    """AWS's error code, e.g. ``NoSuchBucket``; the HTTP status (``404``) for an answer without a body."""
    return str(error.response.get("Error", {}).get("Code") or status_of(error) or "unknown")


def status_of(error: ClientError) -> int:
    """The HTTP status of AWS's answer, 0 where it is not known."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def translate(
    error: BotoCoreError | ClientError | ResponseParserError, doing: str, service: Service, **facts: str
) -> LambdapackError:
    """The error to raise instead of botocore's.

    Args:
        error: What botocore raised.
        doing: What was being done, e.g. ``creating the function demo``.
        service: How the errors of the service that was called are told.
        facts: Values for the explanations' format strings.
    """
    from botocore.exceptions import ClientError  # noqa: PLC0415 - slow

    if isinstance(error, ClientError):
        code = code_of(error)
        names, otherwise = {code}, service.otherwise
        facts |= {"code": code, "said": str(error.response.get("Error", {}).get("Message") or code).strip()}
    else:
        # The names of its base classes too: HTTPClientError stands for a dozen others.
        names, otherwise = {base.__name__ for base in type(error).__mro__}, "{said}"
        facts |= {"said": str(error)}
    rows = (*service.explanations, *_SHARED, Explanation(frozenset(names), otherwise))
    row = next(row for row in rows if names & row.of)
    waited = gave_up(error)
    message = row.message.format(**facts) + (f"; gave up after {waited}" if waited else "")
    return row.kind(f"{doing}: {message}", hint=row.hint.format(**facts) or None)
