"""CONTRIBUTING.md: the map and the walks name what is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import lambdapack
import runtime_shim

DOCUMENT = Path(__file__).parents[1] / "CONTRIBUTING.md"
ROOT = Path(lambdapack.__file__).parent
SHIM = Path(runtime_shim.__file__).parent


def rows(heading: str) -> Iterator[list[str]]:
    """The cells of the table below a heading, without its head."""
    section = DOCUMENT.read_text("utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    yield from ([cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:])


def defined(path: Path) -> set[str]:
    """The names of a file's functions and classes, methods included."""
    nodes = ast.walk(ast.parse(path.read_text("utf-8")))
    return {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}


def missing(heading: str, root: Path) -> list[str]:
    """Hops of a walk whose function is not in their file."""
    hops = [(file.strip("`"), function.strip("`")) for file, function, *_ in rows(heading)]
    assert len(hops) > 5
    return [f"{file} {function}" for file, function in hops if function not in defined(root / file)]


def test_each_hop_of_a_build_is_where_the_walk_says() -> None:
    """A file or function that moves takes its row along."""
    assert missing("From a requirement to bytes in a frame", ROOT) == []


def test_each_hop_of_a_start_is_where_the_walk_says() -> None:
    """The same in the loader."""
    assert missing("From S3 to an import", SHIM) == []


def test_a_build_is_at_most_thirty_files_long() -> None:
    """A reader who follows one requirement to its bytes passes through no more."""
    assert len({file for file, *_ in rows("From a requirement to bytes in a frame")}) <= 30


def test_the_map_shows_every_room() -> None:
    """Each package and module at the top has its line, and each line its package or module."""
    named = {name.rstrip("/") for cells in rows("The map") for name in re.findall(r"`([\w./]+)`", cells[0])}
    found = {path.name for path in ROOT.iterdir() if (path / "__init__.py").is_file() or path.suffix == ".py"}
    assert named == found - {"__init__.py", "__main__.py"}


def test_docstrings_name_the_noun() -> None:
    """A docstring whose line ends in "it" makes its reader look for what "it" is."""
    pattern = re.compile(r'"""[^"]*\bit\.', re.IGNORECASE)
    texts = ((path, path.read_text("utf-8")) for path in sorted(ROOT.rglob("*.py")))
    lines = ((path, line) for path, text in texts for line in text.splitlines())
    assert [f"{path}: {line}" for path, line in lines if pattern.search(line)] == []
