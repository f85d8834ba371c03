"""``lambdapack doctor --cloud aws``: the account instead of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from lambdapack.cli import deployment
from lambdapack.cli.session import Session
from lambdapack.errors import CheckError

if TYPE_CHECKING:
    from lambdapack.deploy.aws import Finding

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def check(session: Session, region: str | None) -> None:
    """Show each finding as it is made; exit status 1 where a deployment cannot work."""
    findings = []
    for finding in _findings(session, region):
        findings.append(finding)
        mark = click.style(f"{finding.state:<9}", fg=_COLOURS[finding.state])
        session.say(f"{mark} {finding.name:<14} {finding.found}")
        if finding.state != "ok" and finding.fix:
            session.say(f"{'':<9} {'':<14} fix: {finding.fix}")
    rows = [{"name": f.name, "state": f.state, "found": f.found, "fix": f.fix} for f in findings]
    session.emit("doctor", {"cloud": "aws", "checks": rows})
    failed = list(dict.fromkeys(finding.name for finding in findings if finding.state == "fail"))
    if failed:
        raise CheckError(f"a deployment to AWS cannot work with: {', '.join(failed)}")


def _findings(session: Session, region: str | None) -> Iterator[Finding]:
    from lambdapack.deploy import aws, policy
    from lambdapack.model import runtimes

    function = deployment.function_options(session, deployment.any_target(session), {})
    location = deployment.location_of(session, None)
    chosen = region or session.config.store.region
    bucket = policy.bucket_of(location) if location and "s3" in function.places else None
    reached = False
    for finding in aws.check_account(aws.CheckUp(chosen, bucket, runtimes.today())):
        reached = reached or finding.name == "region"
        yield finding
    if not reached:
        return
    where = policy.account_of(deployment.region_of(session, region))
    statements = policy.of_deployer(
        where,
        function,
        ("deploy",),
        locations=[location] if location else [],
        zip_path=session.zip_path(function.name),
    )
    yield from aws.check_permissions(statements, chosen, deployment.clients(session, region))
