"""What a build depends on, and the digest that says whether two builds depend on the same."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import zstandard

from lambdapack.install import BuildLimits
from lambdapack.memo import tool_digest
from lambdapack.model import Lock, Target
from lambdapack.pipeline.cache import LIMIT
from lambdapack.python.interpreter import Interpreter
from lambdapack.python.wheel_recipe import recipe
from lambdapack.slim import SlimOptions
from lambdapack.trace import TraceOptions


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
        packages: System packages to install in its image.
        glibc: Newest C library that wheels may ask for; ``None`` for the target's own.
        extras, groups: Extras and dependency groups to take, of files that have such.
        exclude: Distributions to leave out.
        runtime_provided: Leave out what Lambda's runtime has.
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
    limits: BuildLimits | None = None
    packages: tuple[str, ...] = ()
    glibc: tuple[int, int] | None = None
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    runtime_provided: bool = False
    slim: SlimOptions = field(default_factory=SlimOptions)
    trace: TraceOptions = field(default_factory=TraceOptions)
    level: int = 19


@dataclass(frozen=True)
class Reuse:
    """What a build may take from earlier ones.

    Attributes:
        cache: Whether the build looks into the build cache, and keeps there what it makes.
        lock: Whether a lock that was resolved some hours ago is taken for today's.
        limit: Bytes that the build cache may hold afterwards.
    """

    cache: bool = True
    lock: bool = True
    limit: int = LIMIT


REUSE = Reuse()
"""Everything that earlier builds left."""


def describe(options: BuildOptions) -> dict[str, Any]:
    """What was asked of the stages, as it stands in build.json. No path: a folder changes no byte."""
    trace = asdict(options.trace)
    trace["source"] = _source_digest(options)
    del trace["assets"]
    return {
        "exclude": list(options.exclude),
        "runtime_provided": options.runtime_provided,
        "slim": asdict(options.slim),
        "trace": trace,
        "level": options.level,
        "image": options.image,
        "system_packages": sorted(options.packages),
    }


def _source_digest(options: BuildOptions) -> str | None:
    """SHA-256 over the files of a traced handler, which may read any of them to decide what it imports."""
    source = options.trace.source
    if options.trace.handler is None or source is None:
        return None
    digest = hashlib.sha256()
    for path in sorted(_sources(source, options.output.resolve())):
        digest.update(f"{path.relative_to(source).as_posix()}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _sources(source: Path, output: Path) -> Iterator[Path]:
    """Files of a handler's folder: not hidden ones, nor what a tool made there, nor our own."""
    for folder, folders, names in os.walk(source):
        here = Path(folder)
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".")
            and name not in _NOT_SOURCES
            and not (here / name / "pyvenv.cfg").exists()
            and (here / name).resolve() != output
        ]
        for name in names:
            made = name.startswith(".") or name in _NOT_SOURCES or name.endswith(_ARCHIVES)
            if not made and (here / name).is_file():
                yield here / name


_NOT_SOURCES = frozenset(("__pycache__", "node_modules", "dist", "lambdapack.toml"))
_ARCHIVES = (".pyc", ".zip", ".tar.zst")


def digest(options: BuildOptions, lock: Lock, python: Interpreter, identity: Mapping[str, str]) -> str:
    """SHA-256 over everything that decides the bytes of a build; ``identity`` is the builder's."""
    inputs = {
        "tool": tool_digest(),
        "zstandard": [zstandard.__version__, zstandard.backend, *zstandard.ZSTD_VERSION],
        "pip": metadata.version("pip"),
        "target": str(options.target),
        "glibc": lock.glibc,
        "lock": lock.digest,
        "built": [lock.built, recipe(lock.sources)] if lock.built else [],
        "requested": lock.requested,
        "builder": [options.builder, dict(identity)],
        "python": [python.version, python.machine],
        "options": describe(options),
        "assets": {name: _asset(path) for name, path in options.trace.assets.items()},
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def _asset(path: Path) -> list[tuple[str, int, int]]:
    """Names, sizes and times of an asset's files: the traced code may load them, and they may be large."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    stats = [(file.relative_to(path).as_posix(), file.stat()) for file in files if file.exists()]
    return [(name, status.st_size, status.st_mtime_ns) for name, status in stats]
