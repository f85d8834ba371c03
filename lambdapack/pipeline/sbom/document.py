"""A pack as a CycloneDX document."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.license import License, LicenseAcknowledgement, LicenseExpression
from cyclonedx.output.json import JsonV1Dot7
from packageurl import PackageURL

from lambdapack.model import SystemLibrary, Target
from lambdapack.pack.assets import BuiltAsset
from lambdapack.pipeline.build_json import BuildReport, BuiltDistribution
from lambdapack.pipeline.sbom.metadata import Described, dependencies, read

__all__ = ["make"]

_PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==")
_HASH = re.compile(r"--hash=sha256:(?P<digest>[0-9a-f]{64})")
_UNKNOWN = Described("", "", "", (), ())


def make(report: BuildReport, assets: Sequence[BuiltAsset], pack: Path, serial: uuid.UUID) -> str:
    """The document, as indented JSON with a fixed order.

    Args:
        report: The build's.
        assets: Those that were built beside it.
        pack: The ``.tar.zst``, whose METADATA files are read.
        serial: The document's serial number.

    Raises:
        CheckError: The pack is not sound.
    """
    described = read(pack)
    hashes = _hashes(report.lock["text"])
    libraries = {one.name: _library(one, described, hashes) for one in report.distributions}
    system = {one.path: _system_library(one) for one in report.libraries}
    data = [_asset(one) for one in assets]
    root = _root(report)
    bom = Bom(
        components=[*libraries.values(), *system.values(), *data],
        serial_number=serial,
        metadata=BomMetaData(component=root, timestamp=None),
    )
    # The model fills a missing time with the present one.
    bom.metadata.timestamp = None  # type: ignore[assignment]
    tool, _, version = report.tool.partition(" ")
    bom.metadata.tools.components.add(
        Component(name=tool, version=version, type=ComponentType.APPLICATION, bom_ref=f"tool:{tool}")
    )
    edges = dependencies(described, report.requirements, Target.parse(report.target))
    for name, component in libraries.items():
        needed = [libraries[other] for other in edges.get(name, ()) if other in libraries]
        bom.register_dependency(component, [*needed, *_needs_of(name, report, system)])
    for one in report.libraries:
        others = [component for path, component in system.items() if one.path in _asked_by(report, path)]
        bom.register_dependency(system[one.path], others)
    requested = [libraries[one.name] for one in report.distributions if one.requested]
    bom.register_dependency(root, [*requested, *data])
    return JsonV1Dot7(bom).output_as_string(indent=2)


def _root(report: BuildReport) -> Component:
    return Component(
        name="lambdapack-pack",
        version=report.pack.id,
        type=ComponentType.APPLICATION,
        bom_ref=f"pack:{report.pack.id}",
        properties=_properties(
            {"target": report.target, "lock": report.lock["digest"], "glibc": report.pack.glibc}
        ),
    )


def _library(
    one: BuiltDistribution, described: Mapping[str, Described], hashes: Mapping[str, Sequence[str]]
) -> Component:
    said = described.get(one.name, _UNKNOWN)
    purl = PackageURL("pypi", name=one.name, version=one.version)
    return Component(
        name=one.name,
        version=one.version,
        type=ComponentType.LIBRARY,
        bom_ref=purl.to_string(),
        purl=purl,
        description=said.summary or None,
        scope=ComponentScope.REQUIRED,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in hashes.get(one.name, ())],
        licenses=_licences(said),
    )


def _licences(said: Described) -> Sequence[License]:
    """Declared ones: an SPDX expression alone, or any number of SPDX ids and names."""
    factory = LicenseFactory()
    declared = LicenseAcknowledgement.DECLARED
    found = [
        factory.make_from_string(text, license_acknowledgement=declared)
        for text in ([said.expression] if said.expression else said.licences)
    ]
    # The schema takes one expression, or a list of names without any.
    expressions = [one for one in found if isinstance(one, LicenseExpression)]
    return expressions[:1] or found


def _system_library(one: SystemLibrary) -> Component:
    purl = PackageURL.from_string(one.purl) if one.purl else None
    return Component(
        name=one.name,
        version=purl.version if purl else None,
        purl=purl,
        type=ComponentType.LIBRARY,
        bom_ref=f"file:{one.path}",
        scope=ComponentScope.REQUIRED,
        # Before slimming, which takes its symbols: what the image's own package has.
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=one.sha256)],
        properties=_properties({"path": one.path, "origin": one.origin, "package": one.package}),
    )


def _asset(one: BuiltAsset) -> Component:
    return Component(
        name=one.name,
        version=one.id,
        type=ComponentType.DATA,
        bom_ref=f"asset:{one.name}",
        scope=ComponentScope.REQUIRED if one.fetch == "start" else ComponentScope.OPTIONAL,
        properties=_properties({"files": str(one.files), "bytes": str(one.unpacked_bytes)}),
    )


def _properties(values: Mapping[str, str]) -> list[Property]:
    return [Property(name=f"lambdapack:{name}", value=value) for name, value in values.items() if value]


def _hashes(lock: str) -> dict[str, list[str]]:
    """Canonical name -> SHA-256 of the files that the lock allows: the wheel's, or the sdist's."""
    found: dict[str, list[str]] = {}
    for block in lock.replace("\\\n", " ").splitlines():
        pin = _PIN.match(block)
        if pin:
            found[pin["name"]] = [match["digest"] for match in _HASH.finditer(block)]
    return found


def _needs_of(name: str, report: BuildReport, system: Mapping[str, Component]) -> Iterable[Component]:
    """The system libraries that files of a distribution ask for."""
    tops = {top for one in report.distributions if one.name == name for top in one.top_level}
    tops |= {f"{name}.libs", f"{name.replace('-', '_')}.libs"}
    for path, component in system.items():
        if any(by.split("/")[0].split(".")[0] in tops or by.split("/")[0] in tops
               for by in _asked_by(report, path)):  # fmt: skip
            yield component


def _asked_by(report: BuildReport, path: str) -> Sequence[str]:
    return next(one.needed_by for one in report.libraries if one.path == path)
