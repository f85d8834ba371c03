"""What a collection looks at, what it may do, and what it will do: data alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lambdapack.store import Stored, Upload

LATEST = "$LATEST"
DAY = 86400
GRACE = 7 * DAY
"""By default nothing is removed that was written, pushed, deployed or replaced within these seconds."""
GRACE_MIN = 3600
"""A deployment may take so long from its look at a pack to its new version, and never longer."""


@dataclass(frozen=True)
class KnownVersion:
    """A version of a function, of ours or of others.

    Attributes:
        region, function, number: Which it is; the number is ``$LATEST`` for what is not published.
        arn: Its qualified ARN.
        modified: When the version was made, in seconds since 1970, by AWS's clock.
        ids: Every pack id that stands in the description or in an environment variable.
        code: The SHA-256 of the zip, in hex.
        layers: The ARNs of the layers, each with its version.
        ours: Whether a deployment of lambdapack published it: its description says so.
        readable: Whether Lambda showed the environment; without, nobody knows what the version needs.
    """

    region: str
    function: str
    number: str
    arn: str = ""
    modified: float = 0.0
    ids: frozenset[str] = frozenset()
    code: str = ""
    layers: frozenset[str] = frozenset()
    ours: bool = False
    readable: bool = True

    @property
    def name(self) -> str:
        """For people: ``demo:7 in eu-central-1``."""
        return f"{self.function}:{self.number} in {self.region}"


@dataclass(frozen=True)
class KnownLayer:
    """A version of a layer that a deployment made.

    Attributes:
        shared: Whether others were given the right to use the layer.
    """

    region: str
    layer: str
    number: int
    arn: str
    size: int
    created: float
    shared: bool = False

    @property
    def name(self) -> str:
        """For people: ``lambdapack-0123…:1 in eu-central-1``."""
        return f"{self.layer}:{self.number} in {self.region}"


Thing = KnownVersion | KnownLayer | Stored


@dataclass(frozen=True)
class Seen:
    """All that a collection knows.

    Attributes:
        now: By S3's clock, in seconds since 1970.
        objects: What lambdapack keeps in the locations.
        uploads: Unfinished uploads of packs.
        versions: All versions of all functions in the regions that were looked at.
        layers: Layers of ours there.
        held: ARN of a version -> why it cannot go (an alias names the version, and so on).
        builds: The ids of packs that were built on this machine.
    """

    now: float
    objects: tuple[Stored, ...] = ()
    uploads: tuple[Upload, ...] = ()
    versions: tuple[KnownVersion, ...] = ()
    layers: tuple[KnownLayer, ...] = ()
    held: Mapping[str, str] = field(default_factory=dict)
    builds: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Rules:
    """What the user asked for.

    Attributes:
        grace: Seconds.
        keep: Of each function of ``names``, leave so many of the newest published versions; ``None``: all.
        names: The functions whose old versions may go.
    """

    grace: float = GRACE
    keep: int | None = None
    names: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Removal:
    """One thing that goes, and why."""

    what: Thing
    why: str


@dataclass(frozen=True)
class Kept:
    """One thing that stays, and why."""

    what: Thing
    why: str


@dataclass(frozen=True)
class GcPlan:
    """What a collection will do: versions first, so that nothing is called whose pack goes."""

    versions: tuple[Removal, ...] = ()
    layers: tuple[Removal, ...] = ()
    objects: tuple[Removal, ...] = ()
    kept: tuple[Kept, ...] = ()

    @property
    def removals(self) -> tuple[Removal, ...]:
        """All of them, in the order in which they are made."""
        return (*self.versions, *self.layers, *self.objects)

    @property
    def size(self) -> int:
        """Bytes that will be free, in S3 and of Lambda's code storage for layers."""
        return sum(size_of(removal.what) for removal in self.removals)


def size_of(thing: Thing) -> int:
    """Bytes that go with the thing; of a version that is not known, 0."""
    return 0 if isinstance(thing, KnownVersion) else thing.size


def identity(thing: Thing) -> str:
    """What tells the thing from all others."""
    if isinstance(thing, Stored):
        return thing.url
    return thing.arn or thing.name
