"""pip's configuration on this machine, translated for a container, and kept out of sight.

pip reads configuration files, ``PIP_*`` variables, the usual variables for proxies and certificates, and
netrc. All of them go to the container's memory, with the files that they name; folders and ``file:`` indexes
of this machine are served by the relay. None of them is on a command line or in the container's own
configuration.
"""

from __future__ import annotations

import os
import re
import shutil
import ssl
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from lambdapack.model import NO_OPTIONS, PipOptions
from lambdapack.python.pip_settings import (
    ADDRESS_OPTIONS,
    CERTIFICATE_VARIABLES,
    ENVIRONMENT,
    INDEX_OPTIONS,
    PROXY_VARIABLES,
    PipSettings,
    local_path,
)

__all__ = ["Handover", "Settings", "masked", "proxies", "read"]

_FILES = frozenset(("cert", "client-cert", "constraint", "build-constraint"))
# About this machine and its user, or about something other than where packages come from.
_LOCAL = frozenset(
    (
        *("abi", "cache-dir", "config-settings", "disable-pip-version-check", "dry-run", "editable"),
        *(
            "ignore-installed",
            "implementation",
            "keyring-provider",
            "log",
            "log-file",
            "no-binary",
            "no-color",
        ),
        *("no-deps", "no-input", "only-binary", "platform", "prefix", "progress-bar", "python"),
        *("python-version", "quiet", "report", "require-hashes", "require-virtualenv", "requirement", "root"),
        *("root-user-action", "src", "target", "upgrade", "user", "verbose"),
    )
)
_MASK = "****"


class Handover(Protocol):
    """Hands files and folders of this machine to a container: a ``Relay``, or what mounts them there."""

    def keep(self, name: str, content: bytes) -> str:
        """Write a file that only the container's memory holds; returns the path there."""

    def url(self, path: Path) -> str:
        """The address by which the container gets the local ``path``."""


@dataclass(frozen=True)
class Settings:
    """Everything that pip goes by on this machine, for a pip in a container.

    Attributes:
        values: ``(section, key)`` -> value, as pip's configuration files have it; section ``global`` for
            those of the environment, which win.
        passwords: Addresses that name a user alone -> the same with the keyring's password.
        variables: Environment variables that are copied.
        files: Variables that name a file, which goes along.
        folders: Local folders that are named; ``True`` for one that is an index.
    """

    values: Mapping[tuple[str, str], str]
    passwords: Mapping[str, str]
    variables: Mapping[str, str]
    files: Mapping[str, Path]
    folders: Mapping[Path, bool]

    def hand_in(self, relay: Handover, base: Mapping[str, str]) -> dict[str, str]:
        """Write everything to the container's memory; returns the environment variables that name the files.

        Args:
            relay: The container's.
            base: Variables to return besides.
        """
        sections: dict[str, list[str]] = {}
        for number, ((section, key), value) in enumerate(sorted(self.values.items())):
            text = self._translated(relay, key, value, f"setting-{number}")
            sections.setdefault(section, []).append(f"{key} = {text}\n")
        text = "".join(f"[{section}]\n{''.join(lines)}" for section, lines in sections.items())
        environment = {**base, **self.variables, "PIP_CONFIG_FILE": relay.keep("pip.conf", text.encode())}
        for number, (name, path) in enumerate(sorted(self.files.items())):
            environment[name] = relay.keep(f"file-{number}", path.read_bytes())
        return environment

    def options(self, relay: Handover, options: PipOptions) -> PipOptions:
        """``options`` as pip in the container has to be told them."""
        return options.mapped(ADDRESS_OPTIONS, lambda value: self._addresses(relay, value))

    def secrets(self, options: PipOptions = NO_OPTIONS) -> tuple[str, ...]:
        """What must not be shown: the password of every address, or the user without one: it may be a token.

        Args:
            options: pip's options of the requirements, whose addresses count too.
        """
        secrets: set[str] = set()
        texts = [*self.values.values(), *self.variables.values(), *self.passwords.values()]
        for text in (*texts, *(value for _, value in options.pairs)):
            for user in re.findall(r"://([^/@\s]+)@", text):
                name, _, password = user.partition(":")
                secrets.update((password, unquote(password)) if password else (name, unquote(name)))
        return tuple(sorted(secrets - {""}, key=len, reverse=True))

    def _translated(self, relay: Handover, key: str, value: str, name: str) -> str:
        """The value of a setting with the container's names for files and folders of this machine."""
        if key in ADDRESS_OPTIONS:
            return self._addresses(relay, value)
        if key not in _FILES:
            return value.replace("\n", "\n    ")
        kept = []
        for number, word in enumerate(value.split() if key.endswith("constraint") else [value]):
            path = Path(word).expanduser()
            kept.append(relay.keep(f"{name}-{number}", path.read_bytes()) if path.is_file() else word)
        return "\n    ".join(kept)

    def _addresses(self, relay: Handover, value: str) -> str:
        addresses = []
        for address in value.split():
            path = local_path(address)
            local = path is not None and path.exists()
            addresses.append(relay.url(path) if path and local else self.passwords.get(address, address))
        return "\n    ".join(addresses)


def read(options: PipOptions = NO_OPTIONS, environment: Mapping[str, str] = os.environ) -> Settings:
    """What pip is told on this machine: its files, its variables and what else it looks at.

    Args:
        options: pip's options of the requirements, which may name local folders and users too.
        environment: This process's.

    Raises:
        ToolError: pip's configuration is malformed.
    """
    settings = PipSettings.read(environment)
    winning = {entry.key for entry in settings.entries if entry.section == ENVIRONMENT}
    values = {
        ("global" if section == ENVIRONMENT else section, key): value
        for section, key, value in settings.entries
        if key not in _LOCAL and (section == ENVIRONMENT or key not in winning)
    }
    addresses = [(key, value) for (_, key), value in values.items() if key in ADDRESS_OPTIONS]
    addresses += [pair for pair in options.pairs if pair[0] in ADDRESS_OPTIONS]
    named = {word: key in INDEX_OPTIONS for key, value in addresses for word in value.split()}
    return Settings(
        values=values,
        passwords=dict(_passwords(named, next(settings.words({"keyring-provider"}), ""))),
        variables=proxies(environment),
        files=_files(environment),
        folders={
            path: is_index
            for address, is_index in named.items()
            if (path := local_path(address)) is not None and path.exists()
        },
    )


def proxies(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables that name proxies, in either case."""
    names = (variable for name in PROXY_VARIABLES for variable in (name, name.upper()))
    return {name: environment[name] for name in names if environment.get(name)}


def masked(text: str, secrets: Iterable[str]) -> str:
    """``text`` without the ``secrets``."""
    for secret in secrets:
        text = text.replace(secret, _MASK)
    return text


def _passwords(addresses: Iterable[str], provider: str) -> Iterator[tuple[str, str]]:
    """Each address that names a user alone, and the same with the keyring's password."""
    keyring = Keyring.find(provider)
    if keyring is None:
        return
    for address in addresses:
        completed = keyring.completed(address)
        if completed != address:
            yield address, completed


def _files(environment: Mapping[str, str]) -> dict[str, Path]:
    """Variables that name a file which pip reads: certificate authorities and passwords."""
    files = {
        name: Path(environment[name])
        for name in CERTIFICATE_VARIABLES
        if environment.get(name) and Path(environment[name]).is_file()
    }
    # A company's own certificate authority is in the machine's bundle and not in the image's.
    default = ssl.get_default_verify_paths().cafile
    if not files and default and Path(default).is_file():
        files["SSL_CERT_FILE"] = Path(default)
    netrc = Path(environment.get("NETRC") or "~/.netrc").expanduser()
    return {**files, "NETRC": netrc} if netrc.is_file() else files


__all__ = ["Keyring"]

_SECONDS = 30
_PROVIDERS = ("", "auto", "import", "subprocess")


@dataclass(frozen=True)
class Keyring:
    """The keyring of this machine's user.

    Attributes:
        program: Path of the ``keyring`` program.
    """

    program: str

    @classmethod
    def find(cls, provider: str) -> Keyring | None:
        """The keyring that pip would ask.

        Args:
            provider: ``keyring-provider`` of pip's configuration; empty where it is not set.

        Returns:
            ``None`` where pip would ask none, or there is no ``keyring`` program.
        """
        program = shutil.which("keyring") if provider in _PROVIDERS else None
        return None if program is None else cls(program)

    def password(self, service: str, user: str) -> str | None:
        """The password of ``user`` for an address or a host; ``None`` where the keyring has none."""
        try:
            done = subprocess.run(
                [self.program, "get", service, user],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        password = done.stdout.strip("\r\n")
        return password if done.returncode == 0 and password else None

    def completed(self, address: str) -> str:
        """``address`` with the password of the user that it names, if the keyring has one and it has none."""
        parts = urlsplit(address)
        user, _, host = parts.netloc.rpartition("@")
        if parts.scheme not in ("http", "https") or not user or ":" in user:
            return address
        bare = urlunsplit(parts._replace(netloc=host))
        name = unquote(user)
        password = self.password(bare, name) or self.password(host, name)
        if password is None:
            return address
        return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{host}"))
