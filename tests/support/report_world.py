"""A document of ``lambdapack report``, made by the stages themselves of names that mean harm."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from lambdapack import plan
from lambdapack.deploy.log import LogEvent, invocations
from lambdapack.local import Invocation
from lambdapack.local.profiling import Import, Package, Phase, Profile, UnusedImport, Wait
from lambdapack.pipeline.tuning import Record, Subject
from lambdapack.plan import AssetFacts, Budget, Facts, Traffic, tuning
from lambdapack.report import page
from tests.plan.test_plan import Built, make_index
from tests.support.logged import init_start, report, shim_line

HARM = "</script><script>document.title='harm'</script><img src=x onerror=\"document.title='harm'\">"
"""What would change the page's title, were it not escaped; it stands wherever a name comes from outside."""
ABSENT = (
    page.Absent("profile", f"there is no function {HARM!r}", "lambdapack deploy"),
    page.Absent("series", "Nothing was started, as --no-run asks.", "lambdapack report"),
    page.Absent("tune", "No memory settings were measured.", "lambdapack tune"),
)


def full(folder: Path) -> dict[str, Any]:
    """A document with every part, as a reader of the file has it."""
    made = page.document(
        name=f"name{HARM}", made="2026-11-26T09:00:00+00:00", pack="ab" * 32,
        plan=plan.document(verdict()),
        profile={"document": "lambdapack.profile", "version": 1, **profile().document()},
        series=series(), tune=[record(folder)], notes=[f"a note {HARM}"],
    )  # fmt: skip
    found: dict[str, Any] = json.loads(json.dumps(made))
    return found


def bare() -> dict[str, Any]:
    """A document of a plan alone, without a traffic."""
    made = page.document(
        name="bare", made="2026-11-26T09:00:00+00:00", pack="ab" * 32,
        plan=plan.document(verdict(priced=False)), absent=ABSENT,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(json.dumps(made))
    return found


def verdict(*, priced: bool = True) -> plan.Verdict:
    """Of a pack of some distributions that breaks a budget."""
    files = [
        ("first/x.py", "c", 40_000_000),
        ("second/y.so", "n", 30_000_000),
        ("third/z.py", "s", 9_000_000),
    ]
    files += [(f"small{number}/x.py", "c", 200_000 + number) for number in range(20)]
    names = [("first", f"first{HARM}"), ("second", "second"), ("third", "third")]
    names += [(f"small{number}", f"small-{number}") for number in range(20)]
    facts = Facts(
        make_index(files, [5_000_000, 4_000_000, 3_000_000, 2_000_000], hot=2, eager=3),
        pack_bytes=14_100_000,
        distributions=tuple(
            Built(name, f"1.{number}", (top,), 90_000_000 >> number, 0)
            for number, (top, name) in enumerate(names)
        ),
        zip_bytes=900_000, unzipped_bytes=3_000_000, own_zip_bytes=900_000, own_bytes=3_000_000,
        assets=(AssetFacts(f"model{HARM}", "start", 7_000_000, 9_000_000, 8_900_000, 3),),
        traffic=Traffic(100_000, 200) if priced else None,
    )  # fmt: skip
    return plan.assess(facts, Budget(pack=10))


def profile() -> Profile:
    """A start of a hundred imports, one in the other and one after the other."""
    imports, start = [_import("app", None, 0.5, 900.0, "function")], 1.0
    for number in range(33):
        outer = len(imports)
        imports.append(_import(f"package{number}", 0, start, 25.5 - number / 2, "pack"))
        imports.append(_import(f"package{number}.inner", outer, start + 0.2, 15.0 - number / 3, "pack"))
        imports.append(_import(f"other{number}{HARM}", outer, start + 16, 4.0, "python"))
        start += 27
    waits = (
        Wait(2, "init", False, "ab", 3, 1_500_000, 1.3, 12.25, 0.0),
        Wait(None, "init", False, "ab", 4, 9, 880.0, 3.5, 0.0),
    )
    phases = (
        Phase("init", 0.0, 950.0, 890.0, 15.75, 44.25, 0.0),
        Phase("invocation 1", 952.0, 20.0, 0.0, 0.0, 20.0, 0.0),
    )
    return Profile(
        "name", 1769, 1000.0, 50.0, False, 180, {"bytes": 9_000_000}, phases, tuple(imports), waits,
        (Package("package1", 2, 100, 1, 50, ("app",)),),
        (UnusedImport("other1", ("other1",), 4000, ("app",)),),
    )  # fmt: skip


def _import(name: str, parent: int | None, start: float, length: float, origin: str) -> Import:
    return Import(
        name, f"/tmp/{name}.py", origin, parent, "init", False, start, length, length / 3, 0.0, 0, 4096, True,
        ("app",), 0.0,
    )  # fmt: skip


def series() -> page.Series:
    """Three cold starts, each with four warm invocations."""
    results = [
        Invocation(
            f"id-{start}-{number}", b"{}", False, "", number == 0, 7.25 + number, 1008 if number == 0 else 8,
            1000.5 + start if number == 0 else None, 170,
        )
        for start in range(3)
        for number in range(5)
    ]  # fmt: skip
    return page.Series.of(1769, results)


def record(folder: Path) -> dict[str, Any]:
    """What tune keeps of four settings, one of which does not do."""
    kept = Record(folder, Subject("name", "local", "us-east-1", "x86_64", 1769, 512, 30, {}))
    for memory, factor in ((128, None), (512, 4.0), (1769, 1.0), (3008, 0.98)):
        if factor is None:
            invocations = [tuning.Measurement(1.0, 2, memory, 128, None, "memory")]
        else:
            invocations = [tuning.Measurement(9 * factor, round(1009 * factor), memory, 170, 1000 * factor)]
            invocations += [tuning.Measurement(8 * factor, round(8 * factor) + 1, memory, 170)] * 4
        kept.add(tuning.Sample(memory, tuple(invocations)), 0.01)
    found: dict[str, Any] = json.loads(kept.path.read_bytes())
    return found


def logged() -> dict[str, Any]:
    """A document whose durations are out of a log in AWS: 40 starts with the shim's lines, 9 calls each."""
    events = []
    for start in range(40):
        stream = f"2026/11/26/[{3 + start % 2}]{start}"
        lines = [
            init_start(),
            shim_line(wait_ms=200.5 + start, bytes=9_000_000),
            report(20.25, init=900.5 + start),
        ]
        lines += [report(7.25 + number) for number in range(9)]
        at = datetime(2026, 11, 26, 9, start, tzinfo=timezone.utc)
        events += [
            LogEvent(at + timedelta(seconds=number), stream, text) for number, text in enumerate(lines)
        ]
    found, notes = page.logged_series(invocations(events))
    made = page.document(
        name="logged", made="2026-11-26T09:00:00+00:00", pack="ab" * 32, plan=plan.document(verdict()),
        series=found, absent=ABSENT[:1], notes=notes,
    )  # fmt: skip
    document: dict[str, Any] = json.loads(json.dumps(made))
    return document
