"""The bill of materials beside a pack: valid, complete, and the same bytes each time."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given
from hypothesis import strategies as st

from lambdapack.errors import LambdapackError
from lambdapack.model import Pin, SystemLibrary
from lambdapack.model.target import Target
from lambdapack.pack.assets import BuiltAsset
from lambdapack.pipeline import sbom
from lambdapack.pipeline.build_json import BuildReport, BuiltDistribution
from lambdapack.pipeline.cache import open_cache
from lambdapack.pipeline.sbom.metadata import DistributionMetadata, dependencies, describe
from tests.support import packing
from tests.support.sbom_world import make_report

METADATA = {
    "demo": (
        "Metadata-Version: 2.4\nName: Demo\nVersion: 1.0\nSummary: A demonstration\n"
        "License-Expression: MIT OR Apache-2.0\nRequires-Dist: Small_Part>=2\n"
        "Requires-Dist: winonly; sys_platform == 'win32'\nRequires-Dist: fancy; extra == 'fancy'\n"
    ),
    "small-part": (
        "Metadata-Version: 2.1\nName: small.part\nVersion: 2.1+cpu\nLicense: BSD-3-Clause\n"
        "Requires-Dist: demo\n"
    ),
    "fancy": (
        "Metadata-Version: 2.1\nName: fancy\nVersion: 3\nLicense: " + "text of a licence " * 20 + "\n"
        "Classifier: License :: OSI Approved\nClassifier: License :: OSI Approved :: MIT License\n"
    ),
    "winonly": "Metadata-Version: 2.1\nName: winonly\nVersion: 4\nLicense: UNKNOWN\n",
}
VERSIONS = {"demo": "1.0", "small-part": "2.1+cpu", "fancy": "3", "winonly": "4"}
ASSETS = (
    BuiltAsset("model", "a" * 64, "assets/a.tar.zst", "assets/a.index.json", "", "start", "b" * 64, 9, 10, 2),
)


def digest(name: str) -> str:
    """The hash of a distribution's wheel in the lock."""
    return hashlib.sha256(name.encode()).hexdigest()


@pytest.fixture
def report(tmp_path: Path) -> BuildReport:
    """A pack of four distributions in ``tmp_path``/pack, and its report."""
    files = {f"{name}.py": b"" for name in METADATA}
    for name, text in METADATA.items():
        files[f"{name}-{VERSIONS[name]}.dist-info/METADATA"] = text.encode()
    pack = packing.pack(tmp_path, files, "demo.py")
    pins = [Pin(name, version, (f"sha256:{digest(name)}",)) for name, version in VERSIONS.items()]
    return make_report(pack, pins, requirements=("demo[fancy]>=1",), requested=("demo",))


def write(report: BuildReport, folder: Path, assets: tuple[BuiltAsset, ...] = ()) -> dict[str, Any]:
    """The document, validated against the official schema."""
    path = sbom.write(report, assets, folder)
    text = path.read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_7).validate_str(text) is None
    document: dict[str, Any] = json.loads(text)
    return document


def components(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["bom-ref"]: one for one in document["components"]}


def edges(document: dict[str, Any]) -> dict[str, list[str]]:
    return {one["ref"]: one.get("dependsOn", []) for one in document["dependencies"]}


def test_it_is_the_latest_the_library_writes_and_valid(report: BuildReport, tmp_path: Path) -> None:
    """CycloneDX JSON, accepted by the library's own strict validator, at the newest version there is."""
    document = write(report, tmp_path / "pack", ASSETS)
    newest = max(SchemaVersion, key=lambda version: version.value)
    assert document["specVersion"] == newest.to_version() == sbom.SPEC_VERSION
    assert document["metadata"]["component"]["version"] == report.pack.id
    assert document["metadata"]["tools"]["components"][0]["name"] == "lambdapack"
    properties = {one["name"]: one["value"] for one in document["metadata"]["component"]["properties"]}
    assert properties == {"lambdapack:target": "python3.11/x86_64", "lambdapack:lock": packing.LOCK}


def test_each_distribution_has_its_purl_hash_and_licence(report: BuildReport, tmp_path: Path) -> None:
    """The hash is the locked wheel's; the licence an expression, an SPDX id, or what the classifier says."""
    found = components(write(report, tmp_path / "pack"))
    assert set(found) == {
        "pkg:pypi/demo@1.0", "pkg:pypi/small-part@2.1%2Bcpu", "pkg:pypi/fancy@3", "pkg:pypi/winonly@4",
    }  # fmt: skip
    demo = found["pkg:pypi/demo@1.0"]
    assert demo["purl"] == "pkg:pypi/demo@1.0"
    assert demo["hashes"] == [{"alg": "SHA-256", "content": digest("demo")}]
    assert demo["licenses"] == [{"expression": "MIT OR Apache-2.0", "acknowledgement": "declared"}]
    assert demo["description"] == "A demonstration"
    small = found["pkg:pypi/small-part@2.1%2Bcpu"]["licenses"]
    assert small == [{"license": {"id": "BSD-3-Clause", "acknowledgement": "declared"}}]
    fancy = found["pkg:pypi/fancy@3"]["licenses"]
    assert fancy == [{"license": {"name": "MIT License", "acknowledgement": "declared"}}]
    assert "licenses" not in found["pkg:pypi/winonly@4"]


def test_the_graph_is_of_the_target(report: BuildReport, tmp_path: Path) -> None:
    """Markers are evaluated for the target, extras where they were asked for; the root needs the request."""
    found = edges(write(report, tmp_path / "pack", ASSETS))
    assert found[f"pack:{report.pack.id}"] == ["asset:model", "pkg:pypi/demo@1.0"]
    assert found["pkg:pypi/demo@1.0"] == ["pkg:pypi/fancy@3", "pkg:pypi/small-part@2.1%2Bcpu"]
    assert found["pkg:pypi/small-part@2.1%2Bcpu"] == ["pkg:pypi/demo@1.0"]
    assert found["pkg:pypi/winonly@4"] == []
    plain = replace(report, requirements=("demo",))
    assert "pkg:pypi/fancy@3" not in edges(write(plain, tmp_path / "pack"))["pkg:pypi/demo@1.0"]


def test_system_libraries_are_listed_with_who_needs_them(report: BuildReport, tmp_path: Path) -> None:
    """What was bundled from the image: its package, that one's version and URL, its hash there, and the edges
    of those that asked. Where the image knows of no package, nothing is made up."""
    libraries = (
        SystemLibrary("libpq.so.5", "lib/libpq.so.5", "/usr/lib64/libpq.so.5", "libpq-15", 9, "c" * 64,
                      ("demo/_db.so",), "pkg:rpm/amzn/libpq@15.8-1%2Bx?arch=x86_64&distro=amzn-2023"),
        SystemLibrary("libldap.so.2", "lib/libldap.so.2", "/usr/lib64/libldap.so.2", "", 9, "d" * 64,
                      ("lib/libpq.so.5",)),
    )  # fmt: skip
    document = write(replace(report, libraries=libraries), tmp_path / "pack")
    one = components(document)["file:lib/libpq.so.5"]
    assert (one["name"], one["hashes"][0]["content"]) == ("libpq.so.5", "c" * 64)
    assert {"name": "lambdapack:package", "value": "libpq-15"} in one["properties"]
    assert one["version"] == "15.8-1+x"
    assert one["purl"].startswith("pkg:rpm/amzn/libpq@15.8-1")
    unknown = components(document)["file:lib/libldap.so.2"]
    assert not {"version", "purl"} & unknown.keys()
    found = edges(document)
    assert "file:lib/libpq.so.5" in found["pkg:pypi/demo@1.0"]
    assert found["file:lib/libpq.so.5"] == ["file:lib/libldap.so.2"]


def test_the_same_pack_gets_the_same_bytes(report: BuildReport, tmp_path: Path) -> None:
    """No time and no chance: whoever built it, whenever and from whatever requirement strings."""
    first = sbom.write(report, ASSETS, tmp_path / "pack").read_bytes()
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / report.pack.file
    other.write_bytes((tmp_path / "pack" / report.pack.file).read_bytes())
    again = replace(
        report, builder={"name": "docker"}, requirements=("demo[fancy]==1.0",), seconds={"lock": 9.0},
        inputs="f" * 64, glibc="2.34",
    )  # fmt: skip
    assert sbom.write(again, ASSETS, tmp_path / "other").read_bytes() == first
    assert b"timestamp" not in first


def test_one_that_is_up_to_date_is_left_alone(report: BuildReport, tmp_path: Path) -> None:
    """A reused build writes nothing; other assets are another document; those of other packs go."""
    stale = tmp_path / "pack" / f"{'0' * 64}.cdx.json"
    stale.write_text("{}")
    path = sbom.write(report, ASSETS, tmp_path / "pack")
    assert not stale.exists()
    before = path.stat()
    assert sbom.write(report, ASSETS, tmp_path / "pack").stat().st_ino == before.st_ino
    first = json.loads(path.read_bytes())["serialNumber"]
    changed = (replace(ASSETS[0], id="e" * 64),)
    assert write(report, tmp_path / "pack", changed)["serialNumber"] != first
    path.write_text("damaged")
    assert write(report, tmp_path / "pack", ASSETS)["serialNumber"] == first


def test_several_hashes_of_one_pin_are_all_listed(report: BuildReport, tmp_path: Path) -> None:
    """A lock that allows more files than one says so."""
    more = (
        f"{report.lock['text']}other==1 \\\n    --hash=sha256:{'8' * 64} \\\n    --hash=sha256:{'9' * 64}\n"
    )
    other = BuiltDistribution("other", "1", False, (), 1, 1)
    changed = replace(
        report, lock={**report.lock, "text": more}, distributions=(*report.distributions, other)
    )
    found = components(write(changed, tmp_path / "pack"))["pkg:pypi/other@1"]["hashes"]
    assert [one["content"] for one in found] == ["8" * 64, "9" * 64]


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_metadata_is_described(text: bytes) -> None:
    """Damaged METADATA is no reason for a build to fail."""
    assert isinstance(describe(text), DistributionMetadata)


_NAMES = st.sampled_from(["a", "b", "c", "d"])
_LINES = st.builds(
    lambda name, extra, needs: f"Requires-Dist: {name}{extra}{needs}",
    _NAMES,
    st.sampled_from(["", "[x]", "[x,y]"]),
    st.sampled_from(["", "; extra == 'x'", "; extra == 'y'", "; python_version < '3.8'"]),
)


@given(st.dictionaries(_NAMES, st.lists(_LINES, max_size=4), min_size=1))
def test_any_graph_ends(lines: dict[str, list[str]]) -> None:
    """Circles and extras of extras: the search ends, with names of the pack alone, none needing itself."""
    described = {
        name: describe("\n".join(["Metadata-Version: 2.1", f"Name: {name}", *found]).encode())
        for name, found in lines.items()
    }
    found = dependencies(described, ("a[x]",), Target("3.12"))
    assert set(found) == set(described)
    assert all(needed in described and needed != name for name, all_ in found.items() for needed in all_)


def test_a_document_that_was_made_before_is_taken_from_the_cache(report: BuildReport, tmp_path: Path) -> None:
    """In another folder the same bytes come without a look into the pack; other assets are made anew."""
    store = open_cache(tmp_path / "cache")
    first = sbom.write(report, ASSETS, tmp_path / "pack", store).read_bytes()
    (tmp_path / "other").mkdir()
    assert sbom.write(report, ASSETS, tmp_path / "other", store).read_bytes() == first
    with pytest.raises(LambdapackError):
        sbom.write(report, (), tmp_path / "other", store)
