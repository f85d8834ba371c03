"""Secrets that a function's environment is to have: read when the function is deployed, and shown nowhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from lambdapack.deploy.aws.clients import Clients
from lambdapack.deploy.aws.errors import errors_of_aws
from lambdapack.errors import ConfigurationError, LambdapackError
from lambdapack.model import FunctionSpec, SecretReference
from lambdapack.progress import QUIET, Progress
from lambdapack.store.aws_errors import code_of

_ABSENT = frozenset(["ParameterNotFound", "ParameterVersionNotFound", "ResourceNotFoundException"])
_STARS = "***"


class Hidden(str):
    """A value that is sent as it is and whose ``repr`` does not show the value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(_STARS)


def resolve(spec: FunctionSpec, clients: Clients, progress: Progress = QUIET) -> FunctionSpec:
    """``spec`` with the values of its secrets among its environment variables, and no references any more.

    Raises:
        ConfigurationError: There is no such secret, or it is no text.
        ToolError: AWS refused or was not reached.
    """
    references = spec.settings.secrets
    if not references:
        return spec
    with progress.step(f"read {len(references)} secrets of {spec.name}"):
        values = {name: Hidden(_read(name, spec.name, each, clients)) for name, each in references.items()}
    key = spec.settings.kms_key or "the key that AWS has for Lambda"
    progress.warn(
        f"{', '.join(sorted(values))}: in the environment of {spec.name}, encrypted with {key}; whoever may "
        "read the function's configuration and use that key reads the value"
    )
    environment = {**spec.settings.environment, **values}
    return replace(spec, settings=replace(spec.settings, environment=environment, secrets={}))


@contextmanager
def kept_out_of_errors(spec: FunctionSpec) -> Iterator[None]:
    """Let no error out of the block that repeats a secret: AWS does where an environment is too large."""
    values = [value for value in spec.settings.environment.values() if isinstance(value, Hidden) and value]
    try:
        yield
    except LambdapackError as error:
        if not values:
            raise
        said = [error.message, error.hint, error.detail]
        plain = [each if each is None else _redact(each, values) for each in said]
        if plain == said:
            raise
        # Without its cause, which repeats the secret as well.
        raise type(error)(plain[0] or "", hint=plain[1], detail=plain[2]) from None


def _redact(text: str, values: list[Hidden]) -> str:
    for value in sorted(values, key=len, reverse=True):
        # As it is, and as JSON spells it.
        for shown in (str(value), json.dumps(str(value))[1:-1]):
            text = text.replace(shown, _STARS)
    return text


def _read(variable: str, function: str, reference: SecretReference, clients: Clients) -> str:
    from botocore.exceptions import ClientError  # noqa: PLC0415 - slow

    doing = f"deploying {function}: reading {reference} for {variable}"
    actions = {"ssm": "ssm:GetParameter", "secretsmanager": "secretsmanager:GetSecretValue"}
    with errors_of_aws(doing, action=actions[reference.store], resource=reference.id):
        client = clients[reference.store]
        try:
            if reference.store == "ssm":
                return str(client.get_parameter(Name=reference.id, WithDecryption=True)["Parameter"]["Value"])
            answer = client.get_secret_value(SecretId=reference.id)
        except ClientError as error:
            if code_of(error) in _ABSENT:
                raise ConfigurationError(
                    f"{doing}: there is no such secret in {clients.region}",
                    hint="secrets are read in the function's region: [function.secrets], [store] region",
                ) from error
            raise
    if "SecretString" not in answer:
        raise ConfigurationError(f"{doing}: the secret is binary, and an environment variable is text")
    text = str(answer["SecretString"])
    return text if reference.key is None else _member(text, reference.key, doing)


def _member(text: str, key: str, doing: str) -> str:
    """The value of ``key`` of a secret that is JSON; a message says nothing of what the secret is."""
    try:
        document: Any = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict) or key not in document:
        raise ConfigurationError(f"{doing}: the secret is not a JSON object with the key {key!r}")
    value = document[key]
    if isinstance(value, (dict, list)) or value is None:
        raise ConfigurationError(f"{doing}: the value of {key!r} is no text and no number")
    return value if isinstance(value, str) else json.dumps(value)
