"""CloudFormation and SAM templates in YAML, and a fragment merged into one as docs/export.md says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    """Reads the short tags as what they stand for."""


def _short(loader: yaml.SafeLoader, tag: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        raise TypeError(f"!{tag} of a map")
    if tag == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {tag if tag in ("Ref", "Condition") else f"Fn::{tag}": value}


_Loader.add_multi_constructor("!", _short)


def read(path: Path) -> Any:
    """A template, its short tags in their long form."""
    return yaml.load(path.read_text("utf-8"), _Loader)


def merge(template: Any, fragment: Any) -> Any:
    """A template with a fragment: maps are joined, lists appended to, and what is neither replaced.

    A single value where the fragment has a list is a list of one.
    """
    if isinstance(template, dict) and isinstance(fragment, dict):
        joined = {key: merge(template[key], value) for key, value in fragment.items() if key in template}
        return {**template, **fragment, **joined}
    if isinstance(fragment, list):
        there = template if isinstance(template, list) else [template]
        # Of architectures there is one: a list of theirs with the same value stays as it is.
        return [*there, *(each for each in fragment if each not in there)]
    return fragment
