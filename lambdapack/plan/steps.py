"""What helps where a function does not fit: single changes, each with what it gains and costs.

First settings that cost nothing, then those that cost money, then leaving something out, by gain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations
from math import ceil

from lambdapack import limits
from lambdapack.model import Target
from lambdapack.plan import pricing
from lambdapack.plan.budgets import start_in_use
from lambdapack.plan.changes import apply
from lambdapack.plan.checks import STEP_MB, tmp_needed
from lambdapack.plan.model import Facts, Step, Verdict

__all__ = ["apply", "cheapest", "with_steps"]

_LEFT_OUT = 8
"""How many distributions are weighed that could be left out."""
_TOGETHER = 3
"""How many steps are tried together at most."""
_CENT = 0.005

Judge = Callable[[Facts], Verdict]
"""What is found of changed facts."""


def with_steps(verdict: Verdict, facts: Facts, judge: Judge) -> Verdict:
    """A negative ``verdict`` with the steps that help, and with those that suffice together."""
    settings = [*_weighed(_free(facts), verdict, facts, judge)]
    settings += _weighed(_paid(facts, verdict), verdict, facts, judge)
    least = sorted(_weighed(_less(facts, verdict), verdict, facts, judge), key=lambda s: -_part(s, verdict))
    found = (*settings, *least)
    return replace(verdict, steps=found, together=_together(found, verdict, facts, judge))


def cheapest(verdict: Verdict) -> str:
    """In words the first step that suffices, else those that do together, else the first."""
    suffice = [step for step in verdict.steps if step.suffices and _is_setting(step)]
    chosen = suffice[:1] or [verdict.steps[number] for number in verdict.together]
    chosen = chosen or [step for step in verdict.steps if step.suffices] or list(verdict.steps)
    together = chosen if verdict.together and not suffice else chosen[:1]
    return ", and ".join(step.words for step in together)


def _free(facts: Facts) -> Iterator[Step]:
    """Settings that cost nothing."""
    for place in ("s3", "layer", "zip"):
        if place != facts.place != "mount":
            yield _setting("function.place", place)
    for asset in facts.assets:
        if asset.place in ("zip", "layer"):
            yield _setting(f"assets.{asset.name}.place", "s3")
        if asset.fetch == "start":
            yield _setting(f"assets.{asset.name}.fetch", "use")
    if facts.mode == "disk":
        yield Step("leave LAMBDAPACK_MODE = \"disk\" out of [function.environment]",
                   "function.environment.LAMBDAPACK_MODE", "stream")  # fmt: skip
    if facts.snapshot == "all":
        yield _setting("function.snapshot", "needed")
    yield Step("set sources = false in [slim]: tracebacks then show no lines", "slim.sources", False)


def _paid(facts: Facts, verdict: Verdict) -> Iterator[Step]:
    """Settings that cost money."""
    wanted = ceil(tmp_needed(facts, verdict) / limits.MIB / STEP_MB) * STEP_MB
    if wanted > facts.tmp_mb and facts.snapshot is None and facts.tmp_mb < limits.TMP_MAX_MB:
        yield _setting("function.tmp", min(wanted, limits.TMP_MAX_MB))
    if facts.snapshot is None and _has_snap_start(facts):
        yield _setting("function.snap-start", True)


def _has_snap_start(facts: Facts) -> bool:
    return (
        Target.parse(facts.index.target).version >= limits.SNAP_START_PYTHON
        and facts.tmp_mb <= limits.SNAP_START_TMP_MB
        and facts.place != "mount"
    )


def _less(facts: Facts, verdict: Verdict) -> Iterator[Step]:
    """Assets, and distributions that the user asks for, each with all that only it needs."""
    for asset in facts.assets:
        yield Step(f"leave the asset {asset.name} out", f"assets.{asset.name}")
    if facts.graph is None:
        return
    sizes = {row.name: row.slimmed + row.stored for row in verdict.rows}
    asked = sorted({need.name for need in facts.graph.asked})
    found = [(name, facts.graph.goes_with(name)) for name in asked]
    # Without what alone was asked for, nothing is left.
    found = [(name, goes) for name, goes in found if not {name, *goes}.issuperset(asked)]
    found.sort(key=lambda each: -sum(sizes.get(name, 0) for name in (each[0], *each[1])))
    for name, goes in found[:_LEFT_OUT]:
        largest = sorted(goes, key=lambda other: (-sizes.get(other, 0), other))
        yield Step(f"leave {name} out{_with(largest)}", leaves_out=(name, *largest))


def _with(names: list[str]) -> str:
    if not names:
        return ""
    shown, more = names[:3], len(names) - 3
    return f", and with it {', '.join(shown)}" + (f" and {more} more" if more > 0 else "")


def _setting(key: str, value: int | str | bool) -> Step:
    table, _, name = key.rpartition(".")
    shown = f'"{value}"' if isinstance(value, str) else str(value).lower()
    return Step(f"set {name} = {shown} in [{table}]", key, value)


def _weighed(steps: Iterator[Step], before: Verdict, facts: Facts, judge: Judge) -> Iterator[Step]:
    """Those of ``steps`` that bring something nearer its bound and break nothing, with what each does."""
    for step in steps:
        changed = apply(step, facts)
        after = judge(changed)
        gains = {name: gain for name, gain in _gains(before, after).items() if gain > 0}
        failed = {check.name for check in after.failed}
        if not gains or failed - {check.name for check in before.failed}:
            continue
        mends = tuple(check.name for check in before.failed if check.name not in failed)
        month = _month(after, changed) - _month(before, facts) if before.costs and after.costs else None
        yield replace(
            step, gains=gains, mends=mends, suffices=after.ok, month=month, cost=_cost(step, month, facts)
        )


def _gains(before: Verdict, after: Verdict) -> dict[str, float]:
    """Broken check -> how much nearer its bound is; one that is no longer made is not broken any more."""
    now = {check.name: check for check in after.checks}
    return {
        check.name: check.measured - check.limit - (now[check.name].measured - now[check.name].limit)
        if check.name in now
        else check.measured - check.limit
        for check in before.failed
    }


def _part(step: Step, verdict: Verdict) -> float:
    """The largest part of what is too much of anything that a step takes away."""
    over = {check.name: check.measured - check.limit for check in verdict.failed}
    return max(gain / max(over[name], 1e-9) for name, gain in step.gains.items())


def _month(verdict: Verdict, facts: Facts) -> float:
    return start_in_use(facts, verdict).month


def _cost(step: Step, month: float | None, facts: Facts) -> str:
    if month is not None:
        if abs(month) < _CENT:
            return "nothing"
        return f"${abs(month):,.2f} a month{'' if month > 0 else ' less'}"
    if step.setting == "function.tmp":
        assert isinstance(step.value, int)
        return pricing.tmp_price(facts, step.value)
    if step.setting == "function.snap-start":
        cost = pricing.snapshot_cost(facts)
        return f"${cost.month:,.2f} a month for each version, ${cost.restore:.6f} a restore"
    return "nothing"


def _together(steps: tuple[Step, ...], verdict: Verdict, facts: Facts, judge: Judge) -> tuple[int, ...]:
    """The numbers of the fewest steps that suffice together, the cheapest first; none where one does.

    Where leaving something out would do, several that take less away together are named all the same.
    """
    if any(step.suffices and _is_setting(step) for step in steps):
        return ()
    tried = [number for number, step in enumerate(steps) if not step.suffices]
    for count in range(2, _TOGETHER + 1):
        for chosen in combinations(tried, count):
            if (
                _covers(tuple(steps[number] for number in chosen), verdict)
                and judge(_applied(tuple(steps[number] for number in chosen), facts)).ok
            ):
                return chosen
    return ()


def _is_setting(step: Step) -> bool:
    return step.value is not None


def _covers(chosen: tuple[Step, ...], verdict: Verdict) -> bool:
    """Whether steps can suffice at all: each setting once, and gains that add up to what is too much."""
    settings = [step.setting for step in chosen if step.setting]
    if len(settings) != len(set(settings)):
        return False
    return all(
        sum(step.gains.get(check.name, 0.0) for step in chosen) >= (check.measured - check.limit) * _SLACK
        for check in verdict.failed
    )


_SLACK = 0.9
"""What gains may fall short of and still suffice together: /tmp is counted in blocks."""


def _applied(steps: tuple[Step, ...], facts: Facts) -> Facts:
    for step in steps:
        facts = apply(step, facts)
    return facts
