"""What runs in AWS, against moto's server; what may not be read is left out and said."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lambdapack.deploy import aws
from lambdapack.deploy.shifting import Note
from lambdapack.errors import ToolError
from lambdapack.model import Routing, Shift
from lambdapack.report import overview as shown
from tests.deploy.test_aws import changed, make_spec
from tests.support.aws_world import BUCKET, REGION
from tests.support.logged import init_start, report, shim_line

GROUP = "/aws/lambda/demo"


def log(clients: aws.Clients, version: str, *messages: str, age: timedelta) -> None:
    """Write into an environment of a version, some time ago."""
    stream = f"2026/11/26/[{version}]{age.total_seconds():.0f}"
    clients["logs"].create_log_stream(logGroupName=GROUP, logStreamName=stream)
    at = int((time.time() - age.total_seconds()) * 1000)
    entries = [{"timestamp": at + number, "message": text} for number, text in enumerate(messages)]
    clients["logs"].put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=entries)


def deny(monkeypatch: pytest.MonkeyPatch, client: Any, operation: str, code: str = "AccessDenied") -> None:
    """Let AWS refuse one operation."""

    def refuse(**parameters: Any) -> None:
        raise ClientError({"Error": {"Code": code, "Message": f"no {operation}"}}, operation)

    monkeypatch.setattr(client, operation, refuse)


@pytest.fixture
def demo(cloud: aws.Clients, tmp_path: Path) -> aws.Clients:
    """Two versions with packs of their own, a tenth of the calls on the second."""
    spec = make_spec(tmp_path, cloud)
    aws.deploy(spec, clients=cloud)
    aws.deploy(changed(make_spec(tmp_path, cloud, salt="2"), memory_mb=1024), clients=cloud)
    cloud["lambda"].update_alias(
        FunctionName="demo", Name="live", FunctionVersion="1", Description="a note",
        RoutingConfig={"AdditionalVersionWeights": {"2": 0.1}},
    )  # fmt: skip
    return cloud


def text_of(found: aws.Overview) -> str:
    """What a terminal shows."""
    return "\n".join(shown.overview_lines(found, datetime.now(timezone.utc)))


def test_versions_have_their_weights_packs_sizes_and_starts(demo: aws.Clients, tmp_path: Path) -> None:
    """Each start stands with the version that wrote it, the newest first."""
    spec = make_spec(tmp_path)
    log(demo, "1", init_start(), shim_line(), report(9.0, init=700.0), age=timedelta(minutes=20))
    log(demo, "1", init_start(), shim_line(), report(9.0, init=800.0), age=timedelta(minutes=10))
    found = aws.overview("demo", demo)
    assert (found.state, found.routing, found.note) == ("Active", Routing("1", "2", 0.1), "a note")
    assert found.unknown == ()
    first, second = found.versions
    assert (first.weight, second.weight) == (0.9, 0.1)
    assert first.pack == aws.StoredPack(str(spec.pack_id), "s3", len(b"pack"))
    assert (first.memory_mb, second.memory_mb) == (512, 1024)
    assert [start.init_ms for start in first.starts] == [800.0, 700.0] and second.starts == ()
    assert found.since is not None
    document = shown.overview_document(found)
    assert (document["live"], document["weights"]) == ("1", {"1": 0.9, "2": 0.1})
    assert document["versions"][0]["starts"][0]["shim"]["bytes"] == 41_000_000
    text = text_of(found)
    assert "live sends 90% to version 1 and 10% to version 2" in text and "note of the alias: a note" in text
    assert "<- 90%  init 800.0 ms, " in text and "<- 10%" in text


def test_older_starts_are_looked_for_where_there_are_no_newer_ones(demo: aws.Clients) -> None:
    """The span that was read is told."""
    log(demo, "2", init_start(), report(9.0, init=700.0), age=timedelta(hours=30))
    found = aws.overview("demo", demo)
    assert [start.init_ms for start in found.versions[1].starts] == [700.0]
    assert found.since is not None and datetime.now(timezone.utc) - found.since > timedelta(days=6)


def test_a_pack_that_is_gone_is_told(demo: aws.Clients) -> None:
    """Its version cannot start, so the table says so in its row."""
    for item in demo["s3"].list_objects_v2(Bucket=BUCKET)["Contents"]:
        demo["s3"].delete_object(Bucket=BUCKET, Key=item["Key"])
    found = aws.overview("demo", demo)
    assert all(version.pack is not None and version.pack.missing for version in found.versions)
    assert text_of(found).count("not in S3") == 2 and found.unknown == ()


def test_a_shift_is_told_in_progress_and_undone(demo: aws.Clients) -> None:
    """Out of the note that it leaves with the alias; what a person wrote there stands apart."""
    begun = datetime(2026, 11, 26, 14, 2, tzinfo=timezone.utc)
    note = Note("1", "2", Shift.parse("canary:10%,5m"), 0, begun, None, "the checkout")

    def told(left: Note) -> tuple[str, dict[str, Any]]:
        demo["lambda"].update_alias(FunctionName="demo", Name="live", Description=str(left))
        found = aws.overview("demo", demo)
        return text_of(found), shown.overview_document(found)["shift"]

    text, document = told(note)
    assert "shifting, canary:10%,5m from version 1 to 2: step 1 of 2, version 2 has 10 %" in text
    assert "note of the alias: the checkout" in text
    assert (document["before"], document["after"], document["step"], document["undone"]) == (
        "1",
        "2",
        0,
        None,
    )
    text, document = told(replace(note, undone="3 of 10 calls fail"))
    assert "shift undone, canary:10%,5m from version 1 to 2, begun 2026-11-26 14:02:00 UTC: 3 of 10" in text
    assert document["undone"] == "3 of 10 calls fail"


DENIED = (
    ("lambda", "get_alias", "lambda:GetAlias"),
    ("logs", "filter_log_events", "logs:FilterLogEvents"),
    ("s3", "head_object", "s3:GetObject"),
    ("lambda", "get_provisioned_concurrency_config", "lambda:GetProvisionedConcurrencyConfig"),
)


def test_what_may_not_be_read_is_left_out_and_said(
    demo: aws.Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once for each thing, with the action that is missing; the rest is there."""
    log(demo, "1", init_start(), report(9.0, init=700.0), age=timedelta(minutes=20))
    for service, operation, said in DENIED:
        with monkeypatch.context() as patch:
            deny(patch, demo[service], operation)
            found = aws.overview("demo", demo)
        expected = 2 if operation == "head_object" else 1
        assert len(found.unknown) == expected and all(said in why for why in found.unknown)
        assert [version.number for version in found.versions] == ["1", "2"]
        assert (found.routing is None) == (operation == "get_alias")
        assert bool(found.versions[0].starts) == (operation != "filter_log_events")
        assert said in text_of(found)


def test_a_log_that_takes_too_long_is_left_where_it_is(
    demo: aws.Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound is said, and what was read until then is shown."""
    log(demo, "1", init_start(), report(9.0, init=700.0), age=timedelta(minutes=20))
    client, passed = demo["logs"], [0.0]
    whole = client.filter_log_events

    def endless(**parameters: Any) -> Any:
        passed[0] += 6
        token = str(passed[0])
        answer = whole(**{key: value for key, value in parameters.items() if key != "nextToken"})
        return {"events": answer["events"], "nextToken": token}

    monkeypatch.setattr(client, "filter_log_events", endless)
    start = datetime.now(timezone.utc)
    clock = aws.Clock(lambda seconds: None, lambda: start + timedelta(seconds=passed[0]))
    found = aws.overview("demo", demo, clock=clock)
    assert found.unknown == (
        f"cold starts: reading the log group {GROUP} was ended after 20 s, before its end",
    )
    assert [start.init_ms for start in found.versions[0].starts] == [700.0]


def test_a_function_that_is_not_there(cloud: aws.Clients) -> None:
    """No error: the answer is that there is none."""
    found = aws.overview("demo", cloud)
    assert (found.arn, found.versions, found.region) == (None, (), REGION)
    assert shown.overview_document(found)["deployed"] is False


def test_a_function_that_may_not_be_read_is_an_error(
    demo: aws.Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it there is nothing to show."""
    deny(monkeypatch, demo["lambda"], "get_function_configuration")
    with pytest.raises(ToolError, match="lambda:GetFunctionConfiguration"):
        aws.overview("demo", demo)
