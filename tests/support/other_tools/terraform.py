"""Terraform's files, read by HashiCorp's own parser and held against what a provider declares."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.other_tools import install

_READER = Path(__file__).with_name("hcl2json.js")
_INTERFACE = re.compile(r"^export interface (\w+)[^{]*\{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"#(\w+) \w+#\w+\}(?:(?!readonly).)*?readonly (\w+)(\??): ([^;]+);", re.DOTALL)
_GETTER = re.compile(r"^    get (\w+)\(\)", re.MULTILINE)
_REFERENCE = re.compile(r"(?<![\w.])(data\.)?((?:aws|archive)_\w+)\.(\w+)\.(\w+)")
_META = frozenset(("count", "depends_on", "for_each", "lifecycle", "provider", "provisioner"))


@dataclass(frozen=True)
class Field:
    """An attribute or block of a resource: whether there must be one, and the block's own declaration."""

    required: bool
    block: str | None


def read(path: Path) -> dict[str, Any]:
    """A ``.tf`` file as the parser reads it."""
    environment = {**os.environ, "NODE_MODULES": str(install.node_modules())}
    done = subprocess.run(
        ["node", _READER, path], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def faults(document: Mapping[str, Any]) -> Iterator[str]:
    """Everything in a file that the providers do not declare: types, attributes, blocks, references."""
    for kind in ("resource", "data"):
        for name, each in document.get(kind, {}).items():
            for label, bodies in each.items():
                for body in bodies:
                    yield from _body(f"{name}.{label}", body, declared(kind, name), _config(kind, name))
    for data, name, label, attribute in _REFERENCE.findall(json.dumps(document)):
        kind = "data" if data else "resource"
        if label not in document.get(kind, {}).get(name, {}):
            yield f"{kind} {name}.{label} is referred to and not there"
        elif attribute.replace("_", "") not in _getters(kind, name):
            yield f"{name} has no {attribute} to refer to"


def _body(
    where: str, body: Mapping[str, Any], fields: Mapping[str, Mapping[str, Field]], declaration: str
) -> Iterator[str]:
    known = fields[declaration]
    for name, value in body.items():
        if name in _META:
            continue
        if name not in known:
            yield f"{where}: {name} is not declared"
            continue
        block = known[name].block
        is_block = isinstance(value, list) and all(isinstance(each, dict) for each in value)
        if (block is not None) != is_block:
            yield f"{where}: {name} is {'an attribute' if block is None else 'a block'}"
        elif block is not None:
            for each in value:
                yield from _body(f"{where}.{name}", each, fields, block)
    for name, field in known.items():
        if field.required and name not in body:
            yield f"{where}: {name} is missing"


@cache
def declared(kind: str, name: str) -> dict[str, dict[str, Field]]:
    """The declarations of a resource's file: interface -> name in HCL -> field."""
    text = _text(kind, name)
    interfaces = dict(_INTERFACE.findall(text))
    made = {}
    for interface, body in interfaces.items():
        fields = {}
        for hcl, _, optional, type_ in _FIELD.findall(body):
            block = re.match(r"\w+", type_)
            is_block = block is not None and block[0] in interfaces
            fields[hcl] = Field(not optional, block[0] if block is not None and is_block else None)
        made[interface] = fields
    assert made[_config(kind, name)]
    return made


@cache
def _text(kind: str, name: str) -> str:
    provider, _, rest = name.partition("_")
    folder = (f"data-{provider}-{rest}" if kind == "data" else rest).replace("_", "-")
    path = install.provider(provider) / folder / "index.d.ts"
    assert path.is_file(), f"the provider has no {kind} {name}"
    return path.read_text("utf-8")


@cache
def _getters(kind: str, name: str) -> frozenset[str]:
    """What may be referred to, in lower case; the class of the resource itself stands last in its file."""
    return frozenset(_GETTER.findall(_text(kind, name).rpartition("export declare class ")[2].lower()))


def _config(kind: str, name: str) -> str:
    words = f"data_{name}" if kind == "data" else name.partition("_")[2]
    return "".join(word.capitalize() for word in words.split("_")) + "Config"
