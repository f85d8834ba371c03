"""The command group: each command's module is imported when the command is run.

``lambdapack --help`` therefore imports click alone; the line about each command is in the table below.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import traceback
from collections.abc import Sequence

import click
from click.shell_completion import CompletionItem

import lambdapack
from lambdapack.errors import LambdapackError, LinuxError

COMMANDS = {
    "init": "Write a small working project.",
    "build": "Build a pack: lock, install, trace, slim, compress.",
    "plan": "Say whether it fits Lambda's limits, before anything is deployed.",
    "why": "Say who needs a distribution, what it costs, and what would go with it.",
    "diff": "Compare two builds: what came, went, changed and grew.",
    "deploy": "Package, push and deploy a function.",
    "invoke": "Invoke a function and show where the time went.",
    "profile": "Time a cold start, import by import, and say what nothing calls.",
    "calibrate": "Measure what the predicted cold start rests on.",
    "tune": "Find the memory setting by experiment.",
    "report": "Write one page with pictures: sizes, a cold start, durations, memory, costs.",
    "status": "Show what is deployed.",
    "logs": "Show a function's log, or its cold starts alone.",
    "dashboard": "Print or make a CloudWatch dashboard and alarms.",
    "trace": "Let the next build know what real starts fetched on demand.",
    "rollback": "Go back to an earlier version: code and dependencies together.",
    "policy": "Print the smallest IAM policy for this project.",
    "destroy": "Remove a function.",
    "gc": "Remove packs, layers and old versions that nothing needs.",
    "bucket": "Make a bucket for packs, or check one.",
    "package": "Write a function's zip: its code, the shim and a pack's index.",
    "layer": "Write a layer for a function whose code stays as it is.",
    "export": "Write what a SAM, Serverless, Terraform or CDK project takes.",
    "push": "Upload a pack to S3.",
    "inspect": "List what is in a pack.",
    "verify": "Check every digest of a pack.",
    "local": "Keep the embedded cloud running.",
    "images": "Build or list the images of the docker builder.",
    "doctor": "Say what this machine has and lacks.",
    "completion": "Print the script with which bash, zsh or fish completes lambdapack's commands.",
    "cache": "Show or empty the cache.",
}
"""Command -> one line about it, in the order in which a project meets them."""

_INTERRUPTED = 130


class _LazyGroup(click.Group):
    """A group whose commands are modules of this package, imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"lambdapack.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        # click's own would import every command's module for the line about each.
        found = [CompletionItem(name, help=line) for name, line in COMMANDS.items()]
        commands = [item for item in found if item.value.startswith(incomplete)]
        return commands + click.Command.shell_complete(self, ctx, incomplete)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        # What a shell asks to be completed may be anything, and is no error.
        if args and args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            known = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(COMMANDS)}"
            raise click.UsageError(f"no command {args[0]!r}; {known}", ctx)
        return super().resolve_command(ctx, args)


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 done, 1 a budget or check failed, 2 wrong usage or configuration, 3 a tool, the "
    "network or AWS failed.",
)
@click.version_option(lambdapack.__version__, prog_name="lambdapack")
def cli() -> None:
    """Run Python dependencies that are too heavy for AWS Lambda.

    \b
    Examples:
      lambdapack init hello && cd hello
      lambdapack build && lambdapack deploy && lambdapack invoke
      lambdapack build spacy --python 3.12 --arch arm64 --output pack
      lambdapack deploy --cloud aws --location s3://bucket/prefix
    """


def run(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit status. No exception leaves this function."""
    if "_LAMBDAPACK_COMPLETE" in os.environ:
        cli.main(list(arguments), prog_name="lambdapack")
    try:
        with cli.make_context("lambdapack", list(arguments)) as context:
            cli.invoke(context)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of stdout has gone, e.g. head; at exit Python would flush again and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except LinuxError:
        return _in_a_container(arguments)
    except (Exception, KeyboardInterrupt) as error:
        return _report(error)
    return 0


def _in_a_container(arguments: Sequence[str]) -> int:
    """Run a command that only Linux can run where the Docker engine has Linux; returns the exit status."""
    from lambdapack.cli.container import to_linux

    try:
        return to_linux(arguments)
    except (Exception, KeyboardInterrupt) as error:
        return _report(error)


def _report(error: BaseException) -> int:
    """Tell the user; returns the exit status."""
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        # What stays where it is, such as a shift of calls, is said by the one who knows.
        click.echo(f"\n{error}" if str(error) else "\nInterrupted; nothing half done was kept.", err=True)
        return _INTERRUPTED
    if isinstance(error, LambdapackError):
        _show(error)
        return error.exit_status
    if os.environ.get("LAMBDAPACK_DEBUG"):
        traceback.print_exception(error)
    else:
        click.echo(
            f"error: lambdapack failed unexpectedly: {type(error).__name__}: {error}\n"
            "hint: this is a bug; LAMBDAPACK_DEBUG=1 shows the traceback to report",
            err=True,
        )
    return 3


def _show(error: LambdapackError) -> None:
    click.echo(f"{click.style('error:', fg='red', bold=True)} {error.message}", err=True)
    if error.detail:
        for line in error.detail.rstrip().splitlines():
            click.echo(f"  | {line}", err=True)
    if error.hint:
        click.echo(f"{click.style('hint:', fg='cyan', bold=True)} {error.hint}", err=True)
    if os.environ.get("LAMBDAPACK_DEBUG"):
        traceback.print_exception(error)
