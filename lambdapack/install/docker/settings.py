"""pip's own configuration, made to mean the same in a container, and kept out of sight.

pip reads configuration files, ``PIP_*`` variables, the usual variables for proxies and certificates, and
netrc. All of it goes to the container's memory; files that it names go along; folders and ``file:``
indexes of this machine are served by the relay. Nothing of it is on a command line or in the container's
configuration.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from lambdapack.install.docker import keyring
from lambdapack.install.docker.relay import Relay
from lambdapack.python import pip

__all__ = ["Settings", "masked", "proxies", "read"]

# Addresses, of which pip takes several at once.
_ADDRESSES = frozenset(("index-url", "extra-index-url", "find-links", "pypi-url"))
_INDEXES = frozenset(("index-url", "extra-index-url", "pypi-url"))
_FILES = frozenset(("cert", "client-cert", "constraint", "build-constraint"))
# About this machine and its user, or about something other than where packages come from.
_LOCAL = frozenset(
    (
        "cache-dir",
        "dry-run",
        "ignore-installed",
        "keyring-provider",
        "log",
        "log-file",
        "no-color",
        "no-input",
        "platform",
        "prefix",
        "progress-bar",
        "python",
        "quiet",
        "report",
        "require-virtualenv",
        "requirement",
        "root",
        "src",
        "target",
        "user",
        "verbose",
        "only-binary",
        "no-binary",
        "abi",
        "implementation",
        "python-version",
        "root-user-action",
        "disable-pip-version-check",
        "no-deps",
        "upgrade",
        "require-hashes",
        "editable",
        "config-settings",
    )
)
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
_MASK = "****"


@dataclass
class Settings:
    """What pip is told here.

    Attributes:
        values: ``(section, key)`` -> value, as pip's configuration files have it; section ``global`` for
            those of the environment, which win.
        passwords: Addresses that name a user alone -> the same with the keyring's password.
        variables: Other environment variables that count.
        files: Variables that name a file.
        folders: Local folders that are named; ``True`` for one that is an index.
    """

    values: dict[tuple[str, str], str] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    folders: dict[Path, bool] = field(default_factory=dict)

    def add_options(self, options: Sequence[str]) -> None:
        """Take note of the local folders in a requirements file's own options."""
        for option, value in _pairs(options):
            if option.lstrip("-") in _ADDRESSES:
                self._note(option.lstrip("-"), value)

    def ask_keyring(self, provider: str, options: Sequence[str]) -> None:
        """Complete the addresses of indexes with passwords that the keyring has."""
        ask = keyring.asker(provider)
        if ask is None:
            return
        values = [value for (_, key), value in self.values.items() if key in _ADDRESSES]
        values += [value for option, value in _pairs(options) if option.lstrip("-") in _ADDRESSES]
        for address in dict.fromkeys(word for value in values for word in value.split()):
            known = keyring.completed(address, ask)
            if known != address:
                self.passwords[address] = known

    def _note(self, key: str, value: str) -> None:
        for address in value.split():
            path = _local(address)
            if path is not None and path.exists():
                self.folders[path] = key in _INDEXES

    def hand_in(self, relay: Relay, base: Mapping[str, str]) -> dict[str, str]:
        """Write everything to the container's memory; returns the environment variables that name it.

        Args:
            relay: The container's.
            base: Variables to return besides.
        """
        lines: list[str] = []
        for number, ((section, key), value) in enumerate(sorted(self.values.items())):
            lines += [f"[{section}]", f"{key} = {self._meant(relay, key, value, number)}"]
        environment = {**base, **self.variables, "PIP_CONFIG_FILE": relay.keep("pip.conf", _merged(lines))}
        for number, (name, path) in enumerate(sorted(self.files.items())):
            environment[name] = relay.keep(f"file-{number}", path.read_bytes())
        return environment

    def options(self, relay: Relay, options: Sequence[str]) -> list[str]:
        """A requirements file's options, as they are to be written in the container."""
        found: list[str] = []
        for option, value in _pairs(options):
            key = option.lstrip("-")
            found.append(option)
            if value:
                found.append(self._addresses(relay, value) if key in _ADDRESSES else value)
        return found

    def secrets(self, options: Sequence[str] = ()) -> tuple[str, ...]:
        """What must not be shown: the user's part of every address, names of users alone excepted."""
        found: set[str] = set()
        texts = [*self.values.values(), *self.variables.values(), *self.passwords.values(), *options]
        for text in texts:
            for user in re.findall(r"://([^/@\s]+)@", text):
                name, _, password = user.partition(":")
                found.update((password, unquote(password)) if password else (name, unquote(name)))
        return tuple(sorted((one for one in found if one), key=len, reverse=True))

    def _meant(self, relay: Relay, key: str, value: str, number: int) -> str:
        if key in _ADDRESSES:
            return self._addresses(relay, value)
        if key in _FILES:
            kept = []
            for position, name in enumerate(value.split() if key.endswith("constraint") else [value]):
                path = Path(name).expanduser()
                kept.append(
                    relay.keep(f"setting-{number}-{position}", path.read_bytes()) if path.is_file() else name
                )
            return "\n    ".join(kept)
        return value.replace("\n", "\n    ")

    def _addresses(self, relay: Relay, value: str) -> str:
        meant = []
        for address in value.split():
            path = _local(address)
            local = path is not None and path.exists()
            meant.append(relay.url(path) if path and local else self.passwords.get(address, address))
        return "\n    ".join(meant)


def read(options: Sequence[str] = (), environment: Mapping[str, str] = os.environ) -> Settings:
    """What pip is told on this machine: its files, its variables and what else it looks at.

    Args:
        options: A requirements file's own, which may name local folders too.
        environment: This process's.

    Raises:
        ToolError: pip cannot read its own configuration.
    """
    settings = Settings()
    winning: set[str] = set()
    provider = ""
    for section, key, value in pip.configured():
        if key == "keyring-provider":
            provider = provider or value
        if key in _LOCAL or key in winning:
            continue
        if section == pip.FROM_ENVIRONMENT:
            winning.add(key)
        settings.values["global" if section == pip.FROM_ENVIRONMENT else section, key] = value
        if key in _ADDRESSES:
            settings._note(key, value)
    settings.add_options(options)
    settings.ask_keyring(provider, options)
    settings.variables.update(proxies(environment))
    _add_files(settings, environment)
    return settings


def proxies(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables that name proxies, in either case."""
    names = (variable for name in _PROXIES for variable in (name, name.upper()))
    return {name: environment[name] for name in names if environment.get(name)}


def masked(text: str, secrets: Iterable[str]) -> str:
    """``text`` without the ``secrets``."""
    for secret in secrets:
        text = text.replace(secret, _MASK)
    return text


def _add_files(settings: Settings, environment: Mapping[str, str]) -> None:
    for name in _BUNDLES:
        path = Path(environment.get(name) or "-")
        if path.is_file():
            settings.files[name] = path
    if not settings.files:
        # A company's own certificate authority is in the machine's bundle and not in the image's.
        default = ssl.get_default_verify_paths().cafile
        if default and Path(default).is_file():
            settings.files["SSL_CERT_FILE"] = Path(default)
    netrc = Path(environment.get("NETRC") or "~/.netrc").expanduser()
    if netrc.is_file():
        settings.files["NETRC"] = netrc


def _pairs(options: Sequence[str]) -> Iterator[tuple[str, str]]:
    """``("--pre", "--index-url", "x")`` -> ``("--pre", ""), ("--index-url", "x")``."""
    waiting = ""
    for word in options:
        if word.startswith("--") and not waiting:
            waiting = word
        elif word.startswith("--"):
            yield waiting, ""
            waiting = word
        else:
            yield waiting, word
            waiting = ""
    if waiting:
        yield waiting, ""


def _local(address: str) -> Path | None:
    if address.startswith("file:"):
        return Path(url2pathname(urlsplit(address).path))
    return None if "://" in address else Path(address).expanduser()


def _merged(lines: Sequence[str]) -> bytes:
    """Configuration lines with each section once."""
    sections: dict[str, list[str]] = {}
    for head, line in zip(lines[::2], lines[1::2], strict=True):
        sections.setdefault(head, []).append(line)
    text = "\n".join("\n".join([head, *body]) for head, body in sections.items())
    return text.encode() + b"\n"
