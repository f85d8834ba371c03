"""What will be installed: the values that the lock stage gives."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Literal

from lambdapack.model.pip_options import NO_OPTIONS, PipOptions
from lambdapack.model.target import Target


@dataclass(frozen=True, order=True)
class Pin:
    """One distribution of a lock.

    Attributes:
        name: Canonical name (PEP 503).
        version: Exact version, with its local part (``2.13.0+cpu``).
        hashes: ``sha256:…`` of every file that may be installed; at least one.
    """

    name: str
    version: str
    hashes: tuple[str, ...]


@dataclass(frozen=True, order=True)
class LeftOut:
    """A distribution that was resolved and is not packed.

    Attributes:
        name, version: As it would have been installed.
        why: ``excluded``, ``runtime`` (Lambda has it), or ``unneeded`` (only one of these needed it).
        bytes: What it would take installed; 0 where that was not looked up.
    """

    name: str
    version: str
    why: Literal["excluded", "runtime", "unneeded"]
    bytes: int = 0


@dataclass(frozen=True)
class Lock:
    """What will be installed, to the byte.

    Attributes:
        target: What it was resolved for.
        glibc: The newest C library that its wheels may ask for.
        pins: By name.
        requested: Canonical names that the user asked for; the rest came as dependencies.
        sources: Where the files are. Not part of ``text``: the hashes decide what is installed, and these
            options may hold credentials.
        built: Canonical names of which an sdist is locked, to be built in the target's image.
        left_out: Distributions that were resolved and are not packed, by name; not part of ``text``.
        addressed: Canonical names of distributions that the metadata of others names by an address: such a
            lock is not reused, since what is there may change.
    """

    target: Target
    glibc: tuple[int, int]
    pins: tuple[Pin, ...]
    requested: tuple[str, ...]
    sources: PipOptions = NO_OPTIONS
    built: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    addressed: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The lock as a requirements file for ``pip install --require-hashes --no-deps``."""
        lines = []
        for pin in sorted(self.pins):
            hashes = [f"    --hash={value}" for value in sorted(pin.hashes)]
            lines.append(" \\\n".join([f"{pin.name}=={pin.version}", *hashes]))
        return "\n".join(lines) + "\n"

    @property
    def digest(self) -> str:
        """SHA-256 of ``text``, hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def document(self) -> dict[str, object]:
        """The lock in build.json's form."""
        left_out = [asdict(package) for package in self.left_out]
        names = {"requested": list(self.requested), "built": list(self.built)}
        return {"digest": self.digest, "text": self.text, **names, "left_out": left_out}
