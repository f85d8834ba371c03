"""Which files of the handler's folder go into the function's zip."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lambdapack.errors import ConfigurationError
from lambdapack.files import is_ignored

DEFAULT_IGNORE = (
    ".git/", ".hg/", ".svn/", ".venv/", "venv/", "node_modules/", "__pycache__/", "*.egg-info/",
    ".lambdapack/", ".lambdapack-*", "lambdapack_export/", "dist/", ".pytest_cache/", ".mypy_cache/",
    ".ruff_cache/", ".hypothesis/", ".tox/", ".nox/", ".idea/", ".vscode/", ".DS_Store", ".#*",
    "lambdapack.toml", "*.zip", "*.tar.zst",
    # Credentials that people keep beside their code.
    ".env", ".aws/",
)  # fmt: skip
"""What never belongs in a function; ``!pattern`` among the user's own patterns takes one back."""


@dataclass(frozen=True, order=True)
class SourceFile:
    """A file for the zip.

    Attributes:
        name: Its path in the zip, POSIX style.
        path: Where it is on this machine.
        executable: Whether its owner may run it.
    """

    name: str
    path: Path
    executable: bool


def collect_sources(
    source: Path, ignore: Sequence[str] = (), *, leave_out: Sequence[Path] = ()
) -> tuple[SourceFile, ...]:
    """The files below ``source`` that go into the zip, by name.

    Args:
        source: The handler's folder. Symbolic links in it are followed.
        ignore: Patterns as in ``.gitignore``: a name, ``folder/``, ``a/path`` from the root, ``!`` to take
            one back; the last that matches wins. They come after ``DEFAULT_IGNORE``.
        leave_out: Further files and folders to leave out, e.g. the zip that is being written.

    Raises:
        ConfigurationError: Not a folder, a link that leads nowhere or in a circle, an unreadable file.
    """
    if not source.is_dir():
        raise ConfigurationError(
            f"the handler's folder {source} {'is not a folder' if source.exists() else 'does not exist'}",
            hint="give the folder that holds the handler's module",
        )
    patterns = (*DEFAULT_IGNORE, *ignore)
    outside = {path.resolve() for path in leave_out}
    files = [
        file
        for file in _walk(source, "", patterns, ())
        if outside.isdisjoint((path := file.path.resolve(), *path.parents))
    ]
    return tuple(sorted(files))


def _walk(
    folder: Path, prefix: str, patterns: Sequence[str], above: tuple[Path, ...]
) -> Iterator[SourceFile]:
    here = folder.resolve()
    if here in above:
        raise ConfigurationError(
            f"packaging the handler's folder: {folder} is a link to a folder above it",
            hint="remove the link, or name it under ignore",
        )
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise ConfigurationError(
            f"packaging the handler's folder: cannot list {folder}: {error.strerror}"
        ) from error
    for entry in entries:
        name = prefix + entry.name
        is_folder = entry.is_dir()
        if is_ignored(name, is_folder, patterns):
            continue
        if is_folder:
            # Whatever a virtual environment is called, this file is in it.
            if not (entry / "pyvenv.cfg").exists():
                yield from _walk(entry, name + "/", patterns, (*above, here))
        else:
            yield _file(entry, name)


def _file(path: Path, name: str) -> SourceFile:
    if not path.exists():
        raise ConfigurationError(
            f"packaging the handler's folder: {path} is a link that leads nowhere",
            hint="remove it, or name it under ignore",
        )
    if not path.is_file() or not os.access(path, os.R_OK):
        raise ConfigurationError(
            f"packaging the handler's folder: {path} is not a file that can be read",
            hint="remove it, or name it under ignore",
        )
    return SourceFile(name, path, bool(path.stat().st_mode & 0o100))
