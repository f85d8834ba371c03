"""``lambdapack report``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lambdapack.cli import deployment
from lambdapack.cli.session import Session, common, read_payload, stoppable
from lambdapack.errors import CheckError, ConfigurationError, LambdapackError
from lambdapack.limits import INITIALIZATION_TYPES

if TYPE_CHECKING:
    from lambdapack.local import LocalCloud
    from lambdapack.report.page import Absent, Series

_FILE = "report.html"
_WARM = 5
_NOT_RUN = "Nothing was started, as --no-run asks."
_NOT_STARTED = "Nothing was started here: --from-aws reads a log, which does not tell imports apart."


@dataclass(frozen=True)
class _Wish:
    """What is to be started.

    Attributes:
        name: The function.
        events: At least one; the series has the first.
        starts: Cold starts of the series.
        link: ``bandwidth_mbps`` and ``latency_ms`` of the link to S3.
        memory_mb, tmp_mb: Instead of the function's settings.
    """

    name: str
    events: tuple[bytes, ...]
    starts: int
    link: dict[str, Any]
    memory_mb: int | None
    tmp_mb: int | None


@dataclass(frozen=True)
class _Measured:
    """What starts gave, which parts are missing, and what else to know."""

    profile: dict[str, Any] | None = None
    series: Series | None = None
    absent: tuple[Absent, ...] = ()
    notes: tuple[str, ...] = ()


@click.command("report", short_help="Write one page with pictures.")
@click.argument("name", required=False, metavar="[NAME]")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="The page; its JSON beside it.  [default: .lambdapack/build/report.html]")  # fmt: skip
@click.option("--pack", "pack_directory", type=click.Path(path_type=Path), metavar="DIR",
              help="Folder of the pack.  [default: .lambdapack/build]")  # fmt: skip
@click.option("--no-run", "plan_only", is_flag=True, help="Start nothing: the plan and what tune kept.")
@click.option("--from-aws", is_flag=True,
              help="Start nothing: durations out of the function's log in AWS.")  # fmt: skip
@click.option("--since", default="1d", show_default=True, metavar="SPAN|DATE",
              help="How far back --from-aws reads: 1h, 2d, or a date.")  # fmt: skip
@click.option("--version", metavar="N", help="Of one version of the function, with --from-aws.")
@click.option("--region", metavar="NAME", help="AWS region, with --from-aws.")
@click.option("--payload", "payloads", multiple=True, metavar="JSON|@FILE|-",
              help="An event; may be given several times.  [default: [trace] event, else {}]")  # fmt: skip
@click.option("--starts", type=click.IntRange(1, 50), default=3, show_default=True, metavar="N",
              help=f"Cold starts, each followed by {_WARM} warm invocations.")  # fmt: skip
@click.option("--memory", type=int, metavar="MB", help="Memory, this time.")
@click.option("--tmp", type=int, metavar="MB", help="Ephemeral storage, this time.")
@click.option("--bandwidth", type=float, metavar="MBPS", help="The link to S3 in Mbit/s.")
@click.option("--latency", type=float, metavar="MS", help="Milliseconds before S3 answers.")
@deployment.place_option
@deployment.allow_lacking_option
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
@stoppable
@common
def command(session: Session, name: str | None, output: Path | None, opens: bool, **given: Any) -> None:
    """Write one self-contained page about a function: sizes, a cold start, durations, memory and costs.

    Where each megabyte is, a waterfall of a cold start, durations over a series of invocations with the cold
    peaks, what `lambdapack tune` measured, and the plan with its costs. Each picture has its table behind it.
    The page asks nothing of any network. Beside it lies a versioned JSON document with every figure.

    The function is started in the embedded cloud where it is deployed there; with --no-run nothing is. With
    --from-aws nothing is started either: the durations are those of real calls, out of Lambda's REPORT lines
    and the shim's lines in the function's log. What is not to be had is a section that says which command
    makes it.

    \b
    Examples:
      lambdapack deploy && lambdapack tune && lambdapack report --open
      lambdapack report --no-run --output plan.html
      lambdapack report --from-aws --since 2d --open
      lambdapack report --starts 5 --bandwidth 300 --payload @event.json
      lambdapack report --json | jq '.series.cold_ms'
    """
    from lambdapack import pack, plan
    from lambdapack.cli.plan import assessed
    from lambdapack.files import write_bytes
    from lambdapack.report import page

    page.require_plotly()
    path = output or session.build_directory / _FILE
    if path.suffix == ".json":
        raise ConfigurationError(f"--output {path} is the page; its JSON lies beside", hint="call it .html")
    made = pack.load(given["pack_directory"] or session.build_directory)
    wish = _wish(session, name or session.name, given)
    verdict = assessed(session, made, {**given, "name": wish.name})
    measured = _measured(session, wish, given)
    tunes, absent, notes = _tunes(session, made.path, wish.name)
    document = page.document(
        name=wish.name, made=datetime.now(timezone.utc).isoformat(timespec="seconds"), pack=made.id,
        plan=plan.document(verdict), profile=measured.profile, series=measured.series, tune=tunes,
        absent=(*measured.absent, *absent), notes=[*measured.notes, *notes],
    )  # fmt: skip
    text = json.dumps(document, indent=2)
    with session.progress.step("draw the page"):
        html = page.render(json.loads(text))
    write_bytes(path.with_suffix(".json"), text.encode() + b"\n")
    write_bytes(path, html.encode(errors="replace"))
    _tell(session, path, document, text, opens)


def _wish(session: Session, name: str, given: dict[str, Any]) -> _Wish:
    event, local = session.config.trace.event, session.config.local
    default = session.root / event if event else None
    link = {
        "bandwidth_mbps": given["bandwidth"] or local.bandwidth,
        "latency_ms": local.latency if given["latency"] is None else given["latency"],
    }
    events = tuple(read_payload(text, default) for text in given["payloads"] or (None,))
    return _Wish(name, events, given["starts"], link, given["memory"], given["tmp"])


def _measured(session: Session, wish: _Wish, given: dict[str, Any]) -> _Measured:
    """What starts gave, here or in AWS; nothing where none is wanted."""
    if not given["from_aws"]:
        return _not_run() if given["plan_only"] else _measure(session, wish)
    if given["plan_only"]:
        raise ConfigurationError(
            "--from-aws starts nothing, and --no-run would leave its durations out",
            hint="give one of the two",
        )
    from lambdapack.cli.report_aws import logged
    from lambdapack.report.page import Absent

    series, notes = logged(session, wish.name, given["since"], given["version"], given["region"])
    absent = [Absent("profile", _NOT_STARTED, "lambdapack report")]
    if series is None:
        again = "lambdapack report --from-aws --since 7d"
        absent.append(Absent("series", f"{wish.name} has no calls in its log since {given['since']}.", again))
    return _Measured(None, series, tuple(absent), tuple(notes))


def _not_run() -> _Measured:
    from lambdapack.report.page import Absent

    parts = ("profile", "series")
    return _Measured(absent=tuple(Absent(part, _NOT_RUN, "lambdapack report") for part in parts))


def _measure(session: Session, wish: _Wish) -> _Measured:
    """Start the function in the embedded cloud; what cannot be had says why."""
    from lambdapack.local import LocalCloud, profiling

    absent: list[Absent] = []
    profile, series = None, None
    settings: dict[str, Any] = {"memory_mb": wish.memory_mb, "tmp_mb": wish.tmp_mb, **wish.link}
    with LocalCloud(session.state, progress=session.progress, cache_dir=session.cache) as local:
        try:
            found = local.describe(wish.name)
        except ConfigurationError as error:
            return _Measured(absent=tuple(_absent(session, part, error) for part in ("profile", "series")))
        try:
            made = profiling.profile(local, wish.name, wish.events, progress=session.progress, **settings)
            profile = {"document": "lambdapack.profile", "version": 1, **made.document()}
        except LambdapackError as error:
            absent.append(_absent(session, "profile", error))
        try:
            series = _series(session, local, wish, settings, wish.memory_mb or found["memory_mb"])
        except LambdapackError as error:
            absent.append(_absent(session, "series", error))
    return _Measured(profile, series, tuple(absent))


def _absent(session: Session, part: str, error: LambdapackError) -> Absent:
    """A part that failed; the reader of the page and the user at the terminal hear the same."""
    from lambdapack.report.page import Absent

    session.progress.warn(error.message)
    return Absent(part, error.message, error.hint or "lambdapack invoke shows the log")


def _series(
    session: Session, local: LocalCloud, wish: _Wish, settings: dict[str, Any], memory_mb: int
) -> Series:
    """Cold starts, each followed by warm invocations.

    Raises:
        CheckError: The function fails.
    """
    from lambdapack.report.page import Series

    done = []
    count = wish.starts * (1 + _WARM)
    with session.progress.step("invoke cold and warm", total=count, unit="invocations") as advance:
        for number in range(count):
            cold = number % (1 + _WARM) == 0
            result = local.invoke(
                wish.name, wish.events[0], cold=cold, start=INITIALIZATION_TYPES[0], **settings
            )
            if result.error:
                answer = result.payload.decode(errors="replace")[:500]
                raise CheckError(
                    f"invoking {wish.name} failed with {answer}",
                    hint="give an event that works: lambdapack report --payload '{…}'",
                )
            done.append(result)
            advance()
    return Series.of(memory_mb, done)


def _tunes(session: Session, pack: Path, name: str) -> tuple[list[Any], list[Absent], list[str]]:
    """What tune kept of the function, and what is to be said of that."""
    from lambdapack.report.page import Absent

    found, notes = [], []
    for cloud in ("local", "aws"):
        path = session.build_directory / f"tune-{cloud}.json"
        try:
            kept = json.loads(path.read_bytes())
            if (kept["document"], kept["version"], kept["name"]) != ("lambdapack.tune", 1, name):
                continue
            if path.stat().st_mtime < pack.stat().st_mtime:
                notes.append(
                    f"{path.name} was measured before the pack was made: lambdapack tune measures anew."
                )
            found.append(kept)
        except (OSError, ValueError, KeyError, TypeError):
            continue
    if found:
        return found, [], notes
    reason = "No memory settings were measured."
    return [], [Absent("tune", reason, "lambdapack tune, or lambdapack tune --cloud aws")], []


def _tell(session: Session, path: Path, document: dict[str, Any], text: str, opens: bool) -> None:
    if session.as_json:
        click.echo(text)
    elif session.quiet:
        click.echo(path)
    else:
        click.echo(f"{path}\n{path.with_suffix('.json')}")
        for each in document["absent"]:
            click.echo(f"without {each['part']}: {each['reason']} What helps: {each['fix']}")
    if opens:
        click.launch(str(path))
