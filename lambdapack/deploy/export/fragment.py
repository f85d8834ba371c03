"""What a function needs of the stack around it to run with a pack, whatever tool deploys the stack.

Values alone: the modules of the tools write them down, ``exporting`` gathers them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lambdapack.deploy.aws.models import ALIAS
from lambdapack.deploy.aws.naming import PACK_VARIABLE, describe, variables
from lambdapack.deploy.function import Dependencies
from lambdapack.errors import ConfigurationError
from lambdapack.model import FunctionSettings, Location, Place, Target

# A comma would divide a list of CloudFormation's, "*" and "?" mean any key to IAM, and "$" begins a
# variable in each of the tools' languages.
_KEY = re.compile(r"[A-Za-z0-9!_.'()=@:+ /-]+")
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
_PARTITIONS = (
    ("cn-", "aws-cn"),
    ("us-gov-", "aws-us-gov"),
    ("us-isob-", "aws-iso-b"),
    ("us-iso-", "aws-iso"),
)


@dataclass(frozen=True)
class Fragment:
    """All that a stack's function needs.

    Attributes:
        function: What the stack calls the function: a logical id in CloudFormation, a name elsewhere.
        target: Python and architecture; the function must have these.
        pack_id: The pack.
        place: Where the function reads the pack from.
        folder: The files' folder, relative to that of the project, as in ``a/b``.
        layers: The zips of the layers in that folder, in the order in which the function must have them.
        code: The function's own zip in that folder; ``None`` where the code stays as the project has it.
        handler: The function's handler with that zip; ``None`` where the handler stays as it is.
        environment: The variables that make the function start through the shim, and those that the
            configuration sets.
        records: The variables that say which packs the function reads, so that ``lambdapack gc`` keeps
            them: these alone change with a build.
        objects: The packs that the function reads from S3.
        tmp_mb, memory_mb, timeout: Ephemeral storage, and the settings of these names; ``None`` leaves the
            stack's own, as the default is enough.
        snap_start: Whether versions start from a snapshot.
    """

    function: str
    target: Target
    pack_id: str
    place: Place
    folder: str
    layers: tuple[str, ...] = ()
    code: str | None = None
    handler: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    records: Mapping[str, str] = field(default_factory=dict)
    objects: tuple[Location, ...] = ()
    tmp_mb: int | None = None
    memory_mb: int | None = None
    timeout: int | None = None
    snap_start: bool = False

    alias = ALIAS

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables, by name."""
        return dict(sorted({**self.environment, **self.records}.items()))

    @property
    def arns(self) -> tuple[str, ...]:
        """The objects that the function's role must be allowed to read."""
        return tuple(sorted({arn(location) for location in self.objects}))

    @property
    def statements(self) -> list[dict[str, Any]]:
        """What the function's role needs beside its log, as statements of a policy."""
        if not self.arns:
            return []
        return [
            {"Sid": "ReadItsPack", "Effect": "Allow", "Action": ["s3:GetObject"], "Resource": [*self.arns]}
        ]

    def path(self, name: str) -> str:
        """A file of the folder, under the name that the files of the project have for the file."""
        return f"{self.folder}/{name}"

    def document(self) -> dict[str, Any]:
        """The fragment for a machine."""
        return {
            "function": self.function,
            "pack": self.pack_id,
            "target": str(self.target),
            "runtime": self.target.runtime,
            "architecture": self.target.arch,
            "place": self.place,
            "layers": [self.path(name) for name in self.layers],
            "code": None if self.code is None else self.path(self.code),
            "handler": self.handler,
            "environment": self.variables,
            "statements": self.statements,
            "ephemeral_storage": self.tmp_mb,
            "memory": self.memory_mb,
            "timeout": self.timeout,
            "snap_start": self.snap_start,
            "alias": self.alias,
        }


def arn(location: Location) -> str:
    """The ARN of a pack in S3; its region tells the partition."""
    partition = next((name for start, name in _PARTITIONS if location.region.startswith(start)), "aws")
    return f"arn:{partition}:s3:::{location.bucket}/{location.key}"


def records(dependencies: Dependencies) -> dict[str, str]:
    """The variables from which ``naming.pack_of`` and ``naming.assets_of`` read the packs again."""
    text = describe(dependencies.pack_id, dependencies.location)
    return {PACK_VARIABLE: text, **variables(dependencies.assets, dependencies.location)}


def objects(dependencies: Dependencies) -> tuple[Location, ...]:
    """The packs that are read from S3.

    Raises:
        ConfigurationError: A key cannot be written down in every tool's language.
    """
    places = (dependencies.location, *(asset.location for asset in dependencies.assets))
    return tuple(_checked(place for place in places if isinstance(place, Location)))


def _checked(locations: Iterable[Location]) -> Iterable[Location]:
    for location in locations:
        if not _KEY.fullmatch(location.key):
            raise ConfigurationError(
                f"exporting: the key of s3://{location.bucket}/{location.key} has characters that mean "
                "something else in a template or a policy",
                hint="push the pack under a prefix of letters, digits, '-', '_', '.' and '/'",
            )
        yield location


def optional(settings: FunctionSettings, chosen: Iterable[str]) -> dict[str, Any]:
    """The settings that the configuration sets itself, as arguments of ``Fragment``."""
    given = set(chosen)
    return {
        "memory_mb": settings.memory_mb if "memory" in given else None,
        "timeout": settings.timeout if "timeout" in given else None,
        "snap_start": settings.snap_start,
    }
