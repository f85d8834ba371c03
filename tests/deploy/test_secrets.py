"""Secrets of a function: read at the deployment, sent, and shown nowhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lambdapack.deploy import aws
from lambdapack.deploy.aws import secrets
from lambdapack.errors import ConfigurationError, ToolError
from lambdapack.model import SecretReference
from tests.support.lambda_world import World, operations, refuse, spec_of
from tests.support.lambda_world import deploy as deploy_to
from tests.support.told import Told

VALUE = 'hush-hush "7"'


def references(**texts: str) -> dict[str, SecretReference]:
    return {name: SecretReference.parse(text) for name, text in texts.items()}


def environment(clients: aws.Clients) -> dict[str, str]:
    found = clients["lambda"].get_function_configuration(FunctionName="demo", Qualifier="live")
    return dict(found["Environment"]["Variables"])


def test_values_come_from_both_stores_and_are_not_shown(cloud: aws.Clients, tmp_path: Path) -> None:
    """A parameter, a whole secret, a member of one; the plan, its repr and all messages hold none of them."""
    cloud["ssm"].put_parameter(Name="/demo/token", Value=VALUE, Type="SecureString")
    text = json.dumps({"user": "me", "port": 5432})
    arn = cloud["secretsmanager"].create_secret(Name="demo/db", SecretString=text)["ARN"]
    secret = references(
        TOKEN="ssm:/demo/token", DB="secretsmanager:demo/db", PORT=f"secretsmanager:{arn}:port"
    )
    told = Told()
    done = aws.deploy(
        spec_of(tmp_path, secrets=secret, environment={"STAGE": "x"}), clients=cloud, progress=told
    )
    assert environment(cloud) == {"STAGE": "x", "TOKEN": VALUE, "DB": text, "PORT": "5432"}
    shown = repr(done) + str(done) + "".join(told.said) + "".join(call.why for call in done.calls)
    assert "hush" not in shown and "5432" not in shown and "'x'" in shown
    assert any("DB, PORT, TOKEN: in the environment of demo" in warning for warning in told.warnings)


def test_a_secret_that_changes_is_a_new_version(cloud: aws.Clients, tmp_path: Path) -> None:
    """Versions keep the value that they were published with; without a change nothing is called."""
    cloud["ssm"].put_parameter(Name="token", Value="one", Type="String")
    spec = spec_of(tmp_path, secrets=references(TOKEN="ssm:token"))
    aws.deploy(spec, clients=cloud)
    assert aws.deploy(spec, clients=cloud).calls == ()
    cloud["ssm"].put_parameter(Name="token", Value="two", Type="String", Overwrite=True)
    done = aws.deploy(spec, clients=cloud)
    assert operations(done) == ["update_function_configuration", "publish_version", "update_alias"]
    assert done.calls[0].why == "environment" and environment(cloud) == {"TOKEN": "two"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ssm:/missing", "reading ssm:/missing for TOKEN: there is no such secret in eu-central-1"),
        ("secretsmanager:missing", "there is no such secret"),
        ("secretsmanager:text:key", "is not a JSON object with the key 'key'"),
        ("secretsmanager:table:key", "is not a JSON object with the key 'key'"),
        ("secretsmanager:table:list", "the value of 'list' is no text and no number"),
        ("secretsmanager:bytes", "the secret is binary"),
    ],
)
def test_a_secret_that_cannot_be_had_is_named(
    cloud: aws.Clients, tmp_path: Path, text: str, said: str
) -> None:
    """By its reference and variable, before anything is made; what the secret holds is not repeated."""
    client = cloud["secretsmanager"]
    client.create_secret(Name="text", SecretString="hush")
    client.create_secret(Name="table", SecretString='{"list": ["hush"]}')
    client.create_secret(Name="bytes", SecretBinary=b"hush")
    with pytest.raises(ConfigurationError) as caught:
        aws.deploy(spec_of(tmp_path, secrets=references(TOKEN=text)), clients=cloud)
    assert said in caught.value.message and "hush" not in str(caught.value)
    assert aws.observe("demo", cloud).function is None


def test_secrets_count_for_the_environments_size(cloud: aws.Clients, tmp_path: Path) -> None:
    """Lambda's own message would repeat the whole environment."""
    cloud["ssm"].put_parameter(Name="large", Value="x" * 4093, Type="String")
    with pytest.raises(ConfigurationError, match="the environment is 4098 bytes, Lambda takes 4096"):
        aws.deploy(spec_of(tmp_path, secrets=references(TOKEN="ssm:large")), clients=cloud)


def test_a_secret_stands_above_the_environment(cloud: aws.Clients, tmp_path: Path) -> None:
    """So that a variable has one value on this machine and its secret in AWS; Lambda's own are refused."""
    cloud["ssm"].put_parameter(Name="token", Value="secret", Type="String")
    both = spec_of(tmp_path, secrets=references(TOKEN="ssm:token"), environment={"TOKEN": "local"})
    aws.deploy(both, clients=cloud)
    assert environment(cloud) == {"TOKEN": "secret"}
    with pytest.raises(ConfigurationError, match=r"AWS_REGION is Lambda's own"):
        aws.deploy(spec_of(tmp_path, secrets=references(AWS_REGION="ssm:token")), clients=cloud)


@pytest.mark.parametrize("shown", [VALUE, json.dumps(VALUE)])
def test_an_error_of_aws_that_repeats_a_secret_does_not_get_out(tmp_path: Path, shown: str) -> None:
    """As the value is, or as JSON spells it; the error that was its cause stays inside as well."""
    world = World()
    world.add("ssm", "get_parameter", lambda **_: {"Parameter": {"Value": VALUE}})

    def update(**_: Any) -> Any:
        raise refuse("ValidationException", f"too large. String measured: {shown}")

    world.lambda_.on_create_function = update  # type: ignore[method-assign]
    with pytest.raises(ConfigurationError) as caught:
        deploy_to(world, spec_of(tmp_path, secrets=references(TOKEN="ssm:t")))
    assert "String measured: " in caught.value.message and "***" in caught.value.message
    assert "hush" not in caught.value.message and caught.value.__suppress_context__


def test_a_secret_that_may_not_be_read_names_the_permission(tmp_path: Path) -> None:
    """The action, and what it is wanted for."""
    world = World()

    def denied(**_: Any) -> Any:
        raise refuse("AccessDeniedException", "no")

    world.add("secretsmanager", "get_secret_value", denied)
    with pytest.raises(ToolError, match="may not secretsmanager:GetSecretValue on db"):
        deploy_to(world, spec_of(tmp_path, secrets=references(TOKEN="secretsmanager:db")))


@pytest.mark.parametrize(
    "text", ["ssm:", "vault:x", "secretsmanager:", "secretsmanager:a:", "plain", "ssm:a b"]
)
def test_other_texts_are_no_references(text: str) -> None:
    """So that a secret that was written there itself is refused and not sent."""
    with pytest.raises(ValueError, match=r"neither|is not"):
        SecretReference.parse(text)


def test_references_are_read_as_they_are_written() -> None:
    """An ARN has colons of its own; a parameter may have a version."""
    arn = "arn:aws:secretsmanager:eu-central-1:1:secret:db-AbCdEf"
    assert SecretReference.parse(f"secretsmanager:{arn}") == SecretReference("secretsmanager", arn)
    assert SecretReference.parse(f"secretsmanager:{arn}:user") == SecretReference(
        "secretsmanager", arn, "user"
    )
    assert SecretReference.parse("secretsmanager:db:user") == SecretReference("secretsmanager", "db", "user")
    assert SecretReference.parse("ssm:/a/b:3") == SecretReference("ssm", "/a/b:3")
    for text in (f"secretsmanager:{arn}:user", "ssm:/a/b:3"):
        assert str(SecretReference.parse(text)) == text


def test_a_hidden_value_is_sent_and_not_shown() -> None:
    """JSON, which is what is sent, has the value; ``repr``, which is what a traceback shows, has not."""
    value = secrets.Hidden(VALUE)
    assert json.loads(json.dumps({"A": value})) == {"A": VALUE} and value == VALUE
    assert "hush" not in repr({"A": value})
