"""Starts Lambda's runtime client, times its imports, and prints what it has seen as one line of the log.

The function's own Python, 3.8 and later, runs the text of this file and a call of ``run`` behind it, as
``python -c``: so no file of lambdapack's need be in the environment. A start that ``watch``es is slower: it
notes for which module's import a function is called, who imports what, and what memory each import takes.
"""

from __future__ import annotations

import os
import sys
import time
from _thread import get_ident
from mmap import PAGESIZE as PAGE
from mmap import mmap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

_now = time.monotonic_ns
_TOOL = 4
"""A number of ``sys.monitoring`` that Python leaves to nobody: profilers and debuggers have others."""


class Span:
    """An import, or a wait for a frame of a pack; ``name`` is the module's, of a wait the one that waits."""

    def __init__(self, kind: str, name: str, parent: Span | None, thread: int, phase: int) -> None:
        self.kind = kind
        self.name = name
        self.parent = parent
        self.thread = thread
        self.phase = phase
        self.start = self.end = self.bytes = self.memory = self.cpu = 0
        self.frame = -1
        self.file = ""


class Recorder:
    """What has begun and ended in this process, of each thread in a stack of its own."""

    def __init__(self, watches: bool) -> None:
        self.spans: list[Span] = []
        self.phases: list[list[int]] = [[0, 0]]
        self.cpu: list[int] = []
        self.calls: dict[str, dict[str, None]] = {}
        self.importers: dict[str, dict[str, None]] = {}
        self.probes: dict[str, Callable[[Any], None]] = {}
        self.watches = watches
        # Shared with the process that fetches, which leaves its CPU time here.
        self.fetching = mmap(-1, PAGE)
        self._main = get_ident()
        self._out = os.dup(1)
        self._statm = os.open("/proc/self/statm", os.O_RDONLY) if watches else -1
        self._page = os.sysconf("SC_PAGE_SIZE")
        self._stacks: dict[int, list[Span]] = {}
        self._ended: dict[int, int] = {}

    def begin(self, kind: str, name: str, start: int = 0) -> Span:
        """Something begins in this thread, or has begun at ``start``."""
        thread = get_ident()
        stack = self._stacks.setdefault(thread, [])
        span = Span(kind, name, stack[-1] if stack else None, thread, len(self.phases) - 1)
        self.spans.append(span)
        stack.append(span)
        span.cpu = time.thread_time_ns()
        if self.watches:
            span.memory = -self._memory()
        # What ended since must not be inside.
        span.start = max(start, self._ended.get(thread, 0)) if start else _now()
        return span

    def end(self, span: Span) -> None:
        """The thread's newest span ends."""
        if self.watches:
            span.memory += self._memory()
        self._stacks[span.thread].pop()
        if span.kind == "wait":
            span.cpu = time.thread_time_ns()
        span.end = self._ended[span.thread] = _now()

    def importing(self) -> str:
        """The module that this thread imports, ``""`` where there is none."""
        stack = self._stacks.get(get_ident())
        return stack[-1].name if stack else ""

    def _memory(self) -> int:
        """Bytes in memory that are no file's."""
        fields = os.pread(self._statm, 100, 0).split()
        return (int(fields[1]) - int(fields[2])) * self._page

    def tell(self, token: str) -> None:
        """Print everything."""
        numbers = {id(span): number for number, span in enumerate(self.spans)}
        spans = []
        for span in list(self.spans):
            values = dict(vars(span), thread=span.thread != self._main, end=span.end or _now())
            spans.append(dict(values, parent=numbers.get(id(span.parent), -1)))
        seen = {
            "spans": spans,
            "phases": self.phases,
            "cpu": self.cpu,
            "fetching": int.from_bytes(self.fetching[:8], "little"),
            "calls": {name: list(found) for name, found in list(self.calls.items())},
            "importers": {name: list(found) for name, found in list(self.importers.items())},
            "handler": os.environ.get("LAMBDAPACK_HANDLER") or os.environ["_HANDLER"],
            "folders": _folders(),
            "memory_mb": int(os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]),
        }
        data = ("\n%s %r\n" % (token, seen)).encode("utf-8", "backslashreplace")
        while data:
            data = data[os.write(self._out, data) :]


def _folders() -> dict[str, str]:
    """Whose modules are in which folder; the first that fits counts."""
    return {
        "runtime": os.environ["LAMBDA_RUNTIME_DIR"],
        "loader": os.path.dirname(getattr(sys.modules.get("runtime_shim"), "__file__", None) or "/-/-"),
        "function": os.environ["LAMBDA_TASK_ROOT"],
        "pack": os.environ.get("LAMBDAPACK_ROOT", "/tmp/lambdapack"),
        "layer": os.environ.get("LAMBDAPACK_FILES", "") + "/opt",
        "python": os.path.dirname(os.__file__),
    }


def time_imports(recorder: Recorder) -> None:
    """Take down each module's finding and loading; importlib's own functions are in a frozen module."""
    bootstrap: Any = sys.modules["_frozen_importlib"]
    real_find, real_load = bootstrap._find_spec, bootstrap._load_unlocked
    found: dict[int, tuple[Any, int]] = {}

    def find(*args: Any) -> Any:
        start = _now()
        spec = real_find(*args)
        found[get_ident()] = spec, start
        return spec

    def load(spec: Any) -> Any:
        known, start = found.pop(get_ident(), (None, 0))
        span = recorder.begin("import", spec.name, start if known is spec else 0)
        span.file = str(spec.origin or "")
        try:
            module = real_load(spec)
        finally:
            recorder.end(span)
        probe = recorder.probes.get(spec.name)
        if probe is not None:
            probe(module)
        return module

    bootstrap._find_spec, bootstrap._load_unlocked = find, load


def time_waits(recorder: Recorder) -> Callable[[Any], None]:
    """Take down what the loader waits for."""

    def probe(module: Any) -> None:
        real_wait = module.Pack.wait_frame

        # Only what really waits comes here.
        def wait_frame(self: Any, frame: int) -> None:
            span = recorder.begin("wait", recorder.importing())
            span.frame, span.bytes = frame, self.index.frame_stored[frame]
            span.file = self.place.base.rpartition("/")[2]
            try:
                real_wait(self, frame)
            finally:
                recorder.end(span)

        module.Pack.wait_frame = wait_frame

    return probe


def time_fetching(recorder: Recorder) -> Callable[[Any], None]:
    """Take down the CPU time of the process that fetches."""

    def probe(module: Any) -> None:
        real_run = module._run

        def run(*args: Any) -> None:
            try:
                real_run(*args)
            finally:
                recorder.fetching[:8] = time.process_time_ns().to_bytes(8, "little")

        module._run = run

    return probe


def time_phases(recorder: Recorder, token: str, invocations: int) -> Callable[[Any], None]:
    """Take down where init and each invocation end, and tell everything after the last."""

    def probe(module: Any) -> None:
        real_next = module.LambdaRuntimeClient.wait_next_invocation

        def wait_next_invocation(self: Any) -> Any:
            recorder.phases[-1][1] = _now()
            recorder.cpu.append(time.thread_time_ns())
            if len(recorder.phases) == invocations + 1:
                recorder.tell(token)
            event = real_next(self)
            recorder.phases.append([_now(), 0])
            return event

        module.LambdaRuntimeClient.wait_next_invocation = wait_next_invocation

    return probe


def watch_imports(recorder: Recorder) -> None:
    """Take down every import statement, also of what is there already."""
    import builtins

    real_import: Any = builtins.__import__

    def note(importer: str, name: str) -> None:
        if name != importer:
            recorder.importers.setdefault(name, {})[importer] = None

    def watched(
        name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
    ) -> Any:
        module = real_import(name, globals, locals, fromlist, level)
        importer = globals.get("__name__") if isinstance(globals, dict) else None
        if isinstance(importer, str):
            target = getattr(module, "__name__", name) if fromlist else name
            if isinstance(target, str):
                note(importer, target)
                for each in fromlist or ():
                    if "%s.%s" % (target, each) in sys.modules:
                        note(importer, "%s.%s" % (target, each))
        return module

    builtins.__import__ = watched


def module_of(function: Any) -> Any:
    """The name of the module of what is called, where that is machine code or a class; else ``None``."""
    kind = type(function)
    if kind is _BUILTIN:
        owner = function.__self__
        if type(owner) is type(sys):
            return owner.__name__
        return owner.__module__ if isinstance(owner, type) else type(owner).__module__
    if kind is _METHOD:
        return function.__objclass__.__module__
    if issubclass(kind, type) or kind.__name__ == "cython_function_or_method":
        return function.__module__
    return None if kind.__module__ == "builtins" else kind.__module__


_BUILTIN, _METHOD = type(len), type(str.join)


def watch_calls(recorder: Recorder) -> None:
    """Take down whose functions are called, each with the module for whose import.

    The body of a module is one of them, which its own import calls.
    """

    def note(name: Any) -> str:
        importing = recorder.importing()
        if isinstance(name, str):
            recorder.calls.setdefault(name, {})[importing] = None
        return importing

    if not hasattr(sys, "monitoring"):
        import threading

        def profiled(frame: Any, event: str, function: Any) -> None:
            if event == "c_call":
                note(module_of(function))
            elif event == "call":
                note(frame.f_globals.get("__name__"))

        threading.setprofile(profiled)
        sys.setprofile(profiled)
        return
    monitoring: Any = sys.monitoring
    events = monitoring.events

    # What is called outside of any import is known to be needed, and need not be told again.
    def started(code: Any, _: int) -> Any:
        return None if note(sys._getframe(1).f_globals.get("__name__")) else monitoring.DISABLE

    def called(code: Any, offset: int, function: Any, first: Any) -> Any:
        return None if note(module_of(function)) else monitoring.DISABLE

    monitoring.use_tool_id(_TOOL, "lambdapack profile")
    monitoring.register_callback(_TOOL, events.PY_START, started)
    monitoring.register_callback(_TOOL, events.CALL, called)
    monitoring.set_events(_TOOL, events.PY_START | events.CALL)


def run(token: str, invocations: int, watches: bool) -> None:
    """Run the function's events; after so many, print ``token`` and what was seen."""
    recorder = Recorder(watches)
    recorder.probes = {
        "runtime_shim._start": time_waits(recorder),
        "runtime_shim._child": time_fetching(recorder),
        "awslambdaric.lambda_runtime_client": time_phases(recorder, token, invocations),
    }
    # As ``python -m`` has it, which starts the runtime otherwise.
    sys.path[0] = os.getcwd()
    if watches:
        watch_imports(recorder)
        watch_calls(recorder)
    time_imports(recorder)
    recorder.phases[0][0] = _now()
    from awslambdaric.__main__ import main

    main(["awslambdaric", os.environ["_HANDLER"]])
