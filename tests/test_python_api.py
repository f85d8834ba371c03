"""docs/python.md: its programs are typed, run, and import what is public alone."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lambdapack
from tests.test_arrows import ROOT, is_public

DOCUMENT = Path(__file__).parents[1] / "docs" / "python.md"
PYTHON = ".".join(map(str, sys.version_info[:2]))


def program() -> str:
    """The program that the page's examples make up, for the running Python."""
    blocks = re.findall(r"^```python\n(.*?)^```", DOCUMENT.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return "from __future__ import annotations\n\n" + "\n".join(blocks).replace("3.11", PYTHON)


def test_the_examples_import_only_what_is_public() -> None:
    """What the page shows is what callers will write."""
    imported = set()
    for node in ast.walk(ast.parse(program())):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("lambdapack"):
            imported |= {(str(node.module), alias.name) for alias in node.names}
    assert len(imported) > 5
    assert [pair for pair in sorted(imported) if not is_public(*pair, ROOT)] == []


@pytest.mark.parametrize("name", sorted(set(lambdapack.__all__) - {"__version__"}))
def test_every_public_name_is_there_and_says_what_it_is(name: str) -> None:
    """Each is imported when it is asked for, and has a docstring of its own."""
    found = getattr(lambdapack, name)
    assert found.__doc__
    assert not found.__doc__.startswith(f"{name}(")


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As of any module."""
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = lambdapack.nothing  # type: ignore[attr-defined]


def test_importing_it_imports_nothing_else() -> None:
    """``import lambdapack`` in a handler's project costs nothing before a name is used."""
    code = "import sys, lambdapack; print([name for name in sys.modules if name.startswith('lambdapack.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_examples_are_typed(tmp_path: Path) -> None:
    """``py.typed`` keeps its word: mypy --strict finds nothing to say."""
    (tmp_path / "example.py").write_text(program())
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), "example.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "MYPYPATH": str(ROOT.parent)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_the_examples_run(tmp_path: Path, lambdapack_cache: Path) -> None:
    """Build, check, package, deploy and invoke: what the page prints is what happens."""
    done = subprocess.run(
        [sys.executable, "-c", program()],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, "LAMBDAPACK_CACHE": str(lambdapack_cache)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert re.fullmatch(r"[0-9a-f]{64} \d+ False", first)
    assert re.fullmatch(r"""b'"1\.\d+\.\d+"' \d+(\.\d+)?""", second)
