"""Where a function could read its packs from: which places fit, and what each costs."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from lambdapack import limits
from lambdapack.model import Place
from lambdapack.plan.model import Facts, PlaceOption


def in_files(facts: Facts, place: Place) -> int:
    """Bytes of packs that are at ``place``, as things are."""
    own = _pack(facts) if facts.place == place else 0
    return own + sum(asset.stored for asset in facts.assets if asset.place == place)


def options(facts: Facts, eager_seconds: float) -> Iterator[PlaceOption]:
    """Each place, for the pack and the assets that go where the pack goes."""
    moving = _pack(facts) + sum(asset.stored for asset in facts.assets if asset.follows)
    # What the others take where they stay.
    fixed = sum(a.stored for a in facts.assets if not a.follows and a.place in ("zip", "layer"))
    own = (facts.own_bytes or 0) + fixed
    eager = _bytes(sum(facts.index.frame_stored[: facts.index.eager]))
    yield PlaceOption(
        "s3", own <= limits.UNZIPPED, own, 0, eager_seconds,
        f"{eager} over the link, while the handler is imported; needs a bucket, and a role that may read it",
    )  # fmt: skip
    before = (own + moving) / limits.MB * limits.CODE_SECONDS_PER_MB
    fits = own + moving <= limits.UNZIPPED
    over = f"{_bytes(own + moving)} unzipped, over Lambda's {_bytes(limits.UNZIPPED)}"
    large = (facts.own_zip_bytes or 0) + moving > limits.ZIP_DIRECT_UPLOAD
    note = "before init; a zip over 50 MiB is sent through a bucket" if large else "before init; no bucket"
    yield PlaceOption("zip", fits, own + moving, 0, before, note if fits else over)
    layers = ceil(moving / limits.LAYER_SIZE)
    note = "before init; no bucket, and new code is sent without the pack"
    fits = fits and layers <= limits.LAYERS
    yield PlaceOption("layer", fits, own + moving, layers, before, note if fits else over)
    note = "as fast as the file system is; needs one, and for AWS a VPC"
    yield PlaceOption("mount", own <= limits.UNZIPPED, own, 0, None, note)


def _pack(facts: Facts) -> int:
    return sum(facts.index.frame_stored) if facts.pack_bytes is None else facts.pack_bytes


def _bytes(size: int) -> str:
    return f"{size / limits.MB:,.1f} MB"
