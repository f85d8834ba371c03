"""A version of a function: what an environment of the local cloud runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from lambdapack.model import Files, FunctionSettings, Location, Target

# The settings that the local cloud makes so. Roles belong to AWS.
_SETTINGS = ("memory_mb", "tmp_mb", "timeout", "environment", "mount", "snap_start")


@dataclass(frozen=True)
class Function:
    """A function as it was published, which never changes.

    Attributes:
        name, handler, target, settings: As in ``FunctionSpec``.
        code: SHA-256 of the zip, and the name of the folder that the zip was unpacked to.
        pack_id, location: The pack, or ``None``.
        assets: Name -> id and location of each asset.
        opt: The name of the folder that the layers were unpacked to, ``""`` without layers.
        version: The version's number, ``""`` before it has one.
    """

    name: str
    handler: str
    target: Target
    code: str
    pack_id: str | None
    location: Location | Files | None
    settings: FunctionSettings
    assets: Mapping[str, tuple[str, Location | Files]] = field(default_factory=dict)
    opt: str = ""
    version: str = ""

    @property
    def locations(self) -> list[Location | Files]:
        """Where the function's packs are: its own and its assets'."""
        own = [self.location] if self.location else []
        return [*own, *(location for _, location in self.assets.values())]

    @property
    def objects(self) -> list[Location]:
        """The objects in S3 that the function may read."""
        return [location for location in self.locations if isinstance(location, Location)]

    @property
    def region(self) -> str:
        """The region that the function is told it runs in: the bucket's."""
        return self.location.region if isinstance(self.location, Location) else "us-east-1"

    @property
    def arn(self) -> str:
        """The function's ARN, with account 123456789012 as in AWS's own examples."""
        return f"arn:aws:lambda:{self.region}:123456789012:function:{self.name}"

    def as_dict(self) -> dict[str, Any]:
        """The function as a JSON document."""
        location = self.location
        return {
            "name": self.name,
            "version": self.version,
            "handler": self.handler,
            "target": str(self.target),
            "code": self.code,
            "pack_id": self.pack_id,
            "location": asdict(location) if location else None,
            "assets": {
                name: {"id": pack_id, "location": asdict(place)}
                for name, (pack_id, place) in self.assets.items()
            },
            "opt": self.opt,
            **{name: getattr(self.settings, name) for name in _SETTINGS},
            "environment": dict(self.settings.environment),
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Function:
        """The function of such a document."""
        values = {key: value for key, value in document.items() if key not in ("format", *_SETTINGS)}
        values["settings"] = FunctionSettings(
            **{name: document[name] for name in _SETTINGS if name in document}
        )
        values["target"] = Target.parse(values["target"])
        values["location"] = _location(values["location"]) if values["location"] else None
        values["assets"] = {
            name: (asset["id"], _location(asset["location"]))
            for name, asset in values.get("assets", {}).items()
        }
        return cls(**values)


def _location(document: Mapping[str, Any]) -> Location | Files:
    if "parts" not in document:
        return Location(**document)
    return Files(document["place"], tuple((path, first) for path, first in document["parts"]))
