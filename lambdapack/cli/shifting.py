"""What deploy and rollback share of shifting: options, the embedded cloud's part, how a shift went."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lambdapack.cli.session import Session
from lambdapack.errors import CheckError, ConfigurationError

if TYPE_CHECKING:
    from lambdapack.deploy import Release
    from lambdapack.deploy.shifting import Outcome, ShiftOptions
    from lambdapack.local import LocalCloud

_CODEDEPLOY = "codedeploy:"

shift_option = click.option(
    "--shift",
    metavar="HOW",
    help="How calls go over: all, canary:10%,5m, linear:10%,1m, codedeploy:CONFIG.  "
    "[default: as a shift in progress does, else all]",
)

wait_option = click.option("--wait", is_flag=True, help="Wait until CodeDeploy has ended.")


def options(session: Session, given: str | None, cloud: str, *, wait: bool) -> ShiftOptions:
    """How calls go over: ``--shift`` over the ``[deploy]`` table.

    Raises:
        ConfigurationError: There is no such way, or the smoke event is no JSON.
    """
    from lambdapack.deploy.shifting import ShiftOptions, Tolerance
    from lambdapack.model import Shift

    config = session.config.deploy
    chosen = given or config.shift
    by_codedeploy = chosen.startswith(_CODEDEPLOY)
    if by_codedeploy and cloud != "aws":
        raise ConfigurationError(
            f"--shift {chosen} shifts calls in AWS, and this is the embedded cloud",
            hint="--cloud aws, or --shift canary:10%,5m, which works in both",
        )
    return ShiftOptions(
        asked=None if given is None or by_codedeploy else Shift.parse(given),
        usual=Shift() if config.shift.startswith(_CODEDEPLOY) else Shift.parse(config.shift),
        smoke=None if config.smoke is None else _event(session.root / config.smoke),
        alarms=tuple(config.alarms),
        tolerance=Tolerance(config.max_errors, config.max_slowdown),
        codedeploy=chosen.removeprefix(_CODEDEPLOY) if by_codedeploy else None,
        wait=wait,
    )


def deploy_locally(
    session: Session, local: LocalCloud, release: Release, chosen: ShiftOptions, *, dry_run: bool
) -> tuple[str | None, Outcome | None]:
    """Publish a version in the embedded cloud and give the version its calls; its number, and how that went.

    Where all calls go over at once and nothing is looked at before, that is one step of the cloud's own.
    """
    from lambdapack.deploy.shifting import Commands, Shifter, active
    from lambdapack.local import LocalTraffic

    spec, pack = release.spec, release.pack.path
    traffic = LocalTraffic(local, spec.name)
    known = any(versions.name == spec.name for versions in local.functions.all())
    state = traffic.alias() if known else None
    shifts = chosen.watches or (state is not None and (chosen.asked or chosen.usual).kind != "all")
    if dry_run or not (shifts or (state is not None and active(state) is not None)):
        return local.deploy(spec, pack, dry_run=dry_run), None
    version = local.publish(spec, pack)
    commands = Commands("lambdapack deploy", "lambdapack rollback --cloud local")
    shifter = Shifter(traffic, chosen, commands=commands, progress=session.progress)
    return version, shifter.shift(version)


def document(outcome: Outcome | None) -> dict[str, Any] | None:
    """How a shift went, for a machine; ``None`` where all calls went over at once."""
    if outcome is None:
        return None
    steps = [
        {"weight": step.weight, "seconds": step.seconds, "new": asdict(step.new), "old": asdict(step.old)}
        for step in outcome.steps
    ]
    return {"function_version": outcome.version, "steps": steps, "undone": outcome.undone}


def fail_where_undone(name: str, outcome: Outcome | None) -> None:
    """End with exit status 1 where the shift was rolled back by itself."""
    if outcome is None or outcome.undone is None:
        return
    left = "nothing is live" if outcome.version is None else f"version {outcome.version} has all calls"
    raise CheckError(
        f"deploying {name}: the new version was rolled back: {outcome.undone}; {left}",
        hint="lambdapack logs shows what the new version wrote; mend it and deploy again",
    )


def _event(path: Path) -> bytes:
    try:
        event = path.read_bytes()
        json.loads(event)
    except OSError as error:
        raise ConfigurationError(
            f"cannot read the smoke event {path}: {error.strerror}", hint="mend smoke in [deploy]"
        ) from None
    except ValueError as error:
        raise ConfigurationError(f"the smoke event {path} is not JSON: {error}") from None
    return event
