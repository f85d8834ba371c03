"""``Pipfile.lock`` (version 6): names, versions and hashes by category; not what needs what.

https://pipenv.pypa.io/en/latest/pipfile.html
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from lambdapack.errors import ConfigurationError
from lambdapack.lock.requirements.fields import Fields, read_json
from lambdapack.lock.requirements.locked import (
    LockedFile,
    LockedPackage,
    LockFile,
    Scope,
    Selection,
    from_repository,
)

_SPEC = 6
_DEFAULT = "default"
# As pipenv's own --categories and --dev call them.
_ALIASES = {"dev": "develop", "dev-packages": "develop", "packages": _DEFAULT}
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True)
class PipfileLock(LockFile):
    """A sound ``Pipfile.lock``."""

    def select(self, scope: Scope) -> Selection:
        """The default category, and those that the user asks for."""
        wanted = {_DEFAULT, *(_ALIASES.get(name, name) for name in scope.groups)}
        chosen: dict[str, LockedPackage] = {}
        for category in (name for name in self.fields.table if canonicalize_name(name) in wanted):
            section = self.fields.section(category)
            for name in section.table:
                entry = section.section(name)
                if not scope.holds(entry.text("markers", "")):
                    continue
                package = self._locked(canonicalize_name(name), entry)
                before = chosen.setdefault(package.name, package)
                if before.version != package.version:
                    raise ConfigurationError(
                        f"{package.where}.version: expected =={before.version} as in {before.where}, "
                        f"found =={package.version}",
                        hint="make the lock again: pipenv lock",
                    )
        return Selection(tuple(chosen.values()), None)

    def _locked(self, name: str, entry: Fields) -> LockedPackage:
        files = tuple(LockedFile("", value) for value in _hashes(entry))
        if any(kind in entry.table for kind in ("git", "hg", "svn", "bzr")):
            raise from_repository(entry, name)
        for key in ("file", "path"):
            if key in entry.table:
                return self.direct(entry, name, "", _expanded(entry.text(key)), [file.hash for file in files])
        text = entry.text("version")
        version = text[2:] if text.startswith("==") else ""
        try:
            Version(version)
        except InvalidVersion:
            raise entry.wrong("version", "an exact version, e.g. ==1.2.3") from None
        if not files:
            raise entry.wrong("hashes", "at least one sha256 hash")
        return LockedPackage(name, version, files, None, entry.where)


def read(path: Path) -> PipfileLock:
    """Read and check ``path``."""
    fields = read_json(path)
    meta = fields.section("_meta")
    if meta.table.get("pipfile-spec") != _SPEC:
        raise meta.wrong("pipfile-spec", f"{_SPEC}, the format that is known here")
    if _DEFAULT not in fields.table:
        raise fields.wrong(_DEFAULT, "a table of packages")
    for category in (name for name in fields.table if name != "_meta"):
        section = fields.section(category)
        for name in section.table:
            entry = section.section(name)
            entry.marker("markers")
            list(_hashes(entry))
    sources = tuple(
        (source.text("name", ""), _expanded(source.text("url"))) for source in meta.sections("sources")
    )
    known = {canonicalize_name(name) for name in fields.table if name not in ("_meta", _DEFAULT)}
    groups = frozenset(known | {alias for alias, name in _ALIASES.items() if name in known})
    return PipfileLock(path, fields, sources, frozenset(), groups)


def _hashes(entry: Fields) -> Iterator[str]:
    for number, value in enumerate(entry.texts("hashes")):
        key = f"hashes[{number}]"
        if value.startswith("sha256:"):
            yield Fields(entry.path, entry.key, {key: value}).sha256(key)


def _expanded(text: str) -> str:
    """``text`` with ``${NAME}`` filled in, as pipenv does."""
    return _VARIABLE.sub(lambda variable: os.environ.get(variable[1], variable[0]), text)
