"""Who may call a function, and where values are that must not stand in a file."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import Literal

_ARN_PARTS = 7
"""``arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME``."""
_SECRET = re.compile(r"(ssm|secretsmanager):(\S+)\Z")


@dataclass(frozen=True)
class Caller:
    """Who may call the alias ``live``, as a statement of its policy.

    Attributes:
        principal: A service, e.g. ``s3.amazonaws.com``, an account's number, or the ARN of a user or role.
        source_arn: The bucket, topic, rule … that calls; ``*`` and ``?`` match.
        source_account: The account which owns that.
        organization: Id of the organization whose accounts may call.
    """

    principal: str
    source_arn: str | None = None
    source_account: str | None = None
    organization: str | None = None

    @property
    def statement(self) -> str:
        """The statement's id, which is the caller's digest: the same caller is not written twice."""
        text = json.dumps(asdict(self), sort_keys=True)
        return f"lambdapack-{hashlib.sha256(text.encode()).hexdigest()[:24]}"

    @property
    def unbounded(self) -> bool:
        """Whether anybody could call: through a service that is not told for whom, or directly."""
        anybody = self.principal == "*" or "." in self.principal.partition(":")[0]
        return anybody and not (self.source_arn or self.source_account or self.organization)


@dataclass(frozen=True)
class SecretReference:
    """Where a value is kept that an environment variable is to have.

    Attributes:
        store: ``ssm``, the Parameter Store of Systems Manager, or ``secretsmanager``.
        id: Name or ARN there.
        key: Of a secret that is JSON, the key whose value is meant; ``None`` for the whole.
    """

    store: Literal["ssm", "secretsmanager"]
    id: str
    key: str | None = None

    @classmethod
    def parse(cls, text: str) -> SecretReference:
        """Read ``ssm:/path`` or ``secretsmanager:ID[:json-key]``.

        Raises:
            ValueError: It is neither.
        """
        match = _SECRET.match(text)
        if match is None:
            raise ValueError(f"{text!r} is neither ssm:NAME nor secretsmanager:ID")
        if match[1] == "ssm":
            return cls("ssm", match[2])
        parts = match[2].split(":")
        length = _ARN_PARTS if parts[0] == "arn" else 1
        name, key = ":".join(parts[:length]), ":".join(parts[length:])
        if len(parts) < length or not name or (len(parts) > length and not key):
            raise ValueError(f"{text!r} is not secretsmanager:ID or secretsmanager:ID:JSON-KEY")
        return cls("secretsmanager", name, key or None)

    def __str__(self) -> str:
        return ":".join(part for part in (self.store, self.id, self.key) if part)
