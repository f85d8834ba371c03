"""A pack as a CycloneDX document."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
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
from lambdapack.pipeline.build_json import BuildReport, BuiltDistribution, pins
from lambdapack.pipeline.sbom.metadata import DistributionMetadata, dependencies, read

_UNKNOWN = DistributionMetadata("", "", "", (), ())


def make(report: BuildReport, assets: Sequence[BuiltAsset], pack: Path, serial: uuid.UUID) -> str:
    """The document, as indented JSON with a fixed order; ``pack`` is the ``.tar.zst``."""
    described = read(pack)
    hashes = {pin.name: pin.hashes for pin in pins(report)}
    libraries = {
        each.name: _library(each, described.get(each.name, _UNKNOWN), hashes.get(each.name, ()))
        for each in report.distributions
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
    for each in report.distributions:
        needed = [libraries[other] for other in edges.get(each.name, ()) if other in libraries]
        needed += [system[library.path] for library in report.libraries if _needs(each, library)]
        bom.register_dependency(libraries[each.name], needed)
    for library in report.libraries:
        needed = [system[other.path] for other in report.libraries if library.path in other.needed_by]
        bom.register_dependency(system[library.path], needed)
    requested = [libraries[each.name] for each in report.distributions if each.requested]
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
    distribution: BuiltDistribution, metadata: DistributionMetadata, hashes: Sequence[str]
) -> Component:
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
            HashType(alg=HashAlgorithm.SHA_256, content=digest.removeprefix("sha256:")) for digest in hashes
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


def _needs(distribution: BuiltDistribution, library: SystemLibrary) -> bool:
    """Whether a file of ``distribution`` asks for ``library``."""
    name = distribution.name
    tops = {*distribution.top_level, f"{name}.libs", f"{name.replace('-', '_')}.libs"}
    asking = {path.split("/")[0] for path in library.needed_by}
    return not tops.isdisjoint(asking | {top.split(".")[0] for top in asking})
