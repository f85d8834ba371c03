"""``lambdapack trace``."""

from __future__ import annotations

import click

from lambdapack.cli.log_source import log_lines
from lambdapack.cli.session import Session, common
from lambdapack.errors import ConfigurationError


@click.command("trace", short_help="Let the next build know what real starts fetched on demand.")
@click.option("--from-logs", "source", required=True, metavar="FILE|GROUP",
              help="A file of log lines, - for stdin, or the name of a CloudWatch log group.")  # fmt: skip
@click.option(
    "--days", type=click.IntRange(1), default=7, show_default=True, help="How far back to read a group."
)
@click.option("--region", metavar="NAME", help="The group's region.  [default: as the AWS SDK finds it]")
@common
def command(session: Session, source: str, days: int, region: str | None) -> None:
    """Add the files that real starts fetched on demand to those that the next build treats as touched.

    The shim's line about a cold start, and a line for each file after it, name the files of the pack that
    were not there yet because the trace did not see them: each cost the function a request to S3. They are
    written into the file that `[trace] touched` names (lambdapack-touched.txt); keep it with your code, and
    build again.

    \b
    Examples:
      lambdapack trace --from-logs /aws/lambda/hello --days 30
      aws logs tail /aws/lambda/hello | lambdapack trace --from-logs -
      lambdapack trace --from-logs start.log && lambdapack build
    """
    from lambdapack.files import write_bytes
    from lambdapack.trace import logged, read_touched, write_touched

    target = session.root / session.config.trace.touched
    try:
        known = read_touched(target.read_text(encoding="utf-8")) if target.exists() else ()
        found = sorted(set(logged(log_lines(session, source, '"on_demand_files"', days, region))))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read {source}: {error}") from None
    new = [path for path in found if path not in known]
    if new:
        write_bytes(target, write_touched([*known, *new]).encode())
    session.emit("trace", {"file": str(target), "found": found, "new": new}, brief="\n".join(new))
    for path in new:
        session.say(f"  {path}")
    session.say(
        f"{len(found)} files were fetched on demand, {len(new)} of them are new in {target}"
        + (": build again" if new else "")
    )
