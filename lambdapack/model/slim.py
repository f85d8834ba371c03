"""What slimming did, and how that was checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class RuleSaving:
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
    dropped: tuple[RuleSaving, ...]
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
