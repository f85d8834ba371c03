"""A store with a copy of each pack in other regions: a function reads the copy of its own region."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lambdapack.model import Location
from lambdapack.progress import QUIET, Progress

if TYPE_CHECKING:
    from lambdapack.store.s3 import S3Store


@dataclass(frozen=True)
class ReplicatedStore:
    """A bucket and its copies.

    Attributes:
        own: Where a pack is sent from this machine.
        copies: Region -> where S3 copies the pack to.
        region: Where the function is that reads the packs; ``None``: wherever ``own`` is.
    """

    own: S3Store
    copies: Mapping[str, S3Store] = field(default_factory=dict)
    region: str | None = None

    def push(self, pack_path: Path, pack_id: str, *, progress: Progress = QUIET) -> bool:
        """Send a pack and have S3 copy it; ``False``: the pack was everywhere already."""
        sent = self.own.push(pack_path, pack_id, progress=progress)
        copied = [
            copy.copy_from(self.own, pack_path, pack_id, progress=progress) for copy in self.copies.values()
        ]
        return sent or any(copied)

    def exists(self, pack_id: str) -> bool:
        """Whether the pack is in every bucket."""
        return all(store.exists(pack_id) for store in (self.own, *self.copies.values()))

    def location(self, pack_id: str) -> Location:
        """Where a function in ``region`` finds the pack."""
        return self.copies.get(self.region or "", self.own).location(pack_id)
