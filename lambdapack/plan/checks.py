"""Each measurement against its bound: Lambda's limits, what it refuses, and what is worth a line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import ceil
from typing import Literal

from lambdapack import limits
from lambdapack.model import Target
from lambdapack.model.runtimes import RUNTIMES, SUGGESTED
from lambdapack.plan import places, words
from lambdapack.plan.model import Check, Facts, Verdict

STEP_MB = 10
"""What a fix rounds /tmp up to."""
OWN_CODE = "name what the handler does not need under ignore"


def checks(facts: Facts, seen: Verdict) -> Iterator[Check]:
    """Every limit of Lambda's."""
    for each in (_limits, _settings, _runtime, _libraries):
        yield from each(facts, seen)


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
    yield _of_snapshot(_tmp_check("tmp", "limit", tmp_needed(facts, seen), facts.tmp_mb, note), facts)
    most, fetched = places.init_timeout(facts), places.eager_bytes(facts)
    seconds = fetched / limits.LINK_BYTES_PER_SECOND if facts.place == "s3" else 0.0
    ok = seconds <= most
    longer = "use provisioned concurrency, whose init may take 900 s, or " if facts.snapshot is None else ""
    yield Check(
        "init", "limit", seconds, most, "seconds", ok,
        f"fetching {words.size(fetched)} at {words.size(limits.LINK_BYTES_PER_SECOND)}/s"
        if facts.place == "s3"
        else f"the pack is in its {facts.place}, and does not come over the link",
        None if ok else f"{longer}drop {largest(seen)}",
    )  # fmt: skip


def _smaller(facts: Facts) -> str:
    """What helps a function whose zip and layers are too large."""
    if places.in_files(facts, "zip") or places.in_files(facts, "layer"):
        return 'set place = "s3" for the pack, or for an asset'
    return f"{OWN_CODE}, or move dependencies into the pack"


def tmp_needed(facts: Facts, seen: Verdict) -> int:
    """/tmp before the first invocation, in the function's mode and with its snapshot."""
    if facts.mode == "disk":
        return seen.tmp_disk
    return seen.tmp_all if facts.snapshot == "all" else seen.tmp_stream


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
    return f"without lambdapack it would be {words.size(seen.without_lambdapack)}, {compared}"


def _tmp_check(name: str, kind: Literal["limit", "advice"], need: int, tmp_mb: int, note: str) -> Check:
    ok = need <= tmp_mb * limits.MIB
    fix = None
    if not ok:
        sufficient = ceil(need / limits.MIB / STEP_MB) * STEP_MB
        fix = f"set tmp to {sufficient} MB"
        if sufficient > limits.TMP_MAX_MB:
            fix = f"Lambda has at most {limits.TMP_MAX_MB} MB of /tmp: leave something out of the pack"
    return Check(name, kind, need, tmp_mb * limits.MIB, "bytes", ok, note, fix)


def advice(facts: Facts, seen: Verdict) -> Iterator[Check]:
    """What only costs, or would cost in the other mode."""
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
    seconds, most = seen.eager_seconds + seen.assets_seconds, places.init_timeout(facts)
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
        None if ok else f"{largest_asset(seen)} is the most: map it, or raise memory",
    )  # fmt: skip


def largest_asset(seen: Verdict) -> str:
    """The asset that takes the most over the link, in words."""
    if not seen.assets:
        return "nothing"
    largest = max(seen.assets, key=lambda asset: asset.stored)
    return f"the asset {largest.name} ({words.size(largest.stored)})"


def largest(seen: Verdict) -> str:
    """The distribution that takes the most of the pack, in words."""
    if not seen.rows:
        return "nothing"
    return f"{seen.rows[0].name} ({words.size(seen.rows[0].stored)})"
