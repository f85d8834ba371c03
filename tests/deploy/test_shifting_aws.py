"""Shifts in AWS, against moto's server; what moto lacks against botocore's Stubber."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import ANY, Stubber

from lambdapack.deploy import aws
from lambdapack.deploy.aws.traffic import AwsTraffic
from lambdapack.deploy.shifting import AliasConflictError, Health, Note, ShiftOptions, read
from lambdapack.errors import ConfigurationError, ToolError
from lambdapack.model import Routing, Shift
from tests.deploy.test_aws import changed, make_spec, operations
from tests.support.aws_world import REGION
from tests.support.killed_deployment import FastClock, deploy
from tests.support.told import Told

CANARY = ShiftOptions(Shift.parse("canary:10%,5m"))
SINCE = datetime(2026, 3, 1, 12, 0, 30, tzinfo=timezone.utc)


def left(clients: aws.Clients, name: str) -> dict[str, Any]:
    """All that a deployment leaves under a name, but for times and what AWS numbers by chance."""
    function, iam, role = clients["lambda"], clients["iam"], f"lambdapack-{name}-{REGION}"
    alias = function.get_alias(FunctionName=name, Name="live")
    items = function.list_versions_by_function(FunctionName=name)["Versions"]
    chance = {
        "RevisionId",
        "LastModified",
        "FunctionName",
        "FunctionArn",
        "Role",
        "MasterArn",
        "ResponseMetadata",
    }
    chance |= {"LoggingConfig"}
    policy = iam.get_role_policy(RoleName=role, PolicyName="lambdapack")["PolicyDocument"]
    groups = clients["logs"].describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{name}")["logGroups"]
    return {
        "alias": {key: alias.get(key) for key in ("FunctionVersion", "Description", "RoutingConfig")},
        "versions": [{key: value for key, value in item.items() if key not in chance} for item in items],
        "policy": str(policy).replace(f"/{name}:", "/NAME:"),
        "groups": [group["logGroupName"].replace(name, "NAME") for group in groups],
    }


def live(clients: aws.Clients) -> tuple[Routing, str]:
    state = AwsTraffic("demo", clients).alias()
    assert state is not None
    return state.routing, state.note


@pytest.mark.parametrize(("before", "salt"), [(None, ""), ("", "2")])
def test_a_deployment_killed_after_any_step_is_completed_by_the_next(
    cloud: aws.Clients, tmp_path: Path, before: str | None, salt: str
) -> None:
    """Walks all calls of a first deployment, and of one with a canary: the end is an undisturbed one's."""
    how = "canary:10%,5m"

    def prepare(name: str) -> None:
        if before is not None:
            deploy(tmp_path, before, how, name)

    prepare("calm")
    calm = deploy(tmp_path, salt, how, "calm")
    expected = left(cloud, "calm")
    names = [f"step{number:02}" for number in range(1, len(calm.calls) + 1)]
    for name in names:
        prepare(name)
    command = [sys.executable, "-m", "tests.support.killed_deployment", str(tmp_path), salt, how, *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.splitlines() == [f"{name} killed" for name in names], done.stderr
    seen = {str(left(cloud, name)) for name in names if _has_alias(cloud, name)}
    assert len(seen) > (before is not None), "the killed ones stand at different steps"
    for name in names:
        again = deploy(tmp_path, salt, how, name)
        assert again.version == calm.version
        assert left(cloud, name) == expected, name
        assert deploy(tmp_path, salt, how, name).calls == ()


def _has_alias(clients: aws.Clients, name: str) -> bool:
    functions = {item["FunctionName"] for item in clients["lambda"].list_functions()["Functions"]}
    return name in functions and AwsTraffic(name, clients).alias() is not None


def test_a_dry_run_shows_each_step_and_the_deployment_makes_them(cloud: aws.Clients, tmp_path: Path) -> None:
    """The plan says which share when and for how long; the same moves are then made, with the revision."""
    aws.deploy(make_spec(tmp_path, cloud), clients=cloud)
    spec = make_spec(tmp_path, cloud, salt="2")
    dry = aws.deploy(spec, shift=CANARY, dry_run=True, clients=cloud)
    assert [call.why for call in dry.calls[-2:]] == [
        "step 1 of 2, the new version has 10 % of the calls, version 1 the rest, for 300 s",
        "the new version has all calls",
    ]
    assert live(cloud) == (Routing("1"), "")
    done = aws.deploy(spec, shift=CANARY, clients=cloud, clock=FastClock())
    assert operations(done.calls) == operations(dry.calls)
    assert all("RevisionId" in call.parameters for call in done.calls[-2:])
    assert live(cloud) == (Routing("2"), "")
    assert done.version == "2"
    assert done.shift is not None
    assert [step.weight for step in done.shift.steps] == [0.1]


def failures(clients: aws.Clients, version: str, calls: int, errors: int) -> None:
    """Metrics as Lambda sends them for calls through the alias."""
    dimensions = [
        {"Name": "FunctionName", "Value": "demo"}, {"Name": "Resource", "Value": "demo:live"},
        {"Name": "ExecutedVersion", "Value": version},
    ]  # fmt: skip
    for metric, value in (("Invocations", calls), ("Errors", errors)):
        clients["cloudwatch"].put_metric_data(
            Namespace="AWS/Lambda",
            MetricData=[{"MetricName": metric, "Dimensions": dimensions, "Value": value}],
        )


def test_metrics_that_show_failures_undo_the_shift(cloud: aws.Clients, tmp_path: Path) -> None:
    """What CloudWatch has of the version through the alias ends the shift; reason and note say why."""
    aws.deploy(make_spec(tmp_path, cloud), clients=cloud)
    cloud["lambda"].update_alias(FunctionName="demo", Name="live", Description="our front door")
    failures(cloud, "1", 900, 0)
    failures(cloud, "2", 100, 30)
    spec, told = make_spec(tmp_path, cloud, salt="2"), Told()
    done = aws.deploy(spec, shift=CANARY, clients=cloud, clock=FastClock(), progress=told)
    assert done.version == "1"
    assert done.shift is not None
    reason = (
        "30 % of its calls failed (30 of 100), of the old version's 0 % (0 of 900); max-errors allows 1 %"
    )
    assert done.shift.undone == reason
    routing, text = live(cloud)
    note = read(text)
    assert routing == Routing("1")
    assert note is not None
    assert (note.undone, note.others) == (reason, "our front door")
    assert f"version 1 has all calls again: {reason}" in told.warnings
    later = aws.deploy(spec, clients=cloud)
    assert (later.version, live(cloud)) == ("2", (Routing("2"), "our front door"))


def in_the_middle(clients: aws.Clients, folder: Path) -> None:
    """Version 2 has a tenth of the calls, version 1 the rest."""
    aws.deploy(make_spec(folder, clients), clients=clients)
    spec = make_spec(folder, clients, salt="2")

    class Interrupted(FastClock):
        def sleep(self, seconds: float) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="`lambdapack deploy --cloud aws` goes on with the shift"):
        aws.deploy(spec, shift=CANARY, clients=clients, clock=Interrupted())
    assert live(clients)[0] == Routing("1", "2", 0.1)


def test_a_rollback_in_the_middle_of_a_shift_goes_back_to_the_stable_version(
    cloud: aws.Clients, tmp_path: Path
) -> None:
    """One call takes every share from the new version, and the note says who did that."""
    in_the_middle(cloud, tmp_path)
    dry = aws.rollback("demo", dry_run=True, clients=cloud)
    assert [call.why for call in dry.calls] == ["live is version 1, and version 2 has no calls any more"]
    back = aws.rollback("demo", clients=cloud)
    assert (operations(back.calls), back.version) == (["update_alias"], "1")
    routing, text = live(cloud)
    note = read(text)
    assert routing == Routing("1")
    assert note is not None
    assert note.undone == "lambdapack rollback"


def test_a_rollback_to_a_version_by_its_number_ends_a_shift_too(cloud: aws.Clients, tmp_path: Path) -> None:
    """No weight is left behind: AWS would keep those of an alias that is moved without new ones."""
    in_the_middle(cloud, tmp_path)
    aws.rollback("demo", "2", clients=cloud)
    assert live(cloud) == (Routing("2"), "")


def test_deploying_something_else_supersedes_a_shift(cloud: aws.Clients, tmp_path: Path) -> None:
    """All calls go back to the stable version first, and from there to the third."""
    in_the_middle(cloud, tmp_path)
    third = make_spec(tmp_path, cloud, salt="3")
    done = aws.deploy(third, shift=CANARY, clients=cloud, clock=FastClock())
    moves = [call.parameters for call in done.calls if call.operation == "update_alias"]
    weights = [move["RoutingConfig"]["AdditionalVersionWeights"] for move in moves]
    assert [move["FunctionVersion"] for move in moves] == ["1", "1", "3"]
    assert weights == [{}, {"3": 0.1}, {}]
    assert (done.version, live(cloud)) == ("3", (Routing("3"), ""))


def test_all_in_the_middle_of_a_shift_ends_it_at_once(cloud: aws.Clients, tmp_path: Path) -> None:
    """Whoever asks for all calls at once gets that, and no weight is left."""
    in_the_middle(cloud, tmp_path)
    spec = make_spec(tmp_path, cloud, salt="2")
    done = aws.deploy(spec, shift=ShiftOptions(Shift()), clients=cloud)
    assert (done.version, live(cloud)) == ("2", (Routing("2"), ""))


def test_versions_with_different_roles_share_no_calls(cloud: aws.Clients, tmp_path: Path) -> None:
    """AWS refuses such weights; so does a deployment, before it changes anything."""
    aws.deploy(make_spec(tmp_path, cloud), clients=cloud)
    other = changed(make_spec(tmp_path, cloud, salt="2"), role="arn:aws:iam::123456789012:role/other")
    with pytest.raises(ConfigurationError, match="has another role, and AWS shares calls only") as refused:
        aws.deploy(other, shift=CANARY, clients=cloud)
    assert "--shift all" in (refused.value.hint or "")
    assert len(aws.observe("demo", cloud).versions) == 1


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> aws.Clients:
    """Clients that reach nothing: a Stubber answers."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "example")
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    return aws.Clients(REGION)


def test_a_move_is_made_only_of_the_alias_that_was_seen(clients: aws.Clients) -> None:
    """Routing, note and revision go in one call; AWS's refusal is a conflict, for which nothing was done."""
    sent = {
        "FunctionName": "demo", "Name": "live", "FunctionVersion": "1", "Description": "a note",
        "RoutingConfig": {"AdditionalVersionWeights": {"2": 0.1}}, "RevisionId": "seen",
    }  # fmt: skip
    with Stubber(clients["lambda"]) as stub:
        stub.add_response(
            "update_alias", {"FunctionVersion": "1", "Description": "a note", "RevisionId": "next",
                             "RoutingConfig": {"AdditionalVersionWeights": {"2": 0.1}}}, sent,
        )  # fmt: skip
        stub.add_client_error(
            "update_alias", "PreconditionFailedException", "The RevisionId provided ...", 412
        )
        stub.add_client_error("create_alias", "ResourceConflictException", "Alias already exists: live", 409)
        stub.add_client_error("update_alias", "ResourceNotFoundException", "no such version", 404)
        traffic = AwsTraffic("demo", clients)
        made = traffic.route(Routing("1", "2", 0.1), "a note", revision="seen")
        assert (made.revision, made.routing) == ("next", Routing("1", "2", 0.1))
        with pytest.raises(AliasConflictError, match="somebody else has moved it"):
            traffic.route(Routing("2"), "", revision="seen")
        with pytest.raises(AliasConflictError):
            traffic.route(Routing("2"), "", revision=None)
        with pytest.raises(ToolError, match="no such version"):
            traffic.route(Routing("2"), "", revision="seen")
        assert [call.operation for call in traffic.made] == ["update_alias"]
        stub.assert_no_pending_responses()


def test_health_is_of_calls_through_the_alias_alone(clients: aws.Clients) -> None:
    """Metrics by alias and executed version, in whole minutes; inits out of the version's own log streams."""

    def query(key: str, metric: str, stat: str) -> dict[str, Any]:
        names = {"FunctionName": "demo", "Resource": "demo:live", "ExecutedVersion": "2"}
        dimensions = [{"Name": name, "Value": value} for name, value in names.items()]
        asked = {"Namespace": "AWS/Lambda", "MetricName": metric, "Dimensions": dimensions}
        return {"Id": key, "MetricStat": {"Metric": asked, "Period": 60, "Stat": stat}}

    results = {"calls": [30.0, 20.0], "errors": [5.0], "milliseconds": [900.0, 100.0], "timed": [30.0, 20.0]}
    report = (
        "REPORT RequestId: 1\tDuration: 9 ms\tBilled Duration: 9 ms\tMemory Size: 128 MB\t"
        "Max Memory Used: 50 MB\tInit Duration: {} ms\t"
    )
    events = [
        {"timestamp": 1, "logStreamName": f"a/[{version}]b", "message": report.format(init), "eventId": id_}
        for id_, version, init in (("a", 2, 300), ("b", 2, 500), ("c", 1, 9000))
    ]  # fmt: skip
    with Stubber(clients["cloudwatch"]) as metrics, Stubber(clients["logs"]) as logs:
        metrics.add_response(
            "get_metric_data",
            {"MetricDataResults": [{"Id": key, "Values": values} for key, values in results.items()]},
            {
                "MetricDataQueries": [
                    query("calls", "Invocations", "Sum"), query("errors", "Errors", "Sum"),
                    query("milliseconds", "Duration", "Sum"), query("timed", "Duration", "SampleCount"),
                ],
                "StartTime": SINCE - timedelta(seconds=30), "EndTime": ANY,
            },
        )  # fmt: skip
        logs.add_response("filter_log_events", {"events": events})
        assert AwsTraffic("demo", clients).health("2", SINCE) == Health(50, 5, 20.0, 400.0)


def test_a_log_that_may_not_be_read_is_said_once(clients: aws.Clients) -> None:
    """Errors and durations are still compared, inits are not."""
    told = Told()
    traffic = AwsTraffic("demo", clients, told)
    with Stubber(clients["cloudwatch"]) as metrics, Stubber(clients["logs"]) as logs:
        for _ in range(2):
            metrics.add_response("get_metric_data", {"MetricDataResults": []})
        logs.add_client_error("filter_log_events", "AccessDeniedException", "no", 400)
        assert [traffic.health("2", SINCE) for _ in range(2)] == [Health(0, 0), Health(0, 0)]
    (warning,) = told.warnings
    assert warning.startswith("inits are not compared: ")


def test_alarms_are_told_by_their_state(clients: aws.Clients) -> None:
    """Composite alarms count; an alarm that there is not is a mistake of the configuration."""
    asked = {"AlarmNames": ["a", "b", "c"], "AlarmTypes": ["MetricAlarm", "CompositeAlarm"], "MaxRecords": 3}
    answer = {
        "MetricAlarms": [
            {"AlarmName": "a", "StateValue": "OK"}, {"AlarmName": "b", "StateValue": "ALARM"},
        ],
        "CompositeAlarms": [{"AlarmName": "c", "StateValue": "ALARM"}],
    }  # fmt: skip
    with Stubber(clients["cloudwatch"]) as stub:
        stub.add_response("describe_alarms", answer, asked)
        stub.add_response("describe_alarms", {})
        traffic = AwsTraffic("demo", clients)
        assert traffic.alarms(["a", "b", "c"]) == ["b", "c"]
        with pytest.raises(ConfigurationError, match="there is no alarm 'd' in eu-central-1"):
            traffic.alarms(["d"])
        assert traffic.alarms([]) == []


def test_what_a_note_says_is_in_the_alias(cloud: aws.Clients, tmp_path: Path) -> None:
    """The description that AWS keeps is the whole memory of a shift."""
    in_the_middle(cloud, tmp_path)
    note = read(live(cloud)[1])
    assert note == Note("1", "2", CANARY.asked or Shift(), 0, note.since if note else SINCE)
