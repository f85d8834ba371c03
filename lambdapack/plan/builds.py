"""What two builds, or a distribution in one, come to in bytes: the facts and the differences.

Every size is in bytes. The shares of a build add up to its totals, so changes add up to the total change.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lambdapack.plan.graph import Graph


@dataclass(frozen=True)
class Sizes:
    """Bytes, or a difference in bytes.

    Attributes:
        installed: As pip installed.
        slimmed: In the pack, uncompressed.
        packed: Of the pack.
        hot: Of the frames that the trace touched.
    """

    installed: int = 0
    slimmed: int = 0
    packed: int = 0
    hot: int = 0

    def __add__(self, other: Sizes) -> Sizes:
        return Sizes(
            self.installed + other.installed,
            self.slimmed + other.slimmed,
            self.packed + other.packed,
            self.hot + other.hot,
        )

    def __sub__(self, other: Sizes) -> Sizes:
        return self + Sizes(-other.installed, -other.slimmed, -other.packed, -other.hot)


@dataclass(frozen=True)
class Share:
    """What is one distribution's in a build.

    Attributes:
        name: The canonical name; in parentheses what belongs to no distribution.
        version: The version; empty for what belongs to no distribution.
    """

    name: str
    version: str
    sizes: Sizes


@dataclass(frozen=True)
class Build:
    """A build, as far as it is compared with another.

    Attributes:
        id: The pack's.
        tool: What made the pack, e.g. ``lambdapack 0.1.0``.
        target: E.g. ``python3.11/x86_64``.
        python: The full version of the target's Python; empty where that is unknown.
        shares: By distribution; they add up to the pack.
        graph: Who needs whom.
    """

    id: str
    tool: str
    target: str
    python: str
    shares: tuple[Share, ...]
    graph: Graph

    @property
    def total(self) -> Sizes:
        """All shares together."""
        return sum_of(share.sizes for share in self.shares)


@dataclass(frozen=True)
class Change:
    """A distribution that is not in two builds alike.

    Attributes:
        name: The canonical name; in parentheses what belongs to no distribution.
        old, new: Its version in each build; ``None`` where it is not there.
        sizes: How many bytes it has more in the new build.
        chain: Of one that came or went: how the user came to it, the first being asked for; else empty.
    """

    name: str
    old: str | None
    new: str | None
    sizes: Sizes
    chain: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """``new``, ``gone``, ``version`` or ``size``: what happened to the distribution."""
        if self.old is None:
            return "new"
        if self.new is None:
            return "gone"
        return "size" if self.old == self.new else "version"


@dataclass(frozen=True)
class Comparison:
    """Two builds side by side.

    Attributes:
        old, new: The builds.
        changes: What changed: the largest change of the pack first.
    """

    old: Build
    new: Build
    changes: tuple[Change, ...]

    @property
    def total(self) -> Sizes:
        """How many bytes the new build has more: the changes add up to this."""
        return self.new.total - self.old.total

    @property
    def is_other_target(self) -> bool:
        """Whether the builds are for different targets or versions of Python."""
        return (self.old.target, self.old.python) != (self.new.target, self.new.python)


def sum_of(sizes: Iterable[Sizes]) -> Sizes:
    """All ``sizes`` together."""
    return sum(sizes, Sizes())


def compare(old: Build, new: Build) -> Comparison:
    """What is different in ``new``."""
    before, after = ({share.name: share for share in build.shares} for build in (old, new))
    changes = []
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name), after.get(name)
        if was == now:
            continue
        only_in = old if now is None else new if was is None else None
        chains = only_in.graph.chains(name) if only_in else ()
        changes.append(
            Change(
                name,
                None if was is None else was.version,
                None if now is None else now.version,
                (Sizes() if now is None else now.sizes) - (Sizes() if was is None else was.sizes),
                chains[0] if chains else (),
            )
        )
    changes.sort(key=lambda change: (-abs(change.sizes.packed), change.name))
    return Comparison(old, new, tuple(changes))


@dataclass(frozen=True)
class Reason:
    """Why a distribution is in a pack, and what it costs.

    Attributes:
        share: The distribution's own bytes.
        total: Of the whole pack.
        asked: Whether the user asks for it by name.
        needed_by: The distributions that need it themselves -> the versions that they take; empty for any.
        chains: How the user came to it: a shortest chain for each that needs it, if any.
        goes: What would go with it, since nothing else needs that.
        only_asked: What would stay only since the user asks for that too.
    """

    share: Share
    total: Sizes
    asked: bool
    needed_by: dict[str, str]
    chains: tuple[tuple[str, ...], ...]
    goes: tuple[Share, ...]
    only_asked: tuple[Share, ...]

    @property
    def saved(self) -> Sizes:
        """The bytes of the distribution and of all that goes as well."""
        return sum_of(share.sizes for share in (self.share, *self.goes))


def reason(build: Build, name: str) -> Reason:
    """Why ``name``, which the build's graph has, is in the pack."""
    shares, graph = {share.name: share for share in build.shares}, build.graph

    def ordered(names: Iterable[str]) -> tuple[Share, ...]:
        found = (shares[each] for each in names if each in shares)
        return tuple(sorted(found, key=lambda share: (-share.sizes.packed, share.name)))

    return Reason(
        share=shares.get(name, Share(name, "", Sizes())),
        total=build.total,
        asked=name not in graph.assumed and any(need.name == name for need in graph.asked),
        needed_by={
            parent: next(need.versions for need in graph.needs[parent] if need.name == name)
            for parent in graph.needed_by(name)
        },
        chains=graph.chains(name),
        goes=ordered(graph.goes_with(name)),
        only_asked=ordered(graph.only_asked(name)),
    )
