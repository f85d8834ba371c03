"""docs/slimming.md: its table and its list of rules, from the figures and the rules themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.slimming.rows import ROWS
from lambdapack.slim.packages import PACKAGE_RULES
from lambdapack.slim.rules import RULES

__all__ = ["DOCUMENT", "FIGURES", "document"]

_DOCS = Path(__file__).parents[2] / "docs"
DOCUMENT = _DOCS / "slimming.md"
FIGURES = _DOCS / "slimming.json"
_MB = 1_000_000


def document(text: str, figures: Mapping[str, Mapping[str, Any]]) -> str:
    """``text`` with its generated parts made anew: those between ``<!-- NAME -->`` and ``<!-- /NAME -->``."""
    saved = _saved(figures)
    parts = {
        "table": "\n".join(_table(figures)),
        "rules": "\n".join(_rules(saved)),
        "package rules": "\n".join(_package_rules(saved)),
    }
    for name, part in parts.items():
        found = re.compile(f"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        text = found.sub(lambda match, part=part: f"{match[1]}\n{part}\n\n{match[2]}", text)
    return text


def _saved(figures: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[int, str]]:
    """Rule -> the most bytes that it saved in a row, and that row."""
    found: dict[str, tuple[int, str]] = {}
    for name, one in figures.items():
        for rule, size in one["rules"].items():
            found[rule] = max(found.get(rule, (0, "")), (size, name))
    return found


def _table(figures: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "| package | installed | `zip -9` | slimmed | pack | pack : zip | saved most | imported |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | --- | --- |"
    rows = [figures[row.name] for row in ROWS if row.name in figures]
    for one in rows:
        yield (
            f"| {one['name']} {one['version']} | {_mb(one['installed'])} | {_mb(one['zipped'])} "
            f"| {_mb(one['slimmed'])} | {_mb(one['pack'])} | {_share(one['pack'], one['zipped'])} "
            f"| {_largest(one['rules'])} | {_imported(one)} |"
        )
    installed, zipped, without, slimmed, packed = (
        sum(one[key] for one in rows)
        for key in ("installed", "zipped", "zipped_without_bytecode", "slimmed", "pack")
    )
    yield (
        f"| **all {len(rows)}** | {_mb(installed)} | {_mb(zipped)} | {_mb(slimmed)} | {_mb(packed)} "
        f"| **{_share(packed, zipped)}** | | |"
    )
    yield ""
    yield (
        f"Without pip's bytecode the zips would be {_mb(without)} MB in all; the packs, which have bytecode, "
        f"are {_share(packed, without)} of that."
    )
    yield from _without_excluding(rows)
    yield ""
    yield from (line for one in rows for line in _remarks(one))


def _without_excluding(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The sums of the rows whose packs hold all that their zips do."""
    excluding = {row.name for row in ROWS if row.exclude}
    others = [one for one in rows if one["name"] not in excluding]
    if others and len(others) < len(rows):
        packed, zipped = (sum(one[key] for one in others) for key in ("pack", "zipped"))
        names = " and ".join(one["name"] for one in rows if one["name"] in excluding)
        yield (
            f"Without {names}, of which a distribution is left out with `exclude`, the packs are "
            f"{_share(packed, zipped)} of the zips."
        )


def _remarks(one: Mapping[str, Any]) -> Iterator[str]:
    target = f"{one['target']}, glibc {one['glibc']}"
    said = [target if one["target"] != "python3.12/x86_64" else "", one["remark"], *one["restored"]]
    if any(said):
        yield f"- {one['name']}: {'; '.join(line for line in said if line)}."


def _largest(rules: Mapping[str, int]) -> str:
    name, size = max(rules.items(), key=lambda item: item[1])
    return f"{name}, {_mb(size)}"


def _imported(one: Mapping[str, Any]) -> str:
    skipped = len(one["skipped"])
    return f"{one['modules'] - skipped} of {one['modules']}"


def _rules(saved: Mapping[str, tuple[int, str]]) -> Iterator[str]:
    yield "| rule | what goes, and why | most saved |"
    yield "| --- | --- | --- |"
    for rule in RULES:
        yield f"| `{rule.name}` | {rule.why} | {_most(saved.get(rule.name))} |"


def _package_rules(saved: Mapping[str, tuple[int, str]]) -> Iterator[str]:
    yield "| rule | distribution | what goes | why nothing needs it | saved |"
    yield "| --- | --- | --- | --- | --- |"
    for rule in PACKAGE_RULES:
        globs = ", ".join(f"`{glob}`" for glob in rule.globs)
        size = _most(saved.get(rule.name))
        yield f"| `{rule.name}` | {', '.join(rule.distributions)} | {globs} | {rule.why} | {size} |"


def _most(found: tuple[int, str] | None) -> str:
    if found is None or not found[0]:
        return ""
    return f"{_mb(found[0])} MB ({found[1]})"


def _mb(size: int) -> str:
    return f"{size / _MB:,.1f}"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else ""
