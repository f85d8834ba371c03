"""A profile of a cold start as tables."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lambdapack.limits import INIT_TIMEOUT
from lambdapack.local.profiling import Profile
from lambdapack.report.tables import table
from lambdapack.report.units import counted, megabytes, seconds

__all__ = ["profile_tables"]

_NAMED = 2
_WIDTH = 32
_NOT_CALLED = (
    "none of their functions ran for these events, or only while one of these modules was imported. A module "
    "may be needed all the same, for a constant, a base class or what it registers. Where it is not: an "
    "import inside the function that needs the module is paid only when that function runs."
)
_ORIGINS = {
    "runtime": "imports of Lambda's runtime client",
    "loader": "imports of lambdapack's loader",
    "function": "imports of the function's own code",
    "pack": "imports from the pack",
    "layer": "imports from layers",
    "python": "imports of Python's library",
    "other": "other imports",
}


def profile_tables(profile: Profile, top: int) -> RenderableType:
    """Where init goes, the largest imports, what is never called, memory."""
    parts: list[RenderableType] = [_init(profile), ""]
    if profile.too_long:
        words = (
            f"warning: Lambda ends an init after {INIT_TIMEOUT:.0f} s and begins anew in the first invocation"
        )
        parts += [Text(words, style="yellow"), ""]
    parts += [_imports(profile, top), "", *_never_called(profile, top), "", _memory(profile)]
    return Group(*parts)


def _init(profile: Profile) -> Table:
    """The parts of init; they add up."""
    rows = table("init", "time", "modules", "of it waited for")
    lengths: defaultdict[str, float] = defaultdict(float)
    modules: Counter[str] = Counter()
    init = profile.phases[0]
    for each in profile.imports:
        if each.phase == init.name and not each.thread:
            lengths[each.origin] += each.self_ms
            modules[each.origin] += 1
    rows.add_row("before the first import: Python's own start", seconds(profile.before_ms))
    for origin, words in _ORIGINS.items():
        if modules[origin]:
            rows.add_row(words, seconds(lengths[origin]), f"{modules[origin]:,}")
    waits = [each for each in profile.waits if each.phase == init.name and not each.thread]
    if waits:
        size = megabytes(sum(each.bytes for each in waits))
        rows.add_row("waits for the pack", seconds(init.waited_ms), "", size)
    rows.add_row("everything else", seconds(init.other_ms))
    rows.add_row(Text("init", style="bold"), Text(seconds(profile.before_ms + init.ms), style="bold"))
    return rows


def _imports(profile: Profile, top: int) -> Table:
    rows = _narrow(table("the largest imports", "self", "cumulative", "waited", "for", "memory"))
    ordered = sorted(profile.imports, key=lambda each: -(each.self_ms + each.waited_ms))
    for each in ordered[:top]:
        during = "" if each.phase == "init" else f"  ({each.phase})"
        rows.add_row(
            each.name + during,
            seconds(each.self_ms),
            seconds(each.cumulative_ms),
            seconds(each.waited_ms) if each.waited_bytes else "",
            megabytes(each.waited_bytes) if each.waited_bytes else "",
            megabytes(each.memory_bytes),
        )
    rest = ordered[top:]
    if rest:
        own, waited = sum(each.self_ms for each in rest), sum(each.waited_ms for each in rest)
        size, memory = sum(each.waited_bytes for each in rest), sum(each.memory_bytes for each in rest)
        waits = (seconds(waited), megabytes(size)) if size else ("", "")
        rows.add_row(f"{len(rest):,} more", seconds(own), "", *waits, megabytes(memory))
    return rows


def _never_called(profile: Profile, top: int) -> list[RenderableType]:
    groups = profile.never_called
    if not groups:
        return [Text("imported, never called: nothing", style="dim")]
    rows = _narrow(table("imported, never called", "self", "modules"))
    rows.add_column("imported by", header_style="dim")
    for group in groups[:top]:
        length, modules = seconds(group.self_us / 1000), f"{len(group.modules):,}"
        rows.add_row(group.name, length, modules, _some(group.importers))
    rest = groups[top:]
    if rest:
        modules = f"{sum(len(group.modules) for group in rest):,}"
        rows.add_row(f"{len(rest):,} more", seconds(sum(group.self_us for group in rest) / 1000), modules)
    total, count = sum(group.self_us for group in groups), sum(len(group.modules) for group in groups)
    said = f"{seconds(total / 1000)} in {counted(count, 'module')}: {_NOT_CALLED}"
    return [_packages(profile, top), "", rows, Text(said, style="dim")]


def _packages(profile: Profile, top: int) -> Table:
    """How much of each package is never called."""
    rows = _narrow(table("package", "self", "never called", "modules"))
    rows.add_column("which others import", header_style="dim")
    for each in [each for each in profile.packages if each.unused_us][:top]:
        modules = f"{each.unused_modules:,} of {each.modules:,}"
        lengths = seconds(each.self_us / 1000), seconds(each.unused_us / 1000)
        rows.add_row(each.name, *lengths, modules, _some(each.importers))
    return rows


def _narrow(rows: Table) -> Table:
    """A table whose first column leaves room for the numbers on a narrow terminal."""
    rows.columns[0].max_width = _WIDTH
    return rows


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _memory(profile: Profile) -> Text:
    said = f"memory {profile.max_memory_mb} MB at most, of {profile.memory_mb} MB"
    if profile.pack:
        pack = profile.pack
        said += (
            f"; pack {megabytes(pack.get('bytes', 0))} in {counted(pack.get('requests', 0), 'request')}, "
            f"fetched in {seconds(pack.get('fetch_ms', 0))} beside the imports"
        )
    return Text(said)
