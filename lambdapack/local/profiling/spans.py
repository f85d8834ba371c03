"""Spans of a profiled start -> what each import takes by itself, and what nothing calls. Arithmetic alone.

Times are whole microseconds, so that what is summed up adds up exactly.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

IMPORT, WAIT = "import", "wait"
_OF_THE_START = ("runtime", "loader")
"""Whose modules a user cannot leave out."""


@dataclass(frozen=True)
class Span:
    """Something that one thread did from ``start`` to ``end``; what it did meanwhile has it as its parent.

    Attributes:
        kind: An import, or a wait for a frame of the pack.
        name: The module; of a wait the one whose import waits, ``""`` outside of any import.
        parent: The number of the span around it, ``-1`` where there is none.
        thread: Whether it was another thread than the first.
        phase: 0 in init, 1 in the first invocation.
        bytes, frame: What is waited for, compressed.
        file: The module's origin, as importlib has that; of a wait the name of the pack's folder.
        memory: By how many bytes the process grew, as seen in the second start.
        cpu: CPU time of its thread so far, when the import began, or when the wait ended.
    """

    kind: str
    name: str
    parent: int
    thread: bool
    phase: int
    start: int
    end: int
    bytes: int = 0
    frame: int = -1
    file: str = ""
    memory: int = 0
    cpu: int = 0

    @property
    def length(self) -> int:
        """Its duration."""
        return self.end - self.start


@dataclass(frozen=True)
class UnusedImport:
    """An import, and what would go with it, of which no function was called for anything that is used.

    Attributes:
        name: The module.
        modules: Itself, and unused modules that are imported for it alone.
        self_us: What these take by themselves.
        importers: Which other modules import it.
    """

    name: str
    modules: tuple[str, ...]
    self_us: int
    importers: tuple[str, ...]


@dataclass(frozen=True)
class Package:
    """The modules below one name that are imported.

    Attributes:
        name: The first part of their names.
        modules, unused_modules: How many there are, and how many of them nothing uses.
        self_us, unused_us: What they take by themselves.
        importers: Modules of other packages that import any of the unused ones.
    """

    name: str
    modules: int
    self_us: int
    unused_modules: int
    unused_us: int
    importers: tuple[str, ...]


def own_lengths(spans: Sequence[Span]) -> list[int]:
    """Of each span what is not in one of its children; of all spans they add up to the outermost ones."""
    own = [span.length for span in spans]
    for span in spans:
        if span.parent >= 0:
            own[span.parent] -= span.length
    return own


def around(spans: Sequence[Span], number: int) -> list[int]:
    """The imports around a span, the nearest first."""
    found = []
    while (number := spans[number].parent) >= 0:
        if spans[number].kind == IMPORT:
            found.append(number)
    return found


def sums_around(spans: Sequence[Span], kind: str, values: Sequence[int]) -> list[int]:
    """Of each span the values of the spans of ``kind`` whose nearest import it is."""
    sums = [0] * len(spans)
    for number, span in enumerate(spans):
        if span.kind == kind and (outer := around(spans, number)):
            sums[outer[0]] += values[number]
    return sums


def origins(spans: Sequence[Span], handler: str, folders: Mapping[str, str]) -> list[str]:
    """Whose each span's module is: a key of ``folders``, or ``other``.

    What the runtime imports before it imports the handler's module is the runtime's, whatever its folder.
    """
    first = handler.replace("/", ".").split(".")[0]
    roots = (number for number, span in enumerate(spans) if span.parent < 0 and span.kind == IMPORT)
    begun = next((number for number in roots if spans[number].name in (first, "runtime_shim")), 0)
    return ["runtime" if number < begun else _origin(span, folders) for number, span in enumerate(spans)]


def _origin(span: Span, folders: Mapping[str, str]) -> str:
    if span.file in ("frozen", "built-in"):
        return "python"
    inside = (name for name, folder in folders.items() if span.file.startswith(folder + "/"))
    return next(inside, "other")


def used(
    names: Collection[str],
    calls: Mapping[str, Collection[str]],
    importers: Mapping[str, Collection[str]],
    unseen: Collection[str],
) -> frozenset[str]:
    """The modules that the function uses, as far as calls of functions tell.

    A module is used if one of its functions runs outside of any import, or for the import of another module
    that is used; a package, if a module in it is used; ``x``, if its machine code ``_x`` is used. Calls from
    machine code to machine code leave no trace: a module that is ``unseen`` for that also counts as used if a
    module that is used imports it.
    """
    leads: dict[str, set[str]] = defaultdict(set)
    for name in names:
        for other in calls.get(name, ()):
            leads[other].add(name)
        if name in unseen:
            for other in importers.get(name, ()):
                leads[other].add(name)
        package, dot, last = name.rpartition(".")
        leads[name].add(package)
        leads[f"{package}{dot}_{last}"].add(name)
    # A function that only its own module's import calls is no use of the module: that lead is a circle.
    reached, ahead = {""}, [""]
    while ahead:
        new = leads[ahead.pop()] - reached
        reached |= new
        ahead += new
    return frozenset(reached.intersection(names))


def lengths_by_module(spans: Sequence[Span], own: Sequence[int], origin: Sequence[str]) -> dict[str, int]:
    """What each module takes by itself that is neither Lambda's nor the loader's."""
    lengths: dict[str, int] = defaultdict(int)
    for number, span in enumerate(spans):
        if span.kind == IMPORT and origin[number] not in _OF_THE_START:
            lengths[span.name] += own[number]
    return lengths


def unused(
    lengths: Mapping[str, int], in_use: Collection[str], importers: Mapping[str, Collection[str]]
) -> list[UnusedImport]:
    """The imports that nothing uses, each with those that would go with it; the longest first.

    Each module is in one of them alone, so that their times may be added.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for name, top in tops([name for name in lengths if name not in in_use], importers).items():
        groups[top].append(name)
    found = [
        UnusedImport(
            top,
            tuple(names),
            sum(lengths[name] for name in names),
            tuple(sorted(set(importers.get(top, ())) - set(names))),
        )
        for top, names in groups.items()
    ]
    return sorted(found, key=lambda each: (-each.self_us, each.name))


def packages(
    lengths: Mapping[str, int], in_use: Collection[str], importers: Mapping[str, Collection[str]]
) -> list[Package]:
    """The packages, those first of which most is unused."""
    by_name: dict[str, list[str]] = defaultdict(list)
    for name in lengths:
        by_name[name.partition(".")[0]].append(name)
    found = []
    for package, names in by_name.items():
        idle = [name for name in names if name not in in_use]
        outside = {each for name in idle for each in importers.get(name, ())}
        outside = {each for each in outside if each.partition(".")[0] != package}
        sums = [sum(lengths[name] for name in group) for group in (names, idle)]
        found.append(Package(package, len(names), sums[0], len(idle), sums[1], tuple(sorted(outside))))
    return sorted(found, key=lambda each: (-each.unused_us, -each.self_us, each.name))


def tops(names: Collection[str], importers: Mapping[str, Collection[str]]) -> dict[str, str]:
    """Of each module the one among ``names`` without which it would not be imported; else the module itself.

    The topmost such: each way of imports to the module from outside of ``names`` leads through that one.
    """
    top = {name: name for name in names if not importers.get(name) or set(importers[name]) - set(names)}
    changed = True
    while changed:
        changed = False
        for name in names:
            above = {top[each] for each in importers.get(name, ()) if each in top and each != name}
            if top.get(name) != name and above:
                chosen = next(iter(above)) if len(above) == 1 else name
                changed |= top.get(name) != chosen
                top[name] = chosen
    # What only modules import that import each other.
    return {name: top.get(name, name) for name in names}
