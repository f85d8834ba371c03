"""The text of ``docs/commands.md``: every command's own help (``python -m lambdapack.cli.reference``)."""

from __future__ import annotations

from collections.abc import Iterator

import click

from lambdapack.cli.group import COMMANDS, cli

__all__ = ["document"]

_WIDTH = 96


def document() -> str:
    """The page."""
    return "\n".join(_document()) + "\n"


def _document() -> Iterator[str]:
    yield "# Commands"
    yield ""
    yield "This page is what `--help` prints, put together by `python -m lambdapack.cli.reference`."
    top = _context(cli, "lambdapack", None)
    yield from _section("lambdapack", cli, top)
    for name in COMMANDS:
        command = cli.get_command(top, name)
        if command is None:
            continue
        context = _context(command, name, top)
        yield from _section(f"lambdapack {name}", command, context)
        if isinstance(command, click.Group):
            for inner in sorted(command.commands):
                title = f"lambdapack {name} {inner}"
                below = _context(command.commands[inner], inner, context)
                yield from _section(title, command.commands[inner], below)


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    return click.Context(
        command,
        info_name=name,
        parent=parent,
        terminal_width=_WIDTH,
        max_content_width=_WIDTH,
        help_option_names=["-h", "--help"],
    )


def _section(title: str, command: click.Command, context: click.Context) -> Iterator[str]:
    yield from ("", f"## `{title}`", "", "```text", command.get_help(context).rstrip(), "```")


if __name__ == "__main__":
    print(document(), end="")
