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
from lambdapack.pipeline.sbom.metadata import DistributionMetadata, dependencies, read

_PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==")
_HASH = re.compile(r"--hash=sha256:(?P<digest>[0-9a-f]{64})")
_UNKNOWN = DistributionMetadata("", "", "", (), ())


def make(report: BuildReport, assets: Sequence[BuiltAsset], pack: Path, serial: uuid.UUID) -> str:
    """The document, as indented JSON with a fixed order.

    Args:
        report: The build's.
        assets: The packs of assets that were built beside it.
        pack: The ``.tar.zst``, whose METADATA files are read.
        serial: The document's serial number.

    Raises:
        CheckError: The pack is not sound.
    """
    described = read(pack)
    hashes = _hashes(report.lock["text"])
    libraries = {
        distribution.name: _library(distribution, described, hashes) for distribution in report.distributions
    }
    system = {library.path: _system_library(library) for library in report.libraries}
    data = [_asset(asset) for asset in assets]
    root = _root(report)
    bom = Bom(
        components=[*libraries.values(), *system.values(), *data],
        serial_number=serial,
        metadata=BomMetaData(component=root, timestamp=None),
    )
    # The model fills in the present time, which would make every document another one.
    bom.metadata.timestamp = None  # type: ignore[assignment]
    tool, _, version = report.tool.partition(" ")
    bom.metadata.tools.components.add(
        Component(name=tool, version=version, type=ComponentType.APPLICATION, bom_ref=f"tool:{tool}")
    )
    edges = dependencies(described, report.requirements, Target.parse(report.target))
    for name, component in libraries.items():
        needed = [libraries[other] for other in edges.get(name, ()) if other in libraries]
        bom.register_dependency(component, [*needed, *_needs_of(name, report, system)])
    for library in report.libraries:
        needed = [component for path, component in system.items() if library.path in _needed_by(report, path)]
        bom.register_dependency(system[library.path], needed)
    requested = [
        libraries[distribution.name] for distribution in report.distributions if distribution.requested
    ]
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
    distribution: BuiltDistribution,
    described: Mapping[str, DistributionMetadata],
    hashes: Mapping[str, Sequence[str]],
) -> Component:
    metadata = described.get(distribution.name, _UNKNOWN)
    purl = PackageURL("pypi", name=distribution.name, version=distribution.version)
    return Component(
        name=distribution.name,
        version=distribution.version,
        type=ComponentType.LIBRARY,
        bom_ref=purl.to_string(),
        purl=purl,
        description=metadata.summary or None,
        scope=ComponentScope.REQUIRED,
        hashes=[
            HashType(alg=HashAlgorithm.SHA_256, content=digest)
            for digest in hashes.get(distribution.name, ())
        ],
        licenses=_licences(metadata),
    )


def _licences(metadata: DistributionMetadata) -> Sequence[License]:
    """The declared licences: an SPDX expression alone, or any number of SPDX ids and names."""
    factory = LicenseFactory()
    declared = LicenseAcknowledgement.DECLARED
    licences = [
        factory.make_from_string(text, license_acknowledgement=declared)
        for text in ([metadata.expression] if metadata.expression else metadata.licences)
    ]
    # The schema takes either one expression or a list of names.
    expressions = [licence for licence in licences if isinstance(licence, LicenseExpression)]
    return expressions[:1] or licences


def _system_library(library: SystemLibrary) -> Component:
    purl = PackageURL.from_string(library.purl) if library.purl else None
    return Component(
        name=library.name,
        version=purl.version if purl else None,
        purl=purl,
        type=ComponentType.LIBRARY,
        bom_ref=f"file:{library.path}",
        scope=ComponentScope.REQUIRED,
        # Of the file before slimming took its symbols: what the image's own package has.
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=library.sha256)],
        properties=_properties({"path": library.path, "origin": library.origin, "package": library.package}),
    )


def _asset(asset: BuiltAsset) -> Component:
    return Component(
        name=asset.name,
        version=asset.id,
        type=ComponentType.DATA,
        bom_ref=f"asset:{asset.name}",
        scope=ComponentScope.REQUIRED if asset.fetch == "start" else ComponentScope.OPTIONAL,
        properties=_properties({"files": str(asset.files), "bytes": str(asset.unpacked_bytes)}),
    )


def _properties(values: Mapping[str, str]) -> list[Property]:
    return [Property(name=f"lambdapack:{name}", value=value) for name, value in values.items() if value]


def _hashes(lock: str) -> dict[str, list[str]]:
    """Canonical name -> SHA-256 of the files that the lock allows: of the wheel, or of the sdist."""
    hashes: dict[str, list[str]] = {}
    for block in lock.replace("\\\n", " ").splitlines():
        pin = _PIN.match(block)
        if pin:
            hashes[pin["name"]] = [match["digest"] for match in _HASH.finditer(block)]
    return hashes


def _needs_of(name: str, report: BuildReport, system: Mapping[str, Component]) -> Iterable[Component]:
    """The system libraries that files of a distribution ask for."""
    tops = {
        top
        for distribution in report.distributions
        if distribution.name == name
        for top in distribution.top_level
    }
    tops |= {f"{name}.libs", f"{name.replace('-', '_')}.libs"}
    for path, component in system.items():
        if any(by.split("/")[0].split(".")[0] in tops or by.split("/")[0] in tops
               for by in _needed_by(report, path)):  # fmt: skip
            yield component


def _needed_by(report: BuildReport, path: str) -> Sequence[str]:
    return next(library.needed_by for library in report.libraries if library.path == path)
