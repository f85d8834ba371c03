"""How a field of the configuration is declared: with the words that its documentation and mistakes use."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    model_validator,
)
from pydantic.fields import FieldInfo

_Value = TypeVar("_Value")


class Section(BaseModel):
    """A table of the configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _hyphens(cls, table: Any) -> Any:
        """Take ``system-packages`` for ``system_packages``, as other tools spell their keys."""
        if not isinstance(table, dict):
            return table
        plain = {key: str(key).replace("-", "_") for key in table}
        return {
            plain[key] if plain[key] in cls.model_fields and plain[key] not in table else key: value
            for key, value in table.items()
        }


def field(default: _Value, description: str, expected: str, **constraints: Any) -> Any:
    """A field; messages about mistakes and the documentation say that it holds ``expected``."""
    extra: dict[str, Any] = {"expected": expected}
    # pydantic gives every model a copy of its own where the default is a list or a table.
    return Field(default=default, description=description, json_schema_extra=extra, **constraints)


def expected(field: FieldInfo) -> str:
    """What a field may hold, in words."""
    extra = field.json_schema_extra
    return str(extra["expected"]) if isinstance(extra, dict) else ""


def one_of(allowed: Collection[_Value]) -> AfterValidator:
    """Refuses every value but those allowed."""

    def check(value: _Value) -> _Value:
        if value not in allowed:
            raise ValueError(value)
        return value

    return AfterValidator(check)


PLACES = '"s3", "zip", "layer" or "mount"'
HANDLER = r"^[A-Za-z_][\w./]*\.[A-Za-z_]\w*$"
"""What a handler's name looks like."""
Text = Annotated[str, StringConstraints(pattern=r"\S")]
"""A text that is not blank."""


def _growth(value: Any) -> Any:
    number = value
    if isinstance(value, str) and value.endswith("%"):
        number = float(value[:-1])
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 <= number < math.inf:
        raise ValueError(value)
    return value


Growth = Annotated[float | str, PlainValidator(_growth)]
"""Megabytes as a number, or a text such as ``10%``."""


def unknown(key: str, known: Collection[str]) -> str:
    """What to write instead of a key that there is not."""
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"expected one of {', '.join(known)}"


def rows(fields: Mapping[str, FieldInfo]) -> Iterator[str]:
    """The fields as a table of ``docs/configuration.md``."""
    yield from ("| key | meaning | expects | default |", "| --- | --- | --- | --- |")
    for key, info in fields.items():
        default: Any = None if info.is_required() else info.get_default(call_default_factory=True)
        # A default value is written in JSON as it would be in TOML.
        shown = "" if default is None else f"`{json.dumps(default)}`"
        yield f"| `{key}` | {info.description} | {expected(info)} | {shown} |"
