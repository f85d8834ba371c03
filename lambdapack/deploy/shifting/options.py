"""How a person wants calls to go over, and what is looked at meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, field

from lambdapack.deploy.shifting.judging import Tolerance
from lambdapack.deploy.shifting.traffic import Health
from lambdapack.model import Shift


@dataclass(frozen=True)
class ShiftOptions:
    """How calls go over to a new version.

    Attributes:
        asked: For this run; ``None``: a shift in progress goes on as it began, another begins as ``usual``.
        usual: For every run.
        smoke: An event with which the new version is called by its number before the first call reaches it
            and before each further step; ``None``: with none.
        alarms: Names of CloudWatch alarms that undo the shift.
        tolerance: How much worse than the old version the new one may do.
        codedeploy: The configuration with which AWS CodeDeploy shifts the calls instead; ``None``: we do.
        wait: Whether to wait until CodeDeploy has ended; a shift of ours is always waited for.
    """

    asked: Shift | None = None
    usual: Shift = field(default_factory=Shift)
    smoke: bytes | None = None
    alarms: tuple[str, ...] = ()
    tolerance: Tolerance = field(default_factory=Tolerance)
    codedeploy: str | None = None
    wait: bool = False

    @property
    def watches(self) -> bool:
        """Whether something is looked at before all calls go over at once."""
        return self.smoke is not None or bool(self.alarms)


@dataclass(frozen=True)
class StepResult:
    """How one step went.

    Attributes:
        weight: The new version's share of calls.
        seconds: How long the step was watched by this command.
        new: How the new version did in the step.
        old: How the old one did.
    """

    weight: float
    seconds: float
    new: Health
    old: Health


@dataclass(frozen=True)
class Outcome:
    """How a shift ended.

    Attributes:
        version: The version that has all calls; ``None`` where there is no alias.
        steps: The steps that were watched by this command.
        undone: Why the shift was undone; ``None`` where it was not.
    """

    version: str | None
    steps: tuple[StepResult, ...] = ()
    undone: str | None = None
