"""Each setting of a function in AWS: created with it, changed alone, unchanged, left where it is not said."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lambdapack.deploy import aws
from lambdapack.errors import ConfigurationError
from lambdapack.model import Caller
from tests.support.lambda_world import ACCOUNT, ARN, REGION, World, deploy, operations, spec_of
from tests.support.told import Told

KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234"
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:failed"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:failed"
LAYER = f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:extras"
BUCKET = Caller("s3.amazonaws.com", "arn:aws:s3:::uploads", ACCOUNT)
_NEW_VERSION = ["publish_version", "update_alias"]

# Setting -> two values; and the parameters of the one call that goes from the first to the second.
IN_VERSIONS: Mapping[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "network": (
        {"subnets": ("subnet-b", "subnet-a"), "security_groups": ("sg-1",)},
        {"subnets": ("subnet-a",), "security_groups": ("sg-1",)},
        {"VpcConfig": {"SubnetIds": ["subnet-a"], "SecurityGroupIds": ["sg-1"]}},
    ),
    "layers": ({"layers": (f"{LAYER}:1",)}, {"layers": (f"{LAYER}:2",)}, {"Layers": [f"{LAYER}:2"]}),
    "key": ({"kms_key": KEY}, {"kms_key": KEY + "5"}, {"KMSKeyArn": KEY + "5"}),
    "no key": ({"kms_key": KEY}, {"kms_key": ""}, {"KMSKeyArn": ""}),
    "dead letters": (
        {"dead_letter": QUEUE}, {"dead_letter": TOPIC}, {"DeadLetterConfig": {"TargetArn": TOPIC}},
    ),
    "no dead letters": ({"dead_letter": QUEUE}, {"dead_letter": ""}, {"DeadLetterConfig": {"TargetArn": ""}}),
    "tracing": ({"tracing": True}, {"tracing": False}, {"TracingConfig": {"Mode": "PassThrough"}}),
    "log format": (
        {"log_format": "json"}, {"log_format": "text"}, {"LoggingConfig": {"LogFormat": "Text"}},
    ),
    "log level": (
        {"log_format": "json", "log_level": "DEBUG"},
        {"log_format": "json", "log_level": "ERROR"},
        {"LoggingConfig": {
            "LogFormat": "JSON", "ApplicationLogLevel": "ERROR", "SystemLogLevel": "INFO",
        }},
    ),
}  # fmt: skip
# Setting -> two values, and the call that goes from the first to the second without a new version.
BESIDE: Mapping[str, tuple[dict[str, Any], dict[str, Any], str, dict[str, Any]]] = {
    "tags": (
        {"tags": {"team": "a", "stage": "x"}}, {"tags": {"team": "b", "stage": "x"}},
        "tag_resource", {"Resource": ARN, "Tags": {"team": "b"}},
    ),
    "reserved": (
        {"reserved_concurrency": 5}, {"reserved_concurrency": 0},
        "put_function_concurrency", {"FunctionName": "demo", "ReservedConcurrentExecutions": 0},
    ),
    "callers": (
        {"callers": (BUCKET,)}, {"callers": ()},
        "remove_permission", {"FunctionName": "demo", "Qualifier": "live", "StatementId": BUCKET.statement},
    ),
    "log retention": (
        {"log_retention": 7}, {"log_retention": 14},
        "put_retention_policy", {"logGroupName": "/aws/lambda/demo", "retentionInDays": 14},
    ),
}  # fmt: skip


def statements(world: World) -> dict[str, Any]:
    """What the role may do, by the statements' ids."""
    return {item["Sid"]: item for item in world.iam.policies["lambdapack"]["Statement"]}


@pytest.mark.parametrize("name", IN_VERSIONS)
def test_a_setting_of_a_version_is_sent_alone_and_once(tmp_path: Path, name: str) -> None:
    """A function is created with the setting; a change is one call and a new version; the same is no call."""
    first, second, sent = IN_VERSIONS[name]
    world = World()
    assert operations(deploy(world, spec_of(tmp_path, **first)))[-3:] == [
        "create_function", "publish_version", "create_alias",
    ]  # fmt: skip
    assert deploy(world, spec_of(tmp_path, **first)).calls == ()
    done = deploy(world, spec_of(tmp_path, **second))
    (update,) = [call for call in done.calls if call.operation == "update_function_configuration"]
    assert update.parameters == {"FunctionName": "demo", **sent}
    kept = [each for each in operations(done) if each != "put_role_policy"]
    assert kept == ["update_function_configuration", *_NEW_VERSION]
    assert deploy(world, spec_of(tmp_path, **second)).calls == ()


@pytest.mark.parametrize("name", BESIDE)
def test_a_setting_of_the_whole_function_needs_no_version(tmp_path: Path, name: str) -> None:
    """What no version has of its own is changed by its own call, and nothing is published."""
    first, second, operation, parameters = BESIDE[name]
    world = World()
    deploy(world, spec_of(tmp_path, **first))
    assert deploy(world, spec_of(tmp_path, **first)).calls == ()
    (call,) = deploy(world, spec_of(tmp_path, **second)).calls
    assert (call.operation, call.parameters) == (operation, parameters)
    assert deploy(world, spec_of(tmp_path, **second)).calls == ()


@pytest.mark.parametrize("name", [name for name in IN_VERSIONS if not name.startswith("no ")])
def test_what_the_configuration_leaves_out_stays_and_is_said(tmp_path: Path, name: str) -> None:
    """Somebody set it by hand: a deployment without the setting calls nothing, and a note names the key."""
    world, told = World(), Told()
    deploy(world, spec_of(tmp_path))
    assert not any("keeps" in note for note in told.notes)
    world["lambda"].update_function_configuration(
        FunctionName="demo", **_as_sent(IN_VERSIONS[name][0], tmp_path)
    )
    before = dict(world.lambda_.configuration or {})
    deploy(world, spec_of(tmp_path), told)
    assert world.lambda_.configuration == before
    (note,) = [note for note in told.notes if note.startswith("demo keeps")]
    said = {
        "network": "subnets", "layers": "1 layer of others", "key": "kms-key", "dead letters": "dead-letter",
        "tracing": "tracing", "log format": "log-format", "log level": "log-format",
    }  # fmt: skip
    assert said[name] in note
    assert deploy(world, spec_of(tmp_path)).calls == ()


def _as_sent(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The settings as a person would send them with AWS's own tools."""
    other = World()
    deploy(other, spec_of(folder, **settings))
    (sent,) = [said for operation, said in other.lambda_.calls if operation == "create_function"]
    keys = {"VpcConfig", "Layers", "KMSKeyArn", "DeadLetterConfig", "TracingConfig", "LoggingConfig"}
    return {key: value for key, value in sent.items() if key in keys}


def test_layers_of_others_stay_before_those_that_are_named(tmp_path: Path) -> None:
    """A layer that somebody attached stays; another version of a named layer gives way."""
    world, theirs = World(), f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:theirs:7"
    deploy(world, spec_of(tmp_path, layers=(f"{LAYER}:1",)))
    world["lambda"].update_function_configuration(FunctionName="demo", Layers=[f"{LAYER}:1", theirs])
    done = deploy(world, spec_of(tmp_path, layers=(f"{LAYER}:2",)))
    assert done.calls[0].parameters["Layers"] == [theirs, f"{LAYER}:2"]
    assert deploy(world, spec_of(tmp_path, layers=(f"{LAYER}:2",))).calls == ()


def test_a_network_that_was_made_dual_stack_stays_so(tmp_path: Path) -> None:
    """What a subnet is changed beside is not managed, and a call that names the network names it again."""
    world = World()
    first = {"subnets": ("subnet-a",), "security_groups": ("sg-1",)}
    deploy(world, spec_of(tmp_path, **first))
    seen = world.lambda_.configuration or {}
    seen["VpcConfig"]["Ipv6AllowedForDualStack"] = True
    deploy(world, spec_of(tmp_path, **{**first, "subnets": ("subnet-b",)}))
    network = {"SubnetIds": ["subnet-b"], "SecurityGroupIds": ["sg-1"], "Ipv6AllowedForDualStack": True}
    assert seen["VpcConfig"] == {**network, "VpcId": "vpc-1"}


def test_tags_and_callers_of_others_stay(tmp_path: Path) -> None:
    """Ours are added and changed; a tag or a statement that somebody else added is never taken away."""
    world = World()
    deploy(world, spec_of(tmp_path, tags={"team": "a"}, callers=(BUCKET,)))
    world.lambda_.tags["cost"] = "7"
    world["lambda"].add_permission(
        FunctionName="demo", Qualifier="live", StatementId="theirs", Action="lambda:InvokeFunction",
        Principal="sns.amazonaws.com",
    )  # fmt: skip
    deploy(world, spec_of(tmp_path, tags={"team": "b"}, callers=()))
    assert world.lambda_.tags == {"team": "b", "cost": "7"}
    assert [each["Sid"] for each in world.lambda_.policies["live"]] == ["theirs"]


def test_a_log_level_that_was_chosen_elsewhere_stays_with_the_format(tmp_path: Path) -> None:
    """And so does a log group of another name, which the role may then write."""
    world = World()
    deploy(world, spec_of(tmp_path, log_format="json"))
    other = {
        "LogFormat": "JSON", "ApplicationLogLevel": "TRACE", "SystemLogLevel": "WARN", "LogGroup": "shared",
    }  # fmt: skip
    world["lambda"].update_function_configuration(FunctionName="demo", LoggingConfig=other)
    deploy(world, spec_of(tmp_path, log_format="json", log_level="ERROR"))
    assert (world.lambda_.configuration or {})["LoggingConfig"] == {**other, "ApplicationLogLevel": "ERROR"}
    assert any("log-group:shared:" in arn for arn in statements(world)["WriteItsLog"]["Resource"])


def test_the_role_gets_what_a_setting_needs_and_no_more(tmp_path: Path) -> None:
    """Each permission on the very resource, where AWS knows one; gone with the last version that needs it."""
    world = World()
    deploy(world, spec_of(tmp_path))
    assert list(statements(world)) == ["WriteItsLog"]
    done = deploy(world, spec_of(tmp_path, tracing=True, dead_letter=QUEUE, kms_key=KEY))
    assert done.calls[0].operation == "put_role_policy"
    assert done.calls[0].why.endswith(
        "write its own log, trace, send dead letters, decrypt its environment, nothing else"
    )
    may = statements(world)
    assert may["Trace"]["Action"] == ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
    assert (may["QueueDeadLetters"]["Action"], may["QueueDeadLetters"]["Resource"]) == (
        "sqs:SendMessage", [QUEUE],
    )  # fmt: skip
    assert (may["DecryptItsEnvironment"]["Action"], may["DecryptItsEnvironment"]["Resource"]) == (
        "kms:Decrypt", [KEY],
    )  # fmt: skip
    deploy(world, spec_of(tmp_path, tracing=True, dead_letter=TOPIC))
    may = statements(world)
    # The version of before still sends to the queue.
    assert may["PublishDeadLetters"]["Resource"] == [TOPIC] and may["QueueDeadLetters"]["Resource"] == [QUEUE]


def test_a_role_keeps_what_a_setting_of_somebody_else_needs(tmp_path: Path) -> None:
    """Tracing that was switched on by hand stays, and so the role must allow it."""
    world = World()
    deploy(world, spec_of(tmp_path))
    world["lambda"].update_function_configuration(FunctionName="demo", TracingConfig={"Mode": "Active"})
    deploy(world, spec_of(tmp_path))
    assert "Trace" in statements(world)


def test_a_caller_is_let_in_at_the_alias(tmp_path: Path) -> None:
    """With its source and account, after the alias is there; a lost answer is no failure the second time."""
    world = World()
    done = deploy(world, spec_of(tmp_path, callers=(BUCKET, Caller(ACCOUNT))))
    assert operations(done)[-3:] == ["create_alias", "add_permission", "add_permission"]
    first, second = world.lambda_.policies["live"]
    assert first["said"] == {
        "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com",
        "SourceArn": "arn:aws:s3:::uploads", "SourceAccount": ACCOUNT,
    }  # fmt: skip
    assert second["said"] == {"Action": "lambda:InvokeFunction", "Principal": ACCOUNT}
    from lambdapack.deploy.aws.executor import execute  # noqa: PLC0415 - here alone

    execute(done.calls[-1:], cast(aws.Clients, world))
    assert len(world.lambda_.policies["live"]) == 2


def test_what_calls_the_function_past_its_alias_is_said(tmp_path: Path) -> None:
    """A mapping, a URL or a permission of the bare function runs $LATEST, which a rollback leaves."""
    world, told = World(), Told()
    deploy(world, spec_of(tmp_path))
    queue = {"EventSourceArn": QUEUE, "FunctionArn": ARN}
    world.lambda_.mappings = [queue, {"EventSourceArn": TOPIC, "FunctionArn": f"{ARN}:live"}]
    world.lambda_.asynchronous = [{"FunctionArn": f"{ARN}:$LATEST", "MaximumRetryAttempts": 0}]
    world["lambda"].add_permission(
        FunctionName="demo", StatementId="old", Action="lambda:InvokeFunction", Principal=ACCOUNT
    )
    deploy(world, spec_of(tmp_path), told)
    (past,) = [note for note in told.notes if "past live" in note]
    assert QUEUE in past and TOPIC not in past and "the permission old" in past
    (kept,) = [note for note in told.notes if note.startswith("demo keeps")]
    assert "retries and destinations of $LATEST" in kept


def test_what_may_not_be_looked_at_stops_no_deployment(tmp_path: Path) -> None:
    """The looks at what is not managed are a courtesy; credentials without them are told of that."""
    world, told = World(), Told()
    deploy(world, spec_of(tmp_path))
    world.lambda_.denied = {"list_event_source_mappings", "list_function_url_configs", "get_policy"}
    assert deploy(world, spec_of(tmp_path, memory_mb=512), told).version == "2"
    (note,) = [note for note in told.notes if "may not look at" in note]
    assert "event sources, function URLs, the policy of demo" in note


def test_an_environment_that_may_not_be_decrypted_is_said(tmp_path: Path) -> None:
    """It cannot be compared, so that it is sent each time: a reader of the plan should know why."""
    world, told = World(), Told()
    deploy(world, spec_of(tmp_path, environment={"AA": "x"}))
    seen = world.lambda_.configuration or {}
    seen["Environment"] = {"Error": {"ErrorCode": "AccessDeniedException", "Message": "kms"}}
    done = deploy(world, spec_of(tmp_path, environment={"AA": "x"}), told)
    assert operations(done)[0] == "update_function_configuration"
    assert any("may not decrypt the environment of demo (kms:Decrypt)" in each for each in told.warnings)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"log_level": "INFO"}, 'need log-format = "json"'),
        ({"dead_letter": QUEUE + ".fifo"}, "takes no FIFO"),
        ({"layers": (f"{LAYER}:1", f"{LAYER}:2")}, "two of the layers are versions of"),
        ({"security_groups": ("sg-1",)}, "security_groups and no subnets"),
        ({"provisioned": 3, "reserved_concurrency": 2}, "more than the reserved-concurrency of 2"),
        ({"provisioned": 3, "snap_start": True}, "not take both"),
        ({"tags": {"aws:x": "1"}}, "AWS's own"),
        ({"tags": {"a": "b" * 257}}, "longer than 128"),
        ({"tags": {str(number): "" for number in range(51)}}, "51 tags, Lambda takes 50"),
        ({"tags": {"a<": "b"}}, "a character other than"),
        ({"provisioned": -1}, "provisioned is -1 environments"),
    ],
)
def test_what_lambda_refuses_is_refused_before_any_call(
    tmp_path: Path, settings: dict[str, Any], said: str
) -> None:
    """By its name and its limit."""
    world = World()
    with pytest.raises(ConfigurationError, match=said):
        deploy(world, spec_of(tmp_path, **settings))
    assert world.lambda_.calls == []


_CHOICES: Mapping[str, st.SearchStrategy[Any]] = {
    "memory_mb": st.sampled_from([128, 512]),
    "layers": st.sampled_from([(f"{LAYER}:1",), (f"{LAYER}:2",), (f"{LAYER}2:1", f"{LAYER}:1")]),
    "tags": st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy"), min_size=1),
    "kms_key": st.sampled_from([KEY, ""]),
    "dead_letter": st.sampled_from([QUEUE, TOPIC, ""]),
    "tracing": st.booleans(),
    "reserved_concurrency": st.sampled_from([20, 30]),
    "provisioned": st.sampled_from([0, 1, 5]),
    "subnets": st.sampled_from([("subnet-1",), ("subnet-2", "subnet-1")]),
    "log_format": st.sampled_from(["text", "json"]),
    "log_retention": st.sampled_from([1, 7]),
    "callers": st.sets(st.sampled_from([BUCKET, Caller(ACCOUNT)])).map(tuple),
    "environment": st.dictionaries(st.sampled_from(["AA", "BB"]), st.sampled_from("xy")),
}
_SETTINGS = st.fixed_dictionaries({}, optional=dict(_CHOICES))


@hypothesis_settings(max_examples=60, deadline=None)
@given(history=st.lists(_SETTINGS, min_size=2, max_size=4))
def test_after_any_deployments_the_next_plan_is_empty(
    tmp_path_factory: pytest.TempPathFactory, history: list[dict[str, Any]]
) -> None:
    """From whatever settings to whichever others; and what a later one leaves out is what it was."""
    world, folder = World(), tmp_path_factory.getbasetemp()
    stays: dict[str, Any] = {}
    for settings in history:
        deploy(world, spec_of(folder, **settings))
        assert deploy(world, spec_of(folder, **settings)).calls == ()
        stays |= settings
        said = world.lambda_.configuration or {}
        traced = said.get("TracingConfig", {}).get("Mode", "PassThrough")
        assert traced == ("Active" if stays.get("tracing") else "PassThrough")
        assert said.get("KMSKeyArn", "") == stays.get("kms_key", "")
        assert world.lambda_.reserved == stays.get("reserved_concurrency")
        live = world.lambda_.aliases["live"]["FunctionVersion"]
        ready = {
            n: e["RequestedProvisionedConcurrentExecutions"] for n, e in world.lambda_.provisioned.items()
        }
        if "provisioned" in settings:
            assert ready == ({live: settings["provisioned"]} if settings["provisioned"] else {})


def test_a_dry_run_plans_the_same_and_changes_nothing(tmp_path: Path) -> None:
    """Whatever the settings are."""
    world = World()
    settings = {"tracing": True, "tags": {"a": "b"}, "callers": (BUCKET,), "provisioned": 2}
    dry = deploy(world, spec_of(tmp_path, **settings), dry_run=True)
    assert world.lambda_.configuration is None
    assert deploy(world, spec_of(tmp_path, **settings)).calls == dry.calls
    before = json.dumps(world.lambda_.configuration)
    deploy(world, spec_of(tmp_path, tracing=False), dry_run=True)
    assert json.dumps(world.lambda_.configuration) == before
