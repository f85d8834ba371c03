"""Moves the alias in a deployment: at once, as a call of the plan, or by a shift that is watched."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from lambdapack.deploy.aws import provisioned, roles
from lambdapack.deploy.aws.alias import move_call
from lambdapack.deploy.aws.clients import Clients
from lambdapack.deploy.aws.executor import execute
from lambdapack.deploy.aws.models import ApiCall, AwsState, Result
from lambdapack.deploy.aws.observer import observe
from lambdapack.deploy.aws.observer import provisioned as provisioned_of_alias
from lambdapack.deploy.aws.planner import Plan
from lambdapack.deploy.aws.traffic import LAG, AwsTraffic
from lambdapack.deploy.shifting import Clock, Commands, Outcome, Shifter, ShiftOptions, active, script
from lambdapack.errors import ConfigurationError
from lambdapack.model import FunctionSpec
from lambdapack.progress import QUIET, Progress

COMMANDS = Commands("lambdapack deploy --cloud aws", "lambdapack rollback --cloud aws")
_NEW = "new"
"""Stands for the version that is yet to be published, in a plan."""


@dataclass(frozen=True)
class Moved:
    """What was called, and how the shift ended; ``None`` where all calls went over at once."""

    calls: tuple[ApiCall, ...]
    outcome: Outcome | None = None


def is_shift(stages: Plan, observed: AwsState, options: ShiftOptions) -> bool:
    """Whether the alias is moved step by step, or looked at before it is moved; else the plan's call does."""
    live = observed.live
    if live is not None and active(live) is not None:
        return True
    if not stages.move:
        return False
    return options.watches or (live is not None and (options.asked or options.usual).kind != "all")


def check(
    spec: FunctionSpec, stages: Plan, observed: AwsState, options: ShiftOptions, clients: Clients
) -> None:
    """Refuse, before anything is called, a shift that AWS would refuse in the middle of the deployment.

    Raises:
        ConfigurationError: AWS takes no weights between these versions.
    """
    live = None if observed.live is None else observed.version(observed.live.routing.version)
    if live is None or not is_shift(stages, observed, options) or _gives_all(observed, options):
        return
    seen, wanted = live.state.settings, _wanted(spec, observed)
    differ = [key for key, value in wanted.items() if seen.get(key) != value]
    if differ:
        words = {"Role": "role", "DeadLetterConfig": "dead-letter target"}
        others = " and another ".join(words[key] for key in differ)
        raise ConfigurationError(
            f"shifting calls of {spec.name} from version {live.number}: the new version has another "
            f"{others}, and AWS shares calls only between versions with the same",
            hint="lambdapack deploy --cloud aws --shift all moves all calls at once",
        )
    if spec.settings.provisioned is None and (count := provisioned_of_alias(spec.name, clients)):
        raise ConfigurationError(
            f"shifting calls of {spec.name}: its alias has provisioned concurrency for {count} "
            "environments of its own, beside which AWS shares no calls",
            hint=f"provisioned = {count} in [function] puts it on the version, where both go together",
        )


def planned(name: str, stages: Plan, observed: AwsState, options: ShiftOptions) -> tuple[ApiCall, ...]:
    """The calls of a deployment that nothing disturbs, each step of a shift among them."""
    if not is_shift(stages, observed, options):
        return stages.calls
    version = _version(stages, observed)
    number = _NEW if isinstance(version, Result) else version
    now = datetime.now(timezone.utc)
    moves = script(observed.live, number, options.asked, options.usual, now)
    calls = [
        _shown(
            move_call(
                name, move.routing, move.note, move.why + _for(move.seconds), revision=None,
                new=observed.live is None and not index,
            ),
            version,
        )
        for index, move in enumerate(moves)
    ]  # fmt: skip
    return (*stages.before, *calls, *stages.after)


def carry_out(
    spec: FunctionSpec,
    stages: Plan,
    observed: AwsState,
    options: ShiftOptions,
    clients: Clients,
    *,
    progress: Progress = QUIET,
    clock: Clock | None = None,
) -> Moved:
    """Execute the plan, the move of the alias as the options say.

    Where the shift is undone, so is what the plan would have done after the move: the version that has all
    calls keeps its provisioned concurrency, and the other loses its.

    Raises:
        LambdapackError: AWS refused a call or was not reached; the next deployment goes on.
    """
    if not is_shift(stages, observed, options):
        execute(stages.calls, clients, progress=progress)
        return Moved(stages.calls)
    answers = execute(stages.before, clients, progress=progress)
    version = _version(stages, observed)
    number = str(answers[version.call][version.field]) if isinstance(version, Result) else version
    traffic = AwsTraffic(spec.name, clients, progress)
    shifter = Shifter(traffic, options, lag=LAG, commands=COMMANDS, clock=clock, progress=progress)
    outcome = shifter.shift(number)
    after = stages.after
    if outcome.undone is not None:
        after = _tidied(spec, outcome, clients)
    execute(_resolved(after, version, number), clients, progress=progress)
    return Moved((*stages.before, *traffic.made, *after), outcome)


def _tidied(spec: FunctionSpec, outcome: Outcome, clients: Clients) -> tuple[ApiCall, ...]:
    """What the version that was undone needs no more."""
    if spec.settings.provisioned is None or outcome.version is None:
        return ()
    seen = provisioned.observe_ready(spec.name, observe(spec.name, clients), clients)
    return provisioned.after(spec.name, outcome.version, seen, spec.settings.provisioned)


def _gives_all(observed: AwsState, options: ShiftOptions) -> bool:
    """Whether nothing is shared: all calls go over at once, also at the end of a shift in progress."""
    going_on = observed.live is not None and active(observed.live) is not None
    return (options.asked is not None and options.asked.kind == "all") or (
        options.asked is None and options.usual.kind == "all" and not going_on
    )


def _wanted(spec: FunctionSpec, observed: AwsState) -> dict[str, Any]:
    """What two versions must share that calls are shared between."""
    wanted: dict[str, Any] = {"Role": roles.role_of(spec, observed)}
    if spec.settings.dead_letter is not None:
        wanted["DeadLetterConfig"] = {"TargetArn": spec.settings.dead_letter}
    elif observed.function is not None:
        wanted["DeadLetterConfig"] = observed.function.settings.get("DeadLetterConfig")
    return wanted


def _version(stages: Plan, observed: AwsState) -> str | Result:
    """The version that is to have all calls."""
    for call in stages.move:
        version: str | Result = call.parameters["FunctionVersion"]
        return version
    return str(observed.alias)


def _for(seconds: float) -> str:
    return f", for {seconds:g} s" if seconds else ""


def _shown(call: ApiCall, version: str | Result) -> ApiCall:
    """A call of a plan in which the version has no number yet."""
    if not isinstance(version, Result):
        return call
    parameters = {key: version if value == _NEW else value for key, value in call.parameters.items()}
    return replace(call, parameters=parameters, why=call.why.replace(f"version {_NEW}", "the new version"))


def _resolved(calls: tuple[ApiCall, ...], version: str | Result, number: str) -> tuple[ApiCall, ...]:
    """The calls with the number of the version that an earlier part of the plan has published."""
    if not isinstance(version, Result):
        return calls
    return tuple(
        replace(
            call,
            parameters={k: number if v == version else v for k, v in call.parameters.items()},
        )
        for call in calls
    )
