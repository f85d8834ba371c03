"""What a build depends on, and the digest that says whether two builds depend on the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import zstandard

import lambdapack
from lambdapack.build import Limits
from lambdapack.interpreter import Interpreter
from lambdapack.model import Lock
from lambdapack.slim import SlimOptions
from lambdapack.target import Target
from runtime_shim import _index

__all__ = ["BuildOptions", "TraceOptions", "describe", "digest"]


@dataclass(frozen=True)
class TraceOptions:
    """What to run for the trace: ``code``, or ``handler`` of ``source``; neither: the requested imports.

    Attributes:
        code: Python code.
        handler: ``module.function``, called once.
        event: The event for it.
        source: Folder that the handler is imported from.
        environment: Environment variables of the function.
        timeout: Seconds.
        assets: Name -> file or folder; no input of a build: what is in them is not in the pack.
    """

    code: str | None = None
    handler: str | None = None
    event: Any = None
    source: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 300.0
    assets: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class BuildOptions:
    """Everything that a build depends on.

    Attributes:
        requirements: As pip writes them.
        files: Files to read more of them from.
        target: Python and architecture.
        output: Folder for the pack and build.json.
        builder: ``auto``, ``docker`` or ``local``.
        image: Image for the docker builder, instead of the target's own.
        limits: What the docker builder may use.
        glibc: Newest C library that wheels may ask for; ``None`` for the target's own.
        exclude: Distributions to leave out.
        slim: What to drop.
        trace: What to run.
        level: zstd level.
    """

    requirements: tuple[str, ...]
    files: tuple[Path, ...]
    target: Target
    output: Path
    builder: str = "auto"
    image: str | None = None
    limits: Limits | None = None
    glibc: tuple[int, int] | None = None
    exclude: tuple[str, ...] = ()
    slim: SlimOptions = field(default_factory=SlimOptions)
    trace: TraceOptions = field(default_factory=TraceOptions)
    level: int = 19


def describe(options: BuildOptions) -> dict[str, Any]:
    """What was asked of the stages, as build.json shows it. No path: a folder changes no byte."""
    trace = asdict(options.trace)
    trace["source"] = _source_digest(options.trace)
    del trace["assets"]
    return {
        "exclude": list(options.exclude),
        "slim": asdict(options.slim),
        "trace": trace,
        "level": options.level,
        "image": options.image,
    }


def _source_digest(trace: TraceOptions) -> str | None:
    """SHA-256 over the Python files of a traced handler, whose imports decide the order of the pack."""
    if trace.handler is None or trace.source is None:
        return None
    digest = hashlib.sha256()
    for path in sorted(trace.source.rglob("*.py")):
        name = path.relative_to(trace.source)
        if not any(part.startswith(".") for part in name.parts):
            digest.update(f"{name.as_posix()}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def digest(
    options: BuildOptions, lock: Lock, python: Interpreter, identity: Mapping[str, str] | None = None
) -> str:
    """SHA-256 over everything that decides the bytes of a build; ``identity`` is the builder's."""
    inputs = {
        "tool": _tool_digest(),
        "zstandard": zstandard.__version__,
        "target": str(options.target),
        "glibc": lock.glibc,
        "lock": lock.digest,
        "requested": lock.requested,
        "builder": [options.builder, dict(identity or {})],
        "python": [python.version, python.machine],
        "options": describe(options),
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


@cache
def _tool_digest() -> str:
    """SHA-256 of the code that makes packs: a version number stays the same while it is worked on."""
    digest = hashlib.sha256(lambdapack.__version__.encode())
    root = Path(lambdapack.__file__).parent
    for path in sorted(root.rglob("*.py")):
        if path.relative_to(root).parts[0] not in _NOT_IN_A_PACK:
            digest.update(path.read_bytes())
    digest.update(Path(_index.__file__).read_bytes())
    return digest.hexdigest()


_NOT_IN_A_PACK = frozenset(
    ("assets", "cli", "deploy", "local", "plan", "report", "store", "config.py", "release.py")
)
