"""The little of YAML that a template needs: maps, lists, texts, numbers, and CloudFormation's short tags."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# What every reader of YAML takes for a text: no number, no boolean, nothing that ends or begins a value.
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*(?::[A-Za-z0-9_./:-]*[A-Za-z0-9_./-])*")
_WORDS = frozenset(("true", "false", "yes", "no", "on", "off", "null", "y", "n"))


@dataclass(frozen=True)
class Tagged:
    """``!Ref name`` and its like."""

    tag: str
    value: str


def dump(document: Mapping[str, Any]) -> str:
    """A document in block style, its keys in the order given."""
    return "\n".join(_lines(document)) + "\n"


def _lines(value: Any) -> Iterator[str]:
    """The lines of a map or a list, not indented."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _entry(f"{_text(str(key))}:", item)
    else:
        for item in value:
            yield from _entry("-", item)


def _entry(start: str, item: Any) -> Iterator[str]:
    if isinstance(item, Mapping | list | tuple) and item:
        lines = list(_lines(item))
        if start == "-":
            # The first line of a map in a list stands beside the dash.
            yield f"- {lines[0]}"
            yield from (f"  {line}" for line in lines[1:])
        else:
            yield start
            yield from (f"  {line}" for line in lines)
    else:
        yield f"{start} {_scalar(item)}"


def _scalar(value: Any) -> str:
    if isinstance(value, Tagged):
        return f"!{value.tag} {_text(value.value)}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Mapping):
        return "{}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[]"
    return _text(str(value))


def _text(text: str) -> str:
    # JSON's texts are YAML's double-quoted ones.
    plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return text if plain else json.dumps(text, ensure_ascii=False)
