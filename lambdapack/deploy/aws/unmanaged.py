"""What a function has that the configuration says nothing of: left as it is, and said in a line or two."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from lambdapack.deploy.aws import naming
from lambdapack.deploy.aws.asking import ask
from lambdapack.deploy.aws.clients import Clients
from lambdapack.deploy.aws.models import ALIAS, AwsState, left_out
from lambdapack.deploy.aws.provisioned import observe_ready
from lambdapack.deploy.aws.routes import statements_of
from lambdapack.errors import LambdapackError
from lambdapack.model import FunctionSettings, FunctionSpec
from lambdapack.progress import Progress

# A setting in AWS's words -> the key of the configuration, and the value of a function that has none.
_UNSET: Mapping[str, tuple[str, object]] = {
    "FileSystemConfigs": ("file-system", []),
    "VpcConfig": ("subnets", {"SubnetIds": [], "SecurityGroupIds": []}),
    "KMSKeyArn": ("kms-key", ""),
    "DeadLetterConfig": ("dead-letter", {"TargetArn": ""}),
    "TracingConfig": ("tracing", {"Mode": "PassThrough"}),
    "LoggingConfig": ("log-format", {"LogFormat": "Text"}),
}
_SHOWN = 6


def tell(spec: FunctionSpec, observed: AwsState, clients: Clients, progress: Progress) -> None:
    """Say what stays as it is, and what calls the function past the alias; nothing of a new function.

    What these credentials may not look at is named: that does not stop a deployment.
    """
    if observed.function is None:
        return
    denied: list[str] = []

    def look(what: str, at: Callable[[], Iterator[str]]) -> list[str]:
        try:
            return list(at())
        except LambdapackError:
            denied.append(what)
            return []

    kept = [
        *_kept(spec.settings, observed),
        *look("concurrency", lambda: _concurrency(spec, observed, clients)),
        *look("asynchronous calls", lambda: _asynchronous(spec.name, observed, clients)),
    ]
    past = [
        *look("event sources", lambda: _event_sources(spec.name, observed, clients)),
        *look("function URLs", lambda: _urls(spec.name, observed, clients)),
        *look("the policy", lambda: _permissions(spec.name, observed, clients)),
    ]
    if kept:
        progress.note(f"{spec.name} keeps what the configuration says nothing of: {_in_short(kept)}")
    if past:
        progress.note(
            f"{spec.name} is called past {ALIAS}, so that a rollback does not reach these calls: "
            f"{_in_short(past)}; name {observed.arn}:{ALIAS} there instead"
        )
    if denied:
        progress.note(f"these credentials may not look at {', '.join(denied)} of {spec.name}: left as is")


def _in_short(said: Sequence[str]) -> str:
    more = [f"and {len(said) - _SHOWN} more"] if len(said) > _SHOWN else []
    return ", ".join([*said[:_SHOWN], *more])


def _kept(settings: FunctionSettings, observed: AwsState) -> Iterator[str]:
    seen = observed.function.settings if observed.function else {}
    for key in left_out(settings):
        name, unset = _UNSET[key]
        if seen.get(key, unset) != unset:
            yield name
    named = {arn.rpartition(":")[0] for arn in settings.layers}
    others = [arn for arn in seen.get("Layers", ()) if not naming.is_layer_of_ours(arn)]
    if count := sum(arn.rpartition(":")[0] not in named for arn in others):
        yield f"{count} layer{'s' * (count > 1)} of others"


def _concurrency(spec: FunctionSpec, observed: AwsState, clients: Clients) -> Iterator[str]:
    client, subject = clients["lambda"], f"the function {spec.name}"
    if spec.settings.reserved_concurrency is None:
        action = "lambda:GetFunctionConcurrency"
        answer = ask(client.get_function_concurrency, action, subject, FunctionName=spec.name) or {}
        if (reserved := answer.get("ReservedConcurrentExecutions")) is not None:
            yield f"reserved-concurrency {reserved}"
    if spec.settings.provisioned is None:
        ready = observe_ready(spec.name, observed, clients).provisioned
        for qualifier, seen in sorted(ready.items()):
            moves = "" if qualifier == ALIAS else f", which does not move with {ALIAS}"
            yield f"provisioned {seen.requested} on {qualifier}{moves}"


def _asynchronous(name: str, observed: AwsState, clients: Clients) -> Iterator[str]:
    call, action = (
        clients["lambda"].list_function_event_invoke_configs,
        "lambda:ListFunctionEventInvokeConfigs",
    )
    answer = ask(call, action, f"the asynchronous calls of {name}", FunctionName=name) or {}
    for config in answer.get("FunctionEventInvokeConfigs", ()):
        yield f"retries and destinations of {_qualifier(config, observed)}"


def _event_sources(name: str, observed: AwsState, clients: Clients) -> Iterator[str]:
    call, action = clients["lambda"].list_event_source_mappings, "lambda:ListEventSourceMappings"
    answer = ask(call, action, f"the event sources of {name}", FunctionName=name) or {}
    for mapping in answer.get("EventSourceMappings", ()):
        if mapping.get("FunctionArn") == observed.arn:
            yield f"the event source {mapping.get('EventSourceArn') or mapping.get('UUID')}"


def _urls(name: str, observed: AwsState, clients: Clients) -> Iterator[str]:
    call, action = clients["lambda"].list_function_url_configs, "lambda:ListFunctionUrlConfigs"
    answer = ask(call, action, f"the URLs of {name}", FunctionName=name) or {}
    for config in answer.get("FunctionUrlConfigs", ()):
        if config.get("FunctionArn") == observed.arn:
            yield f"the URL {config['FunctionUrl']}"


def _permissions(name: str, observed: AwsState, clients: Clients) -> Iterator[str]:
    for statement in statements_of(name, clients):
        if statement.get("Resource") == observed.arn:
            yield f"the permission {statement.get('Sid')}"


def _qualifier(config: Mapping[str, Any], observed: AwsState) -> str:
    return str(config["FunctionArn"]).removeprefix(f"{observed.arn}").removeprefix(":") or "$LATEST"
