"""The file of ``environment-file``: variables that stand beside the configuration.

A mistake is told by its line or name and never with a value, which may be a secret.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lambdapack.errors import ConfigurationError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)\Z")
_QUOTED = re.compile(r"""(?:"((?:[^"\\]|\\.)*)"|'([^']*)')\s*(?:#.*)?\Z""")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def read_environment(path: Path) -> dict[str, str]:
    """The variables of ``path``: TOML or JSON by its name, else lines ``NAME=value``.

    Raises:
        ConfigurationError: The file is not there, or holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigurationError(
            f"reading the environment: cannot read {path}: {error.strerror}",
            hint="[function] environment-file names it, relative to the configuration",
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"reading the environment: {path} is not UTF-8 text") from None
    if path.suffix in (".toml", ".json"):
        return _table(path, text)
    return dict(_lines(path, text))


def _table(path: Path, text: str) -> dict[str, str]:
    kind = path.suffix[1:].upper()
    try:
        table: Any = tomllib.loads(text) if kind == "TOML" else json.loads(text)
    except ValueError as error:
        # Both parsers name the place and not what stands there.
        where = re.search(r"line \d+", str(error))
        raise ConfigurationError(
            f"reading the environment: {path} is not {kind}{f', {where[0]}' if where else ''}"
        ) from None
    if not isinstance(table, dict):
        raise ConfigurationError(f"reading the environment: {path} is no table of names and texts")
    wrong = sorted(name for name, value in table.items() if not isinstance(value, str))
    if wrong:
        raise ConfigurationError(
            f"reading the environment: in {path}, {', '.join(wrong)} {'is' if len(wrong) == 1 else 'are'} "
            "no text; an environment variable is one",
            hint="write quotation marks around numbers, true and false",
        )
    return table


def _lines(path: Path, text: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        match = _LINE.match(bare)
        if match is None:
            raise ConfigurationError(
                f"reading the environment: line {number} of {path} is not NAME=value",
                hint="a value of several lines is written in one, in double quotes, with \\n",
            )
        value = _value(match[2])
        if value is None:
            raise ConfigurationError(
                f"reading the environment: in line {number} of {path}, the value of {match[1]} begins with a "
                "quotation mark and does not end with one"
            )
        yield match[1], value


def _value(text: str) -> str | None:
    """A value without its quotation marks or the comment behind it; ``None`` where these do not close."""
    if text[:1] in ("'", '"'):
        match = _QUOTED.match(text)
        if match is None:
            return None
        if match[1] is None:
            return match[2]
        return re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[1]), match[1])
    return re.sub(r"(^|\s+)#.*\Z", "", text).strip()
