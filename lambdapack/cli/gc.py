"""``lambdapack gc``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lambdapack.cli.deployment import clients
from lambdapack.cli.session import Session, common
from lambdapack.errors import ConfigurationError

if TYPE_CHECKING:
    from lambdapack.deploy.gc import Collected, GcPlan, Rules, Scope, Seen

_SECONDS = {"h": 3600, "d": 86400, "w": 7 * 86400}


@click.command("gc", short_help="Remove packs, layers and old versions that nothing needs.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--keep", type=click.IntRange(min=1), metavar="N",
              help="Remove old versions of NAME first, but for the newest N.")  # fmt: skip
@click.option("--grace", metavar="TIME", help="Leave what is younger, e.g. 12h or 30d.  [default: 7d]")
@click.option("--location", metavar="s3://BUCKET/PREFIX", help="Where packs are kept.")
@click.option("--region", "regions", multiple=True, metavar="NAME",
              help="Region whose functions are asked what they need; may be repeated.")  # fmt: skip
@click.option("--builds", multiple=True, type=click.Path(exists=True, file_okay=False, path_type=Path),
              metavar="DIR", help="Folder of builds whose packs stay, beside this project's.")  # fmt: skip
@click.option("--ignore", multiple=True, metavar="NAME",
              help="Function that needs no pack, where its environment may not be read.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Show what would go, and do nothing.")
@click.option("--yes", "-y", "sure", is_flag=True, help="Do not ask.")
@common
def command(session: Session, **given: Any) -> None:
    """Remove from S3 and Lambda what nothing needs: packs and assets, staged zips, layers that deployments
    made; with --keep, old versions first.

    A pack stays while any version of any function in these regions names the pack, while a build on this
    machine made it, and for the grace period after it was last pushed or deployed. Functions in regions or
    accounts that are not looked at are not known: name their regions.

    Of the versions of NAME (by default this project's function) those stay that an alias names, that have
    provisioned concurrency, that an event source or somebody else may call, and that were replaced within the
    grace period.

    \b
    Examples:
      lambdapack gc --dry-run
      lambdapack gc --keep 5
      lambdapack gc hello other --keep 3 --grace 30d --yes
      lambdapack gc --region eu-central-1 --region us-east-1 --dry-run
    """
    from lambdapack.deploy import gc

    rules = _rules(session, given)
    scope = _scope(session, given)
    with session.progress.step("look at what is kept and who needs it"):
        seen = gc.look(scope, rules)
    plan = gc.plan(seen, rules)
    _tell(session, seen, plan, scope)
    done = gc.Collected()
    if plan.removals and not given["dry_run"]:
        if not given["sure"]:
            _confirm()
        done = gc.collect(plan, scope, rules, progress=session.progress)
    _emit(session, plan, done, scope, dry_run=given["dry_run"])


def _rules(session: Session, given: dict[str, Any]) -> Rules:
    from lambdapack.deploy.gc import GRACE_MIN, Rules

    text = given["grace"] or session.config.store.grace
    match = re.fullmatch(r"([0-9]+)([hdw])", text)
    if match is None or int(match[1]) * _SECONDS[match[2]] < GRACE_MIN:
        raise ConfigurationError(
            f"--grace {text!r} is not a time from an hour on, such as 12h or 7d: a deployment at this moment "
            "may rely on a pack that no version names yet",
            hint="mend --grace, or grace in the [store] table",
        )
    names = frozenset(given["names"]) or frozenset({session.name})
    return Rules(float(int(match[1]) * _SECONDS[match[2]]), given["keep"], names)


def _scope(session: Session, given: dict[str, Any]) -> Scope:
    from lambdapack import store
    from lambdapack.deploy.gc import Scope

    config = session.config.store
    location = given["location"] or config.location
    if location is None:
        raise ConfigurationError(
            "no location to collect in",
            hint="give --location s3://BUCKET/PREFIX or set location in the [store] table of lambdapack.toml",
        )
    copies = {} if given["location"] else config.replicate
    stores = [store.open_prunable(location, region=config.region)]
    stores += [store.open_prunable(url, region=region) for region, url in copies.items()]
    own = [clients(session, region) for region in given["regions"] or (None,)]
    everywhere = {each.region: each for each in own}
    everywhere |= {region: clients(session, region) for region in copies if region not in everywhere}
    builds = [path for path in (session.build_directory, *given["builds"]) if path.is_dir()]
    return Scope(stores, everywhere, builds, frozenset(given["ignore"]))


def _tell(session: Session, seen: Seen, plan: GcPlan, scope: Scope) -> None:
    from lambdapack.report.collecting import removals_table
    from lambdapack.report.units import counted, megabytes

    functions = {(version.region, version.function) for version in seen.versions}
    where = ", ".join(store.url for store in scope.stores)
    session.say(
        f"{where}: {counted(len(seen.objects), 'object')}; in {', '.join(scope.clients)}: "
        f"{counted(len(functions), 'function')} with {counted(len(seen.versions), 'version')}, "
        f"{counted(len(seen.layers), 'layer')} of ours"
    )
    if seen.uploads:
        session.say(
            f"{counted(len(seen.uploads), 'upload')} in parts did not end: the next push of the same pack "
            "goes on with them, and the bucket's lifecycle rule gives them up (lambdapack bucket check)"
        )
    if not plan.removals:
        session.say("nothing to remove")
        return
    session.show(removals_table(plan))
    session.say(f"{counted(len(plan.removals), 'thing')}, {megabytes(plan.size)}")


def _confirm() -> None:
    try:
        agreed = click.confirm("Remove them?", err=True)
    except click.Abort:
        agreed = False
    if not agreed:
        raise ConfigurationError("not confirmed: nothing was removed", hint="--yes, or --dry-run")


def _emit(session: Session, plan: GcPlan, done: Collected, scope: Scope, *, dry_run: bool) -> None:
    from lambdapack.deploy.gc import size_of
    from lambdapack.report.collecting import named
    from lambdapack.report.units import counted, megabytes

    freed = sum(map(size_of, done.gone))
    document = {
        "dry_run": dry_run,
        "locations": [store.url for store in scope.stores],
        "regions": list(scope.clients),
        "planned": _rows([(removal.what, removal.why) for removal in plan.removals]),
        "removed": _rows([(what, "") for what in done.gone]),
        "stayed": _rows(list(done.stayed)),
        "kept": _rows([(kept.what, kept.why) for kept in plan.kept]),
        "bytes": plan.size if dry_run else freed,
    }
    session.emit("gc", document)
    for what, why in done.stayed:
        session.say(f"stays: {named(what)}: {why}")
    if done.gone:
        session.say(f"removed {counted(len(done.gone), 'thing')}, {megabytes(freed)}")


def _rows(pairs: Sequence[tuple[Any, str]]) -> list[dict[str, Any]]:
    from lambdapack.deploy.gc import size_of
    from lambdapack.report.collecting import kind, named

    return [
        {"kind": kind(what), "name": named(what), "bytes": size_of(what), **({"why": why} if why else {})}
        for what, why in pairs
    ]
