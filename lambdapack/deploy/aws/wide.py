"""Settings of the function as a whole, that no version has of its own: tags, reserved concurrency.

Each has an API of its own, is looked at where the configuration says something of the setting, and takes
effect at once, for every version.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from lambdapack.deploy.aws.asking import ask
from lambdapack.deploy.aws.clients import Clients
from lambdapack.deploy.aws.models import ALIAS, ApiCall, AwsState, Result
from lambdapack.errors import ConfigurationError
from lambdapack.model import FunctionSettings, FunctionSpec


def observe_wide(name: str, settings: FunctionSettings, observed: AwsState, clients: Clients) -> AwsState:
    """``observed`` with the function's tags and reserved concurrency, where ``settings`` needs these."""
    client, subject = clients["lambda"], f"the function {name}"
    tags, reserved = observed.tags, observed.reserved
    if settings.tags:
        answer = ask(client.list_tags, "lambda:ListTags", subject, Resource=observed.arn)
        tags = {} if answer is None else dict(answer["Tags"])
    if settings.reserved_concurrency is not None or settings.provisioned:
        action = "lambda:GetFunctionConcurrency"
        answer = ask(client.get_function_concurrency, action, subject, FunctionName=name)
        reserved = None if answer is None else answer.get("ReservedConcurrentExecutions")
    return replace(observed, tags=tags, reserved=reserved)


def before(spec: FunctionSpec, observed: AwsState) -> Iterator[ApiCall]:
    """The calls that come before a version: tags, and more concurrency than there was."""
    tags = spec.settings.tags
    changed = {key: value for key, value in tags.items() if observed.tags.get(key) != value}
    # A new function is created with its tags.
    if changed and observed.arn is not None:
        parameters = {"Resource": observed.arn, "Tags": changed}
        yield ApiCall("lambda", "tag_resource", parameters, f"tags {', '.join(sorted(changed))}")
    if not _is_less(spec, observed):
        yield from _reserve(spec, observed)


def after(spec: FunctionSpec, observed: AwsState) -> Iterator[ApiCall]:
    """The call that comes last: less concurrency, once the version before keeps none of it ready."""
    if _is_less(spec, observed):
        yield from _reserve(spec, observed)


def _is_less(spec: FunctionSpec, observed: AwsState) -> bool:
    reserved = spec.settings.reserved_concurrency
    return reserved is not None and observed.reserved is not None and reserved < observed.reserved


def _reserve(spec: FunctionSpec, observed: AwsState) -> Iterator[ApiCall]:
    reserved = spec.settings.reserved_concurrency
    if reserved is not None and reserved != observed.reserved:
        parameters = {"FunctionName": spec.name, "ReservedConcurrentExecutions": reserved}
        why = f"reserved concurrency {observed.reserved} -> {reserved}"
        yield ApiCall("lambda", "put_function_concurrency", parameters, why)


def check_room(spec: FunctionSpec, version: str | Result, observed: AwsState) -> None:
    """Refuse where the reserved concurrency has no room for the versions before and after the move.

    Raises:
        ConfigurationError: It has not: the live version keeps its environments until the alias has moved on.
    """
    wanted = spec.settings.provisioned
    rooms = [room for room in (spec.settings.reserved_concurrency, observed.reserved) if room is not None]
    ready = sum(seen.requested for each, seen in observed.provisioned.items() if each not in (version, ALIAS))
    if wanted and rooms and max(rooms) < wanted + ready:
        raise ConfigurationError(
            f"deploying {spec.name}: while live moves, the versions of before and after are kept ready, for "
            f"{ready} + {wanted} environments, and the reserved concurrency is {max(rooms)}",
            hint=f"set reserved-concurrency to {ready + wanted} or more, or provisioned to less",
        )
