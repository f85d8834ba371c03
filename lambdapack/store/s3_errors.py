"""What botocore raises, as errors that say what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore import exceptions as boto
from botocore.exceptions import BotoCoreError, ClientError

from lambdapack.errors import ConfigurationError, LambdapackError, ToolError

__all__ = ["code_of", "explained", "region_of", "status_of"]

_RESUME = "run it again: what was sent already is kept and not sent twice"
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
# Codes (the bare status where the answer had no body), what to say, what to do.
_ANSWERS: tuple[tuple[frozenset[str], str, str], ...] = (
    (
        frozenset({"NoSuchBucket"}),
        "there is no bucket {bucket!r}",
        "check its name, or make it: aws s3 mb s3://{bucket}",
    ),
    (
        frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"}),
        "the AWS credentials have expired ({code})",
        "renew them (aws sso login, or a new session token) and run it again",
    ),
    (
        frozenset({
            "AuthorizationHeaderMalformed", "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidSecurity",
            "InvalidToken", "SignatureDoesNotMatch",
        }),
        "S3 does not accept the AWS credentials ({code})",
        "check which are in use: aws sts get-caller-identity",
    ),
    (
        frozenset({"AccessDenied", "AllAccessDisabled", "AccountProblem", "Forbidden", "403"}),
        "access to bucket {bucket!r} is forbidden ({said})",
        "the credentials need s3:ListBucket on arn:aws:s3:::{bucket}, and s3:PutObject, s3:GetObject, "
        "s3:ListMultipartUploadParts and s3:AbortMultipartUpload on arn:aws:s3:::{bucket}/*",
    ),
    (
        frozenset({"PermanentRedirect", "IllegalLocationConstraintException", "301"}),
        "bucket {bucket!r} is in {region}",
        "name its region with --region",
    ),
    (
        frozenset({"RequestTimeTooSkewed"}),
        "this machine's clock is wrong ({said})",
        "set the clock and run it again",
    ),
    (
        frozenset({
            "SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "500", "502", "503", "504",
        }),
        "S3 keeps failing ({code})",
        _RESUME,
    ),
)  # fmt: skip
_MISSING_CREDENTIALS = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.ConfigNotFound,
)
_EXPIRED_LOGIN = (boto.SSOTokenLoadError, boto.UnauthorizedSSOTokenError, boto.TokenRetrievalError)
_UNREACHABLE = (boto.ConnectionError, boto.HTTPClientError)


def code_of(error: ClientError) -> str:
    """S3's error code, e.g. ``NoSuchBucket``; the status, e.g. ``404``, for a response without a body."""
    return str(error.response.get("Error", {}).get("Code", ""))


def status_of(error: ClientError) -> int:
    """The HTTP status."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def region_of(error: ClientError) -> str | None:
    """The bucket's region, which S3 tells even to those whom it refuses."""
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = headers.get("x-amz-bucket-region") or error.response.get("Error", {}).get("Region")
    return str(region) if region else None


@contextmanager
def explained(doing: str, bucket: str) -> Iterator[None]:
    """Turn what botocore raises while ``doing`` (``"cannot push …"``) into our own errors."""
    try:
        yield
    except ClientError as error:
        raise _from_response(error, doing, bucket) from error
    except BotoCoreError as error:
        raise _from_client(error, doing) from error
    except OSError as error:
        raise ToolError(f"{doing}: {error}") from error


def _from_response(error: ClientError, doing: str, bucket: str) -> LambdapackError:
    code = code_of(error) or str(status_of(error))
    facts = {
        "bucket": bucket,
        "code": code,
        "said": error.response.get("Error", {}).get("Message") or code,
        "region": region_of(error) or "another region",
    }
    for codes, message, hint in _ANSWERS:
        if code in codes:
            return ToolError(f"{doing}: {message.format(**facts)}", hint=hint.format(**facts))
    return ToolError(f"{doing}: S3 answered {code}: {facts['said']}")


def _from_client(error: BotoCoreError, doing: str) -> LambdapackError:
    if isinstance(error, _MISSING_CREDENTIALS):
        return ToolError(
            f"{doing}: there are no AWS credentials ({error})",
            hint="set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run: aws configure",
        )
    if isinstance(error, _EXPIRED_LOGIN):
        return ToolError(f"{doing}: the AWS login has expired ({error})", hint="run: aws sso login")
    if isinstance(error, boto.ProfileNotFound):
        return ConfigurationError(f"{doing}: {error}", hint="check AWS_PROFILE against ~/.aws/config")
    if isinstance(error, _UNREACHABLE):
        return ToolError(
            f"{doing}: S3 cannot be reached: {error}",
            hint=f"check the network and AWS_ENDPOINT_URL_S3, then {_RESUME}",
        )
    if isinstance(error, (boto.ParamValidationError, boto.InvalidRegionError, boto.NoRegionError)):
        return ConfigurationError(f"{doing}: {error}")
    return ToolError(f"{doing}: {error}")
