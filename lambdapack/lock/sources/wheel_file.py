"""Wheels that were built, written again so that their bytes depend on their content alone."""

from __future__ import annotations

import zipfile
from pathlib import Path

from lambdapack.errors import ToolError
from lambdapack.files import part_file

_TIME = (1980, 1, 1, 0, 0, 0)


def rewrite(wheel: Path, destination: Path) -> Path:
    """Copy ``wheel`` into the folder ``destination``: entries sorted, stored, without times and owners.

    What the compressor, the clock and the umask of the building machine changed is gone then.

    Raises:
        ToolError: ``wheel`` is not a sound zip file.
    """
    path = destination / wheel.name
    try:
        with zipfile.ZipFile(wheel) as source, part_file(destination) as made:
            with zipfile.ZipFile(made.file, "w", zipfile.ZIP_STORED) as archive:
                for entry in sorted(source.infolist(), key=lambda entry: entry.filename):
                    if not entry.is_dir():
                        archive.writestr(_plain(entry), source.read(entry))
            made.publish(path)
    except zipfile.BadZipFile as error:
        raise ToolError(f"{wheel.name} was built and is not a sound wheel: {error}") from error
    return path


def _plain(entry: zipfile.ZipInfo) -> zipfile.ZipInfo:
    plain = zipfile.ZipInfo(entry.filename, _TIME)
    executable = (entry.external_attr >> 16) & 0o111
    plain.external_attr = (0o100755 if executable else 0o100644) << 16
    plain.create_system = 3
    return plain
