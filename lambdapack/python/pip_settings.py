"""pip's configuration on this machine, as a value and as a digest: pip's files and ``PIP_*`` variables.

pip merges its files like this, and a test holds the two together. ``pip config list`` would tell the same,
but costs half a second, and lists files by name, which does not say which of two values counts.
"""

from __future__ import annotations

import configparser
import hashlib
import os
import re
import shlex
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

from lambdapack.errors import ToolError
from lambdapack.model import PipOptions

__all__ = [
    "ADDRESS_OPTIONS", "CERTIFICATE_VARIABLES", "ENVIRONMENT", "INDEX_OPTIONS", "PROXY_VARIABLES",
    "PipSettings", "Setting", "local_path", "pip_digest", "without_user",
]  # fmt: skip

ENVIRONMENT = ":env:"
"""The section of ``PIP_*`` variables; the name is pip's own."""
INDEX_OPTIONS = frozenset(("index-url", "extra-index-url", "pypi-url"))
"""Options that name package indexes; several addresses may stand in one value."""
ADDRESS_OPTIONS = INDEX_OPTIONS | {"find-links"}
"""Options that name places of packages: addresses, and folders of this machine."""
PROXY_VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
"""Variables that pip's connections obey, in lower or upper case."""
CERTIFICATE_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""Variables that name a file with certificate authorities."""
_OTHER_VARIABLES = (*CERTIFICATE_VARIABLES, "SSL_CERT_DIR", "NETRC")
_NOT_OPTIONS = ("version", "help")
_FILES_MAX = 5000
# Of the machine and of its user; the user's counts where it is there.
_MAC_FOLDER = "Library/Application Support/pip"
_USER = re.compile(r"(?<=://)[^/\s]*@")


class Setting(NamedTuple):
    """One value of pip's configuration.

    Attributes:
        section: ``global``, the name of a pip command, or ``ENVIRONMENT``.
        key: The option without its dashes, e.g. ``index-url``.
        value: As it is written; several addresses are separated by white space.
    """

    section: str
    key: str
    value: str


@dataclass(frozen=True)
class PipSettings:
    """What one pip is told besides its command line. Values may hold credentials, so ``repr`` shows none.

    Attributes:
        entries: Each section and key once: those of the environment first, which win over files.
    """

    entries: tuple[Setting, ...] = field(repr=False)

    @classmethod
    def read(
        cls, environment: Mapping[str, str] = os.environ, prefix: Path = Path(sys.prefix)
    ) -> PipSettings:
        """Read pip's configuration.

        Args:
            environment: The variables of pip's process.
            prefix: Of the Python that runs pip.

        Raises:
            ToolError: A file of it is malformed: pip could not read it either.
        """
        merged = {
            (ENVIRONMENT, key): value.strip()
            for name, value in sorted(environment.items())
            if name.startswith("PIP_") and (key := _key(name.removeprefix("PIP_"))) not in _NOT_OPTIONS
        }
        written: dict[tuple[str, str], str] = {}
        for path in _files(environment, prefix):
            written.update(_of_file(path))
        return cls(tuple(Setting(*name, value) for name, value in (merged | written).items() if value))

    def words(self, keys: Collection[str]) -> Iterator[str]:
        """The words of all values of ``keys``, e.g. each address of ``index-url``."""
        return (word for entry in self.entries if entry.key in keys for word in entry.value.split())


def local_path(address: str) -> Path | None:
    """The file or folder of this machine that a path or a ``file:`` URL names; ``None`` for other URLs."""
    if address.startswith("file:"):
        return Path(url2pathname(urlsplit(address).path))
    return None if "://" in address else Path(address).expanduser()


def without_user(text: str) -> str:
    """``text`` without the user names and the passwords of its addresses."""
    return _USER.sub("", text)


def pip_digest(
    lines: Iterable[str],
    options: PipOptions,
    prefixes: Iterable[Path],
    environment: Mapping[str, str] = os.environ,
) -> str | None:
    """SHA-256, hex, of pip's configuration and of the state of every local file and folder that is named.

    Another configuration may give another lock. What an index answers is not part of it, not even that of a
    local index: locks grow old instead.

    Args:
        lines: Requirements and constraints, which may name files.
        options: pip's options of requirements files.
        prefixes: Of the Pythons that run pip.
        environment: This process's.

    Returns:
        The digest; ``None`` where a folder holds so many files that looking at them all takes too long.
    """
    settings: list[Setting] = []
    for prefix in sorted(set(prefixes)):
        settings += PipSettings.read(environment, prefix).entries
    # The other variables that pip obeys, as one more section.
    for name, value in sorted(environment.items()):
        if name.lower() in PROXY_VARIABLES or name in _OTHER_VARIABLES:
            settings.append(Setting("", name, value))
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


def _of_file(path: Path) -> dict[tuple[str, str], str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text("utf-8"))
    except OSError:
        return {}
    except (UnicodeDecodeError, configparser.Error) as error:
        raise ToolError(
            f"reading pip's configuration failed: {path} is malformed",
            hint="correct it; pip config debug lists pip's files",
            detail=str(error),
        ) from None
    return {
        (section, _key(name)): value.strip()
        for section in sorted(parser.sections())
        for name, value in sorted(parser.items(section))
    }


def _files(environment: Mapping[str, str], prefix: Path) -> Iterator[Path]:
    """pip's configuration files, whether they exist or not; the later ones win."""
    chosen = environment.get("PIP_CONFIG_FILE")
    if chosen == os.devnull:
        return
    home = Path(environment.get("HOME") or Path.home())
    if sys.platform == "darwin":
        yield Path("/") / _MAC_FOLDER / "pip.conf"
    for folder in (environment.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep):
        yield Path(folder) / "pip" / "pip.conf"
    yield Path("/etc/pip.conf")
    if not (chosen and Path(chosen).exists()):
        yield home / ".pip" / "pip.conf"
        mac = home / _MAC_FOLDER
        if sys.platform == "darwin" and mac.is_dir():
            yield mac / "pip.conf"
        else:
            yield Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
    yield prefix / "pip.conf"
    if chosen:
        yield Path(chosen)


def _key(name: str) -> str:
    return name.lower().replace("_", "-").removeprefix("--")
