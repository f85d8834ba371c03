"""What a plan is made from and what it says. Sizes in bytes unless a name says otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from runtime_shim._index import Index

__all__ = ["AssetFacts", "Budget", "Check", "Facts", "LibraryFacts", "Row", "Sized", "Verdict"]


class Sized(Protocol):
    """A distribution as the build reports it: name, version, what it imports as, and its sizes."""

    @property
    def name(self) -> str:
        """Canonical name."""

    @property
    def version(self) -> str:
        """Its version."""

    @property
    def top_level(self) -> Sequence[str]:
        """Names that it adds to ``import``."""

    @property
    def installed_bytes(self) -> int:
        """As pip installed it."""

    @property
    def slimmed_bytes(self) -> int:
        """As it is in the pack."""


@dataclass(frozen=True)
class AssetFacts:
    """An asset.

    Attributes:
        name: Its name.
        fetch: ``start``: in the background of a cold start; ``use``: when it is first asked for.
        stored: Its pack's frames, in bytes: what comes over the link.
        stream: Its tar stream, in bytes.
        size: Its files, in bytes.
        files: How many there are.
    """

    name: str
    fetch: str
    stored: int
    stream: int
    size: int
    files: int


@dataclass(frozen=True)
class LibraryFacts:
    """A shared library that files of the pack ask for and neither it nor Lambda has.

    Attributes:
        name: Its soname.
        users: How many files ask for it.
        fatal: Whether the function will fail for want of it, as far as is known.
        note: Who needs it, and how that is known.
        fix: What helps.
    """

    name: str
    users: int
    fatal: bool
    note: str
    fix: str


@dataclass(frozen=True)
class Facts:
    """What is known about a function before it is deployed.

    Attributes:
        index: The pack's index.
        pack_bytes: Size of the ``.tar.zst``, with its index; ``None`` if only the index is at hand.
        distributions: What the build says of each distribution; empty if there is no build report.
        owners: Path in the pack -> distribution, where the build knows; else it is told from names.
        zip_bytes, unzipped_bytes: The function's own zip; ``None`` before it is packaged.
        tmp_mb, memory_mb: The function's settings.
        mode: How the shim will work: ``stream`` or ``disk``.
        assets: The function's assets.
        missing: Shared libraries that the pack asks for and nobody has.
    """

    index: Index
    pack_bytes: int | None = None
    distributions: tuple[Sized, ...] = ()
    owners: Mapping[str, str] | None = None
    zip_bytes: int | None = None
    unzipped_bytes: int | None = None
    tmp_mb: int = 512
    memory_mb: int = 1769
    mode: Literal["stream", "disk"] = "stream"
    assets: tuple[AssetFacts, ...] = ()
    missing: tuple[LibraryFacts, ...] = ()


@dataclass(frozen=True)
class Budget:
    """Bounds that the user sets: megabytes of 1,000,000 bytes; ``tmp_mb`` in Lambda's own (2**20)."""

    pack_mb: float | None = None
    hot_mb: float | None = None
    slimmed_mb: float | None = None
    tmp_mb: float | None = None
    zip_mb: float | None = None
    assets_mb: float | None = None


@dataclass(frozen=True)
class Row:
    """One distribution.

    Attributes:
        name: Its name; in parentheses what belongs to none.
        version: Its version, ``""`` if unknown.
        installed: As pip installed it, ``None`` if unknown.
        slimmed: Its files in the pack, uncompressed.
        stored: Its share of the pack.
        hot: Its share of the frames that the trace touched.
    """

    name: str
    version: str
    installed: int | None
    slimmed: int
    stored: int
    hot: int


@dataclass(frozen=True)
class Check:
    """One measurement against one bound.

    Attributes:
        name: What is measured, e.g. ``unzipped``.
        kind: ``limit``: Lambda refuses or fails; ``budget``: the user set it; ``advice``: it only costs.
        measured, limit: Both in ``unit``; ``measured`` may be at most ``limit``.
        unit: ``bytes``, ``seconds`` or ``files``.
        ok: Whether it is within.
        note: What the figure is made of, for people.
        fix: The cheapest change that mends it, ``None`` if it is within.
    """

    name: str
    kind: Literal["limit", "budget", "advice"]
    measured: float
    limit: float
    unit: Literal["bytes", "seconds", "files"]
    ok: bool
    note: str
    fix: str | None = None


@dataclass(frozen=True)
class Verdict:
    """Whether it fits, and where the bytes are.

    Attributes:
        target: The pack's, e.g. ``python3.11/x86_64``.
        rows: By distribution, the largest share of the pack first; they add up to the totals.
        checks: Limits first.
        installed: All distributions as installed, ``None`` if unknown.
        slimmed, stored, hot, eager: Of the pack: its files uncompressed, its size, and the compressed
            bytes touched by the trace and needed before the first invocation.
        without_lambdapack: What the function and all its dependencies would be unzipped, if known.
        tmp_stream, tmp_disk, tmp_all: /tmp that ``stream`` mode needs before the first invocation, that
            ``disk`` mode needs, and that ``stream`` mode ends at once everything was asked for; assets
            included.
        hot_seconds, eager_seconds: Those bytes over Lambda's link.
        tmp_mb, memory_mb, mode: The settings that it was measured against.
        assets: The function's assets.
        assets_seconds: Those that are fetched at the start, over Lambda's link.
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

    @property
    def failed(self) -> tuple[Check, ...]:
        """The limits and budgets that are broken; advice is not among them."""
        return tuple(check for check in self.checks if not check.ok and check.kind != "advice")

    @property
    def ok(self) -> bool:
        """Whether no limit and no budget is broken."""
        return not self.failed
