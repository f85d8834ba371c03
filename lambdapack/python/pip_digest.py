"""What pip is told on this machine, as a digest: another configuration may give another lock."""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from lambdapack.model import PipOptions
from lambdapack.python.pip_settings import (
    CERTIFICATE_VARIABLES,
    INDEX_OPTIONS,
    PROXY_VARIABLES,
    PipSettings,
    Setting,
    local_path,
)

__all__ = ["pip_digest"]

_FILES_MAX = 5000
_VARIABLES = (*CERTIFICATE_VARIABLES, "SSL_CERT_DIR", "NETRC")


def pip_digest(
    lines: Iterable[str],
    options: PipOptions,
    prefixes: Iterable[Path],
    environment: Mapping[str, str] = os.environ,
) -> str | None:
    """SHA-256, hex, of pip's configuration and of the state of every local file and folder that is named.

    What an index answers is not part of it, not even that of a local index: locks grow old instead.

    Args:
        lines: Requirements and constraints, which may name files.
        options: pip's options of requirements files.
        prefixes: Of the Pythons that run pip.
        environment: This process's.

    Returns:
        The digest; ``None`` where a folder holds so many files that looking at them all takes too long.

    Raises:
        ToolError: pip's configuration is malformed.
    """
    settings = list(_settings(prefixes, environment))
    named = {word for line in lines for word in _words(line)}
    named.update(value for option, value in options.pairs if option not in INDEX_OPTIONS)
    named.update(word for _, key, value in settings if key not in INDEX_OPTIONS for word in value.split())
    named.add(str(Path(environment.get("HOME") or Path.home()) / ".netrc"))
    digest = hashlib.sha256("".join(f"{setting}\0" for setting in settings).encode())
    for word in sorted(named):
        state = _state(word)
        if state is None:
            return None
        digest.update(f"{word}\0{state}\0".encode())
    return digest.hexdigest()


def _settings(prefixes: Iterable[Path], environment: Mapping[str, str]) -> Iterator[Setting]:
    """pip's configuration for each Python, and the other variables that pip obeys as one more section."""
    for prefix in sorted(set(prefixes)):
        yield from PipSettings.read(environment, prefix).entries
    for name, value in sorted(environment.items()):
        if name.lower() in PROXY_VARIABLES or name in _VARIABLES:
            yield Setting("", name, value)


def _words(line: str) -> Iterator[str]:
    try:
        yield from shlex.split(line)
    except ValueError:
        yield from line.split()


def _state(word: str) -> str | None:
    """Names, sizes and times of the file or the files of the folder that ``word`` names.

    Returns:
        An empty text where ``word`` names nothing on this machine; ``None`` for a folder with too many files.
    """
    if not (word.startswith("file:") or "/" in word or word.endswith((".whl", ".gz", ".txt"))):
        return ""
    try:
        path = local_path(word)
        if path is None:
            return ""
        if path.is_file():
            return _stamp(path)
        stamps: list[str] = []
        for folder, folders, names in os.walk(path):
            folders.sort()
            stamps += [f"{folder}/{name}={_stamp(Path(folder, name))}" for name in sorted(names)]
            if len(stamps) > _FILES_MAX:
                return None
        return "\n".join(stamps)
    except (OSError, RuntimeError) as error:
        return type(error).__name__


def _stamp(path: Path) -> str:
    status = path.lstat()
    return f"{status.st_size}:{status.st_mtime_ns}:{status.st_ino}"
