"""The life of a function in AWS, against moto's server."""

from __future__ import annotations

import hashlib
import io
import json
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.awslambda.models import LambdaFunction

from lambdapack.deploy import aws
from lambdapack.deploy.aws import naming, planner
from lambdapack.deploy.aws.executor import execute
from lambdapack.deploy.aws.naming import variables
from lambdapack.errors import CheckError, ConfigurationError, ToolError
from lambdapack.model import FunctionAsset, FunctionSettings, FunctionSpec, Location
from lambdapack.model.runtimes import RUNTIMES
from lambdapack.model.target import Target
from runtime_shim._index import Index, encode
from tests.support.aws_world import BUCKET, REGION
from tests.support.told import Told

_LOGS_ONLY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "logs:PutLogEvents", "Resource": "*"}],
}


def make_index(glibc: str = "", salt: str = "") -> bytes:
    return encode(
        Index(
            target="python3.11/x86_64", lock="0" * 64, tool="test" + salt, glibc=glibc, hot=1, eager=1,
            frame_stored=[10], frame_size=[2048], frame_sha256=["0" * 64], paths=["a/b.so"], classes="x",
            sizes=[3], offsets=[512], executable=[], needs={}, native={},
        )
    )  # fmt: skip


def make_spec(
    folder: Path, clients: aws.Clients | None = None, *, salt: str = "", glibc: str = "", **settings: Any
) -> FunctionSpec:
    """A function with a pack; the pack is pushed to ``clients``."""
    index = make_index(glibc, salt)
    pack_id = hashlib.sha256(index).hexdigest()
    location = Location(BUCKET, f"team/packs/{pack_id[:2]}/{pack_id}.tar.zst", REGION)
    if clients is not None:
        clients["s3"].put_object(Bucket=BUCKET, Key=location.key, Body=b"pack")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("app.py"), "def handler(event, context): return event\n")
        archive.writestr(zipfile.ZipInfo("runtime_shim/index.json"), index)
    path = folder / f"{pack_id}.zip"
    path.write_bytes(buffer.getvalue())
    chosen = FunctionSettings(**{"memory_mb": 512, **settings})
    return FunctionSpec("demo", "app.handler", Target("3.11"), path, pack_id, location, chosen)


def changed(spec: FunctionSpec, **settings: Any) -> FunctionSpec:
    """The function with other settings."""
    return replace(spec, settings=replace(spec.settings, **settings))


def operations(calls: tuple[aws.ApiCall, ...]) -> list[str]:
    return [call.operation for call in calls]


def readable(clients: aws.Clients) -> set[str]:
    """The keys that the function's role may get."""
    answer = clients["iam"].get_role_policy(RoleName=f"lambdapack-demo-{REGION}", PolicyName="lambdapack")
    statements = {item["Sid"]: item for item in answer["PolicyDocument"]["Statement"]}
    return {arn.partition(f":::{BUCKET}/")[2] for arn in statements["ReadItsPack"]["Resource"]}


def test_first_deployment_makes_the_role_the_log_the_function_a_version_and_the_alias(
    cloud: aws.Clients, tmp_path: Path
) -> None:
    """The first deployment creates all that there is, role first and alias last."""
    spec = make_spec(tmp_path, cloud, environment={"STAGE": "test"}, tmp_mb=600)
    done = aws.deploy(spec, clients=cloud)
    assert operations(done.calls) == [
        "create_role", "put_role_policy", "create_log_group", "create_function", "publish_version",
        "create_alias",
    ]  # fmt: skip
    assert done.version == "1"
    assert done.pack_id == spec.pack_id
    found = cloud["lambda"].get_function_configuration(FunctionName="demo", Qualifier="live")
    assert found["MemorySize"] == 512
    assert found["EphemeralStorage"] == {"Size": 600}
    assert found["Environment"] == {"Variables": {"STAGE": "test"}}
    assert found["Runtime"] == "python3.11"
    assert found["Architectures"] == ["x86_64"]
    assert spec.pack_id in found["Description"]


def test_an_ending_runtime_takes_changes_for_longer_than_new_functions(
    cloud: aws.Clients, tmp_path: Path
) -> None:
    """A new function is refused from one day on, a change from another; before there is a warning."""
    life = RUNTIMES["3.11"].lifecycle
    assert life is not None
    spec, told, before = make_spec(tmp_path, cloud), Told(), life.no_create - timedelta(days=1)
    with pytest.raises(ConfigurationError, match="deploying demo: Lambda's runtime python3"):
        aws.deploy(spec, clients=cloud, today=life.no_create)
    assert aws.deploy(spec, clients=cloud, today=before, progress=told).version == "1"
    assert any("python3.11" in warning for warning in told.warnings)
    other = changed(spec, memory_mb=1024)
    assert aws.deploy(other, clients=cloud, today=life.no_create).version == "2"
    for dry_run in (True, False):
        with pytest.raises(ConfigurationError, match="neither new functions nor changes of old ones"):
            aws.deploy(spec, clients=cloud, today=life.no_update, dry_run=dry_run)


def test_role_may_read_that_pack_and_write_that_log_and_nothing_else(
    cloud: aws.Clients, tmp_path: Path
) -> None:
    """The inline policy names one key and one log group, and no role policy is attached beside it."""
    spec = make_spec(tmp_path, cloud)
    aws.deploy(spec, clients=cloud)
    role = f"lambdapack-demo-{REGION}"
    document = cloud["iam"].get_role_policy(RoleName=role, PolicyName="lambdapack")["PolicyDocument"]
    assert [(item["Action"], item["Resource"]) for item in document["Statement"]] == [
        ("s3:GetObject", [f"arn:aws:s3:::{BUCKET}/{spec.location.key}"]),
        (
            ["logs:CreateLogStream", "logs:PutLogEvents"],
            f"arn:aws:logs:{REGION}:123456789012:log-group:/aws/lambda/demo:*",
        ),
    ]
    assert cloud["iam"].list_role_policies(RoleName=role)["PolicyNames"] == ["lambdapack"]
    assert cloud["iam"].list_attached_role_policies(RoleName=role)["AttachedPolicies"] == []


def test_second_deployment_of_the_same_plans_no_call(cloud: aws.Clients, tmp_path: Path) -> None:
    """Deploying what is deployed calls nothing and answers the same."""
    spec = make_spec(tmp_path, cloud, environment={"STAGE": "b"})
    first = aws.deploy(spec, clients=cloud)
    second = aws.deploy(spec, clients=cloud)
    assert second.calls == ()
    assert (second.arn, second.version) == (first.arn, first.version)


def test_changed_memory_is_one_update_and_a_new_version(cloud: aws.Clients, tmp_path: Path) -> None:
    """A changed setting is sent alone: no code, no policy."""
    spec = make_spec(tmp_path, cloud)
    aws.deploy(spec, clients=cloud)
    done = aws.deploy(changed(spec, memory_mb=1024), clients=cloud)
    assert operations(done.calls) == ["update_function_configuration", "publish_version", "update_alias"]
    assert done.calls[0].parameters == {"FunctionName": "demo", "MemorySize": 1024}
    assert done.calls[0].why == "MemorySize 512 -> 1024"
    assert done.version == "2"


def test_new_pack_is_readable_before_it_is_live_and_the_old_one_stays_so(
    cloud: aws.Clients, tmp_path: Path
) -> None:
    """A role reads the packs of its published versions, so that a version can be called or rolled back to."""
    old, new = make_spec(tmp_path, cloud), make_spec(tmp_path, cloud, salt="2")
    aws.deploy(old, clients=cloud)
    done = aws.deploy(new, clients=cloud)
    assert operations(done.calls) == [
        "put_role_policy", "update_function_code", "publish_version", "update_alias",
    ]  # fmt: skip
    assert readable(cloud) == {old.location.key, new.location.key}


def test_rollback_moves_the_alias_alone(cloud: aws.Clients, tmp_path: Path) -> None:
    """Code and pack go back together by one call, and a deployment after it goes forward by one call."""
    old, new = make_spec(tmp_path, cloud), make_spec(tmp_path, cloud, salt="2")
    aws.deploy(old, clients=cloud)
    aws.deploy(new, clients=cloud)
    back = aws.rollback("demo", clients=cloud)
    assert operations(back.calls) == ["update_alias"]
    assert (back.version, back.pack_id) == ("1", old.pack_id)
    assert aws.observe("demo", cloud).alias == "1"
    again = aws.deploy(new, clients=cloud)
    assert operations(again.calls) == ["update_alias"]
    assert again.version == "2"


def test_rollback_without_an_earlier_version_says_what_there_is(cloud: aws.Clients, tmp_path: Path) -> None:
    """There is nothing before the first version, and nothing at all under an unknown name."""
    aws.deploy(make_spec(tmp_path, cloud), clients=cloud)
    with pytest.raises(
        ConfigurationError, match=r"no version was published before version 1 \(published: 1\)"
    ):
        aws.rollback("demo", clients=cloud)
    with pytest.raises(ConfigurationError, match="there is no version 7"):
        aws.rollback("demo", "7", clients=cloud)
    with pytest.raises(ConfigurationError, match="not deployed"):
        aws.rollback("nobody", clients=cloud)


def test_rollback_refuses_a_version_whose_pack_is_gone(cloud: aws.Clients, tmp_path: Path) -> None:
    """A version without its pack would fail at its first cold start."""
    old, new = make_spec(tmp_path, cloud), make_spec(tmp_path, cloud, salt="2")
    aws.deploy(old, clients=cloud)
    aws.deploy(new, clients=cloud)
    cloud["s3"].delete_object(Bucket=BUCKET, Key=old.location.key)
    with pytest.raises(ConfigurationError, match=old.location.key):
        aws.rollback("demo", clients=cloud)
    assert aws.observe("demo", cloud).alias == "2"


def test_rollback_gives_back_a_permission_that_was_lost(cloud: aws.Clients, tmp_path: Path) -> None:
    """A role that may not read the earlier pack any more may again before the alias moves."""
    old, new = make_spec(tmp_path, cloud), make_spec(tmp_path, cloud, salt="2")
    aws.deploy(old, clients=cloud)
    aws.deploy(new, clients=cloud)
    cloud["iam"].put_role_policy(
        RoleName=f"lambdapack-demo-{REGION}",
        PolicyName="lambdapack",
        PolicyDocument=json.dumps(_LOGS_ONLY),
    )
    assert operations(aws.rollback("demo", clients=cloud).calls) == ["put_role_policy", "update_alias"]
    assert readable(cloud) == {old.location.key, new.location.key}


def test_destroy_leaves_the_packs_and_nothing_else(cloud: aws.Clients, tmp_path: Path) -> None:
    """Function, role and log go; the pack is content that other functions may use."""
    spec = make_spec(tmp_path, cloud)
    aws.deploy(spec, clients=cloud)
    done = aws.destroy("demo", clients=cloud)
    assert operations(done.calls) == [
        "delete_function",
        "delete_role_policy",
        "delete_role",
        "delete_log_group",
    ]
    seen = aws.observe("demo", cloud)
    assert (seen.function, seen.role, seen.log_group) == (None, None, False)
    cloud["s3"].head_object(Bucket=BUCKET, Key=spec.location.key)
    assert aws.destroy("demo", clients=cloud).calls == ()


def test_a_role_of_the_users_own_is_used_as_it_is(cloud: aws.Clients, tmp_path: Path) -> None:
    """With a role given, no role is made or changed, by a rollback neither, and destroying leaves it."""
    trust = json.dumps(naming.TRUST)
    arn = cloud["iam"].create_role(RoleName="theirs", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    spec = make_spec(tmp_path, cloud, role=arn)
    needed = naming.policy(aws.observe("demo", cloud).account, "demo", [spec.location])
    document = json.dumps(needed)
    cloud["iam"].put_role_policy(RoleName="theirs", PolicyName="theirs", PolicyDocument=document)
    done = aws.deploy(spec, clients=cloud)
    assert not [call for call in done.calls if call.service == "iam"]
    aws.deploy(make_spec(tmp_path, cloud, role=arn, timeout=60), clients=cloud)
    assert operations(aws.rollback("demo", clients=cloud).calls) == ["update_alias"]
    assert not [call for call in aws.destroy("demo", clients=cloud).calls if call.service == "iam"]
    assert cloud["iam"].get_role(RoleName="theirs")


def test_dry_run_plans_what_a_deployment_then_does(cloud: aws.Clients, tmp_path: Path) -> None:
    """A dry run is the same plan and changes nothing."""
    spec = make_spec(tmp_path, cloud)
    dry = aws.deploy(spec, dry_run=True, clients=cloud)
    assert aws.observe("demo", cloud).function is None
    assert dry.arn is None
    assert aws.deploy(spec, clients=cloud).calls == dry.calls


@pytest.mark.parametrize("done", range(7))
def test_interrupted_deployment_is_finished_by_the_next(
    cloud: aws.Clients, tmp_path: Path, done: int
) -> None:
    """Ctrl-C after any call: the next deployment ends where an undisturbed one does."""
    old, new = (
        make_spec(tmp_path, cloud),
        make_spec(tmp_path, cloud, salt="2", memory_mb=900, environment={"STAGE": "b"}),
    )
    for spec in (old, new):
        calls = planner.plan(spec, aws.observe("demo", cloud))
        answers = {}
        if done < len(calls):
            interrupted = _Interrupting(cloud, done)
            with pytest.raises(KeyboardInterrupt):
                answers = execute(calls, interrupted)
            assert not answers
        finished = aws.deploy(spec, clients=cloud)
        assert finished.pack_id == spec.pack_id
        live = cloud["lambda"].get_function_configuration(FunctionName="demo", Qualifier="live")
        assert live["MemorySize"] == spec.settings.memory_mb
        assert spec.location.key in readable(cloud)
        assert aws.deploy(spec, clients=cloud).calls == ()
    assert [version.number for version in aws.observe("demo", cloud).versions] == ["1", "2"]


class _Interrupting(aws.Clients):
    """Clients whose user presses Ctrl-C when ``calls`` have been made."""

    def __init__(self, real: aws.Clients, calls: int) -> None:
        self._real = real
        self._left = calls

    def __getitem__(self, service: str) -> Any:
        if self._left == 0:
            raise KeyboardInterrupt
        self._left -= 1
        return self._real[service]


def test_drifted_role_is_put_right(cloud: aws.Clients, tmp_path: Path) -> None:
    """What somebody changed in the role's trust and policy is changed back, and nothing else is called."""
    spec = make_spec(tmp_path, cloud)
    aws.deploy(spec, clients=cloud)
    role = f"lambdapack-demo-{REGION}"
    wide = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    cloud["iam"].put_role_policy(RoleName=role, PolicyName="lambdapack", PolicyDocument=json.dumps(wide))
    anybody = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    trust = {"Version": "2012-10-17", "Statement": [anybody]}
    cloud["iam"].update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(trust))
    assert operations(aws.deploy(spec, clients=cloud).calls) == [
        "update_assume_role_policy",
        "put_role_policy",
    ]
    assert readable(cloud) == {spec.location.key}


def test_log_retention_is_set_when_asked_for(cloud: aws.Clients, tmp_path: Path) -> None:
    """Retention is called for once, after its group is made; without the setting it is left alone."""
    spec = make_spec(tmp_path, cloud)
    first = aws.deploy(changed(spec, log_retention=14), clients=cloud)
    logs = [(call.operation, call.parameters) for call in first.calls if call.service == "logs"]
    assert logs == [
        ("create_log_group", {"logGroupName": "/aws/lambda/demo"}),
        ("put_retention_policy", {"logGroupName": "/aws/lambda/demo", "retentionInDays": 14}),
    ]
    assert aws.observe("demo", cloud).log_retention == 14
    assert aws.deploy(changed(spec, log_retention=14), clients=cloud).calls == ()
    assert aws.deploy(spec, clients=cloud).calls == ()
    assert aws.observe("demo", cloud).log_retention == 14
    again = aws.deploy(changed(spec, log_retention=3653), clients=cloud)
    assert operations(again.calls) == ["put_retention_policy"]


def test_zip_over_the_direct_limit_goes_through_the_packs_bucket(
    cloud: aws.Clients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lambda takes 50 MiB in the request; beyond that the zip is put beside the pack, under its digest."""
    spec = make_spec(tmp_path, cloud)
    size = spec.zip_path.stat().st_size
    monkeypatch.setattr("lambdapack.limits.ZIP_DIRECT_UPLOAD", size)
    assert "put_object" not in operations(aws.deploy(spec, dry_run=True, clients=cloud).calls)
    monkeypatch.setattr("lambdapack.limits.ZIP_DIRECT_UPLOAD", size - 1)
    done = aws.deploy(spec, clients=cloud)
    assert "put_object" in operations(done.calls)
    digest = hashlib.sha256(spec.zip_path.read_bytes()).hexdigest()
    cloud["s3"].head_object(Bucket=BUCKET, Key=f"team/functions/{digest}.zip")
    assert aws.deploy(spec, clients=cloud).calls == ()


def test_pack_that_was_not_pushed_stops_the_deployment(cloud: aws.Clients, tmp_path: Path) -> None:
    """A function whose pack is missing would fail at its first cold start."""
    for dry_run in (True, False):
        with pytest.raises(ConfigurationError, match="is not at s3://") as caught:
            aws.deploy(make_spec(tmp_path), clients=cloud, dry_run=dry_run)
        assert "lambdapack push" in (caught.value.hint or "")
    assert aws.observe("demo", cloud).function is None


class _Hidden(aws.Clients):
    """Clients that may not read the bucket, as a person who deploys often may not."""

    def __init__(self, real: aws.Clients) -> None:
        self._real = real

    def __getitem__(self, service: str) -> Any:
        return self if service == "s3" else self._real[service]

    def head_object(self, **_: Any) -> Any:
        raise ClientError({"Error": {"Code": "403", "Message": "Forbidden"}}, "HeadObject")

    @property
    def region(self) -> str:
        return self._real.region


def test_what_cannot_be_checked_or_is_far_away_is_a_warning(cloud: aws.Clients, tmp_path: Path) -> None:
    """The function reads the pack with a role of its own, from wherever it is."""
    told, spec = Told(), make_spec(tmp_path, cloud)
    aws.deploy(spec, clients=_Hidden(cloud), dry_run=True, progress=told)
    assert told.warnings == [
        f"cannot check that the pack is at s3://{BUCKET}/{spec.location.key}: no permission to read it"
    ]
    told = Told()
    far = replace(spec, location=replace(spec.location, region="us-west-2"))
    aws.deploy(far, clients=cloud, dry_run=True, progress=told)
    assert told.warnings == [
        f"the pack is in us-west-2 and the function in {REGION}: each cold start pays for the distance, "
        "in time and in transfer"
    ]


def test_pack_for_a_newer_c_library_is_refused(tmp_path: Path) -> None:
    """python3.11 runs on glibc 2.26: a pack that asks for 2.28 is refused before AWS is asked."""
    with pytest.raises(
        CheckError, match=r"asks for glibc 2\.28.*python3\.11 .*Amazon Linux 2 with glibc 2\.26"
    ):
        aws.deploy(make_spec(tmp_path, glibc="2.28"), clients=aws.Clients())


def test_bad_settings_are_reported_all_at_once(tmp_path: Path) -> None:
    """Every setting that Lambda would refuse is in one message."""
    spec = make_spec(
        tmp_path,
        memory_mb=64,
        tmp_mb=20_000,
        timeout=901,
        environment={"AWS_REGION": "x", "9": "y", "A" * 9: "z" * 5000},
        log_retention=2,
    )
    with pytest.raises(ConfigurationError) as caught:
        aws.deploy(
            replace(spec, name="no spaces", zip_path=tmp_path / "nowhere.zip"),
            clients=aws.Clients("us-east-1"),
        )
    for part in ("no spaces", "memory is 64", "tmp is 20000", "timeout is 901", "AWS_REGION", "'9'",
                 "5022 bytes", "log_retention is 2 days, CloudWatch Logs takes 1, 3, 5, ",
                 "no zip at"):  # fmt: skip
        assert part in caught.value.message


def test_unreachable_endpoint_is_a_tool_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cloud: object
) -> None:
    """An endpoint where nobody answers: exit status 3 and the endpoint's name."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(ToolError, match=r"cannot reach AWS .*127\.0\.0\.1:9"):
        aws.observe("demo", aws.Clients())


def test_missing_credentials_are_a_tool_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cloud: object
) -> None:
    """No credentials anywhere: said so, with the command that sets them."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(ToolError, match="there are no AWS credentials") as caught:
        aws.observe("demo", aws.Clients())
    assert "aws configure" in (caught.value.hint or "")


def test_invoke_of_an_unknown_function_says_so(cloud: aws.Clients) -> None:
    """Invoking what is not deployed is the user's to mend."""
    with pytest.raises(ConfigurationError, match="there is no nobody:live"):
        aws.invoke("nobody", b"{}", clients=cloud)


def test_destroy_takes_what_was_attached_to_the_role(cloud: aws.Clients, tmp_path: Path) -> None:
    """IAM deletes no role that has policies: those that the user added go too, but not the managed one."""
    aws.deploy(make_spec(tmp_path, cloud), clients=cloud)
    role = f"lambdapack-demo-{REGION}"
    document = json.dumps(_LOGS_ONLY)
    managed = cloud["iam"].create_policy(PolicyName="theirs", PolicyDocument=document)["Policy"]["Arn"]
    cloud["iam"].attach_role_policy(RoleName=role, PolicyArn=managed)
    cloud["iam"].put_role_policy(RoleName=role, PolicyName="more", PolicyDocument=document)
    assert aws.deploy(make_spec(tmp_path, cloud), clients=cloud).calls == ()
    aws.destroy("demo", clients=cloud)
    assert aws.observe("demo", cloud).role is None
    assert cloud["iam"].get_policy(PolicyArn=managed)


def test_rollback_from_latest_goes_to_the_newest_version(cloud: aws.Clients, tmp_path: Path) -> None:
    """An alias that was pointed at $LATEST by hand comes back to a published version."""
    aws.deploy(make_spec(tmp_path, cloud), clients=cloud)
    cloud["lambda"].update_alias(FunctionName="demo", Name="live", FunctionVersion="$LATEST")
    assert aws.rollback("demo", clients=cloud).version == "1"


def test_a_change_in_progress_is_waited_for(cloud: aws.Clients, tmp_path: Path) -> None:
    """What an interrupted deployment left pending has to settle before it can be compared."""
    aws.deploy(make_spec(tmp_path, cloud), clients=cloud)
    busy = _Busy(cloud)
    assert aws.observe("demo", busy).function is not None
    assert busy.waited == ["function_active_v2", "function_updated_v2"]


class _Busy(aws.Clients):
    """Clients to whom the function is pending, then being updated, until it is waited for."""

    def __init__(self, real: aws.Clients) -> None:
        self._real = real
        self.waited: list[str] = []

    def __getitem__(self, service: str) -> Any:
        return self if service == "lambda" else self._real[service]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real["lambda"], name)

    def get_function_configuration(self, **parameters: Any) -> Any:
        states = [{"State": "Pending"}, {"LastUpdateStatus": "InProgress"}, {}]
        found = self._real["lambda"].get_function_configuration(**parameters)
        return {**found, **states[len(self.waited)]}

    def get_waiter(self, name: str) -> Any:
        self.waited.append(name)
        return self._real["lambda"].get_waiter(name)


@pytest.fixture
def answering(endpoint: str, cloud: aws.Clients) -> Iterator[aws.Clients]:
    """An account whose functions answer without running: moto runs none without Docker."""

    def use_docker(value: bool) -> None:
        body = json.dumps({"lambda": {"use_docker": value}}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{endpoint}/moto-api/config", body, headers, method="POST")
        urllib.request.urlopen(request)

    use_docker(False)
    yield cloud
    use_docker(True)


def test_invoke_calls_the_live_version(answering: aws.Clients, tmp_path: Path) -> None:
    """An invocation goes through the alias and gives back the answer and whether it failed."""
    aws.deploy(make_spec(tmp_path, answering), clients=answering)
    answer = aws.invoke("demo", b'{"a": 1}', clients=answering)
    assert not answer.error
    assert answer.payload


def with_assets(spec: FunctionSpec, folder: Path, clients: aws.Clients, **ids: str) -> FunctionSpec:
    """The function with assets of those ids, which are pushed; its code differs with them."""
    assets = []
    for name, pack_id in ids.items():
        location = Location(BUCKET, f"team/packs/{pack_id[:2]}/{pack_id}.tar.zst", REGION)
        clients["s3"].put_object(Bucket=BUCKET, Key=location.key, Body=b"asset")
        assets.append(FunctionAsset(name, pack_id, folder, folder, location))
    environment = {**spec.settings.environment, **variables(assets)}
    return replace(changed(spec, environment=environment), assets=tuple(assets))


def test_the_role_reads_exactly_the_assets_of_its_versions(cloud: aws.Clients, tmp_path: Path) -> None:
    """A new model is readable beside the old one, which an earlier version needs; nothing else is."""
    old = with_assets(make_spec(tmp_path, cloud), tmp_path, cloud, model="a" * 64, words="b" * 64)
    new = with_assets(make_spec(tmp_path, cloud, salt="2"), tmp_path, cloud, model="c" * 64, words="b" * 64)
    keys_of_old, keys_of_new = ({a.location.key for a in spec.assets} for spec in (old, new))
    aws.deploy(old, clients=cloud)
    assert readable(cloud) == {old.location.key, *keys_of_old}
    assert aws.deploy(old, clients=cloud).calls == ()
    aws.deploy(new, clients=cloud)
    assert readable(cloud) == {old.location.key, new.location.key, *keys_of_old, *keys_of_new}
    first, second = aws.observe("demo", cloud).versions
    assert {location.key for location in first.assets.values()} == keys_of_old
    assert {location.key for location in second.assets.values()} == keys_of_new
    cloud["lambda"].delete_function(FunctionName="demo", Qualifier="1")
    aws.deploy(new, clients=cloud)
    assert readable(cloud) == {new.location.key, *keys_of_new}


def test_rollback_brings_the_assets_back(cloud: aws.Clients, tmp_path: Path) -> None:
    """A permission that was lost is given again; a version whose asset is gone is refused."""
    old = with_assets(make_spec(tmp_path, cloud), tmp_path, cloud, model="a" * 64)
    new = make_spec(tmp_path, cloud, salt="2")
    aws.deploy(old, clients=cloud)
    aws.deploy(new, clients=cloud)
    policy = naming.policy(aws.observe("demo", cloud).account, "demo", [old.location, new.location])
    cloud["iam"].put_role_policy(
        RoleName=f"lambdapack-demo-{REGION}", PolicyName="lambdapack", PolicyDocument=json.dumps(policy)
    )
    assert operations(aws.rollback("demo", clients=cloud).calls) == ["put_role_policy", "update_alias"]
    key = old.assets[0].location.key
    assert key in readable(cloud)
    aws.deploy(new, clients=cloud)
    cloud["s3"].delete_object(Bucket=BUCKET, Key=key)
    with pytest.raises(ConfigurationError, match="the asset model is not at"):
        aws.rollback("demo", clients=cloud)
    with pytest.raises(ConfigurationError, match="the asset model is not at"):
        aws.deploy(old, clients=cloud)


def test_more_assets_than_a_policy_holds_are_refused(cloud: aws.Clients, tmp_path: Path) -> None:
    """Before anything is called."""
    ids = {f"a{number}": f"{number:064x}" for number in range(21)}
    with pytest.raises(ConfigurationError, match="21 assets, more than 20"):
        aws.deploy(with_assets(make_spec(tmp_path, cloud), tmp_path, cloud, **ids), clients=cloud)


def test_snap_start_with_provisioned_concurrency_is_refused(
    cloud: aws.Clients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS does not take both for one version; nothing is changed, and the command that helps is named."""
    aws.deploy(replace(make_spec(tmp_path, cloud), target=Target("3.12")), clients=cloud)
    answer = {"RequestedProvisionedConcurrentExecutions": 2}
    monkeypatch.setattr(cloud["lambda"], "get_provisioned_concurrency_config", lambda **_: answer)
    snapped = replace(make_spec(tmp_path, cloud, snap_start=True), target=Target("3.12"))
    with pytest.raises(ConfigurationError, match="has provisioned concurrency for 2 environments") as caught:
        aws.deploy(snapped, clients=cloud)
    assert "provisioned = 0" in (caught.value.hint or "")
    found = cloud["lambda"].list_versions_by_function(FunctionName="demo")["Versions"]
    assert [version["Version"] for version in found] == ["$LATEST", "1"]


def test_snap_start_is_deployed_and_its_version_awaited(
    cloud: aws.Clients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version that AWS could take no snapshot of never becomes live; the reason is AWS's own."""
    states = iter(["Pending", "Failed"])
    described = LambdaFunction.get_configuration

    def configuration(function: LambdaFunction, on_create: bool = False) -> dict[str, Any]:
        found = described(function, on_create)
        if function.version != "$LATEST" and not on_create:
            found |= {"State": next(states, "Failed"), "StateReason": "Init failed: KeyError"}
        return found

    monkeypatch.setattr(LambdaFunction, "get_configuration", configuration)
    spec = replace(make_spec(tmp_path, cloud, snap_start=True), target=Target("3.12"))
    with pytest.raises(ToolError, match="did not become active: Init failed: KeyError"):
        aws.deploy(spec, clients=cloud)
    with pytest.raises(ClientError):
        cloud["lambda"].get_alias(FunctionName="demo", Name="live")
