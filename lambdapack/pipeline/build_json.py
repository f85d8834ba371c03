"""``build.json``: what was built, from what, how big it is and how long it took.

The document is versioned and documented in ``docs/build-json.md``; ``write`` and ``read`` are the only
places that know its keys by name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from lambdapack.errors import ConfigurationError
from lambdapack.files import write_bytes
from lambdapack.model import ImportCheck, MissingLibrary, SlimReport, SystemLibrary
from lambdapack.progress import Message

__all__ = ["FILE_NAME", "VERSION", "BuildReport", "BuiltDistribution", "PackFacts", "read", "write"]

FILE_NAME = "build.json"
VERSION = 1


@dataclass(frozen=True)
class BuiltDistribution:
    """A distribution that is in the pack. Sizes in bytes, before and after slimming."""

    name: str
    version: str
    requested: bool
    top_level: tuple[str, ...]
    installed_bytes: int
    slimmed_bytes: int


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
        slim: What slimming did.
        restored: Why slimming was taken back in part, for people; empty where it was not.
        imports: What was imported to find that out.
        trace: ``how``, ``code``, ``files`` in order of first use, ``native``.
        pack: The pack.
        seconds: Stage -> seconds.
        libraries: Shared libraries of the build image that the pack carries because Lambda lacks them.
        lacking: Shared libraries that the pack's files ask for and that neither the pack nor Lambda has.
        reuse: What the build cache gave: ``distributions``, ``frames`` and so on -> how many came from it
            (``reused``) of how many (``all``).
        messages: What the user was told of what is in the pack; of the lock, the cached lock says it.
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
    path = directory / FILE_NAME
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(
            f"nothing is built in {directory}: there is no {FILE_NAME}", hint="run: lambdapack build"
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
