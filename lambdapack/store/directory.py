"""A store that is a folder: for trying things, and for networks without S3."""

from __future__ import annotations

from pathlib import Path

from lambdapack.errors import ConfigurationError
from lambdapack.files import part_file
from lambdapack.model import Location
from lambdapack.progress import QUIET, Progress
from lambdapack.store.keys import key

_CHUNK = 1024 * 1024


class DirectoryStore:
    """Packs below ``root``, in the same layout as in a bucket."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def _path(self, pack_id: str) -> Path:
        return self._root / key("", pack_id)

    def push(self, pack_path: Path, pack_id: str, *, progress: Progress = QUIET) -> bool:
        """Copy a pack into the folder; ``False``: the folder had the pack already."""
        if self.exists(pack_id):
            return False
        path = self._path(pack_id)
        with part_file(path.parent) as part, pack_path.open("rb") as file:
            with progress.step("copy", total=pack_path.stat().st_size, unit="B") as advance:
                while chunk := file.read(_CHUNK):
                    part.file.write(chunk)
                    advance(len(chunk))
            part.publish(path)
        return True

    def exists(self, pack_id: str) -> bool:
        """Whether the folder has the pack; a file takes its name only when it is complete."""
        return self._path(pack_id).is_file()

    def location(self, pack_id: str) -> Location:
        """A folder is nowhere in S3, so a function could not find the pack."""
        raise ConfigurationError(
            f"{self._root} is a folder: a function in AWS cannot fetch packs from it",
            hint="push to a bucket: lambdapack push DIR s3://BUCKET/PREFIX",
        )
