"""Moves the alias in a deployment: at once, as the plan says; by a shift that is watched; by CodeDeploy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from lambdapack.deploy.aws import codedeploy, provisioned, roles
from lambdapack.deploy.aws.alias import at_once, move_call
from lambdapack.deploy.aws.clients import Clients
from lambdapack.deploy.aws.codedeploy import Handover
from lambdapack.deploy.aws.executor import execute
from lambdapack.deploy.aws.models import ApiCall, AwsState, Result
from lambdapack.deploy.aws.observer import observe
from lambdapack.deploy.aws.observer import provisioned as provisioned_of_alias
from lambdapack.deploy.aws.planner import Plan
from lambdapack.deploy.aws.traffic import LAG, AwsTraffic
from lambdapack.deploy.shifting import (
    Checks,
    Clock,
    Commands,
    Outcome,
    Shifter,
    ShiftOptions,
    SystemClock,
    active,
    script,
    undo,
)
from lambdapack.errors import ConfigurationError, LambdapackError
from lambdapack.model import FunctionSpec
from lambdapack.progress import QUIET, Progress

COMMANDS = Commands("lambdapack deploy --cloud aws", "lambdapack rollback --cloud aws")
_NEW = "new"
"""Stands for the version that is yet to be published, in a plan."""


@dataclass(frozen=True)
class Moved:
    """What was called, and how the shift ended.

    Attributes:
        calls: What was called.
        outcome: How a shift of ours ended; ``None`` where there was none.
        handover: The deployment of CodeDeploy's that shifts the calls; ``None`` where it does not.
    """

    calls: tuple[ApiCall, ...]
    outcome: Outcome | None = None
    handover: Handover | None = None


@dataclass(frozen=True)
class AliasMove:
    """The move of the alias in one deployment, in the middle of the plan's other calls.

    Attributes:
        spec: The function.
        stages: The plan.
        observed: What AWS has.
        options: How calls go over.
        going_on: A deployment of CodeDeploy's that has not ended.
    """

    spec: FunctionSpec
    stages: Plan
    observed: AwsState
    options: ShiftOptions
    going_on: Handover | None = None

    @property
    def version(self) -> str | Result:
        """The version that is to have all calls, or the call that publishes it."""
        for call in self.stages.move:
            version: str | Result = call.parameters["FunctionVersion"]
            return version
        return str(self.observed.alias)

    @property
    def is_shift(self) -> bool:
        """Whether the alias is moved by us step by step, or looked at before; else the plan's call does."""
        live = self.observed.live
        if live is not None and active(live) is not None:
            return True
        if not self.stages.move:
            return False
        options = self.options
        return options.watches or (live is not None and (options.asked or options.usual).kind != "all")

    @property
    def is_handed_over(self) -> bool:
        """Whether CodeDeploy is to shift the calls; of a first deployment there are none to shift."""
        return bool(self.options.codedeploy and self.observed.live is not None and self.stages.move)

    @property
    def is_under_way(self) -> bool:
        """Whether CodeDeploy already does what this deployment asks for."""
        going_on, options = self.going_on, self.options
        asked = options.codedeploy is not None or options.asked is None
        return going_on is not None and going_on.target == self.version and asked

    def check(self, clients: Clients) -> None:
        """Refuse, before anything is called, a shift that AWS would refuse in the middle of the deployment.

        Raises:
            ConfigurationError: AWS takes no weights between these versions.
        """
        live = self.observed.live
        seen = None if live is None else self.observed.version(live.routing.version)
        if seen is None or not (self.is_handed_over or (self.is_shift and not self._gives_all)):
            return
        name, wanted = self.spec.name, self._shared_settings()
        words = {"Role": "role", "DeadLetterConfig": "dead-letter target"}
        differ = [words[key] for key, value in wanted.items() if seen.state.settings.get(key) != value]
        if differ:
            raise ConfigurationError(
                f"shifting calls of {name} from version {seen.number}: the new version has another "
                f"{' and another '.join(differ)}, and AWS shares calls only between versions with the same",
                hint="lambdapack deploy --cloud aws --shift all moves all calls at once",
            )
        if self.spec.settings.provisioned is None and (count := provisioned_of_alias(name, clients)):
            raise ConfigurationError(
                f"shifting calls of {name}: its alias has provisioned concurrency for {count} "
                "environments of its own, beside which AWS shares no calls",
                hint=f"provisioned = {count} in [function] puts it on the version, where both go together",
            )

    def planned(self, clients: Clients) -> tuple[ApiCall, ...]:
        """The calls of a deployment that nothing disturbs, each step of a shift among them."""
        if self.is_under_way:
            return self.stages.before
        if self.going_on is not None:
            return (codedeploy.stop(self.going_on), *self._without_weights().planned(clients))
        if self.is_handed_over:
            number = _NEW if isinstance(self.version, Result) else self.version
            calls = [self._named(call) for call in self._handing_over(number, clients)]
            return (*self.stages.before, *calls, *self._early)
        if not self.is_shift:
            return self.stages.calls
        return (*self.stages.before, *self._steps(), *self.stages.after)

    def carry_out(self, clients: Clients, *, progress: Progress = QUIET, clock: Clock | None = None) -> Moved:
        """Execute the plan, the move of the alias as the options say.

        Where the shift is undone, so is what the plan would have done after the move: the version that has
        all calls keeps its provisioned concurrency, and the other loses its.

        Raises:
            LambdapackError: AWS refused a call or was not reached; the next deployment goes on.
        """
        if self.is_under_way:
            execute(self.stages.before, clients, progress=progress)
            return self._waited(self.stages.before, self.going_on, clients, progress, clock)
        if self.going_on is not None:
            stop = (codedeploy.stop(self.going_on),)
            execute(stop, clients, progress=progress)
            codedeploy.wait_until_idle(self.spec.name, clients, clock=clock, progress=progress)
            moved = self._without_weights(clients).carry_out(clients, progress=progress, clock=clock)
            return replace(moved, calls=(*stop, *moved.calls))
        if not (self.is_shift or self.is_handed_over):
            execute(self.stages.calls, clients, progress=progress)
            return Moved(self.stages.calls)
        answers = execute(self.stages.before, clients, progress=progress)
        version = self.version
        number = str(answers[version.call][version.field]) if isinstance(version, Result) else version
        if self.is_handed_over:
            return self._hand_over(number, clients, progress, clock)
        return self._shift(number, clients, progress, clock)

    def _shift(self, number: str, clients: Clients, progress: Progress, clock: Clock | None) -> Moved:
        traffic = AwsTraffic(self.spec.name, clients, progress)
        shifter = Shifter(traffic, self.options, lag=LAG, commands=COMMANDS, clock=clock, progress=progress)
        outcome = shifter.shift(number)
        after = self._resolved(self.stages.after, number)
        if outcome.undone is not None:
            after = self._tidied(outcome, clients)
        execute(after, clients, progress=progress)
        return Moved((*self.stages.before, *traffic.made, *after), outcome)

    def _hand_over(self, number: str, clients: Clients, progress: Progress, clock: Clock | None) -> Moved:
        """Let CodeDeploy shift the calls; what the old version leaves goes with the next deployment."""
        assert self.observed.live is not None
        name, stable = self.spec.name, self.observed.live.routing.version
        traffic = AwsTraffic(name, clients, progress)
        now = (clock or SystemClock()).now()
        reason = Checks(traffic, self.options).before(number, gradual=False, now=now)
        if reason is not None:
            progress.warn(f"version {number} gets no calls: {reason}")
            return Moved(self.stages.before, Outcome(stable, undone=reason))
        undo(traffic, f"version {number} was deployed meanwhile", progress=progress)
        calls = self._handing_over(number, clients)
        answers = execute(calls, clients, progress=progress)
        early = self._resolved(self._early, number)
        execute(early, clients, progress=progress)
        begun = codedeploy.look(str(answers["create_deployment"]["deploymentId"]), clients)
        return self._waited((*self.stages.before, *calls, *early), begun, clients, progress, clock)

    def _waited(
        self,
        calls: tuple[ApiCall, ...],
        handover: Handover | None,
        clients: Clients,
        progress: Progress,
        clock: Clock | None,
    ) -> Moved:
        """What CodeDeploy does from here on; where that is to be waited for, how it ended."""
        assert handover is not None
        progress.note(str(handover))
        if not self.options.wait:
            return Moved(calls, None, handover)
        handover = codedeploy.wait_for_end(handover, clients, clock=clock, progress=progress)
        undone = None
        if handover.status != "Succeeded":
            codedeploy.wait_until_idle(self.spec.name, clients, clock=clock, progress=progress)
            undone = f"CodeDeploy's deployment {handover.id} {handover.status.lower()}: {handover.why}"
        live = AwsTraffic(self.spec.name, clients).alias()
        return Moved(calls, Outcome(live.routing.version if live else None, undone=undone), handover)

    def _handing_over(self, number: str, clients: Clients) -> tuple[ApiCall, ...]:
        """The calls with which CodeDeploy begins, once all calls go to the stable version."""
        live, name, options = self.observed.live, self.spec.name, self.options
        assert live is not None
        config = codedeploy.configuration(options.codedeploy or "")
        back = []
        if live.routing.other is not None and active(live) is None:
            back = [at_once(name, live.routing.version, live, live.routing.version)]
        return (
            *back,
            *codedeploy.set_up(name, self.observed.account, options.alarms, config, clients),
            codedeploy.start(name, live.routing.version, number, config),
        )

    @property
    def _early(self) -> tuple[ApiCall, ...]:
        """What of the calls after the move does not touch the version that still has calls."""
        return tuple(call for call in self.stages.after if call.operation == "add_permission")

    def _steps(self) -> list[ApiCall]:
        """The calls of a shift of ours."""
        version, live, options = self.version, self.observed.live, self.options
        number = _NEW if isinstance(version, Result) else version
        now = datetime.now(timezone.utc)
        calls: list[ApiCall] = []
        for move in script(live, number, options.asked, options.usual, now):
            why = f"{move.why}, for {move.seconds:g} s" if move.seconds else move.why
            new = live is None and not calls
            call = move_call(self.spec.name, move.routing, move.note, why, revision=None, new=new)
            calls.append(self._named(call))
        return calls

    def _named(self, call: ApiCall) -> ApiCall:
        """A call of a plan in which the version has no number yet."""
        if not isinstance(self.version, Result):
            return call
        parameters = {key: self.version if value == _NEW else value for key, value in call.parameters.items()}
        why = call.why.replace(f"version {_NEW}", "the new version")
        return replace(call, parameters=parameters, why=why)

    def _resolved(self, calls: tuple[ApiCall, ...], number: str) -> tuple[ApiCall, ...]:
        """The calls with the number of the version that an earlier part of the plan has published."""
        if not isinstance(self.version, Result):
            return calls
        return tuple(
            replace(
                call,
                parameters={
                    key: number if value == self.version else value for key, value in call.parameters.items()
                },
            )
            for call in calls
        )

    def _tidied(self, outcome: Outcome, clients: Clients) -> tuple[ApiCall, ...]:
        """What the version that was undone needs no more."""
        spec = self.spec
        if spec.settings.provisioned is None or outcome.version is None:
            return ()
        seen = provisioned.observe_ready(spec.name, observe(spec.name, clients), clients)
        return provisioned.after(spec.name, outcome.version, seen, spec.settings.provisioned)

    def _without_weights(self, clients: Clients | None = None) -> AliasMove:
        """The same once CodeDeploy has stopped, by the alias as it is then, or as a plan expects it."""
        live = self.observed.live
        if clients is not None:
            live = AwsTraffic(self.spec.name, clients).alias()
        elif live is not None:
            live = replace(live, routing=replace(live.routing, other=None, weight=0.0))
        observed = replace(self.observed, live=live, alias=None if live is None else live.routing.version)
        settled = live is not None and live.routing.other is None and live.routing.version == self.version
        move = () if settled else (at_once(self.spec.name, self.version, live, observed.alias),)
        stages = replace(self.stages, move=move)
        return replace(self, observed=observed, stages=stages, going_on=None)

    @property
    def _gives_all(self) -> bool:
        """Whether nothing is shared: all calls go over at once, also at the end of a shift in progress."""
        options, live = self.options, self.observed.live
        if options.asked is not None:
            return options.asked.kind == "all"
        return options.usual.kind == "all" and (live is None or active(live) is None)

    def _shared_settings(self) -> dict[str, Any]:
        """What two versions must have alike that calls are shared between."""
        wanted: dict[str, Any] = {"Role": roles.role_of(self.spec, self.observed)}
        if self.spec.settings.dead_letter is not None:
            wanted["DeadLetterConfig"] = {"TargetArn": self.spec.settings.dead_letter}
        elif self.observed.function is not None:
            wanted["DeadLetterConfig"] = self.observed.function.settings.get("DeadLetterConfig")
        return wanted


def going_on(
    name: str, observed: AwsState, options: ShiftOptions, clients: Clients, progress: Progress
) -> Handover | None:
    """A deployment of CodeDeploy's that has not ended.

    Where neither the options nor the alias's weights speak of CodeDeploy, it is not asked.

    Raises:
        LambdapackError: CodeDeploy is to shift the calls, and cannot be asked.
    """
    live = observed.live
    if live is None or (options.codedeploy is None and (live.routing.other is None or active(live))):
        return None
    try:
        return codedeploy.under_way(name, clients)
    except LambdapackError as error:
        if options.codedeploy is not None:
            raise
        progress.warn(
            f"version {live.routing.other} has {live.routing.weight:.0%} of the calls of {name}, by another "
            f"tool than this; whether that is CodeDeploy cannot be seen: {error.message}"
        )
        return None
