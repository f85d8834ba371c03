"""``build.json``: what was built, from what, how big it is and how long it took.

The document is versioned and documented in ``docs/build-json.md``; ``write`` and ``read`` are the only
places that know its keys by name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from lambdapack.errors import ConfigurationError
from lambdapack.files import write_bytes
from lambdapack.install import syslibs
from lambdapack.model import ImportCheck, MissingLibrary, Need, Pin, SlimReport, SystemLibrary, Target
from lambdapack.pack import Pack
from lambdapack.plan import Facts, Share, Sizes, rows
from lambdapack.progress import Message
from runtime_shim._index import ARENA, Index

FILE_NAME = "build.json"
PREVIOUS = "previous.json"
"""The build.json of the build that the one in the same folder replaced, where there was one."""
VERSION = 1
IN_IMAGE = frozenset(("docker", "codebuild"))
"""Builders that build in the target's own image, and bring shared libraries from there."""
_PIN = re.compile(r"(?P<name>[^\s=]+)==(?P<version>[^\s\\]+)")
_HASH = re.compile(r"--hash=(sha256:[0-9a-f]{64})")


@dataclass(frozen=True)
class BuiltDistribution:
    """A distribution that is in the pack. Sizes in bytes, before and after slimming.

    ``requires`` is what it needs of the others, ``None`` in the report of an earlier lambdapack.
    """

    name: str
    version: str
    requested: bool
    top_level: tuple[str, ...]
    installed_bytes: int
    slimmed_bytes: int
    requires: tuple[Need, ...] | None = None


@dataclass(frozen=True)
class PackFacts:
    """The pack itself.

    Attributes:
        id: SHA-256 of the index, hex.
        file, index: Names of its two files, beside build.json.
        bytes: Size of the ``.tar.zst``.
        unpacked_bytes: Size of the tar stream.
        files, frames: How many there are.
        hot_frames, hot_bytes: Frames that the trace touched, and their compressed size.
        eager_frames, eager_bytes: Frames that must be there before the first invocation, and their size.
        disk_bytes: What becomes real files in /tmp.
        arena_bytes: What goes to the one file that code is imported from.
        glibc: Newest C library that an ELF file asks for, ``""`` if none does.
    """

    id: str
    file: str
    index: str
    bytes: int
    unpacked_bytes: int
    files: int
    frames: int
    hot_frames: int
    hot_bytes: int
    eager_frames: int
    eager_bytes: int
    disk_bytes: int
    arena_bytes: int
    glibc: str


@dataclass(frozen=True)
class BuildReport:
    """Everything about one build.

    Attributes:
        tool: e.g. ``lambdapack 0.1.0``.
        inputs: SHA-256 over everything that decides the bytes; a build with the same digest is reused.
        target: e.g. ``python3.11/x86_64``.
        glibc: Newest C library that the lock allowed, e.g. ``2.26``.
        builder: Its name, and why it was chosen.
        requirements: As the user wrote them.
        lock: ``digest``, ``text``, ``requested``, ``built`` and ``left_out``.
        options: What was asked of slimming, tracing and compression.
        distributions: By name.
        restored: Why slimming was taken back in part, for people; empty where it was not.
        imports: What was imported to find that out.
        trace: ``how``, ``code``, ``files`` in order of first use, ``native``.
        seconds: Stage -> seconds.
        libraries: Shared libraries of the build image that the pack carries because Lambda lacks them.
        lacking: Shared libraries that the pack's files ask for and that neither the pack nor Lambda has.
        reuse: What the build cache gave: ``distributions``, ``frames`` and so on -> how many came from it
            (``reused``) of how many (``all``).
        messages: What the user was told of what is in the pack; of the lock, the cached lock says it.
        shares: What of the pack is whose: they add up to the pack. Empty in the report of an earlier
            lambdapack.
    """

    tool: str
    inputs: str
    target: str
    glibc: str
    builder: Mapping[str, str]
    requirements: tuple[str, ...]
    lock: Mapping[str, Any]
    options: Mapping[str, Any]
    distributions: tuple[BuiltDistribution, ...]
    slim: SlimReport
    restored: tuple[str, ...]
    imports: ImportCheck
    trace: Mapping[str, Any]
    pack: PackFacts
    seconds: Mapping[str, float]
    libraries: tuple[SystemLibrary, ...] = ()
    lacking: tuple[MissingLibrary, ...] = ()
    reuse: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    messages: tuple[Message, ...] = ()
    shares: tuple[Share, ...] = ()


def pack_facts(made: Pack) -> PackFacts:
    """What the report says of a pack."""
    index = made.index
    arena = sum(size for size, kind in zip(index.sizes, index.classes, strict=True) if kind in ARENA)
    return PackFacts(
        id=made.id,
        file=made.path.name,
        index=made.index_path.name,
        bytes=made.path.stat().st_size,
        unpacked_bytes=sum(index.frame_size),
        files=len(index.paths),
        frames=len(index.frame_stored),
        hot_frames=index.hot,
        hot_bytes=sum(index.frame_stored[: index.hot]),
        eager_frames=index.eager,
        eager_bytes=sum(index.frame_stored[: index.eager]),
        disk_bytes=sum(index.sizes) - arena,
        arena_bytes=arena,
        glibc=index.glibc,
    )


def shares(index: Index, pack_bytes: int, distributions: Sequence[BuiltDistribution]) -> tuple[Share, ...]:
    """What of a pack is whose, by the plan's count."""
    return tuple(
        Share(row.name, row.version, Sizes(row.installed or 0, row.slimmed, row.stored, row.hot))
        for row in rows(Facts(index, pack_bytes, tuple(distributions)))
    )


def pins(report: BuildReport) -> Iterator[Pin]:
    """The pins of the lock that a build was made from."""
    for line in report.lock["text"].replace("\\\n", " ").splitlines():
        pin = _PIN.match(line)
        if pin is not None:
            yield Pin(pin["name"], pin["version"], tuple(_HASH.findall(line)))


def to_json(report: BuildReport) -> dict[str, Any]:
    """The document, ready for ``json.dumps``."""
    return {"document": "lambdapack.build", "version": VERSION, "id": report.pack.id, **asdict(report)}


def write(report: BuildReport, directory: Path) -> Path:
    """Write ``directory``/build.json, complete or not at all."""
    path = directory / FILE_NAME
    write_bytes(path, json.dumps(to_json(report), indent=2).encode() + b"\n")
    return path


def read(directory: Path) -> BuildReport:
    """Read ``directory``/build.json.

    Raises:
        ConfigurationError: There is none, or it is not one that this version can read.
    """
    return read_file(directory / FILE_NAME)


def read_file(path: Path) -> BuildReport:
    """Read a build.json, under whatever name.

    Raises:
        ConfigurationError: As ``read``.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(
            f"nothing is built in {path.parent}: there is no {path.name}", hint="run: lambdapack build"
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot read {path}: {error}", hint="run: lambdapack build") from None
    try:
        if document["document"] != "lambdapack.build" or document["version"] != VERSION:
            raise ConfigurationError(
                f"{path} has version {document['version']!r}; this lambdapack reads {VERSION}",
                hint="build it again: lambdapack build",
            )
        return TypeAdapter(BuildReport).validate_python(document)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"{path} is not a build report: {type(error).__name__}: {error}",
            hint="build it again: lambdapack build",
        ) from None


def missing_libraries(pack: Pack, allowed: Collection[str] = ()) -> tuple[syslibs.LibraryRisk, ...]:
    """The shared libraries that a pack asks for and neither it nor Lambda has, by its build.json.

    Args:
        pack: The pack, in its build's folder.
        allowed: Names of libraries that the function can do without, or has from a layer.

    Returns:
        The libraries; empty for a pack that came without its build.json.
    """
    try:
        report = read(pack.path.parent)
    except ConfigurationError:
        return ()
    if report.pack.id != pack.id:
        return ()
    paths, traced = pack.index.paths, report.trace.get("how") == "traced"
    needs = {paths[file]: [paths[other] for other in others] for file, others in pack.index.needs.items()}
    return syslibs.weigh(
        report.lacking,
        syslibs.runtime_libraries(Target.parse(report.target)),
        paths,
        syslibs.PackUse(report.trace["files"] if traced else None, needs, report.imports.skipped),
        allowed=allowed,
        image=report.builder["name"] in IN_IMAGE,
    )
