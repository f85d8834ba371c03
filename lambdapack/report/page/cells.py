"""Places in the document as cells of a page: each names where its figure is, so that it can be looked up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from lambdapack.report.units import counted, dollars, megabytes, seconds

__all__ = ["UNITS", "Cell", "Column", "Source", "Table", "table_html"]


def _share(value: float) -> str:
    return f"{value:.2%}"


def _mebibytes(value: float) -> str:
    return f"{value / 2**20:,.0f} MiB"


UNITS: Mapping[str, Callable[[Any], str]] = {
    "text": str,
    "bool": lambda value: "yes" if value else "no",
    "number": lambda value: f"{value:,.0f}",
    "bytes": megabytes,
    "mebibytes": _mebibytes,
    "mb": lambda value: f"{value:,.0f} MB",
    "ms": seconds,
    "s": lambda value: seconds(value * 1000),
    "usd": dollars,
    "share": _share,
    "percent": lambda value: f"{value:.0%}",
    "files": lambda value: counted(round(value), "file"),
    "days": lambda value: counted(round(value), "day"),
    "settings": lambda value: counted(round(value), "setting"),
    "start": lambda value: f"cold start {value}",
}
"""Unit -> how a value in that unit is written for people."""


@dataclass(frozen=True)
class Cell:
    """A figure or a word.

    Attributes:
        text: As it is read.
        at: Where in the document the figure is (RFC 6901); empty for words of the page's own.
        unit: A key of ``UNITS``, which made ``text``.
        tone: ``good``, ``bad``, ``warn`` or ``strong``; empty for neither.
        indent: So many levels in.
    """

    text: str
    at: str = ""
    unit: str = "text"
    tone: str = ""
    indent: int = 0


@dataclass(frozen=True)
class Column:
    """A column: its heading, whether it holds figures, and whether whole sentences."""

    name: str
    figures: bool = True
    words: bool = False


@dataclass(frozen=True)
class Table:
    """A table: what it shows, its columns, its rows; the first cell of a row is the row's heading."""

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]


class Source:
    """The document, whose figures are asked for by place."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def get(self, at: str) -> Any:
        """The value at a place; ``None`` where there is none."""
        value: Any = self._document
        for part in at.split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(value, Mapping):
                value = value.get(key)
            elif isinstance(value, Sequence) and key.isdigit() and int(key) < len(value):
                value = value[int(key)]
            else:
                return None
        return value

    def cell(self, at: str, unit: str = "text", *, tone: str = "", indent: int = 0) -> Cell:
        """The value at a place as a cell; an empty one where there is no value."""
        value = self.get(at)
        if value is None:
            return Cell("", tone=tone)
        return Cell(UNITS.get(unit, UNITS["number"])(value), at, unit, tone, indent)

    def text(self, at: str, unit: str) -> str:
        """The value at a place, for people."""
        return self.cell(at, unit).text

    def places(self, at: str) -> list[str]:
        """The places of the entries of a list."""
        return [f"{at}/{number}" for number in range(len(self.get(at) or ()))]


def cell_html(cell: Cell) -> str:
    """The content of a cell."""
    if not cell.at:
        return escape(cell.text)
    return f'<span data-at="{escape(cell.at)}" data-unit="{escape(cell.unit)}">{escape(cell.text)}</span>'


def table_html(table: Table) -> str:
    """A table in a box of its own, which scrolls sideways where the page is narrow."""
    caption = escape(table.caption)
    heads = (f'<th scope="col"{_class("", each)}>{escape(each.name)}</th>' for each in table.columns)
    body = "".join(f"<tr>{_row(table.columns, row)}</tr>\n" for row in table.rows)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{caption}"><table>'
        f"<caption>{caption}</caption><thead><tr>{''.join(heads)}</tr></thead>\n<tbody>{body}</tbody></table></div>"
    )


def _row(columns: Sequence[Column], row: Sequence[Cell]) -> str:
    cells = []
    for number, (column, cell) in enumerate(zip(columns, row, strict=True)):
        tag, scope = ("th", ' scope="row"') if number == 0 else ("td", "")
        indent = f' style="--in:{cell.indent}"' if cell.indent else ""
        cells.append(f"<{tag}{scope}{_class(cell.tone, column)}{indent}>{cell_html(cell)}</{tag}>")
    return "".join(cells)


def _class(tone: str, column: Column) -> str:
    kind = "words" if column.words else "figures" if column.figures else ""
    names = " ".join(name for name in (tone, kind) if name)
    return f' class="{names}"' if names else ""
