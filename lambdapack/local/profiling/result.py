"""A profile: a cold start, import by import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lambdapack.local.profiling.spans import Package, UnusedImport

__all__ = ["Import", "Phase", "Profile", "Wait"]


@dataclass(frozen=True)
class Import:
    """An import of the timed start. Times in milliseconds, ``start_ms`` from the beginning of init.

    Attributes:
        name, file: The module, and its file as the function sees that.
        origin: Whose the module is: ``function``, ``pack``, ``layer``, ``python``, ``loader`` (lambdapack's
            own), ``runtime`` (Lambda's, and what it imports) or ``other``.
        parent: The number of the import in which this one ran, ``None`` for an outermost one.
        phase: ``init``, or ``invocation 1`` and so on.
        thread: Whether another thread than the first imported the module.
        cumulative_ms: Its duration, with all that it waited for and imported.
        self_ms: The part that is neither.
        waited_ms, waited_bytes: What it waited for itself: time, and compressed bytes of the pack.
        memory_bytes: By how much the process grew by itself, without its imports; from the watched start.
        used: Whether a function of the module was called for anything that is used; ``None`` where that
            cannot be known: machine code that no Python code calls, but a module that is used imports.
        importers: Which modules import this one.
        cpu_ms: CPU time of its thread before it began.
    """

    name: str
    file: str
    origin: str
    parent: int | None
    phase: str
    thread: bool
    start_ms: float
    cumulative_ms: float
    self_ms: float
    waited_ms: float
    waited_bytes: int
    memory_bytes: int
    used: bool | None
    importers: tuple[str, ...]
    cpu_ms: float


@dataclass(frozen=True)
class Wait:
    """A wait for a frame of a pack.

    Attributes:
        parent: The number of the import that waits, ``None`` outside of any.
        pack: The beginning of the pack's id: the function's own, or an asset's.
        frame, bytes: The frame and its size, compressed.
        cpu_ms: CPU time of its thread when it ended; work that was done meanwhile is in this figure.
    """

    parent: int | None
    phase: str
    thread: bool
    pack: str
    frame: int
    bytes: int
    start_ms: float
    self_ms: float
    cpu_ms: float


@dataclass(frozen=True)
class Phase:
    """Init or an invocation, and its parts, which add up: imports by themselves, waits, everything else.

    Only the first thread counts: what others do is beside that.

    Attributes:
        cpu_ms: CPU time of the first thread when the phase ended, from the start of the process.
    """

    name: str
    start_ms: float
    ms: float
    imports_ms: float
    waited_ms: float
    other_ms: float
    cpu_ms: float


@dataclass(frozen=True)
class Profile:
    """A cold start, and the invocations that follow.

    Attributes:
        function, memory_mb: What was started.
        init_ms: Lambda's Init Duration; longer than the phase by the interpreter's own start, ``before_ms``.
        too_long: Whether Lambda would have ended this init.
        max_memory_mb: The peak, as Lambda reports it.
        pack: The loader's own figures, empty without a pack.
        phases, imports, waits: In the order in which they began.
        packages: The modules below one name together, those first of which most is unused.
        never_called: What nothing uses, the longest first.
        fetching_cpu_ms: CPU time of the process that fetched the pack, 0 where none did.
    """

    function: str
    memory_mb: int
    init_ms: float
    before_ms: float
    too_long: bool
    max_memory_mb: int
    pack: Mapping[str, Any]
    phases: tuple[Phase, ...]
    imports: tuple[Import, ...]
    waits: tuple[Wait, ...]
    packages: tuple[Package, ...]
    never_called: tuple[UnusedImport, ...]
    fetching_cpu_ms: float = 0.0

    def document(self) -> dict[str, Any]:
        """The body of the JSON document ``lambdapack.profile``."""
        body = asdict(self)
        for group in body["never_called"]:
            group["self_ms"] = group.pop("self_us") / 1000
        for package in body["packages"]:
            for name in ("self", "unused"):
                package[f"{name}_ms"] = package.pop(f"{name}_us") / 1000
        return body
