"""Where a function could read its packs from: which places fit, what each costs, and which is the fastest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from math import ceil

from lambdapack import limits
from lambdapack.model import Place
from lambdapack.plan.cold_start import predicted
from lambdapack.plan.model import Facts, Placement, PlaceOption

Starts = Callable[[Facts], float | None]
_CHOSEN = 6
"""Of how many packs every combination of places is weighed."""


def in_files(facts: Facts, place: Place) -> int:
    """Bytes of packs that are at ``place``, as things are."""
    own = _pack(facts) if facts.place == place else 0
    return own + sum(asset.stored for asset in facts.assets if asset.place == place)


def starts(facts: Facts) -> Starts:
    """How long a cold start takes with the packs of ``facts`` elsewhere, in seconds; unknown of a mount.

    Zip and layers are there before init begins; the pack in S3 comes while the handler is imported, and
    assets behind it.
    """
    near, linked = (predicted(facts, place).total for place in ("zip", "s3"))

    def seconds(there: Facts) -> float | None:
        if there.place == "mount":
            return None
        local = (there.own_bytes or 0) + in_files(there, "zip") + in_files(there, "layer")
        link = sum(each.stored for each in there.assets if each.fetch == "start" and each.place == "s3")
        before = local / limits.MB * limits.CODE_SECONDS_PER_MB
        behind = link / limits.LINK_BYTES_PER_SECOND
        return before + (linked if there.place == "s3" else near) + behind

    return seconds


def fits(facts: Facts) -> bool:
    """Whether Lambda takes the function with its packs where they are, and its init ends in time."""
    files = (facts.own_bytes or 0) + in_files(facts, "zip") + in_files(facts, "layer")
    fetched = eager_bytes(facts) if facts.place == "s3" else 0
    return (
        files <= limits.UNZIPPED
        and ceil(in_files(facts, "layer") / limits.LAYER_SIZE) <= limits.LAYERS
        and fetched / limits.LINK_BYTES_PER_SECOND <= init_timeout(facts)
    )


def init_timeout(facts: Facts) -> float:
    """Seconds after which an init is killed."""
    if facts.snapshot is None:
        return limits.INIT_TIMEOUT
    return max(limits.INIT_TIMEOUT_LONG, facts.timeout)


def eager_bytes(facts: Facts) -> int:
    """Bytes of the pack that a start fetches: with everything in the snapshot, all of them."""
    stored = facts.index.frame_stored
    return sum(stored if facts.snapshot == "all" else stored[: facts.index.eager])


def at(facts: Facts, pack: Place, assets: tuple[Place, ...]) -> Facts:
    """The facts with the pack and each asset at a place of its own."""
    moved = (replace(a, place=place, follows=False) for a, place in zip(facts.assets, assets, strict=True))
    return replace(facts, place=pack, assets=tuple(moved))


def fastest(facts: Facts) -> Placement | None:
    """The places that fit with which a cold start waits the shortest; ``None`` where none fits.

    A mount is the user's own: what is there stays there, and nothing else goes there. Of more packs than a
    few, the smallest stay in S3.
    """
    if facts.place == "mount":
        return None
    sizes = [_pack(facts), *(asset.stored for asset in facts.assets)]
    large = sorted(range(len(sizes)), key=lambda number: -sizes[number])[:_CHOSEN]
    start = starts(facts)
    now = (facts.place, *(asset.place for asset in facts.assets))
    best: tuple[float, int, tuple[Place, ...]] | None = None
    for chosen in product(*(_choices(now[n], movable=n in large or n == 0) for n in range(len(now)))):
        there = at(facts, chosen[0], chosen[1:])
        seconds = start(there)
        if seconds is None or not fits(there):
            continue
        moves = sum(place != before for place, before in zip(chosen, now, strict=True))
        if best is None or (seconds, moves) < best[:2]:
            best = (seconds, moves, chosen)
    if best is None:
        return None
    names = (asset.name for asset in facts.assets)
    return Placement(best[2][0], dict(zip(names, best[2][1:], strict=True)), best[0])


def _choices(place: Place, *, movable: bool) -> tuple[Place, ...]:
    if place == "mount":
        return ("mount",)
    return ("s3", "zip", "layer") if movable else ("s3",)


def options(facts: Facts) -> Iterator[PlaceOption]:
    """Each place, for the pack and the assets that go where the pack goes."""
    start = starts(facts)
    moving = _pack(facts) + sum(asset.stored for asset in facts.assets if asset.follows)
    # What the others take where they stay.
    fixed = sum(a.stored for a in facts.assets if not a.follows and a.place in ("zip", "layer"))
    own = (facts.own_bytes or 0) + fixed
    eager = _bytes(sum(facts.index.frame_stored[: facts.index.eager]))
    yield PlaceOption(
        "s3", own <= limits.UNZIPPED, own, 0, _seconds(facts, start, "s3"),
        f"{eager} over the link, while the handler is imported; needs a bucket, and a role that may read it",
    )  # fmt: skip
    fits = own + moving <= limits.UNZIPPED
    over = f"{_bytes(own + moving)} unzipped, over Lambda's {_bytes(limits.UNZIPPED)}"
    large = (facts.own_zip_bytes or 0) + moving > limits.ZIP_DIRECT_UPLOAD
    note = "before init; a zip over 50 MiB is sent through a bucket" if large else "before init; no bucket"
    yield PlaceOption("zip", fits, own + moving, 0, _seconds(facts, start, "zip"), note if fits else over)
    layers = ceil(moving / limits.LAYER_SIZE)
    note = "before init; no bucket, and new code is sent without the pack"
    fits = fits and layers <= limits.LAYERS
    yield PlaceOption(
        "layer", fits, own + moving, layers, _seconds(facts, start, "layer"), note if fits else over
    )
    note = "as fast as the file system is; needs one, and for AWS a VPC"
    yield PlaceOption("mount", own <= limits.UNZIPPED, own, 0, None, note)


def _seconds(facts: Facts, start: Starts, place: Place) -> float | None:
    """What a start takes with the pack, and the assets that follow, at ``place``."""
    assets = tuple(place if asset.follows else asset.place for asset in facts.assets)
    return start(at(facts, place, assets))


def _pack(facts: Facts) -> int:
    return sum(facts.index.frame_stored) if facts.pack_bytes is None else facts.pack_bytes


def _bytes(size: int) -> str:
    return f"{size / limits.MB:,.1f} MB"
