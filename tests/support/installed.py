"""Installed trees, made of what their distributions hold."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from lambdapack.install import read_tree
from lambdapack.model import Tree
from lambdapack.model.target import Target
from lambdapack.python import interpreter
from lambdapack.python.interpreter import Interpreter

OWN = ".".join(map(str, sys.version_info[:2]))
"""The Python that runs the tests."""


def own() -> Interpreter:
    return interpreter.find(OWN)


def make_tree(
    root: Path, packages: Mapping[str, Mapping[str, str | bytes]], target: Target | None = None
) -> Tree:
    """A tree with one distribution for each entry: name -> its files."""
    for name, files in packages.items():
        info = f"{name}-1.dist-info"
        content = {**files, f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n"}
        content[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*content, f"{info}/RECORD"])
        for path, data in content.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(data.encode() if isinstance(data, str) else data)
    return read_tree(root, target or Target(OWN))
