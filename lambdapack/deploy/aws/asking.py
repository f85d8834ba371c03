"""Reads of AWS whose answer may be that there is no such thing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lambdapack.deploy.aws.errors import errors_of_aws
from lambdapack.store.aws_errors import code_of

_ABSENT = frozenset({
    "ResourceNotFoundException", "ProvisionedConcurrencyConfigNotFoundException", "NoSuchEntity", "404",
    "ApplicationDoesNotExistException", "DeploymentGroupDoesNotExistException",
})  # fmt: skip


def ask(
    call: Callable[..., Mapping[str, Any]], action: str, resource: str, **parameters: Any
) -> Mapping[str, Any] | None:
    """The answer, or ``None`` where AWS has no such resource."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - slow

    with errors_of_aws(f"looking at {resource}", action=action, resource=resource):
        try:
            return call(**parameters)
        except ClientError as error:
            if code_of(error) in _ABSENT:
                return None
            raise
