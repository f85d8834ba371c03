"""``lambdapack calibrate``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lambdapack.cli.log_source import log_lines
from lambdapack.cli.session import Session, common, read_payload
from lambdapack.errors import ConfigurationError

if TYPE_CHECKING:
    from lambdapack.pack import Pack
    from lambdapack.pipeline.calibration import CalibrationRecord

_LINES = '?"Init Duration" ?"cold_start"'
"""The lines of a log group that tell of a cold start, as CloudWatch filters them."""


@click.command("calibrate", short_help="Measure what the predicted cold start rests on.")
@click.argument("name", required=False, metavar="[NAME]")
@click.option("--payload", metavar="JSON|@FILE|-", help="The event.  [default: [trace] event, else {}]")
@click.option("--runs", type=click.IntRange(1, 20), default=2, show_default=True,
              help="Cold starts at each memory setting.")  # fmt: skip
@click.option("--from-logs", "source", metavar="FILE|GROUP",
              help="For AWS: a file of log lines, - for stdin, or a CloudWatch log group.")  # fmt: skip
@click.option("--days", type=click.IntRange(1), default=7, show_default=True,
              help="How far back to read a group.")  # fmt: skip
@click.option("--region", metavar="NAME", help="The group's region.  [default: as the AWS SDK finds it]")
@common
def command(
    session: Session, name: str | None, payload: str | None, *, runs: int, source: str | None, days: int,
    region: str | None,
) -> None:  # fmt: skip
    """Measure what a cold start of the function is made of, so that `lambdapack plan` can predict others.

    In the embedded cloud, where the function must have been deployed: a profile of one cold start, for the
    CPU time between one frame of the pack and the next, and that of fetching; and cold starts at the
    function's memory and at 512, 1,769 and 3,008 MB, to which the model is fitted. What is left between model
    and measurement is its error, which is printed beside each prediction.

    With --from-logs the link and the speed of the processor are taken from the lines that the function wrote
    in AWS: those of the shim about each cold start, and Lambda's REPORT lines. Name a log of the version that
    was built last.

    The result is kept in the build folder (calibration-local.json, calibration-aws.json); plan prefers AWS.

    \b
    Examples:
      lambdapack calibrate
      lambdapack calibrate hello --payload @event.json --runs 5
      lambdapack calibrate --from-logs /aws/lambda/hello --days 30
    """
    from lambdapack import pack
    from lambdapack.pipeline import calibration
    from lambdapack.plan import cold

    made = pack.load(session.build_directory)
    if source is None:
        event = session.config.trace.event
        data = read_payload(payload, session.root / event if event else None)
        found = _locally(session, name or session.name, made, data, runs)
    else:
        found = _from_logs(
            session, name or session.name, made, list(log_lines(session, source, _LINES, days, region))
        )
    path = calibration.write(session.build_directory, found)
    session.emit("calibration", calibration.body(found), f"{found.error:.3f}")
    if not session.as_json and not session.quiet:
        from lambdapack.report.cold import calibration_tables

        session.show(calibration_tables(found, cold.Frames.of(made.index, linked=found.linked)))
        session.say(f"kept in {path}; lambdapack plan predicts with it")


def _locally(session: Session, name: str, made: Pack, payload: bytes, runs: int) -> CalibrationRecord:
    from lambdapack.local import LinkSettings, LocalCloud
    from lambdapack.pipeline import build_json, calibration

    link = session.config.local
    with LocalCloud(session.state, progress=session.progress, cache_dir=session.cache) as cloud:
        deployed = cloud.describe(name)
        if deployed["pack_id"] != made.id:
            raise ConfigurationError(
                f"{name} is deployed with pack {deployed['pack_id']}, and the build is of {made.id}",
                hint="lambdapack deploy",
            )
        subject = calibration.Subject(
            name, made, build_json.read(made.path.parent).distributions, payload,
            "bucket" in (deployed["location"] or ()),
            LinkSettings(link.bandwidth, link.latency),
        )  # fmt: skip
        memories = sorted({*calibration.MEMORIES, deployed["memory_mb"]})
        return calibration.calibrate(cloud, subject, memories, runs, session.progress)


def _from_logs(session: Session, name: str, made: Pack, lines: list[str]) -> CalibrationRecord:
    from lambdapack.pipeline import calibration
    from lambdapack.plan import cold

    before = calibration.read(session.build_directory, ("local",))
    if before is None or before.pack != made.id:
        before = calibration.assumed(name, made, linked=session.config.function.place == "s3")
    return calibration.from_log(lines, before, cold.Frames.of(made.index, linked=before.linked))
