"""The command line: parse, call, show."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run ``lambdapack`` with the process's arguments and exit with its status."""
    from lambdapack.cli.group import run

    sys.exit(run(sys.argv[1:]))
