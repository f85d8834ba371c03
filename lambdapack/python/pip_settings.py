"""pip's configuration on this machine, as a value: pip's files and ``PIP_*`` variables.

pip merges its files like this, and a test holds the two together. ``pip config list`` would tell the same,
but costs half a second, and lists files by name, which does not say which of two values counts.
"""

from __future__ import annotations

import configparser
import os
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

from lambdapack.errors import ToolError

__all__ = [
    "ADDRESS_OPTIONS", "CERTIFICATE_VARIABLES", "ENVIRONMENT", "INDEX_OPTIONS", "PROXY_VARIABLES",
    "PipSettings", "Setting", "local_path", "without_user",
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
_NOT_OPTIONS = ("version", "help")
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
        merged = dict(_of_environment(environment))
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


def _of_environment(environment: Mapping[str, str]) -> Iterator[tuple[tuple[str, str], str]]:
    for name, value in sorted(environment.items()):
        key = _key(name.removeprefix("PIP_"))
        if name.startswith("PIP_") and key not in _NOT_OPTIONS:
            yield (ENVIRONMENT, key), value.strip()


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
    for folder in (environment.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep):
        yield Path(folder) / "pip" / "pip.conf"
    yield Path("/etc/pip.conf")
    if not (chosen and Path(chosen).exists()):
        yield home / ".pip" / "pip.conf"
        yield Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
    yield prefix / "pip.conf"
    if chosen:
        yield Path(chosen)


def _key(name: str) -> str:
    return name.lower().replace("_", "-").removeprefix("--")
