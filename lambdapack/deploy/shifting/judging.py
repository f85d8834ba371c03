"""Whether the new version does so much worse than the old one that the shift is undone. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lambdapack.deploy.shifting.traffic import Health

_CHANCE = 0.001
"""How probable so many errors are of a version that is no worse than allowed: a step is judged many times."""
_CALLS_FOR_A_MEAN = 30
"""Calls of each version before their durations are compared: the first ones come from cold environments."""
_DURATION_MS = 100.0
_INIT_MS = 1000.0
"""Differences of means below these are never too slow, whatever their ratio."""


@dataclass(frozen=True)
class Tolerance:
    """How much worse a new version may do.

    Attributes:
        max_errors: The share of failing calls that is always allowed, 0 to 1; above it, the old version's is.
        max_slowdown: How many times the old version's mean duration, or mean init, the new one's may be.
    """

    max_errors: float = 0.01
    max_slowdown: float = 3.0


def judge(new: Health, old: Health, tolerance: Tolerance) -> str | None:
    """Why the shift is to be undone, in words for a person; ``None`` where it may go on."""
    return _errors(new, old, tolerance) or _slowness(new, old, tolerance)


def in_alarm(names: Sequence[str]) -> str | None:
    """The same for alarms that are in alarm."""
    if not names:
        return None
    return f"the alarm {names[0]} is in alarm" if len(names) == 1 else f"in alarm: {', '.join(names)}"


def _errors(new: Health, old: Health, tolerance: Tolerance) -> str | None:
    """Errors count where chance does not explain them.

    What is measured against is the old version's share of errors, or the allowed one where that is larger.
    Few calls prove little: at 1 % allowed, two failures out of two are too many, one out of one is not yet.
    """
    allowed = max(tolerance.max_errors, old.errors / old.calls if old.calls else 0.0)
    if not new.errors or tail(new.errors, max(new.calls, new.errors), allowed) >= _CHANCE:
        return None
    return (
        f"{_share(new)} of its calls failed ({new.errors} of {new.calls}), of the old version's "
        f"{_share(old)} ({old.errors} of {old.calls}); max-errors allows {tolerance.max_errors * 100:g} %"
    )


def _slowness(new: Health, old: Health, tolerance: Tolerance) -> str | None:
    if min(new.calls, old.calls) >= _CALLS_FOR_A_MEAN:
        compared = [("its calls take", new.duration_ms, old.duration_ms, _DURATION_MS)]
    else:
        compared = []
    for what, mine, before, least in (*compared, ("its inits take", new.init_ms, old.init_ms, _INIT_MS)):
        if mine is None or not before or mine - before < least or mine <= before * tolerance.max_slowdown:
            continue
        return (
            f"{what} {mine:.0f} ms on average, {mine / before:.1f} times the old version's {before:.0f} ms; "
            f"max-slowdown allows {tolerance.max_slowdown:g} times"
        )
    return None


def tail(errors: int, calls: int, rate: float) -> float:
    """How probable ``errors`` or more are among ``calls`` that each fail with the probability ``rate``.

    1 where they are no more than are expected: such numbers prove nothing.
    """
    if errors <= calls * rate:
        return 1.0
    if rate <= 0:
        return 0.0
    logarithm = (
        math.lgamma(calls + 1) - math.lgamma(errors + 1) - math.lgamma(calls - errors + 1)
        + errors * math.log(rate) + ((calls - errors) * math.log1p(-rate) if calls > errors else 0.0)
    )  # fmt: skip
    term = total = math.exp(logarithm)
    for number in range(errors, calls):
        term *= (calls - number) / (number + 1) * rate / (1 - rate)
        total += term
        if term < total * 1e-12:
            break
    return total


def _share(health: Health) -> str:
    return f"{100 * health.errors / max(health.calls, 1):.0f} %"
