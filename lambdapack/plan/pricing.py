"""From the facts of a function to what it costs: which prices, how many requests, what SnapStart refuses."""

from __future__ import annotations

from lambdapack import limits
from lambdapack.model import Target
from lambdapack.plan import places, prices
from lambdapack.plan.costs import MONTH, Costs, Shape, compare
from lambdapack.plan.model import Facts, SnapshotCost
from runtime_shim._fetch import connections_for, cut


def snapshot_cost(facts: Facts) -> SnapshotCost:
    """What SnapStart costs with the function's memory."""
    gigabytes, price = facts.memory_mb / 1024, _prices(facts)
    second, restore = price.cached_gb_second, price.restored_gb
    return SnapshotCost(gigabytes * second * MONTH, gigabytes * restore, second, restore, price.region)


def costs(facts: Facts, *, init_seconds: float) -> Costs | None:
    """What the traffic costs, ``None`` where none is stated.

    Args:
        facts: The function.
        init_seconds: What init takes where the traffic does not say.
    """
    if facts.traffic is None:
        return None
    shape = Shape(
        memory_mb=facts.memory_mb,
        tmp_mb=facts.tmp_mb,
        init_seconds=init_seconds,
        gets=_gets(facts),
        s3_bytes=places.in_files(facts, "s3"),
        refused=_no_snap_start(facts),
    )
    return compare(facts.traffic, shape, _prices(facts), asked=facts.region)


def tmp_price(facts: Facts, tmp_mb: int) -> str:
    """In words what it costs to have ``tmp_mb`` instead, where no traffic is stated."""
    more = max(0, tmp_mb - max(facts.tmp_mb, limits.TMP_DEFAULT_MB)) / 1024
    if not more:
        return "nothing"
    price = more * _prices(facts).tmp_gb_second
    return f"${price * 1e6:.3f} for a million seconds in handler and init"


def _prices(facts: Facts) -> prices.Prices:
    return prices.of(facts.region, Target.parse(facts.index.target).arch)


def _gets(facts: Facts) -> int:
    """Requests to S3 of a cold start that goes well; one for each asset that is fetched then, at least."""
    assets = sum(asset.fetch == "start" and asset.place == "s3" for asset in facts.assets)
    if facts.place != "s3":
        return assets
    stored = facts.index.frame_stored
    several = connections_for({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(facts.memory_mb)}) > 1
    frames = range(len(stored) if facts.mode == "disk" else facts.index.eager)
    return assets + len(cut(list(frames), stored, bounded=several))


def _no_snap_start(facts: Facts) -> str | None:
    """Why Lambda would not take the function with SnapStart."""
    python, most = limits.SNAP_START_PYTHON, limits.SNAP_START_TMP_MB
    if Target.parse(facts.index.target).version < python:
        return "needs Python {}.{} or later".format(*python)
    if facts.tmp_mb > most:
        return f"takes at most {most} MB of tmp"
    return "takes no mounted file system" if facts.place == "mount" else None
