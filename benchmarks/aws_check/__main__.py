"""``python -m benchmarks.aws_check``: say what it will do, ask, do, write down, destroy."""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime, timezone
from functools import cache
from pathlib import Path

from benchmarks.aws_check import cleaning, results
from benchmarks.aws_check.ledger import Entry, Ledger, left_behind
from benchmarks.aws_check.measuring import Calls
from benchmarks.aws_check.plan import STEPS, Settings, costs, total
from benchmarks.aws_check.project import Project
from benchmarks.aws_check.steps import Check
from benchmarks.workloads import WORKLOADS
from lambdapack.cli.session import stoppable
from lambdapack.deploy import aws
from lambdapack.errors import CheckError, ConfigurationError, LambdapackError
from lambdapack.memo import default_cache_dir
from lambdapack.report.live import LineProgress

_AGAIN = "python -m benchmarks.aws_check --clean"


@stoppable
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return _clean(options) if options.clean else _check(options)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    except LambdapackError as error:
        print(f"error: {error.message}", file=sys.stderr)
        for line in (error.detail or "").splitlines():
            print(f"  | {line}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return error.exit_status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.aws_check", description=__doc__)
    parser.add_argument("--region", help="where  [AWS_REGION]")
    parser.add_argument("--location", help="s3://BUCKET/PREFIX that is there  [a bucket is made]")
    parser.add_argument("--step", action="append", choices=list(STEPS), help="these steps alone")
    parser.add_argument("--workload", default="sklearn-pandas", choices=[one.name for one in WORKLOADS])
    parser.add_argument("--source", type=Path, help="a module with handler(event, context) instead")
    parser.add_argument("--require", action="append", default=[], help="its requirements")
    parser.add_argument("--starts", type=int, default=3, help="cold starts a function  [3]")
    parser.add_argument("--memory", type=int, default=1769, help="MB  [1769]")
    parser.add_argument("--python", default="3.12", help="[3.12]")
    parser.add_argument("--arch", default="x86_64", choices=["x86_64", "arm64"])
    parser.add_argument("--shift", default="canary:50%,2m", help="[canary:50%%,2m]")
    parser.add_argument(
        "--most-usd", type=float, default=1.0, help="refuse to begin if it may cost more  [1]"
    )
    parser.add_argument("--output", type=Path, default=Path(".lambdapack/aws-check"), help="for the results")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--dry-run", action="store_true", help="say what it would do, and do nothing")
    parser.add_argument("--clean", action="store_true", help="destroy what earlier checks left behind")
    return parser


def _ledgers() -> Path:
    return default_cache_dir() / "aws-check"


def _clean(options: argparse.Namespace) -> int:
    """Destroy what each ledger names; one that cannot be cleaned does not keep the others from that."""
    runs = left_behind(_ledgers())
    failed: list[LambdapackError] = []
    for run in runs:
        try:
            with Ledger.open(_ledgers(), run) as ledger:
                for entry in ledger.entries():
                    print(f"{run}: {entry.kind} {entry.name} in {entry.region}")
                if not options.dry_run:
                    cleaning.clean(ledger, _clients, print)
        except LambdapackError as error:
            failed.append(error)
    if not runs:
        print("no check has left anything behind")
    for other in failed[1:]:
        print(f"error: {other.message}", file=sys.stderr)
    if failed:
        raise failed[0]
    return 0


@cache
def _clients(region: str) -> aws.Clients:
    return aws.Clients(region)


def _check(options: argparse.Namespace) -> int:
    workload = next(one for one in WORKLOADS if one.name == options.workload)
    settings = Settings(
        secrets.token_hex(4),
        options.region or aws.Clients().region,
        tuple(step for step in STEPS if not options.step or step in options.step),
        options.starts, options.memory, options.python, options.arch,
        tuple(options.require) or workload.requirements, options.shift,
    )  # fmt: skip
    bucket = None if options.location else settings.prefix
    _say_plan(settings, bucket)
    if total(settings) > options.most_usd:
        raise CheckError(
            f"it may cost ${total(settings):.2f}, and at most ${options.most_usd:.2f} are allowed",
            hint="fewer --starts, a --step, or a higher --most-usd",
        )
    if options.dry_run:
        return 0
    _confirm(options.yes)
    with Ledger.open(_ledgers(), settings.run) as ledger, tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder), settings, options.location or f"s3://{bucket}/packs")
        project.write(options.source or workload.source)
        check = Check(
            settings, project, _clients(settings.region), ledger,
            Calls(settings.invocations), LineProgress(sys.stderr),
        )  # fmt: skip
        try:
            check.run(bucket)
        finally:
            _destroy(ledger, check)
        return _write(options.output, check)


def _say_plan(settings: Settings, bucket: str | None) -> None:
    account = _account(settings.region)
    print(f"In the account {account}, region {settings.region}, this makes, and destroys at its end:")
    for name in settings.functions:
        print(f"  the function {name}, its role, its log group")
    if "layer" in settings.steps:
        print("  the layers of its pack, unless they are there already")
    print(f"  the bucket {bucket}" if bucket else "  a pack in the bucket that you name, which stays")
    print("It checks:")
    for step in settings.steps:
        print(f"  {step}: {STEPS[step]}")
    print("It costs at most, in US dollars, without the free tier:")
    for cost in costs(settings):
        print(f"  {cost.usd:.4f}  {cost.what}")
    print(f"  {total(settings):.4f}  together")


def _account(region: str) -> str:
    from lambdapack.deploy.aws.errors import errors_of_aws  # noqa: PLC0415 - slow

    with errors_of_aws("asking AWS whose credentials these are"):
        return str(_clients(region)["sts"].get_caller_identity()["Account"])


def _confirm(yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigurationError("this costs money, and nobody can be asked here", hint="add --yes")
    if input("Go on? [y/N] ").strip().lower() not in ("y", "yes"):
        raise ConfigurationError("nothing was made", hint="y goes on; --dry-run shows the plan alone")


def _destroy(ledger: Ledger, check: Check) -> None:
    """Destroy everything, whatever happened before, and say what is left if that is cut off."""
    try:
        cleaning.clean(ledger, _clients, lambda text: print(text, file=sys.stderr))
        check.results["destroy"] = "ok"
    except BaseException:
        left: list[Entry] = ledger.entries()
        print(f"{len(left)} things are left in AWS: {_AGAIN}", file=sys.stderr)
        raise


def _write(folder: Path, check: Check) -> int:
    document = results.document(check.settings, check.series, check.results, check.calls.made)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{datetime.now(timezone.utc):%Y-%m-%d}-{check.settings.run}.json"
    path.write_text(json.dumps(document, indent=2) + "\n")
    text = results.page(document)
    path.with_suffix(".md").write_text(text)
    print(text)
    print(path)
    return 0 if all(result == "ok" for result in check.results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
