"""What is kept between builds: where it is, and what the stages see of the cache.

A stage asks a ``Memo`` before it does something costly. The command line passes the build cache; tests
and library users pass none, and everything is done anew.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import lambdapack
from runtime_shim import _index

__all__ = [
    "AFTER_A_PACK", "NOTHING", "CacheFolder", "Memo", "Nothing", "default_cache_dir", "facts_of", "key_of",
    "tool_digest",
]  # fmt: skip


def default_cache_dir(environment: Mapping[str, str] = os.environ) -> Path:
    """``$LAMBDAPACK_CACHE``, else ``$XDG_CACHE_HOME/lambdapack``, else ``~/.cache/lambdapack``."""
    if chosen := environment.get("LAMBDAPACK_CACHE"):
        return Path(chosen)
    base = environment.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "lambdapack"


class CacheFolder(Enum):
    """Every folder of the cache, each with an example of its content."""

    BUILDS = "builds"
    """The build cache, by kind and key: ``builds/frames/3f/3fa1…``."""
    DOWNLOADS = "downloads"
    """What was fetched from an address, by its SHA-256: ``downloads/9c41…``."""
    ADDRESSES = "addresses"
    """Which of them an address had last, by the SHA-256 of the address: ``addresses/77de…``."""
    FILES = "files"
    """Wheels that requirements name themselves, each with a page that links to it: ``files/0b2c…/``."""
    LOCAL_WHEELS = "local-wheels"
    """Wheels built of folders and sdists that are named: ``local-wheels/51aa…/demo-1-py3-none-any.whl``."""
    WHEELS = "wheels"
    """Wheels built of locked sdists in an image: ``wheels/annoy-1.17.3-5c60…/``."""
    HINTS = "hints"
    """Names that a resolution needed, to fetch their pages early the next time: ``hints/e1f0…``."""
    METADATA = "metadata"
    """METADATA files by the hash of their wheel, written by the resolver's driver."""
    TOOLS = "tools"
    """pip-tools for one Python: ``tools/python3.12-1d93…/``."""
    DECODER = "decoder"
    """The zstd decoder for one target: ``decoder/zstandard-0.25.0-python3.12-x86_64/``."""
    RUNTIME = "runtime"
    """awslambdaric for the embedded cloud: ``runtime/python3.12.1-x86_64-…/``."""
    LINUX = "linux"
    """What a container runs the embedded cloud with, on a machine without Linux: ``linux/python3.12-…/``."""

    def of(self, cache_dir: Path) -> Path:
        """This folder of the cache in ``cache_dir``."""
        return cache_dir / self.value


class Memo(Protocol):
    """Values by kind and key; threads may share a memo. What it loses is made again."""

    def get(self, kind: str, key: str) -> bytes | None:
        """The value, or ``None`` where there is none that is sound."""

    def put(self, kind: str, key: str, value: bytes) -> None:
        """Remember a value; a value that cannot be kept is made again."""


class Nothing:
    """A ``Memo`` that remembers nothing."""

    def get(self, kind: str, key: str) -> bytes | None:
        """Nothing."""
        return None

    def put(self, kind: str, key: str, value: bytes) -> None:
        """Forget the value."""


NOTHING = Nothing()
"""For callers that want everything made anew."""


def facts_of(value: Any, without: frozenset[str] = frozenset()) -> Any:
    """A value as ``key_of`` takes it: of a dataclass every field, so that no key forgets one.

    Args:
        value: A value made of dataclasses, collections and plain values; of anything else, ``repr`` counts.
        without: Names of fields that do not count, wherever they are.
    """
    if is_dataclass(value):
        names = (field.name for field in fields(value) if field.name not in without)
        return {name: facts_of(getattr(value, name), without) for name in names}
    if isinstance(value, Mapping):
        return [[facts_of(key, without), facts_of(item, without)] for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [facts_of(item, without) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(map(repr, value))
    return value if value is None or isinstance(value, (str, int, float)) else repr(value)


def key_of(*parts: Any) -> str:
    """SHA-256, hex, of ``parts``, which JSON must be able to tell apart."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@cache
def tool_digest() -> str:
    """SHA-256, hex, of lambdapack itself: a version number stays the same while it is worked on.

    Every file counts, tables and data too, but for the packages that come after a pack.
    """
    digest = hashlib.sha256(lambdapack.__version__.encode())
    root = Path(lambdapack.__file__).parent
    for path in sorted(path for path in root.rglob("*") if path.is_file() and path.suffix != ".pyc"):
        name = path.relative_to(root)
        if name.parts[0] not in AFTER_A_PACK:
            digest.update(f"{name.as_posix()}\0".encode() + path.read_bytes())
    digest.update(Path(_index.__file__).read_bytes())
    return digest.hexdigest()


AFTER_A_PACK = frozenset(("cli", "config", "deploy", "local", "plan", "report", "store"))
"""Packages that no pack depends on: what makes a pack imports none of them."""
