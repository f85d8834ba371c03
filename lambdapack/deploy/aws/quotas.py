"""What an account may do: those of Lambda's limits that can be raised, as Service Quotas knows them."""

from __future__ import annotations

from typing import Any

from lambdapack import limits
from lambdapack.deploy.aws.errors import errors_of_aws
from lambdapack.store import patience
from lambdapack.store.aws_errors import code_of

_UNKNOWN = "NoSuchResourceException"


def read_quotas(region: str) -> dict[limits.Quota, float]:
    """Each of ``limits.QUOTAS`` with the account's value in ``region``.

    Service Quotas may know no value of an account that never had one raised: that one has AWS's default.

    Raises:
        LambdapackError: AWS cannot be asked, or does not let these credentials ask.
    """
    with errors_of_aws("reading the quotas of Lambda", action="servicequotas:GetServiceQuota"):
        import boto3  # noqa: PLC0415 - slow

        session = boto3.Session(region_name=region)
        client = patience.make_client(session, "service-quotas", patience.QUICK)
        return {quota: _value(client, quota) for quota in limits.QUOTAS}


def _value(client: Any, quota: limits.Quota) -> float:
    from botocore.exceptions import ClientError  # noqa: PLC0415 - slow

    try:
        answer = client.get_service_quota(ServiceCode="lambda", QuotaCode=quota.code)
    except ClientError as error:
        if code_of(error) == _UNKNOWN:
            return quota.default
        raise
    return float(answer["Quota"]["Value"])
