"""What two starts told -> a profile."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from lambdapack import limits
from lambdapack.local.invocation import Invocation
from lambdapack.local.profiling.result import Import, Phase, Profile, Wait
from lambdapack.local.profiling.spans import (
    IMPORT,
    WAIT,
    Span,
    around,
    lengths_by_module,
    origins,
    own_lengths,
    packages,
    sums_around,
    unused,
    used,
)

_NOBODY = ("runtime_shim.", "importlib._bootstrap")
_US = 1000
"""Microseconds in a millisecond, and nanoseconds in a microsecond."""


@dataclass(frozen=True)
class _Seen:
    """Both starts together: of each span of the timed one its own length and its origin; by module, who
    imports it, its memory, whether it is in use, and whether that is not told by its calls.
    """

    spans: Sequence[Span]
    own: Sequence[int]
    origin: Sequence[str]
    importers: Mapping[str, Collection[str]]
    memory: Mapping[str, int]
    in_use: frozenset[str]
    unseen: frozenset[str]


def analyse(
    name: str,
    invocations: Sequence[Invocation],
    timed: Mapping[str, Any],
    watched: Mapping[str, Any],
) -> Profile:
    """The profile of what ``profile_worker.py`` told of a timed and of a watched start."""
    seen = _see(timed, watched)
    phases = _phases(seen.spans, seen.own, timed)
    imports, waits = _parts(seen)
    lengths = lengths_by_module(seen.spans, seen.own, seen.origin)
    init_ms = invocations[0].init_ms or phases[0].ms
    return Profile(
        function=name,
        memory_mb=timed["memory_mb"],
        init_ms=round(init_ms, 3),
        before_ms=round(max(0.0, init_ms - phases[0].ms), 3),
        too_long=init_ms > limits.INIT_TIMEOUT * 1000,
        max_memory_mb=max(invocation.max_memory_mb for invocation in invocations),
        pack=invocations[0].stats or {},
        phases=phases,
        imports=imports,
        waits=waits,
        packages=tuple(packages(lengths, seen.in_use, seen.importers)),
        never_called=tuple(unused(lengths, seen.in_use, seen.importers)),
        fetching_cpu_ms=timed["fetching"] / _US / _US,
    )


def _see(timed: Mapping[str, Any], watched: Mapping[str, Any]) -> _Seen:
    spans = spans_of(timed)
    importers = _importers(spans, watched["importers"])
    unseen = frozenset(span.name for span in spans if _is_unseen(span))
    return _Seen(
        spans,
        own_lengths(spans),
        origins(spans, timed["handler"], timed["folders"]),
        importers,
        _memory(spans_of(watched)),
        used({span.name for span in spans}, watched["calls"], importers, unseen),
        unseen.difference(watched["calls"]),
    )


def spans_of(told: Mapping[str, Any]) -> list[Span]:
    """The spans of a start, in microseconds from its beginning."""
    zero = told["phases"][0][0]
    names = [field.name for field in fields(Span)]
    return [
        Span(**{name: span[name] for name in names}
             | {name: (span[name] - zero) // _US for name in ("start", "end")}
             | {"cpu": span["cpu"] // _US})
        for span in told["spans"]
    ]  # fmt: skip


def _is_unseen(span: Span) -> bool:
    """Whether a module may be used without a trace: machine code; or a namespace, which has no code."""
    return span.kind == IMPORT and (span.file.endswith(".so") or span.file in ("built-in", ""))


def _importers(spans: Sequence[Span], statements: Mapping[str, Iterable[str]]) -> dict[str, set[str]]:
    """Who imports each module: by a statement, or because it runs in the import of another.

    Who imports a module imports the packages around it, too, unless it is in these itself. What the loader
    imports ahead in a wait, and importlib's own imports, are nobody's.
    """
    importers: dict[str, set[str]] = defaultdict(set)
    for name, found in statements.items():
        own = {each for each in found if not each.startswith(_NOBODY)}
        importers[name] |= own
        while name := name.rpartition(".")[0]:
            importers[name] |= {each for each in own if not f"{each}.".startswith(f"{name}.")}
    for span in spans:
        if span.kind == IMPORT and span.parent >= 0 and spans[span.parent].kind == IMPORT:
            importers[span.name].add(spans[span.parent].name)
    return importers


def _memory(spans: Sequence[Span]) -> Counter[str]:
    """By how many bytes the process grew for each module, without what this one imported."""
    memory: Counter[str] = Counter()
    for span in spans:
        memory[span.name] += span.memory
        if span.parent >= 0:
            memory[spans[span.parent].name] -= span.memory
    return memory


def _phase_name(number: int) -> str:
    return f"invocation {number}" if number else "init"


def _phases(spans: Sequence[Span], own: Sequence[int], told: Mapping[str, Any]) -> tuple[Phase, ...]:
    zero = told["phases"][0][0]
    sums: Counter[tuple[int, str]] = Counter()
    for span, length in zip(spans, own, strict=True):
        if not span.thread:
            sums[span.phase, span.kind] += length
    phases = []
    for number, times in enumerate(told["phases"]):
        start, end = ((time - zero) // _US for time in times)
        imports, waited = sums[number, IMPORT], sums[number, WAIT]
        rest = end - start - imports - waited
        lengths = [length / _US for length in (start, end - start, imports, waited, rest)]
        lengths.append(told["cpu"][number] / _US / _US)
        phases.append(Phase(_phase_name(number), *lengths))
    return tuple(phases)


def _parts(seen: _Seen) -> tuple[tuple[Import, ...], tuple[Wait, ...]]:
    """The imports and the waits of the timed start; both name an import by its number among the imports."""
    spans = seen.spans
    waited = sums_around(spans, WAIT, seen.own)
    sizes = sums_around(spans, WAIT, [span.bytes for span in spans])
    place: dict[int, int] = {}
    imports: list[Import] = []
    waits: list[Wait] = []
    for number, span in enumerate(spans):
        outer, own = around(spans, number), seen.own[number] / _US
        about = (place[outer[0]] if outer else None, _phase_name(span.phase), span.thread)
        if span.kind == WAIT:
            waits.append(
                Wait(*about, span.file, span.frame, span.bytes, span.start / _US, own, span.cpu / _US)
            )
            continue
        place[number] = len(imports)
        times = (span.start / _US, span.length / _US, own, waited[number] / _US)
        is_used = span.name in seen.in_use
        imports.append(
            Import(
                span.name, span.file, seen.origin[number], *about, *times,
                sizes[number], seen.memory[span.name],
                None if is_used and span.name in seen.unseen else is_used,
                tuple(sorted(seen.importers.get(span.name, ()))), span.cpu / _US,
            )
        )  # fmt: skip
    return tuple(imports), tuple(waits)
