"""From sizes and limits to a verdict, as values, as a document, and as an error where it is negative."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from lambdapack import limits
from lambdapack.errors import CheckError
from lambdapack.plan import budgets, checks, cold_start, places, pricing, steps, words
from lambdapack.plan.builds import Comparison, Share, Sizes, compare
from lambdapack.plan.growth import explained_check, growth_check
from lambdapack.plan.model import Budget, Facts, Row, Verdict
from lambdapack.plan.shares import owners_by_name, stored_by_file
from runtime_shim._index import ARENA
from runtime_shim._space import bytes_on_disk

VERSION = 1
"""The JSON document's version; rises when a key changes its meaning or goes."""
_BLOCK = 4096
"""What a file of an asset rounds up to in /tmp, at most."""
_FILE_SYSTEM = 32
"""One part in so many of /tmp is the file system's own; the shim counts the same way."""
_NO_BUDGET = Budget()


def assess(facts: Facts, budget: Budget = _NO_BUDGET, growth: Comparison | None = None) -> Verdict:
    """Measure ``facts`` against Lambda's limits and the user's ``budget``; if broken, say what helps.

    ``growth`` compares the build with an earlier one, where there is one.
    """

    def judge(changed: Facts) -> Verdict:
        return _judge(changed, budget, None if growth is None else _grown(growth, changed))

    verdict = replace(_judge(facts, budget, growth), fastest=places.fastest(facts))
    return verdict if verdict.ok else steps.with_steps(verdict, facts, judge)


def _grown(growth: Comparison, facts: Facts) -> Comparison:
    """The comparison, with ``facts`` as the new build."""
    shares = (
        Share(row.name, row.version, Sizes(row.installed or 0, row.slimmed, row.stored, row.hot))
        for row in rows(facts)
    )
    return compare(growth.old, replace(growth.new, shares=tuple(shares)))


def _judge(facts: Facts, budget: Budget, growth: Comparison | None) -> Verdict:
    """Measure and check, without a look at what would help."""
    measured = _measured(facts)
    found = [
        *checks.checks(facts, measured),
        *budgets.budget_checks(facts, measured, budget),
        *checks.advice(facts, measured),
        *cold_start.checks(facts, measured.cold),
    ]
    if growth is not None:
        found = [explained_check(check, growth) for check in (*found, *growth_check(growth, budget))]
    return replace(measured, checks=tuple(found))


def _measured(facts: Facts) -> Verdict:
    """All but the checks."""
    index, speed = facts.index, limits.LINK_BYTES_PER_SECOND
    start = cold_start.cold_start(facts)
    installed = sum(d.installed_bytes for d in facts.distributions) if facts.distributions else None
    stored, hot, eager = (sum(index.frame_stored[:end]) for end in (None, index.hot, index.eager))
    return Verdict(
        target=index.target,
        rows=rows(facts),
        checks=(),
        installed=installed,
        slimmed=sum(index.sizes),
        stored=stored if facts.pack_bytes is None else facts.pack_bytes,
        hot=hot,
        eager=eager,
        without_lambdapack=None if installed is None else installed + _own(facts),
        tmp_stream=_tmp(facts, index.eager, arena=True),
        tmp_disk=_tmp(facts, len(index.frame_stored), arena=False),
        tmp_all=_tmp(facts, len(index.frame_stored), arena=True),
        hot_seconds=hot / speed if facts.place == "s3" else 0.0,
        eager_seconds=eager / speed if facts.place == "s3" else 0.0,
        tmp_mb=facts.tmp_mb,
        memory_mb=facts.memory_mb,
        mode=facts.mode,
        assets=facts.assets,
        assets_seconds=sum(
            asset.stored for asset in facts.assets if asset.fetch == "start" and asset.place == "s3"
        )
        / speed,
        place=facts.place,
        places=tuple(places.options(facts)),
        estimated=facts.estimate,
        snap_start=None if facts.snapshot is None else pricing.snapshot_cost(facts),
        costs=pricing.costs(facts, init_seconds=start.parts.init),
        cold=start,
    )


def _own(facts: Facts) -> int:
    """The function's own files, unzipped, without its packs; 0 where they are unknown."""
    if facts.own_bytes is not None:
        return facts.own_bytes
    packed = places.in_files(facts, "zip") + places.in_files(facts, "layer")
    return 0 if facts.unzipped_bytes is None else max(0, facts.unzipped_bytes - packed)


def rows(facts: Facts) -> tuple[Row, ...]:
    """The bytes of each distribution, the largest share of the pack first; they add up to the pack."""
    index = facts.index
    stored, hot = stored_by_file(index)
    sums: dict[str, list[int]] = {each.name: [0, 0, 0] for each in facts.distributions}
    for file, owner in enumerate(owners_by_name(index.paths, facts.distributions)):
        row = sums.setdefault(owner, [0, 0, 0])
        for column, value in enumerate((index.sizes[file], stored[file], hot[file])):
            row[column] += value
    framed = sum(index.frame_stored)
    # An empty pack still has frames; and the pack is more than its frames.
    rest = (framed if facts.pack_bytes is None else facts.pack_bytes) - sum(stored)
    if rest:
        sums["(index)"] = [0, rest, sum(index.frame_stored[: index.hot]) - sum(hot)]
    known = {each.name: (each.version, each.installed_bytes) for each in facts.distributions}
    times = facts.calibrated.imports if facts.calibrated else {}
    found = []
    for name, columns in sums.items():
        one = Row(name, *known.get(name, ("", None)), *columns)
        found.append(replace(one, import_ms=times.get(name, 0.0)) if times else one)
    return tuple(sorted(found, key=lambda row: (-row.stored, row.name)))


def _tmp(facts: Facts, frames: int, *, arena: bool) -> int:
    """/tmp that the first ``frames`` frames take; with ``arena``, code stays in one file."""
    need = bytes_on_disk(facts.index, ARENA if arena else frozenset(), range(frames))
    need += sum(asset.stream + asset.files * _BLOCK for asset in facts.assets)
    return need + need // _FILE_SYSTEM


def document(verdict: Verdict) -> dict[str, Any]:
    """The verdict as a versioned document, ready for ``json.dumps``."""
    return {
        "document": "lambdapack.plan",
        "version": VERSION,
        "ok": verdict.ok,
        "estimate": verdict.estimated is not None,
        **asdict(verdict),
    }


def enforce(verdict: Verdict) -> None:
    """Raise where a verdict is negative.

    Raises:
        CheckError: A limit or a budget is broken; every one is in the message, its fix in the hint.
    """
    if verdict.ok:
        return
    broken = "; ".join(map(words.broken, verdict.failed))
    fixes = dict.fromkeys(check.fix for check in verdict.failed if check.fix)
    if verdict.steps:
        fixes[f"the cheapest that helps: {steps.cheapest(verdict)}"] = None
    raise CheckError(f"the plan does not fit: {broken}", hint="; ".join(fixes))
