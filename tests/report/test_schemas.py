"""The published schemas: of this code, and true of what the code writes."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from lambdapack.plan import Build, compare, reason
from lambdapack.report import builds, schemas
from tests.plan.test_builds import BUILDS
from tests.support import report_world

FOLDER = Path(__file__).parents[2] / "docs/schemas"


def valid(kind: str, document: dict[str, Any]) -> None:
    """Hold a document to its schema, and to have no key that the schema does not have."""
    _validator(kind).validate(json.loads(json.dumps(document)))


@cache
def _validator(kind: str) -> Draft202012Validator:
    return Draft202012Validator(closed(schemas.schema(kind)))


def closed(part: Any) -> Any:
    """A schema whose objects have no other keys than those that it names."""
    if isinstance(part, list):
        return [closed(each) for each in part]
    if not isinstance(part, dict):
        return part
    found = {key: closed(value) for key, value in part.items()}
    return {**found, "additionalProperties": False} if "properties" in part else found


def test_what_is_published_is_of_this_code() -> None:
    """``python -m lambdapack.report.schemas docs/schemas`` was run after the last change."""
    assert {path.name: path.read_text("utf-8") for path in FOLDER.iterdir()} == schemas.schemas()


def test_each_schema_is_one_and_explains_each_key() -> None:
    """Of the dialect that it names, each document with its name and version as constants."""
    for kind, version in (name.removesuffix(".json").split("-") for name in schemas.schemas()):
        found = schemas.schema(kind)
        Draft202012Validator.check_schema(found)
        assert found["properties"]["document"] == {"const": f"lambdapack.{kind}"}
        assert found["properties"]["version"] == {"const": int(version)}
        assert found["description"]


def test_the_report_and_its_parts_are_as_published(tmp_path: Path) -> None:
    """With every part, and with a plan alone."""
    full = report_world.full(tmp_path)
    for document in (full, report_world.bare()):
        valid("report", document)
        valid("plan", document["plan"])
    valid("profile", full["profile"])
    valid("tune", full["tune"][0])


@given(BUILDS, BUILDS, st.data())
def test_why_and_diff_are_as_published(old: Build, new: Build, data: st.DataObject) -> None:
    """Whatever the builds."""
    comparison = builds.comparison_document(compare(old, new))
    valid("diff", {"document": "lambdapack.diff", "version": 1, **comparison})
    if new.graph.needs:
        name = data.draw(st.sampled_from(sorted(new.graph.needs)))
        told = builds.reason_document(reason(new, name))
        valid("why", {"document": "lambdapack.why", "version": 1, "id": new.id, **told})


@pytest.mark.parametrize("change", [{"version": 2}, {"pack": 1}, {"plan": None}])
def test_what_is_not_such_a_document_is_refused(change: dict[str, Any]) -> None:
    """The schemas can say no."""
    document = {**report_world.bare(), **change}
    assert not Draft202012Validator(schemas.schema("report")).is_valid(document)
