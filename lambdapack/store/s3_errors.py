"""What botocore raises when S3 was called, as errors that name the bucket and what helps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from lambdapack.errors import ToolError
from lambdapack.store.aws_errors import Explanation, Service, translate

_RESUME = "run it again: what was sent already is kept and not sent twice"
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_S3 = Service(
    (
        Explanation(
            frozenset({"NoSuchBucket"}),
            "there is no bucket {bucket!r}",
            "check its name, or make it: aws s3 mb s3://{bucket}",
        ),
        Explanation(
            frozenset({
                "AuthorizationHeaderMalformed", "InvalidAccessKeyId", "InvalidClientTokenId",
                "InvalidSecurity", "InvalidToken", "SignatureDoesNotMatch",
            }),
            "S3 does not accept the AWS credentials ({code})",
            "check which are in use: aws sts get-caller-identity",
        ),
        Explanation(
            frozenset({"AccessDenied", "AllAccessDisabled", "AccountProblem", "Forbidden", "403"}),
            "access to bucket {bucket!r} is forbidden ({said})",
            "the credentials need s3:ListBucket on arn:aws:s3:::{bucket}, and s3:PutObject, s3:GetObject, "
            "s3:ListMultipartUploadParts and s3:AbortMultipartUpload on arn:aws:s3:::{bucket}/*",
        ),
        Explanation(
            frozenset({"PermanentRedirect", "IllegalLocationConstraintException", "301"}),
            "bucket {bucket!r} is in {region}",
            "name its region with --region",
        ),
        Explanation(
            frozenset({"RequestTimeTooSkewed"}),
            "this machine's clock is wrong ({said})",
            "set the clock and run it again",
        ),
        Explanation(
            frozenset({
                "SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "500", "502", "503",
                "504",
            }),
            "S3 keeps failing ({code})",
            _RESUME,
        ),
        Explanation(
            frozenset({"HTTPClientError", "ConnectionError"}),
            "S3 cannot be reached: {said}",
            f"check the network and AWS_ENDPOINT_URL_S3, then {_RESUME}",
        ),
    ),
    otherwise="S3 answered {code}: {said}",
)  # fmt: skip


def region_of(error: ClientError) -> str | None:
    """The bucket's region, which S3 tells even to those whom it refuses."""
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = headers.get("x-amz-bucket-region") or error.response.get("Error", {}).get("Region")
    return str(region) if region else None


@contextmanager
def errors_of_s3(doing: str, bucket: str) -> Iterator[None]:
    """Turn what botocore raises while ``doing`` (``"cannot push …"``) into lambdapack's errors."""
    try:
        yield
    except ClientError as error:
        region = region_of(error) or "another region"
        raise translate(error, doing, _S3, bucket=bucket, region=region) from error
    except BotoCoreError as error:
        raise translate(error, doing, _S3, bucket=bucket) from error
    except OSError as error:
        raise ToolError(f"{doing}: {error}") from error
