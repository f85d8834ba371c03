"""``lambdapack doctor``."""

from __future__ import annotations

from typing import Any

import click

from lambdapack.cli.session import Session, common
from lambdapack.errors import CheckError


@click.command("doctor", short_help="Say what this machine has and lacks.")
@common
def command(**given: Any) -> None:
    """Say what this machine has and what it lacks, and what each thing is needed for.

    Exit status 1 when a build for the configured target, or for the running Python, cannot work here.

    \b
    Examples:
      lambdapack doctor
      lambdapack doctor --json | jq '.checks[] | select(.state == "missing")'
    """
    session = Session.open(given["config"], as_json=given["as_json"], quiet=given["quiet"])
    from lambdapack.cli import machine

    checks = machine.examine(session.config.build.python, session.cache, session.config.build.arch)
    if session.as_json:
        session.emit(
            "doctor",
            {
                "checks": [
                    {"name": c.name, "state": c.state, "found": c.found, "for": c.purpose} for c in checks
                ]
            },
        )
    for check in checks:
        colour = {"ok": "green", "missing": "red"}.get(check.state, "yellow")
        mark = click.style(f"{check.state:<9}", fg=colour)
        session.say(f"{mark} {check.name:<14} {check.found}")
        if check.state != "ok":
            session.say(f"{'':<9} {'':<14} for: {check.purpose}")
    missing = [check.name for check in checks if check.state == "missing"]
    if missing:
        raise CheckError(f"a build cannot work on this machine without: {', '.join(missing)}")
