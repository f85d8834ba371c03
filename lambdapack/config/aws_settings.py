"""What the ``[function]`` table says of AWS alone: keys, queues, tags, callers, secrets."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, PlainValidator, ValidationError

from lambdapack.config.fields import Section, Text, field
from lambdapack.model import Caller, SecretReference

KMS_KEY = r"^(arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+)?$"
"""A key's ARN: a policy cannot name a key by its alias."""
DEAD_LETTER = r"^(arn:aws[a-z-]*:(sqs|sns):[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]+(\.fifo)?)?$"
LAYER = r"^arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:layer:[A-Za-z0-9_-]+:\d+$"


class CallerTable(Section):
    """One of ``callers``."""

    principal: Text
    source_arn: str | None = field(None, "", "", pattern=r"^arn:aws[a-z-]*:.+$")
    source_account: str | None = field(None, "", "", pattern=r"^\d{12}$")
    organization: str | None = field(None, "", "", pattern=r"^o-[a-z0-9]{10,32}$")


def _caller(value: Any) -> Caller:
    try:
        table = CallerTable.model_validate(value)
    except ValidationError:
        raise ValueError(value) from None
    caller = Caller(table.principal, table.source_arn, table.source_account, table.organization)
    if caller.unbounded:
        raise ValueError(value)
    return caller


def _secrets(value: dict[str, str]) -> dict[str, str]:
    for text in value.values():
        SecretReference.parse(text)
    return value


CallerEntry = Annotated[Caller, PlainValidator(_caller)]
"""A table of ``callers``, as a caller that is bounded to somebody."""
Secrets = Annotated[dict[str, str], AfterValidator(_secrets)]
"""Environment variable -> reference."""
