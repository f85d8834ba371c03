"""A store that is a folder: for trying things, and for networks without S3."""

from __future__ import annotations

from pathlib import Path

from lambdapack.errors import ConfigurationError, ToolError
from lambdapack.files import disk_errors, part_file
from lambdapack.model import Location
from lambdapack.progress import QUIET, Progress
from lambdapack.store.keys import key

__all__ = ["DirectoryStore"]

_CHUNK = 1024 * 1024


class DirectoryStore:
    """Packs below ``root``, in the same layout as in a bucket."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def _path(self, pack_id: str) -> Path:
        return self._root / key("", pack_id)

    def push(self, pack_path: Path, pack_id: str, *, progress: Progress = QUIET) -> bool:
        """Copy a pack into the folder; ``False``: it was there already."""
        if self.exists(pack_id):
            return False
        _copy(pack_path, self._path(pack_id), "copy", progress)
        return True

    def exists(self, pack_id: str) -> bool:
        """Whether the pack is there; a file takes its name only when it is complete."""
        return self._path(pack_id).is_file()

    def fetch(self, pack_id: str, destination: Path, *, progress: Progress = QUIET) -> None:
        """Copy a pack out of the folder."""
        if not self.exists(pack_id):
            raise ToolError(
                f"there is no pack {pack_id} in {self._root}", hint=f"run: lambdapack push DIR {self._root}"
            )
        _copy(self._path(pack_id), destination, "fetch", progress)

    def delete(self, pack_id: str) -> None:
        """Remove a pack."""
        with disk_errors(self._path(pack_id)):
            self._path(pack_id).unlink(missing_ok=True)

    def location(self, pack_id: str) -> Location:
        """A folder is nowhere in S3, so a function could not find the pack."""
        raise ConfigurationError(
            f"{self._root} is a folder: a function in AWS cannot fetch packs from it",
            hint="push to a bucket: lambdapack push DIR s3://BUCKET/PREFIX",
        )


def _copy(source: Path, destination: Path, what: str, progress: Progress) -> None:
    with part_file(destination.parent) as part, source.open("rb") as file:
        with progress.step(what, total=source.stat().st_size, unit="B") as advance:
            while chunk := file.read(_CHUNK):
                part.file.write(chunk)
                advance(len(chunk))
        part.publish(destination)
