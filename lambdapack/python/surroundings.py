"""What pip is told on this machine, as a digest: another configuration may give another lock."""

from __future__ import annotations

import configparser
import hashlib
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["surroundings"]

_FILES_MAX = 5000
_INDEXES = ("index-url", "extra-index-url", "pypi-url")
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "NETRC")


def surroundings(
    words: Sequence[str], prefixes: Iterable[Path], environment: Mapping[str, str] = os.environ
) -> str | None:
    """SHA-256 over pip's configuration and over every local file and folder that it or ``words`` name.

    What an index answers is not in it: that grows old instead.

    Args:
        words: Requirements, constraints and pip's options from requirements files.
        prefixes: Of the Pythons that run pip.
        environment: This process's.

    Returns:
        The digest; ``None`` where a folder holds so many files that nobody can tell whether it changed.
    """
    digest = hashlib.sha256()
    named: list[str] = list(_paths_in(words))
    for name, value in sorted(environment.items()):
        if name.startswith("PIP_") or name.lower() in _PROXIES or name in _BUNDLES:
            digest.update(f"{name}={value}\0".encode())
            if _key(name.removeprefix("PIP_")) not in _INDEXES:
                named += value.split()
    for path in _configuration_files(prefixes, environment):
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        digest.update(f"{path}\0{text}\0".encode())
        named += _paths_of(text)
    for word in sorted(set(named)):
        facts = _facts(_local(word))
        if facts is None:
            return None
        digest.update(f"{word}\0{facts}\0".encode())
    return digest.hexdigest()


def _configuration_files(prefixes: Iterable[Path], environment: Mapping[str, str]) -> Iterator[Path]:
    """Where pip looks for its configuration; a file that is not there says something too."""
    home = Path(environment.get("HOME") or Path.home())
    if chosen := environment.get("PIP_CONFIG_FILE"):
        yield Path(chosen)
    yield from (Path("/etc/pip.conf"), home / ".pip" / "pip.conf")
    yield Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
    for folder in (environment.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep):
        yield Path(folder) / "pip" / "pip.conf"
    yield home / ".netrc"
    for prefix in sorted(set(prefixes)):
        yield prefix / "pip.conf"


def _paths_of(text: str) -> Iterator[str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text)
    except configparser.Error:
        return
    for section in parser.sections():
        for name, value in parser.items(section):
            if _key(name) not in _INDEXES:
                yield from value.split()


def _paths_in(words: Sequence[str]) -> Iterator[str]:
    for before, word in zip(("", *words), words, strict=False):
        if before.lstrip("-") not in _INDEXES:
            try:
                yield from shlex.split(word)
            except ValueError:
                yield from word.split()


def _key(name: str) -> str:
    return name.lower().replace("_", "-")


def _local(word: str) -> Path | None:
    """The file or folder that ``word`` names: a path, or an address of this machine."""
    if "://" in word and not word.startswith("file:"):
        return None
    if word.startswith("file:"):
        return Path(unquote(urlsplit(word).path))
    return Path(word).expanduser() if "/" in word or word.endswith((".whl", ".gz", ".txt")) else None


def _facts(path: Path | None) -> str | None:
    """Names, sizes and times; nothing for what is not on this machine, ``None`` for more than can be told."""
    if path is None:
        return ""
    try:
        if path.is_file():
            return _stat(path)
        facts = []
        for folder, folders, names in os.walk(path):
            folders.sort()
            facts += [f"{folder}/{name}={_stat(Path(folder, name))}" for name in sorted(names)]
            if len(facts) > _FILES_MAX:
                return None
        return "\n".join(facts)
    except OSError as error:
        return f"{error.errno}"


def _stat(path: Path) -> str:
    status = path.lstat()
    return f"{status.st_size}:{status.st_mtime_ns}:{status.st_ino}"
