"""How a field of the configuration is declared: with the words that its documentation and mistakes use."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.fields import FieldInfo

_Value = TypeVar("_Value")


class Section(BaseModel):
    """A table of the configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

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
    if isinstance(default, (list, dict)):
        kind = type(default)
        return Field(
            default_factory=lambda: kind(default),
            description=description,
            json_schema_extra=extra,
            **constraints,
        )
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


def _not_empty(value: str) -> str:
    if not value.strip():
        raise ValueError(value)
    return value


Text = Annotated[str, AfterValidator(_not_empty)]
"""A text that is not blank."""


def toml(value: object) -> str:
    """A default value, written as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else f"{value}"
