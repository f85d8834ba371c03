"""What a plan is made from, and the verdict that it gives. Sizes in bytes unless a name says otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal, Protocol

from lambdapack.model import Place
from lambdapack.plan.cold import Constants, Prediction, Work
from lambdapack.plan.costs import Costs, Traffic
from lambdapack.plan.graph import Graph
from runtime_shim._index import Index


class SizedDistribution(Protocol):
    """A distribution as the build reports it: name, version, what it imports as, and its sizes."""

    @property
    def name(self) -> str:
        """Canonical name."""

    @property
    def version(self) -> str:
        """The installed version."""

    @property
    def top_level(self) -> Sequence[str]:
        """Names that it adds to ``import``."""

    @property
    def installed_bytes(self) -> int:
        """Size as pip installed the distribution."""

    @property
    def slimmed_bytes(self) -> int:
        """Size of its files in the pack."""


@dataclass(frozen=True)
class AssetFacts:
    """An asset, in bytes.

    Attributes:
        name: What the handler calls the asset.
        fetch: ``start``: in the background of a cold start; ``use``: when it is first asked for.
        stored: The frames of the asset's pack: what comes over the link.
        stream: The tar stream.
        size: The files.
        files: How many files there are.
        place: Where the function reads it from.
        follows: Whether that is where it reads its pack from, whichever that is.
    """

    name: str
    fetch: str
    stored: int
    stream: int
    size: int
    files: int
    place: Place = "s3"
    follows: bool = True


@dataclass(frozen=True)
class LibraryFacts:
    """A shared library that files of the pack ask for and neither it nor Lambda has.

    Attributes:
        name: The library's soname.
        users: How many files ask for the library.
        fatal: Whether the function will fail for want of it, as far as is known.
        note: Who needs the library, and how that is known.
        fix: What helps.
    """

    name: str
    users: int
    fatal: bool
    note: str
    fix: str


@dataclass(frozen=True)
class Calibration:
    """What the prediction of a cold start rests on.

    Attributes:
        constants, work: As the model takes them.
        error: By what share the model was off.
        imports: Milliseconds of import by distribution; empty where no start was profiled.
        max_memory_mb: The highest peak of memory, 0 where none was measured.
    """

    constants: Constants
    work: Work
    error: float
    imports: Mapping[str, float] = field(default_factory=dict)
    max_memory_mb: int = 0


@dataclass(frozen=True)
class Estimate:
    """What sizes rest on that were estimated before a build.

    Attributes:
        wheels: How many wheels were looked into.
        within: By how much the pack of a build usually differs, as a part of what was estimated.
        unknown: Distributions without a wheel, which count as nothing.
    """

    wheels: int
    within: float
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """What is known about a function before it is deployed.

    Attributes:
        index: The pack's index.
        pack_bytes: Size of the ``.tar.zst``, with its index; ``None`` if only the index is at hand.
        distributions: What the build says of each distribution; empty if there is no build report.
        zip_bytes, unzipped_bytes: The function's own zip; ``None`` before it is packaged.
        tmp_mb, memory_mb: The function's settings.
        mode: How the shim will work: ``stream`` or ``disk``.
        assets: The function's assets.
        missing: Shared libraries that the pack asks for and that neither it nor Lambda has.
        place: Where the function reads its pack from.
        own_zip_bytes, own_bytes: The function's zip without any pack, and unzipped; ``None`` as above.
        timeout: The function's timeout in seconds.
        snapshot: What the snapshot of SnapStart holds, ``needed`` or ``all``; ``None`` without SnapStart.
        refused: What Lambda refuses of the function's name, settings and runtime, each in words.
        today: The day that the runtime's end is measured against; ``None`` leaves that out.
        region: Whose prices the function has.
        traffic: How often it is called; ``None`` leaves its costs out.
        calibrated: What real starts told of the function; ``None`` takes typical figures.
        graph: Who needs whom in the pack; ``None`` where that is unknown: then no step leaves any out.
        estimate: What the sizes were estimated from, where nothing is built yet.
    """

    index: Index
    pack_bytes: int | None = None
    distributions: tuple[SizedDistribution, ...] = ()
    zip_bytes: int | None = None
    unzipped_bytes: int | None = None
    tmp_mb: int = 512
    memory_mb: int = 1769
    mode: Literal["stream", "disk"] = "stream"
    assets: tuple[AssetFacts, ...] = ()
    missing: tuple[LibraryFacts, ...] = ()
    place: Place = "s3"
    own_zip_bytes: int | None = None
    own_bytes: int | None = None
    timeout: int = 30
    snapshot: Literal["needed", "all"] | None = None
    refused: tuple[str, ...] = ()
    today: date | None = None
    region: str = "us-east-1"
    traffic: Traffic | None = None
    calibrated: Calibration | None = None
    graph: Graph | None = None
    estimate: Estimate | None = None


@dataclass(frozen=True)
class PlaceOption:
    """A place that the pack could be in, with the assets that have none of their own.

    Attributes:
        place: ``s3``, ``zip``, ``layer`` or ``mount``.
        fits: Whether Lambda would take the function.
        unzipped: Bytes of zip and layers, unzipped.
        layers: How many layers the packs would take, if they fill them.
        seconds: What a cold start is predicted to take then; ``None`` where that cannot be predicted.
        note: When the packs come, and what the place needs, for people.
    """

    place: Place
    fits: bool
    unzipped: int
    layers: int
    seconds: float | None
    note: str


@dataclass(frozen=True)
class Placement:
    """Where the pack and each asset go.

    Attributes:
        pack: The pack's place.
        assets: Asset -> its place.
        seconds: What a cold start is predicted to take then.
    """

    pack: Place
    assets: Mapping[str, Place]
    seconds: float


@dataclass(frozen=True)
class Step:
    """One change that helps where a function does not fit.

    Attributes:
        words: What to do, for people.
        setting: The configuration's key, e.g. ``function.tmp``; empty where distributions are left out.
        value: What to set it to; ``None`` where an asset is left out.
        leaves_out: Distributions that go, first the one that is no longer asked for.
        gains: Broken check -> how much nearer its bound is, in the check's unit.
        mends: The broken checks that hold then.
        suffices: Whether the function fits then, without another step.
        month: Dollars a month that it costs more; ``None`` where no traffic is stated.
        cost: The same for people.
    """

    words: str
    setting: str = ""
    value: int | str | bool | None = None
    leaves_out: tuple[str, ...] = ()
    gains: Mapping[str, float] = field(default_factory=dict)
    mends: tuple[str, ...] = ()
    suffices: bool = False
    month: float | None = None
    cost: str = "nothing"


@dataclass(frozen=True)
class SnapshotCost:
    """What SnapStart costs, in US dollars.

    Attributes:
        month: For each published version, in 30 days, for as long as the version exists.
        restore: For each restore.
        gb_second, gb_restore: The prices that both are made of, for each GB of memory.
        region: Whose prices they are.
    """

    month: float
    restore: float
    gb_second: float
    gb_restore: float
    region: str = "us-east-1"


@dataclass(frozen=True)
class Budget:
    """Bounds that the user sets, named as in the [budget] table; ``budgets.BOUNDED`` says what each bounds.

    Megabytes of 1,000,000 bytes, ``tmp`` and ``memory`` in Lambda's own (2**20); ``cold_start`` in
    seconds, ``cost`` in dollars a month. Of the pack's
    growth since an earlier build, either ``growth`` in megabytes or ``growth_percent`` of what it was.
    """

    pack: float | None = None
    hot: float | None = None
    slimmed: float | None = None
    tmp: float | None = None
    zip: float | None = None
    assets: float | None = None
    cold_start: float | None = None
    memory: float | None = None
    cost: float | None = None
    growth: float | None = None
    growth_percent: float | None = None


@dataclass(frozen=True)
class Row:
    """One distribution, in bytes.

    Attributes:
        name: The canonical name; in parentheses what belongs to no distribution.
        version: The version, ``""`` if unknown.
        installed: As pip installed the distribution, ``None`` if unknown.
        slimmed: Its files in the pack, uncompressed.
        stored: Its share of the pack.
        hot: Its share of the frames that the trace touched.
        import_ms: What its imports take, as profiled; ``None`` where no start was.
    """

    name: str
    version: str
    installed: int | None
    slimmed: int
    stored: int
    hot: int
    import_ms: float | None = None


@dataclass(frozen=True)
class Check:
    """One measurement against one bound.

    Attributes:
        name: What is measured, e.g. ``unzipped``.
        kind: ``limit``: Lambda refuses or fails; ``budget``: the user set it; ``advice``: it only costs.
        measured, limit: Both in ``unit``; ``measured`` may be at most ``limit``.
        unit: ``bytes``, ``seconds``, ``dollars``, ``files``, ``days`` or ``settings``.
        ok: Whether ``measured`` is within ``limit``.
        note: What the figure is made of, for people.
        fix: The cheapest change that mends it, ``None`` where ``ok``.
    """

    name: str
    kind: Literal["limit", "budget", "advice"]
    measured: float
    limit: float
    unit: Literal["bytes", "seconds", "dollars", "files", "days", "settings"]
    ok: bool
    note: str
    fix: str | None = None


@dataclass(frozen=True)
class ColdStart:
    """What a cold start is predicted to take.

    Attributes:
        parts: The prediction, in seconds.
        error: By what share the model was off where it was compared with real starts, in the median.
        assumptions: What the prediction rests on, for people.
    """

    parts: Prediction
    error: float
    assumptions: tuple[str, ...]


@dataclass(frozen=True)
class Verdict:
    """Whether a function fits Lambda, and where its bytes are.

    Attributes:
        target: The pack's, e.g. ``python3.11/x86_64``.
        rows: By distribution, the largest share of the pack first; they add up to the totals.
        checks: Every measurement, limits first.
        installed: All distributions as installed, ``None`` if unknown.
        slimmed, stored, hot, eager: Of the pack: its files uncompressed, its size, and the compressed
            bytes touched by the trace and needed before the first invocation.
        without_lambdapack: What the function and all its dependencies would be unzipped, if known.
        tmp_stream, tmp_disk, tmp_all: /tmp that ``stream`` mode needs before the first invocation, that
            ``disk`` mode needs, and that ``stream`` mode ends at once everything was asked for; assets
            included.
        hot_seconds, eager_seconds: How long ``hot`` and ``eager`` take over Lambda's link.
        tmp_mb, memory_mb, mode: The settings that the checks were made against.
        assets: The function's assets.
        assets_seconds: How long the assets that are fetched at the start take over Lambda's link.
        place: Where the function reads its pack from.
        places: Where it could.
        snap_start: What SnapStart costs, ``None`` without it.
        costs: What the traffic costs with each kind of start, ``None`` where no traffic is stated.
        cold: The predicted cold start.
        fastest: The places with which a cold start waits the shortest; ``None`` where no choice fits.
        steps: What helps where something is broken, the cheapest first.
        together: Numbers of those steps, from 0, that suffice together where no setting does alone.
        estimated: What the sizes were estimated from; ``None`` for those of a build.
    """

    target: str
    rows: tuple[Row, ...]
    checks: tuple[Check, ...]
    installed: int | None
    slimmed: int
    stored: int
    hot: int
    eager: int
    without_lambdapack: int | None
    tmp_stream: int
    tmp_disk: int
    tmp_all: int
    hot_seconds: float
    eager_seconds: float
    tmp_mb: int
    memory_mb: int
    mode: Literal["stream", "disk"]
    assets: tuple[AssetFacts, ...] = ()
    assets_seconds: float = 0.0
    place: Place = "s3"
    places: tuple[PlaceOption, ...] = ()
    snap_start: SnapshotCost | None = None
    costs: Costs | None = None
    cold: ColdStart | None = None
    fastest: Placement | None = None
    steps: tuple[Step, ...] = ()
    together: tuple[int, ...] = ()
    estimated: Estimate | None = None

    @property
    def failed(self) -> tuple[Check, ...]:
        """The limits and budgets that are broken; advice is not among them."""
        return tuple(check for check in self.checks if not check.ok and check.kind != "advice")

    @property
    def ok(self) -> bool:
        """Whether every limit and every budget is kept."""
        return not self.failed
