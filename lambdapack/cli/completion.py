"""``lambdapack completion``."""

from __future__ import annotations

import json

import click
from click.shell_completion import get_completion_class

_VARIABLE = "_LAMBDAPACK_COMPLETE"


@click.command("completion", short_help="Print a shell's completion script.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.option("--json", "as_json", is_flag=True, help="Print one versioned JSON document.")
def command(shell: str, as_json: bool) -> None:
    """Print the script with which SHELL completes commands, options, their values and paths.

    The script asks the lambdapack that is on the PATH, so it need not be made again after an upgrade.
    No configuration is read.

    \b
    bash, in ~/.bashrc:
      eval "$(lambdapack completion bash)"
    zsh, in ~/.zshrc, after compinit:
      eval "$(lambdapack completion zsh)"
    fish:
      lambdapack completion fish > ~/.config/fish/completions/lambdapack.fish
    """
    from lambdapack.cli.group import cli

    made = get_completion_class(shell)
    assert made is not None, shell
    script = made(cli, {}, "lambdapack", _VARIABLE).source()
    # click's script for fish ends a description at its first comma.
    script = script.replace('string split ","', 'string split --max 1 ","')
    if as_json:
        document = {"document": "lambdapack.completion", "version": 1, "shell": shell, "script": script}
        click.echo(json.dumps(document, indent=2))
    else:
        click.echo(script)
