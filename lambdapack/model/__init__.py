"""The values that flow between stages. Frozen, without behaviour that needs a disk or a network."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from lambdapack.model.target import Target

__all__ = [
    "Distribution",
    "Dropped",
    "FunctionAsset",
    "FunctionSpec",
    "ImportCheck",
    "Lacking",
    "LeftOut",
    "Location",
    "Lock",
    "Pin",
    "SlimReport",
    "SystemLibrary",
    "Trace",
    "Tree",
]


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
        sources: pip's options on where the files are, e.g. ``("--find-links", "/wheels")``; not part of
            ``text``: the hashes settle what is installed, and these may hold credentials.
        built: Canonical names of which an sdist is locked, to be built in the target's image.
        left_out: What was resolved and is not in it, by name; not part of ``text``.
        addressed: Canonical names of what the metadata of others names by an address; what is there may
            change, and nobody would notice.
    """

    target: Target
    glibc: tuple[int, int]
    pins: tuple[Pin, ...]
    requested: tuple[str, ...]
    sources: tuple[str, ...] = field(default=(), repr=False)
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
        """What build.json says of it."""
        left_out = [asdict(one) for one in self.left_out]
        names = {"requested": list(self.requested), "built": list(self.built)}
        return {"digest": self.digest, "text": self.text, **names, "left_out": left_out}


@dataclass(frozen=True)
class Distribution:
    """An installed distribution.

    Attributes:
        name: Canonical name.
        version: Its version.
        files: Paths relative to the tree's root, POSIX style, that its RECORD lists and that exist.
        top_level: Names that it adds to ``import``, e.g. ``("sklearn",)``.
    """

    name: str
    version: str
    files: tuple[str, ...]
    top_level: tuple[str, ...]


@dataclass(frozen=True)
class SystemLibrary:
    """A shared library of the build image that the pack carries because Lambda lacks it.

    Attributes:
        name: The name that it is asked for by, e.g. ``libgomp.so.1``.
        path: Where it is in the tree.
        origin: Where it was in the image.
        package: The image's package that it belongs to, with its version; empty where nobody knows.
        bytes: Its size.
        sha256: Of its bytes, hex, before slimming.
        needed_by: Paths of the tree that ask for it.
        purl: The package as a package URL; empty where nobody knows.
    """

    name: str
    path: str
    origin: str
    package: str
    bytes: int
    sha256: str
    needed_by: tuple[str, ...]
    purl: str = ""


@dataclass(frozen=True)
class Lacking:
    """A shared library that neither the tree nor Lambda has.

    Attributes:
        name: The name that it is asked for by.
        needed_by: Paths of the tree that ask for it.
        reason: Why it was not bundled, where there is more to say than that the image has none.
    """

    name: str
    needed_by: tuple[str, ...]
    reason: str = ""


@dataclass(frozen=True)
class Tree:
    """An installed site-packages for one target.

    Attributes:
        root: The folder.
        target: What it is for.
        distributions: By name.
        libraries: What it carries of the image it was built in.
        lacking: What it needs and nobody has.
    """

    root: Path
    target: Target
    distributions: tuple[Distribution, ...]
    libraries: tuple[SystemLibrary, ...] = ()
    lacking: tuple[Lacking, ...] = ()


@dataclass(frozen=True)
class Trace:
    """The files of a tree that a program touched, in order of first use.

    Attributes:
        files: Paths relative to the tree's root, POSIX style.
        native: Those that only native code opened, not Python and not the dynamic linker.
        how: ``traced`` or, where the target's Python cannot run here, ``heuristic``.
        code: What was run.
        foreign: Name and path of each shared library of the machine that it opened by name.
    """

    files: tuple[str, ...]
    native: frozenset[str]
    how: Literal["traced", "heuristic"]
    code: str
    foreign: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Dropped:
    """Bytes that one rule took from one distribution."""

    rule: str
    distribution: str
    files: int
    bytes: int


@dataclass(frozen=True)
class SlimReport:
    """What slimming did.

    Attributes:
        installed_bytes, slimmed_bytes: The tree before and after, bytecode of pip's included.
        installed_files, slimmed_files: The same in files.
        dropped: By rule and distribution; stripping and bytecode are rules too (bytecode adds, and
            so its bytes are negative).
        reverted: Path -> why a shared object kept its original bytes.
        kept: Paths that a rule would have dropped but the trace touched.
        sizes: Distribution -> (bytes before, bytes after).
    """

    installed_bytes: int
    slimmed_bytes: int
    installed_files: int
    slimmed_files: int
    dropped: tuple[Dropped, ...]
    reverted: Mapping[str, str]
    kept: tuple[str, ...]
    sizes: Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class ImportCheck:
    """What was imported before and after slimming, to compare.

    Attributes:
        how: What was done, or why nothing was.
        modules: How many modules were imported.
        skipped: Module -> why it could not be compared: it did not import before slimming either, or
            differs whatever is restored.
    """

    how: str
    modules: int
    skipped: Mapping[str, str]


@dataclass(frozen=True)
class Location:
    """Where a pack is in S3.

    Attributes:
        bucket: The bucket.
        key: The object's key, ``PREFIX/packs/<first 2>/<id>.tar.zst``.
        region: The bucket's region.
    """

    bucket: str
    key: str
    region: str


@dataclass(frozen=True)
class FunctionAsset:
    """An asset that a function has.

    Attributes:
        name: What ``runtime_shim.path`` takes.
        pack_id: Its pack.
        pack, index: That pack's two files on this machine.
        location: Where the pack is in S3, if that is known.
        file: The file's name; ``""`` for a folder.
        fetch: ``start``: in the background of a cold start; ``use``: when it is first asked for.
    """

    name: str
    pack_id: str
    pack: Path
    index: Path
    location: Location | None
    file: str = ""
    fetch: Literal["start", "use"] = "start"


@dataclass(frozen=True)
class FunctionSpec:
    """A function as it should be, whichever cloud it goes to.

    Attributes:
        name: The function's name.
        handler: ``module.function``.
        target: Python and architecture.
        zip_path: The function's zip on this machine.
        pack_id: The pack that its index names, or ``None`` for a function without one.
        location: Where that pack is.
        memory_mb, tmp_mb, timeout: Lambda's settings; ``timeout`` in seconds.
        environment: Environment variables.
        role: ARN of an existing role, or ``None`` to have one made.
        assets: Its assets, each with a location.
    """

    name: str
    handler: str
    target: Target
    zip_path: Path
    pack_id: str | None
    location: Location | None
    memory_mb: int = 1769
    tmp_mb: int = 512
    timeout: int = 30
    environment: Mapping[str, str] = field(default_factory=dict)
    role: str | None = None
    assets: tuple[FunctionAsset, ...] = ()
