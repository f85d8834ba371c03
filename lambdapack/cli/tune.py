"""``lambdapack tune``."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

import click

from lambdapack import limits
from lambdapack.cli.deployment import cloud_option, region_of
from lambdapack.cli.session import Session, common, read_payload, stoppable
from lambdapack.errors import CheckError, ConfigurationError

if TYPE_CHECKING:
    from lambdapack.pipeline.tuning import Record, Subject, TunableFunction

_INTERRUPTED = 130


@dataclass(frozen=True)
class _Wish:
    """What is to be measured.

    Attributes:
        name: The function's name.
        payload: The event.
        memories: The settings.
        runs: Environments a setting.
        most: What it may cost in AWS, in dollars.
        sure: Whether nobody is asked.
    """

    name: str
    payload: bytes
    memories: Sequence[int]
    runs: int
    most: float
    sure: bool


@click.command("tune", short_help="Find the memory setting by experiment.")
@click.argument("name", required=False, metavar="[NAME]")
@cloud_option
@click.option("--memory", "memories", multiple=True, metavar="MB",
              type=click.IntRange(limits.MEMORY_MIN_MB, limits.MEMORY_MAX_MB),
              help="Measure this setting; may be repeated.  [default: eight from 128 to 10240]")  # fmt: skip
@click.option("--runs", type=click.IntRange(1, 100), default=5, show_default=True,
              help="Start so many environments at each setting.")  # fmt: skip
@click.option("--payload", metavar="JSON|@FILE|-", help="The event.  [default: [trace] event, else {}]")
@click.option("--max-cost", "most", type=click.FloatRange(0, min_open=True), default=1.0, show_default=True,
              metavar="USD", help="With --cloud aws: spend no more.")  # fmt: skip
@click.option("--yes", "-y", "sure", is_flag=True, help="With --cloud aws: do not ask.")
@stoppable
@common
def command(session: Session, name: str | None, cloud: str, region: str | None, **given: Any) -> None:
    """Invoke a deployed function with several memory settings, and say which to choose.

    Each run starts a new environment, one cold start and four warm invocations. Cold and warm duration,
    memory used and the cost of a million invocations are shown for each setting, and three of them are
    recommended: least cost, least time, and the knee, where more memory ceases to buy time. The share of cold
    starts is that of [traffic] cold.

    What was measured is kept in the build folder (tune-CLOUD.json), also after Ctrl-C, and is used again
    while function, pack, settings and event are the same. The embedded cloud gives processor time in
    proportion to memory, as far as this machine has processors. In AWS these are real invocations, which
    cost: the bound is shown and confirmed first. There the memory of $LATEST is changed, and set back at the
    end; the live version stays as it is.

    \b
    Examples:
      lambdapack tune
      lambdapack tune --memory 512 --memory 1024 --memory 1769 --runs 10
      lambdapack tune --cloud aws --max-cost 0.20
      lambdapack tune --cloud aws --yes --json | jq .recommended.knee
    """
    from lambdapack.plan import tuning

    event = session.config.trace.event
    data = read_payload(given["payload"], session.root / event if event else None)
    memories = sorted(set(given["memories"] or tuning.MEMORIES))
    wish = _Wish(name or session.name, data, memories, given["runs"], given["most"], given["sure"])
    record = _aws(session, wish, region) if cloud == "aws" else _local(session, wish, region)
    _show(session, record, memories)


def _local(session: Session, wish: _Wish, region: str | None) -> Record:
    from lambdapack.local import LocalCloud
    from lambdapack.pipeline.tuning import LocalFunction, Record

    link = {"bandwidth_mbps": session.config.local.bandwidth, "latency_ms": session.config.local.latency}
    with LocalCloud(session.state, progress=session.progress, cache_dir=session.cache) as cloud:
        tuned = LocalFunction(cloud, wish.name, wish.payload, region_of(session, region), link)
        record = Record(session.build_directory, tuned.subject)
        _warn_of_processors(session, wish.memories)
        _measure(session, wish, tuned, record, most=None)
        if cloud.limits is not None and not cloud.limits.cpu:
            session.progress.warn(
                "CPU time is not limited here: memory changes no duration as it does in AWS"
            )
    return record


def _warn_of_processors(session: Session, memories: Sequence[int]) -> None:
    """Say from which setting on this machine has fewer processors than Lambda would give."""
    count = os.cpu_count() or 1
    beyond = [memory for memory in memories if memory > count * limits.MEMORY_PER_VCPU_MB]
    if beyond:
        session.progress.warn(
            f"this machine has {count} processors, fewer than Lambda gives from {beyond[0]:,} MB on: code "
            "that runs on several is faster there than measured here"
        )


def _aws(session: Session, wish: _Wish, region: str | None) -> Record:
    from lambdapack.pipeline.tuning import AwsFunction, Record

    with AwsFunction(wish.name, wish.payload, region or session.config.store.region) as tuned:
        record = Record(session.build_directory, tuned.subject)
        _confirm(tuned.subject, record, wish)
        _measure(session, wish, tuned, record, most=wish.most)
    return record


def _confirm(subject: Subject, record: Record, wish: _Wish) -> None:
    """Show the bound and ask; nothing was changed so far.

    Raises:
        ConfigurationError: The answer is no, or there is nobody to answer.
    """
    from lambdapack.pipeline.tuning import WARM, bound, missing
    from lambdapack.report.units import counted, dollars

    todo = missing(record, wish.memories, wish.runs)
    if not todo or wish.sure:
        return
    # Rounded up: it is a bound.
    most = ceil(min(bound(subject, todo), wish.most) * 100) / 100
    click.echo(
        f"{subject.name} in {subject.region}: at most {counted(len(todo) * (1 + WARM), 'invocation')} at "
        f"{counted(len({memory for memory, _ in todo}), 'memory setting')}, which cost at most "
        f"{dollars(most)} (were each to take its whole timeout). Meanwhile "
        "$LATEST has other memory than now; it is set back at the end, and the live version stays as it is.",
        err=True,
    )
    try:
        agreed = click.confirm("Go on?", err=True)
    except click.Abort:
        agreed = False
    if not agreed:
        raise ConfigurationError("not confirmed: nothing was invoked, and nothing changed", hint="--yes")


def _measure(
    session: Session, wish: _Wish, tuned: TunableFunction, record: Record, *, most: float | None
) -> None:
    """Do what is missing; Ctrl-C keeps what there is."""
    from lambdapack.pipeline.tuning import measure, missing

    todo = missing(record, wish.memories, wish.runs)
    if not todo:
        session.progress.note(f"all of it was measured before: {record.path}")
        return
    cold = session.config.traffic.cold
    try:
        enough = measure(tuned, record, todo, cold=cold, most=most, progress=session.progress)
    except KeyboardInterrupt:
        click.echo(
            f"\nInterrupted; {len(record.samples)} runs are kept in {record.path}, and the same command goes "
            "on.",
            err=True,
        )
        raise click.exceptions.Exit(_INTERRUPTED) from None
    if not enough:
        session.progress.warn(f"stopped before the cost could be above ${most}: --max-cost, or fewer --runs")


def _show(session: Session, record: Record, memories: Sequence[int]) -> None:
    """Show what was measured.

    Raises:
        CheckError: The function answered at none of the settings, or was not invoked.
    """
    from lambdapack.plan import tuning
    from lambdapack.report.tuning import failure_words, tuning_table

    cold = session.config.traffic.cold
    settings = record.settings(cold, memories)
    if not settings:
        raise CheckError(
            f"nothing was measured of {record.subject.name}: its first run could cost more than --max-cost",
            hint="raise --max-cost, or name smaller settings with --memory",
        )
    chosen = tuning.recommend(settings)
    if session.as_json:
        click.echo(json.dumps(record.document(cold, memories), indent=2))
    elif session.quiet:
        click.echo(chosen.knee or chosen.cost or "")
    else:
        session.show(tuning_table(settings, chosen, cold=cold, now=record.subject.memory_mb))
    if chosen.cost is None:
        found = "; ".join(f"{each.memory_mb:,} MB: {failure_words(each)}" for each in settings)
        raise CheckError(
            f"{record.subject.name} answered at none of the settings ({found})",
            hint="lambdapack invoke shows the log",
        )
