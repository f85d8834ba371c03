"""What distributions say of themselves in a pack's METADATA files: licence and dependencies."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker
from packaging.metadata import RawMetadata, parse_email
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from lambdapack.model import Need, Target
from lambdapack.pack import FileReader, FrameError, UnsoundError, open_pack

_METADATA = re.compile(r"[^/]+\.dist-info/METADATA\Z")
_LARGEST = 4 << 20
_LICENCE_TEXT = 80
"""Longer values of the old License field are the text of a licence, not its name."""
_CLASSIFIER = "License :: "
# An extra that a marker asks for is one of the texts in it; another text brings nothing.
_QUOTED = re.compile(r"""["']([^"']*)["']""")
# Lambda's patch release is not known: a marker counts as true where it is for the first or the last one.
_PATCHES = ("0", "99")


@dataclass(frozen=True)
class DistributionMetadata:
    """What a distribution's METADATA says: name, licence, dependencies.

    Attributes:
        name: Canonical name.
        summary: One line.
        expression: SPDX expression of its licence, or ``""``.
        licences: Names of its licences, where there is no expression.
        requires: Its dependencies, with their markers.
    """

    name: str
    summary: str
    expression: str
    licences: tuple[str, ...]
    requires: tuple[Requirement, ...]


def read(pack: Path) -> dict[str, DistributionMetadata]:
    """Canonical name -> what the METADATA of that distribution in ``pack`` says."""
    by_name = {}
    with open_pack(pack) as (file, _, index):
        reader = FileReader(file, index)
        for number, path in enumerate(index.paths):
            if _METADATA.match(path) and index.sizes[number] <= _LARGEST:
                try:
                    text = b"".join(map(bytes, reader.pieces(number)))
                except FrameError as error:
                    raise UnsoundError(pack, [str(error)]) from None
                metadata = describe(text)
                if metadata.name:
                    by_name[metadata.name] = metadata
    return by_name


def describe(text: bytes) -> DistributionMetadata:
    """Parse one METADATA file; fields that are damaged are left out."""
    raw, _ = parse_email(text)
    expression = (raw.get("license_expression") or "").strip()
    return DistributionMetadata(
        name=canonicalize_name(raw.get("name", "")),
        summary=" ".join(raw.get("summary", "").split()),
        expression=expression,
        licences=() if expression else tuple(dict.fromkeys(_licences(raw))),
        requires=tuple(_requires(raw.get("requires_dist", ()))),
    )


def _licences(raw: RawMetadata) -> Iterator[str]:
    licence = (raw.get("license") or "").strip()
    if licence and len(licence) <= _LICENCE_TEXT and "\n" not in licence and licence.upper() != "UNKNOWN":
        yield licence
        return
    for classifier in raw.get("classifiers", ()):
        name = classifier.rpartition(" :: ")[2]
        if classifier.startswith(_CLASSIFIER) and name != "OSI Approved":
            yield name


def _requires(lines: Sequence[str]) -> Iterator[Requirement]:
    for line in lines:
        try:
            yield Requirement(line)
        except InvalidRequirement:
            continue


def read_tree(root: Path) -> dict[str, DistributionMetadata]:
    """The same as ``read`` of the pack that the installed tree at ``root`` becomes."""
    paths = (path for path in root.glob("*.dist-info/METADATA") if path.stat().st_size <= _LARGEST)
    found = [describe(path.read_bytes()) for path in paths]
    return {metadata.name: metadata for metadata in found if metadata.name}


def needs(described: Mapping[str, DistributionMetadata], target: Target) -> dict[str, tuple[Need, ...]]:
    """Name of a distribution -> what it needs of those in ``described`` for ``target``, with any extras."""
    return {
        name: tuple(
            Need(other, str(requirement.specifier), tuple(sorted(_extras(requirement))), when)
            for requirement in metadata.requires
            if (other := canonicalize_name(requirement.name)) in described
            and (when := _when(requirement, target)) is not None
        )
        for name, metadata in described.items()
    }


def dependencies(
    described: Mapping[str, DistributionMetadata], requested: Sequence[str], target: Target
) -> dict[str, tuple[str, ...]]:
    """Name of a distribution -> names of those in ``described`` that it depends on for ``target``, sorted.

    ``requested`` are requirements as the user wrote them: they may ask for extras.
    """
    extras = {**dict.fromkeys(described, frozenset[str]()), **asked_extras(requested)}
    edges: dict[str, set[str]] = {name: set() for name in described}
    found, waiting = needs(described, target), sorted(described)
    while waiting:
        name = waiting.pop()
        for need in found[name]:
            if need.when and extras[name].isdisjoint(need.when):
                continue
            edges[name].add(need.name)
            if more := set(need.extras) - extras[need.name]:
                # With more extras asked of it, a distribution may depend on more: look again.
                extras[need.name] |= more
                waiting.append(need.name)
    return {name: tuple(sorted(needed - {name})) for name, needed in edges.items()}


def asked_extras(requested: Sequence[str]) -> dict[str, frozenset[str]]:
    """Name -> extras of requirements as the user wrote them."""
    asked: dict[str, frozenset[str]] = {}
    for requirement in _requires(requested):
        name = canonicalize_name(requirement.name)
        asked[name] = asked.get(name, frozenset()) | _extras(requirement)
    return asked


def _extras(requirement: Requirement) -> frozenset[str]:
    return frozenset(canonicalize_name(extra) for extra in requirement.extras)


def _when(requirement: Requirement, target: Target) -> tuple[str, ...] | None:
    """The extras that bring a requirement; none where it holds without, ``None`` where it never does."""
    marker = requirement.marker
    if marker is None or _holds(marker, "", target):
        return ()
    named = {canonicalize_name(name) for name in _QUOTED.findall(str(marker))}
    return tuple(sorted(extra for extra in named if _holds(marker, extra, target))) or None


def _holds(marker: Marker, extra: str, target: Target) -> bool:
    return any(
        marker.evaluate({**target.markers(f"{target.python}.{patch}"), "extra": extra}) for patch in _PATCHES
    )
