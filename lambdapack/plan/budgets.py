"""The bounds of the [budget] table: what each measures, in which unit, and what helps where it is broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, Literal, NamedTuple

from lambdapack import limits
from lambdapack.errors import ConfigurationError
from lambdapack.plan import checks
from lambdapack.plan.costs import CostOption
from lambdapack.plan.model import Budget, Check, Facts, Verdict


class Bound(NamedTuple):
    """What a key of the [budget] table bounds.

    Attributes:
        measure: The measurement; ``None`` where there is none, which breaks no bound.
        scale: How many of ``unit`` one of the key's own unit is.
        unit: As in ``Check``.
        fix: What helps where the bound is broken.
    """

    measure: Callable[[Facts, Verdict], float | None]
    scale: float
    unit: Literal["bytes", "seconds", "dollars"]
    fix: Callable[[Verdict], str]


def _leave_out(seen: Verdict) -> str:
    return f"{checks.largest(seen)} is the most: leave it out, or raise it"


def _leave_out_asset(seen: Verdict) -> str:
    return f"{checks.largest_asset(seen)} is the most: leave it out, or raise it"


def _cost(facts: Facts, seen: Verdict) -> float | None:
    return None if seen.costs is None else start_in_use(facts, seen).month


def _peak(facts: Facts, _: Verdict) -> float | None:
    """The highest peak of memory that was measured, in bytes."""
    peak = facts.calibrated.max_memory_mb if facts.calibrated else 0
    return peak * limits.MIB or None


BOUNDED: Final[Mapping[str, Bound]] = {
    "pack": Bound(lambda _, seen: seen.stored, limits.MB, "bytes", _leave_out),
    "hot": Bound(lambda _, seen: seen.hot, limits.MB, "bytes", _leave_out),
    "slimmed": Bound(lambda _, seen: seen.slimmed, limits.MB, "bytes", _leave_out),
    "tmp": Bound(checks.tmp_needed, limits.MIB, "bytes", _leave_out),
    "zip": Bound(lambda facts, _: facts.zip_bytes, limits.MB, "bytes", lambda _: checks.OWN_CODE),
    "assets": Bound(
        lambda _, seen: sum(asset.stored for asset in seen.assets), limits.MB, "bytes", _leave_out_asset
    ),
    "cold_start": Bound(
        lambda _, seen: seen.cold.parts.total if seen.cold else None,
        1,
        "seconds",
        lambda _: "`lambdapack profile` says which imports nothing uses",
    ),
    "memory": Bound(_peak, limits.MIB, "bytes", _leave_out),
    "cost": Bound(_cost, 1, "dollars", lambda _: "`lambdapack tune` finds the memory that costs least"),
}
"""Key of the table, and field of ``Budget`` -> what it bounds; ``growth`` is ``growth.py``'s."""


def budget(told: Mapping[str, float | str | None], *, traffic: bool) -> Budget:
    """The bounds of a [budget] table.

    Args:
        told: Each key of the table.
        traffic: Whether there is a traffic to bound the cost of.

    Raises:
        ConfigurationError: The cost is bounded, and no traffic is stated.
    """
    bounds = dict(told)
    growth = bounds.pop("growth", None)
    if bounds.get("cost") is not None and not traffic:
        raise ConfigurationError(
            f"[budget] cost = {bounds['cost']:g}: what a month costs hangs on how often the function is "
            "called, and no [traffic] is stated",
            hint="state invocations and duration in the [traffic] table, or leave cost out",
        )
    percent = float(growth.rstrip("%")) if isinstance(growth, str) else None
    megabytes = None if isinstance(growth, str) else growth
    kept = {key: float(bound) for key, bound in bounds.items() if bound is not None}
    return Budget(**kept, growth=megabytes, growth_percent=percent)


def budget_checks(facts: Facts, seen: Verdict, bounds: Budget) -> Iterator[Check]:
    """Each bound that the user set."""
    for key, bounded in BOUNDED.items():
        bound, measured = getattr(bounds, key), bounded.measure(facts, seen)
        if measured is None or bound is None:
            continue
        ok = measured <= bound * bounded.scale
        note = f"[budget] {key.replace('_', '-')}"
        if key == "cost":
            note += f", a month {start_in_use(facts, seen).kind}"
        yield Check(
            f"budget.{key}", "budget", measured, bound * bounded.scale, bounded.unit, ok, note,
            None if ok else bounded.fix(seen),
        )  # fmt: skip


def start_in_use(facts: Facts, seen: Verdict) -> CostOption:
    """What the stated traffic costs with the kind of start that the function is set to.

    ``[traffic] provisioned`` says that environments are kept ready: a function has no setting for that.
    """
    assert seen.costs is not None and facts.traffic is not None
    kind = "on-demand" if facts.traffic.provisioned is None else "provisioned-concurrency"
    if facts.snapshot is not None:
        kind = "snap-start"
    return next(option for option in seen.costs.options if option.kind == kind)
