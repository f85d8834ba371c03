"""The ``[assets]`` table: names that its writer chooses, each with a path or a table of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import BeforeValidator, StringConstraints

from lambdapack.config.fields import PLACES, Section, Text, expected, field, rows, unknown
from lambdapack.model import Place

_NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
_NAME_EXPECTED = "a name of 1 to 64 letters, digits, hyphens and underscores"


class AssetTable(Section):
    """One asset."""

    path: Text = field(..., "A file or a folder, relative to this file.", "a path")
    fetch: Literal["start", "use"] = field(
        "start",
        "start: in the background of a cold start, behind what imports need. use: when "
        "`runtime_shim.path` first asks for it.",
        '"start" or "use"',
    )
    place: Place | None = field(
        None, "Where the function reads it from. Left out: from where it reads its pack.", PLACES
    )
    ignore: list[Text] = field(
        [], "Files of a folder to leave out.", 'a list of patterns, e.g. ["*.md", "onnx/"]'
    )
    level: int | None = field(
        None, "zstd level. Left out: the one of `[pack]`.", "an integer from 1 to 22", ge=1, le=22
    )


# "path" is short for { path = "path" }.
_SHORT = BeforeValidator(lambda value: {"path": value} if isinstance(value, str) else value)
Assets = dict[Annotated[str, StringConstraints(pattern=_NAME)], Annotated[AssetTable, _SHORT]]


def explain(kind: str, names: Sequence[str], value: object) -> str:
    """A mistake in the table, told by the asset's name and key; the caller names the table."""
    if not names:
        return f"expected a table of names and paths, not {value!r}"
    name = names[0]
    if len(names) > 1 and names[1] == "[key]":
        return f"{name}: expected {_NAME_EXPECTED}"
    if len(names) == 1:
        return f"{name}: expected a path, or a table with a path, not {value!r}"
    key = names[1]
    if kind == "extra_forbidden":
        return f"{name}.{key}: unknown key; {unknown(key, AssetTable.model_fields)}"
    if kind == "missing":
        return f"{name}: expected a {key} in the table"
    return f"{name}.{key}: expected {expected(AssetTable.model_fields[key])}, not {value!r}"


def describe() -> Iterator[str]:
    """The table's part of ``docs/configuration.md``."""
    yield from ("", "## `[assets]`", "")
    yield 'Models and data, each in a pack of its own ([assets.md](assets.md)): `name = "path"`, or a'
    yield 'table: `name = { path = "models/x", fetch = "use" }`. A name is what `runtime_shim.path` takes:'
    yield from ("1 to 64 letters, digits, hyphens and underscores.", "")
    yield from rows(AssetTable.model_fields)
