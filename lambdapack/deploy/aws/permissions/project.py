"""A project, as far as permissions depend on it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from lambdapack.deploy.aws import naming
from lambdapack.model import FunctionSettings, Place

PLACEHOLDER = "ACCOUNT"
"""Stands for the account's number where that is not known."""
BUCKET = "BUCKET"
"""Stands for the bucket's name where that is not known."""


@dataclass(frozen=True)
class Project:
    """What the resources' names follow from.

    Attributes:
        name: The function's name.
        region: The function's region.
        account: The account's number, or ``PLACEHOLDER``.
        partition: ``aws``, ``aws-cn`` or ``aws-us-gov``.
        buckets: Bucket and prefix of each place where packs are kept; the first is the function's own.
        places: Every place that the function reads packs from.
        settings: How Lambda runs the function.
        keys: ARNs of the KMS keys that the buckets encrypt with.
        large_zip: Whether the function's zip is too large for a call, and so goes through the bucket.
        builder: Who builds the packs: ``codebuild`` is a service of AWS.
    """

    name: str
    region: str
    account: str = PLACEHOLDER
    partition: str = "aws"
    buckets: tuple[tuple[str, str], ...] = ()
    places: frozenset[Place] = frozenset({"s3"})
    settings: FunctionSettings = field(default_factory=FunctionSettings)
    keys: tuple[str, ...] = ()
    large_zip: bool = False
    builder: str = "auto"

    @property
    def facts(self) -> frozenset[str]:
        """What rows of the table depend on.

        ``s3``, ``layer``, ``zip`` and ``mount``: where packs are read from; ``own_role``: a role is made for
        the function; ``large_zip``; ``key``: a bucket encrypts with a key of its owner; ``ssm`` and
        ``secretsmanager``: where secrets are read from; and the name of each setting that is not left at its
        default.
        """
        defaults = FunctionSettings()
        chosen = {
            each.name
            for each in fields(FunctionSettings)
            if getattr(self.settings, each.name) != getattr(defaults, each.name)
        }
        known = {"own_role": self.settings.role is None, "large_zip": self.large_zip, "key": bool(self.keys)}
        chosen |= {each.store for each in self.settings.secrets.values()}
        return frozenset(chosen | {name for name, holds in known.items() if holds} | self.places)

    def arn(self, service: str, rest: str, *, region: bool = True, account: bool = True) -> str:
        """``arn:PARTITION:SERVICE:REGION:ACCOUNT:REST``, with either left empty where a service has none."""
        where = self.region if region else ""
        whose = self.account if account else ""
        return f"arn:{self.partition}:{service}:{where}:{whose}:{rest}"

    @property
    def role(self) -> str:
        """ARN of the function's role: the one that is given, or the one that is made."""
        given = self.settings.role
        return given or self.arn("iam", f"role/{naming.role_name(self.name, self.region)}", region=False)
