"""``lambdapack policy``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from lambdapack.cli import deployment
from lambdapack.cli.session import Session, common

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lambdapack.deploy import FunctionOptions
    from lambdapack.deploy.aws import Account
    from lambdapack.deploy.aws.permissions import Statement


@click.command("policy", short_help="Print the smallest IAM policy for this project.")
@click.argument("name", required=False, metavar="[NAME]")
@click.option("--for", "features", multiple=True, metavar="WHAT", default=("deploy",), show_default=True,
              help="What to allow, as above; may be repeated.")  # fmt: skip
@click.option("--function", "of_function", is_flag=True, help="Print what the function's own role may do.")
@click.option("--explain", is_flag=True, help="Print each action and why it is needed, instead of JSON.")
@click.option("--account", metavar="ID", help="The account's number.  [default: as AWS says, else ACCOUNT]")
@click.option("--region", metavar="NAME", help="AWS region.")
@click.option("--role", metavar="ARN", help="An existing role for the function.  [default: one is made]")
@click.option("--location", metavar="s3://BUCKET/PREFIX", help="Where the pack is kept.")
@deployment.place_option
@common
def command(
    session: Session, features: tuple[str, ...], of_function: bool, explain: bool, **given: Any
) -> None:
    """Print the smallest IAM policy for whoever deploys this very project, or with --function for its role.

    Each statement's Sid names what it is for; a command that AWS denies names the statement that is missing.
    More than one document is printed, as a list, where one would be over IAM's limit.

    WHAT is one of: deploy, rollback, status, invoke, logs, report, shift, codedeploy, provisioned, dashboard,
    tune, calibrate, gc, replicate, bucket, doctor, destroy; ci is deploy and rollback, build is building in
    CodeBuild, and all is everything.

    \b
    Examples:
      lambdapack policy > deployer.json
      lambdapack policy --for ci --for gc --explain
      lambdapack policy --function --place layer     # no S3 at all
      lambdapack policy --account 123456789012 --region eu-west-1
    """
    from lambdapack.deploy import policy

    where = policy.account_of(deployment.region_of(session, given["region"]), given["account"])
    if of_function:
        _of_function(session, where, given)
        return
    chosen = policy.chosen(features)
    if "deploy" in chosen:
        shift = session.config.deploy
        more = policy.of_shift(shift.shift, watched=bool(shift.smoke or shift.alarms))
        copied = ("replicate",) if session.config.store.replicate else ()
        built = ("build",) if session.config.build.builder == "codebuild" else ()
        chosen = policy.chosen([*chosen, *more, *copied, *built])
    function = deployment.function_options(session, deployment.any_target(session), given)
    locations = deployment.locations(session, given["location"])
    statements = policy.of_deployer(
        where, function, chosen, locations=locations, zip_path=session.zip_path(function.name),
        keys=policy.bucket_keys(where, locations) if "s3" in function.places else (),
    )  # fmt: skip
    _tell(session, where, function, locations)
    _show(session, function.name, where, chosen, statements, explain=explain)


def _of_function(session: Session, account: Account, given: dict[str, Any]) -> None:
    from lambdapack import pack
    from lambdapack.deploy import policy

    made = pack.load(session.build_directory)
    function = deployment.function_options(session, made.index.target, given)
    configured = deployment.location_of(session, given["location"])
    location = deployment.nearest(session, configured, account.region)
    locations = [location] if location else []
    keys = policy.bucket_keys(account, locations) if "s3" in function.places else ()
    document = policy.of_function(account, function, made, location=location, keys=keys)
    _tell(session, account, function, locations)
    session.emit("policy", {"name": function.name, "of": "function", "policies": [document]})
    _print(session, [document])


def _tell(session: Session, account: Account, function: FunctionOptions, locations: Sequence[str]) -> None:
    """Say which names stand for what is not known."""
    from lambdapack.deploy.aws.permissions import PLACEHOLDER

    if account.id == PLACEHOLDER:
        session.progress.note(
            f"AWS was not asked whose account this is: {PLACEHOLDER} stands for its number (--account ID)"
        )
    if not locations and "s3" in function.places:
        session.progress.note("BUCKET stands for the bucket (--location, or [store] location)")


def _show(
    session: Session,
    name: str,
    account: Account,
    features: Sequence[str],
    statements: Sequence[Statement],
    *,
    explain: bool,
) -> None:
    from lambdapack.deploy.aws.permissions import documents

    made = documents(statements)
    why = [{"sid": each.sid, "reasons": dict(each.reasons)} for each in statements]
    body = {"name": name, "of": "deployer", "account": account.id, "region": account.region,
            "features": list(features), "policies": made, "why": why}  # fmt: skip
    session.emit("policy", body)
    if not explain:
        _print(session, made)
        return
    for statement in statements:
        session.say(click.style(statement.sid, bold=True))
        for arn in statement.resources:
            session.say(f"    on {arn}")
        for action, reason in sorted(statement.reasons.items()):
            session.say(f"    {action:<42} {reason}")


def _print(session: Session, made: Sequence[dict[str, Any]]) -> None:
    """The policies as IAM takes them: one document, or a list of several."""
    if session.as_json:
        return
    if len(made) > 1:
        session.progress.note(f"{len(made)} policies, since IAM takes 6,144 characters for one: attach all")
    click.echo(json.dumps(made[0] if len(made) == 1 else list(made), indent=2))
