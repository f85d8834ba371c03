"""Whose the credentials are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lambdapack.deploy.aws.errors import failures_of_aws
from lambdapack.deploy.aws.models import Account
from lambdapack.store import patience


@dataclass(frozen=True)
class Identity:
    """Who calls.

    Attributes:
        account: The account and the region that would be called.
        arn: Of the user, or of the role's session.
        source: Where the credentials come from, in botocore's words: ``env``, ``sso`` …
        expires: When a session ends, where that is known.
        server_time: AWS's clock, as its answer showed.
    """

    account: Account
    arn: str
    source: str = ""
    expires: datetime | None = None
    server_time: str = ""


def ask(region: str | None) -> Identity:
    """Who calls, as AWS says.

    Raises:
        BotoCoreError, ClientError: There are no credentials, AWS refuses them, or cannot be reached.
    """
    import boto3  # noqa: PLC0415 - slow
    from botocore.exceptions import NoCredentialsError  # noqa: PLC0415 - slow

    session = boto3.Session(region_name=region)
    credentials: Any = session.get_credentials()
    if credentials is None:
        raise NoCredentialsError
    client = patience.make_client(session, "sts", patience.QUICK)
    said = client.get_caller_identity()
    account = Account(str(said["Account"]), str(said["Arn"]).split(":")[1], str(client.meta.region_name))
    headers = said.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    # Credentials that renew themselves say until when the present ones hold; others say nothing.
    expires = getattr(credentials, "_expiry_time", None)
    return Identity(
        account, str(said["Arn"]), str(credentials.method or ""), expires, headers.get("date", "")
    )


def identify(region: str | None) -> Identity | None:
    """Who calls; ``None`` where AWS cannot be asked."""
    try:
        return ask(region)
    except failures_of_aws():
        return None
