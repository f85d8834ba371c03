"""From sizes and limits to a verdict, as values, as a document, and as an error where it is negative."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from math import ceil
from typing import Any, Literal

from lambdapack import limits
from lambdapack.errors import CheckError
from lambdapack.model import Target
from lambdapack.model.runtimes import RUNTIMES, SUGGESTED
from lambdapack.plan import places, pricing
from lambdapack.plan.builds import Comparison
from lambdapack.plan.cold_start import checks as cold_checks
from lambdapack.plan.cold_start import cold_start
from lambdapack.plan.growth import explained_check, growth_check
from lambdapack.plan.model import Budget, Check, Facts, Row, Verdict
from lambdapack.plan.shares import owners_by_name, stored_by_file
from runtime_shim._index import ARENA
from runtime_shim._space import bytes_on_disk

VERSION = 1
"""The JSON document's version; rises when a key changes its meaning or goes."""
_BLOCK = 4096
"""What a file of an asset rounds up to in /tmp, at most."""
_FILE_SYSTEM = 32
"""One part in so many of /tmp is the file system's own; the shim counts the same way."""
_STEP_MB = 10
_OWN_CODE = "name what the handler does not need under ignore"
_NO_BUDGET = Budget()


def assess(facts: Facts, budget: Budget = _NO_BUDGET, growth: Comparison | None = None) -> Verdict:
    """Measure ``facts`` against Lambda's limits and the user's ``budget``.

    ``growth`` compares the build with an earlier one, where there is one.
    """
    index, speed = facts.index, limits.LINK_BYTES_PER_SECOND
    start = cold_start(facts)
    installed = sum(d.installed_bytes for d in facts.distributions) if facts.distributions else None
    stored, hot, eager = (sum(index.frame_stored[:end]) for end in (None, index.hot, index.eager))
    measured = Verdict(
        target=index.target,
        rows=rows(facts),
        checks=(),
        installed=installed,
        slimmed=sum(index.sizes),
        stored=stored if facts.pack_bytes is None else facts.pack_bytes,
        hot=hot,
        eager=eager,
        without_lambdapack=None if installed is None else installed + (facts.unzipped_bytes or 0),
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
        places=tuple(places.options(facts, eager / speed)),
        snap_start=None if facts.snapshot is None else pricing.snapshot_cost(facts),
        costs=pricing.costs(facts, init_seconds=start.parts.init),
        cold=start,
    )
    checks = (_limits, _settings, _runtime, _libraries, partial(_budgets, budget=budget), _advice)
    found = [check for each in checks for check in each(facts, measured)]
    found += cold_checks(facts, start)
    if growth is not None:
        found = [explained_check(check, growth) for check in (*found, *growth_check(growth, budget))]
    return replace(measured, checks=tuple(found))


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


def _limits(facts: Facts, seen: Verdict) -> Iterator[Check]:
    if facts.unzipped_bytes is not None:
        ok = facts.unzipped_bytes <= limits.UNZIPPED
        yield Check(
            "unzipped", "limit", facts.unzipped_bytes, limits.UNZIPPED, "bytes", ok,
            _without(seen),
            None if ok else _smaller(facts),
        )  # fmt: skip
    note = f"{facts.mode} mode, before the first invocation"
    note += ", with everything in the snapshot" if facts.snapshot == "all" else ""
    note += ", with all assets" if facts.assets else ""
    yield _of_snapshot(_tmp_check("tmp", "limit", _tmp_needed(facts, seen), facts.tmp_mb, note), facts)
    most, fetched = _init_timeout(facts), seen.eager
    if facts.snapshot == "all":
        fetched = sum(facts.index.frame_stored)
    seconds = fetched / limits.LINK_BYTES_PER_SECOND if facts.place == "s3" else 0.0
    ok = seconds <= most
    longer = "use provisioned concurrency, whose init may take 900 s, or " if facts.snapshot is None else ""
    yield Check(
        "init", "limit", seconds, most, "seconds", ok,
        f"fetching {_bytes(fetched)} at {_bytes(limits.LINK_BYTES_PER_SECOND)}/s"
        if facts.place == "s3"
        else f"the pack is in its {facts.place}, and does not come over the link",
        None if ok else f"{longer}drop {_largest(seen)}",
    )  # fmt: skip


def _smaller(facts: Facts) -> str:
    """What helps a function whose zip and layers are too large."""
    if places.in_files(facts, "zip") or places.in_files(facts, "layer"):
        return 'set place = "s3" for the pack, or for an asset'
    return f"{_OWN_CODE}, or move dependencies into the pack"


def _tmp_needed(facts: Facts, seen: Verdict) -> int:
    """/tmp before the first invocation, in the function's mode and with its snapshot."""
    if facts.mode == "disk":
        return seen.tmp_disk
    return seen.tmp_all if facts.snapshot == "all" else seen.tmp_stream


def _init_timeout(facts: Facts) -> float:
    if facts.snapshot is None:
        return limits.INIT_TIMEOUT
    return max(limits.INIT_TIMEOUT_LONG, facts.timeout)


def _of_snapshot(check: Check, facts: Facts) -> Check:
    """With SnapStart there is no larger /tmp to be had."""
    if check.ok or facts.snapshot is None:
        return check
    less = 'set snapshot to "needed", or ' if facts.snapshot == "all" else ""
    most = limits.SNAP_START_TMP_MB
    return replace(check, fix=f"{less}leave snap-start out: with it, Lambda has at most {most} MB of /tmp")


def _settings(facts: Facts, _: Verdict) -> Iterator[Check]:
    """All that Lambda refuses whatever the sizes are."""
    if facts.refused:
        note, fix = "; ".join(facts.refused), "change it in the [function] table or on the command line"
        yield Check("settings", "limit", len(facts.refused), 0, "settings", False, note, fix)


def _runtime(facts: Facts, _: Verdict) -> Iterator[Check]:
    """How long the runtime has not been patched, against how long after that Lambda takes changes."""
    runtime = RUNTIMES[Target.parse(facts.index.target).python]
    advice = None if facts.today is None else runtime.advice(facts.today)
    if facts.today is None or advice is None:
        return
    age = allowed = 0
    if runtime.lifecycle is not None:
        ended = runtime.lifecycle.deprecated
        age, allowed = (facts.today - ended).days, (runtime.lifecycle.no_update - ended).days - 1
    blocked = runtime.is_blocked(facts.today)
    fix = f"build for a newer runtime, e.g. --python {SUGGESTED}"
    yield Check("runtime", "limit" if blocked else "advice", age, allowed, "days", False, advice, fix)


def _libraries(facts: Facts, _: Verdict) -> Iterator[Check]:
    """A missing library is a limit where the function needs it, else advice."""
    for library in facts.missing:
        kind: Literal["limit", "advice"] = "limit" if library.fatal else "advice"
        name, users = f"library.{library.name}", library.users
        yield Check(name, kind, users, 0, "files", False, library.note, library.fix)


def _without(seen: Verdict) -> str:
    if seen.without_lambdapack is None:
        return "the function's own code, with the shim"
    times = seen.without_lambdapack / limits.UNZIPPED
    compared = f"{times:.1f} times what Lambda takes" if times > 1 else "which Lambda takes as well"
    return f"without lambdapack it would be {_bytes(seen.without_lambdapack)}, {compared}"


def _tmp_check(name: str, kind: Literal["limit", "advice"], need: int, tmp_mb: int, note: str) -> Check:
    ok = need <= tmp_mb * limits.MIB
    fix = None
    if not ok:
        sufficient = ceil(need / limits.MIB / _STEP_MB) * _STEP_MB
        fix = f"set tmp to {sufficient} MB"
        if sufficient > limits.TMP_MAX_MB:
            fix = f"Lambda has at most {limits.TMP_MAX_MB} MB of /tmp: leave something out of the pack"
    return Check(name, kind, need, tmp_mb * limits.MIB, "bytes", ok, note, fix)


def _budgets(facts: Facts, seen: Verdict, budget: Budget) -> Iterator[Check]:
    in_mode = _tmp_needed(facts, seen)
    for name, measured, bound, unit in (
        ("pack", seen.stored, budget.pack_mb, limits.MB),
        ("hot", seen.hot, budget.hot_mb, limits.MB),
        ("slimmed", seen.slimmed, budget.slimmed_mb, limits.MB),
        ("tmp", in_mode, budget.tmp_mb, limits.MIB),
        ("zip", facts.zip_bytes, budget.zip_mb, limits.MB),
        ("assets", sum(asset.stored for asset in seen.assets), budget.assets_mb, limits.MB),
    ):
        if measured is None or bound is None:
            continue
        ok = measured <= bound * unit
        most = _largest_asset(seen) if name == "assets" else _largest(seen)
        fix = _OWN_CODE if name == "zip" else f"{most} is the most: leave it out, or raise it"
        yield Check(
            f"budget.{name}", "budget", measured, bound * unit, "bytes", ok, f"[budget] {name}",
            None if ok else fix,
        )  # fmt: skip


def _advice(facts: Facts, seen: Verdict) -> Iterator[Check]:
    if facts.zip_bytes is not None:
        ok = facts.zip_bytes <= limits.ZIP_DIRECT_UPLOAD
        yield Check(
            "zip", "advice", facts.zip_bytes, limits.ZIP_DIRECT_UPLOAD, "bytes", ok,
            "what Lambda takes in the request itself",
            None if ok else "nothing has to be done: a deployment sends it through S3",
        )  # fmt: skip
    other = "disk" if facts.mode == "stream" else "stream"
    need = seen.tmp_disk if other == "disk" else seen.tmp_stream
    yield _tmp_check(f"tmp.{other}", "advice", need, facts.tmp_mb, f"if LAMBDAPACK_MODE were {other}")
    if facts.mode == "stream":
        note = "once everything that is fetched on demand was asked for"
        yield _tmp_check("tmp.all", "advice", seen.tmp_all, facts.tmp_mb, note)
    if facts.assets:
        yield from _assets_advice(facts, seen)


def _assets_advice(facts: Facts, seen: Verdict) -> Iterator[Check]:
    """What assets cost where they are loaded whole, and where the handler asks for them in its init."""
    seconds, most = seen.eager_seconds + seen.assets_seconds, _init_timeout(facts)
    ok = seconds <= most
    yield Check(
        "init.assets", "advice", seconds, most, "seconds", ok,
        "if the handler waits for its assets while it is imported",
        None if ok else "call runtime_shim.path in the handler instead, or use provisioned concurrency",
    )  # fmt: skip
    size, memory = sum(asset.size for asset in facts.assets), facts.memory_mb * limits.MIB
    ok = size <= memory
    yield Check(
        "memory.assets", "advice", size, memory, "bytes", ok, "if all assets were loaded into memory",
        None if ok else f"{_largest_asset(seen)} is the most: map it, or raise memory",
    )  # fmt: skip


def _largest_asset(seen: Verdict) -> str:
    if not seen.assets:
        return "nothing"
    largest = max(seen.assets, key=lambda asset: asset.stored)
    return f"the asset {largest.name} ({_bytes(largest.stored)})"


def _largest(seen: Verdict) -> str:
    if not seen.rows:
        return "nothing"
    return f"{seen.rows[0].name} ({_bytes(seen.rows[0].stored)})"


def _bytes(size: float) -> str:
    """Bytes for people: ``5.0 MB`` (a megabyte is 1,000,000 bytes), ``28.6 kB``."""
    if size < limits.MB / 10:
        return f"{size / 1000:.1f} kB"
    return f"{size / limits.MB:,.1f} MB"


def document(verdict: Verdict) -> dict[str, Any]:
    """The verdict as a versioned document, ready for ``json.dumps``."""
    return {"document": "lambdapack.plan", "version": VERSION, "ok": verdict.ok, **asdict(verdict)}


def enforce(verdict: Verdict) -> None:
    """Raise where a verdict is negative.

    Raises:
        CheckError: A limit or a budget is broken; every one is in the message, its fix in the hint.
    """
    if verdict.ok:
        return
    broken = "; ".join(map(_broken, verdict.failed))
    fixes = dict.fromkeys(check.fix for check in verdict.failed if check.fix)
    raise CheckError(f"the plan does not fit: {broken}", hint="; ".join(fixes))


def _broken(check: Check) -> str:
    if check.unit in ("files", "days", "settings"):
        return check.note
    return (
        f"{check.name} is {_amount(check.measured, check)}, over {_amount(check.limit, check)} ({check.note})"
    )


def _amount(value: float, check: Check) -> str:
    if check.unit == "seconds":
        return f"{value:.1f} s"
    # Lambda counts /tmp in units of 2**20.
    return f"{value / limits.MIB:,.1f} MiB" if check.name.endswith("tmp") else _bytes(value)
