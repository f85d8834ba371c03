"""Read a table of a user's file key by key, and say exactly which key is wrong and what was expected."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.markers import InvalidMarker, Marker
from packaging.utils import (
    InvalidName,
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from lambdapack.errors import ConfigurationError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_SHOWN = 60
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Fields:
    """A table of a file.

    Attributes:
        path: The file, for messages.
        key: Where the table is in the file, e.g. ``package[3]``; empty for the whole file.
        table: The table's content.
    """

    path: Path
    key: str
    table: Mapping[str, Any]

    @property
    def where(self) -> str:
        """The file and the table's place in it, e.g. ``uv.lock: package[3]``."""
        return f"{self.path}: {self.key}"

    def wrong(self, name: str, expected: str) -> ConfigurationError:
        """The error for key ``name``, which should have been ``expected``."""
        where = self._at(name)
        value = self.table.get(name)
        shown = repr(value) if value is not None else "nothing"
        if len(shown) > _SHOWN:
            shown = f"{shown[:_SHOWN]}…"
        return ConfigurationError(
            f"{self.path}: {where}: expected {expected}, found {shown}",
            hint="mend it, or make it again with the tool that wrote it",
        )

    def _at(self, name: str) -> str:
        return ".".join(part for part in (self.key, name) if part)

    def text(self, name: str, default: str | None = None) -> str:
        """A string; ``default``, if one is given, where the key is missing."""
        value = self.table.get(name, default)
        if not isinstance(value, str):
            raise self.wrong(name, "a string")
        return value

    def name(self, name: str = "name") -> str:
        """A package's name, canonical."""
        try:
            return canonicalize_name(self.text(name), validate=True)
        except InvalidName:
            raise self.wrong(name, "the name of a package") from None

    def version(self) -> str:
        """The exact version that ``version`` is."""
        text = self.text("version")
        try:
            Version(text)
        except InvalidVersion:
            raise self.wrong("version", "a version") from None
        return text

    def sha256(self, name: str = "hash") -> str:
        """A SHA-256 hash."""
        text = self.text(name)
        if not _SHA256.fullmatch(text):
            raise self.wrong(name, "sha256: and 64 hexadecimal digits")
        return text

    def marker(self, name: str) -> str:
        """An environment marker, empty by default."""
        text = self.text(name, "")
        if not is_marker(text):
            raise self.wrong(name, "an environment marker")
        return text

    def named_file(self, name: str, filename: str, package: str) -> str:
        """``filename``, once it is sure that it names a wheel or an sdist of ``package``."""
        try:
            parse = parse_wheel_filename if filename.endswith(".whl") else parse_sdist_filename
            owner = parse(filename)[0]
        except (InvalidWheelFilename, InvalidVersion):
            raise self.wrong(name, "the name of a wheel or an sdist") from None
        except InvalidSdistFilename:
            # Old sdists are .zip, .tar.bz2 and the like.
            return filename
        if owner != canonicalize_name(package) and filename.endswith(".whl"):
            raise self.wrong(name, f"a file of {package}")
        return filename

    def flag(self, name: str) -> bool:
        """A truth value, false by default."""
        value = self.table.get(name, False)
        if not isinstance(value, bool):
            raise self.wrong(name, "true or false")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings, empty by default."""
        values = self.table.get(name, [])
        if not isinstance(values, list):
            raise self.wrong(name, "a list of strings")
        for number, value in enumerate(values):
            if not isinstance(value, str):
                key = f"{name}[{number}]"
                raise Fields(self.path, self.key, {key: value}).wrong(key, "a string")
        return tuple(values)

    def section(self, name: str) -> Fields:
        """A table, empty by default."""
        table = self.table.get(name, {})
        if not isinstance(table, Mapping):
            raise self.wrong(name, "a table")
        return Fields(self.path, self._at(name), table)

    def sections(self, name: str) -> Iterator[Fields]:
        """A list of tables, empty by default."""
        tables = self.table.get(name, [])
        if not isinstance(tables, list) or not all(isinstance(table, Mapping) for table in tables):
            raise self.wrong(name, "a list of tables")
        for number, table in enumerate(tables):
            yield Fields(self.path, f"{self._at(name)}[{number}]", table)


def is_marker(text: str) -> bool:
    """Whether ``text`` is an environment marker, or empty."""
    try:
        return not text.strip() or bool(Marker(text))
    except InvalidMarker:
        return False


def read_toml(path: Path) -> Fields:
    """The TOML file ``path``."""
    try:
        return Fields(path, "", tomllib.loads(read_text(path)))
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: not TOML: {error}") from None


def read_json(path: Path) -> Fields:
    """The JSON file ``path``, which holds an object."""
    try:
        table = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path}: not JSON: {error}") from None
    if not isinstance(table, dict):
        raise ConfigurationError(f"{path}: expected a JSON object, found {type(table).__name__}")
    return Fields(path, "", table)


def read_text(path: Path) -> str:
    """The text of ``path``; a ``ConfigurationError`` where it cannot be read, or is not UTF-8."""
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} cannot be read: it is not UTF-8 text") from None
