"""``lambdapack.toml``, or ``[tool.lambdapack]`` in ``pyproject.toml``.

Every field says what it is and what it may hold; ``docs/configuration.md`` is made from the same words
(``python -m lambdapack.config``), and so are the messages about mistakes.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError
from pydantic.fields import FieldInfo

from lambdapack.config import assets as assets_table
from lambdapack.config.assets import Assets
from lambdapack.config.fields import Section, expected, rows, unknown
from lambdapack.config.function import Function
from lambdapack.config.sections import Budget, Build, Deploy, Local, Pack, Slim, Store, Trace, Traffic
from lambdapack.errors import ConfigurationError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE_NAME = "lambdapack.toml"


class Config(Section):
    """The whole file."""

    build: Build = Field(default_factory=Build)
    slim: Slim = Field(default_factory=Slim)
    trace: Trace = Field(default_factory=Trace)
    pack: Pack = Field(default_factory=Pack)
    function: Function = Field(default_factory=Function)
    store: Store = Field(default_factory=Store)
    budget: Budget = Field(default_factory=Budget)
    traffic: Traffic = Field(default_factory=Traffic)
    deploy: Deploy = Field(default_factory=Deploy)
    local: Local = Field(default_factory=Local)
    assets: Assets = Field(default_factory=dict)


def discover(start: Path) -> Path | None:
    """The nearest configuration file in ``start`` or a folder above it; ``None`` if there is none.

    A ``pyproject.toml`` counts only with a ``[tool.lambdapack]`` table.
    """
    for folder in (start, *start.parents):
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
        pyproject = folder / "pyproject.toml"
        if pyproject.is_file() and re.search(r"^\s*\[tool\.lambdapack[.\]]", _read(pyproject), re.MULTILINE):
            return pyproject
    return None


def load(path: Path) -> Config:
    """Read ``lambdapack.toml`` or ``pyproject.toml``.

    Raises:
        ConfigurationError: Every mistake in it, by file, key and what was expected.
    """
    try:
        table = tomllib.loads(_read(path))
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is not TOML: {error}") from None
    prefix: tuple[str, ...] = ()
    if path.name == "pyproject.toml":
        prefix = ("tool", "lambdapack")
        table = table.get("tool", {}).get("lambdapack", {})
    return parse(table, str(path), prefix=prefix)


def parse(table: Mapping[str, Any], where: str, *, prefix: tuple[str, ...] = ()) -> Config:
    """Check ``table``; ``where`` and ``prefix`` name the file and the table in messages."""
    mistakes: list[str] = []
    config = Config()
    try:
        config = Config.model_validate(table)
    except ValidationError as error:
        mistakes = [_explain(fault["type"], fault["loc"], fault["input"], prefix) for fault in error.errors()]
    mistakes += _contradictions(table, prefix)
    if mistakes:
        count = "a mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        raise ConfigurationError(
            f"{count} in {where}:\n" + "\n".join(f"  {mistake}" for mistake in mistakes),
            hint="every key is described in docs/configuration.md",
        )
    return config


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is not UTF-8 text") from None


def _explain(kind: str, location: tuple[int | str, ...], value: object, prefix: tuple[str, ...]) -> str:
    """A mistake by table and key, with the value that is there and what was expected."""
    names = [part for part in location if isinstance(part, str)]
    if names[:1] == ["assets"]:
        return f"{_name(location[:1], prefix)} {assets_table.explain(kind, names[1:], value)}"
    section = Config.model_fields.get(names[0]) if names else None
    if kind == "extra_forbidden" and len(location) <= 2:
        known = Config.model_fields if len(location) == 1 else _fields_of(section)
        what = "unknown table" if len(location) == 1 else "unknown key"
        return f"{_name(location, prefix)}: {what}; {unknown(str(location[-1]), known)}"
    if len(names) < 2 or section is None:
        return f"{_name(location[:1], prefix)}: expected a table, not {value!r}"
    # A key may be written with hyphens or without.
    keys = {key.replace("-", "_"): info for key, info in _fields_of(section).items()}
    wrong = keys[names[1].replace("-", "_")]
    if names[:2] == ["function", "secrets"]:
        # It may be the secret itself that stands there.
        return f"{_name(location[:2], prefix)}: expected {expected(wrong)}"
    return f"{_name(location[:2], prefix)}: expected {expected(wrong)}, not {value!r}"


def _contradictions(table: Mapping[str, Any], prefix: tuple[str, ...]) -> list[str]:
    mistakes = []
    function = table.get("function")
    if (
        isinstance(function, Mapping)
        and "snapshot" in function
        and not {"snap-start", "snap_start"} & {key for key, value in function.items() if value is True}
    ):
        mistakes.append(f"{_name(('function', 'snapshot'), prefix)}: expected snap-start = true beside it")
    traffic = table.get("traffic")
    if isinstance(traffic, Mapping):
        for key, other in (("invocations", "duration"), ("duration", "invocations")):
            if key not in traffic:
                why = f"beside {other}" if other in traffic else "in the table"
                mistakes.append(f"{_name(('traffic', key), prefix)}: expected a number above 0 {why}")
    trace = table.get("trace")
    if not isinstance(trace, Mapping):
        return mistakes
    if "code" in trace and "handler" in trace:
        mistakes.append(f"{_name(('trace', 'code'), prefix)}: expected either code or handler, not both")
    for key in ("event", "events"):
        if key in trace and "handler" not in trace:
            mistakes.append(f"{_name(('trace', key), prefix)}: expected a handler to call with it")
    return mistakes


def _name(location: tuple[int | str, ...], prefix: tuple[str, ...]) -> str:
    table = ".".join((*prefix, str(location[0])))
    return " ".join([f"[{table}]", *(str(part) for part in location[1:2])])


def _fields_of(section: FieldInfo | None) -> dict[str, FieldInfo]:
    model = section.annotation if section else None
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return {}
    return {info.alias or name: info for name, info in model.model_fields.items()}


def document() -> str:
    """The text of ``docs/configuration.md``."""
    lines = [
        "# Configuration",
        "",
        f"`{FILE_NAME}`, or the same tables under `[tool.lambdapack]` in `pyproject.toml`. The nearest one,",
        "in the current folder or above, is used; `--config FILE` names another. Command-line options",
        "come first, then the file, then the defaults below. Paths are relative to the file. Keys may be",
        "written with hyphens: `system-packages`.",
        "",
        "This page is made from the models in `lambdapack/config` by `python -m lambdapack.config`.",
    ]
    for name, section in Config.model_fields.items():
        if name == "assets":
            lines += assets_table.describe()
            continue
        model = section.annotation
        lines += ["", f"## `[{name}]`", "", (model.__doc__ or "") if model else "", ""]
        lines += rows(_fields_of(section))
    return "\n".join(lines) + "\n"
