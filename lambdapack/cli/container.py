"""A command that needs Linux, run again in a container: its arguments, its folders, its variables."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from lambdapack.cli.session import Session
from lambdapack.model import Target

_PASSED_ON = ("COLUMNS", "LANG", "LC_ALL", "NO_COLOR", "TERM", "TZ")


def to_linux(arguments: Sequence[str]) -> int:
    """Run ``lambdapack ARGUMENTS`` in a Linux container of the engine; returns the exit status."""
    from lambdapack.pipeline import container

    session = Session.open(_config(arguments), quiet=bool({"-q", "--quiet"} & set(arguments)))
    variables = {
        name: value
        for name, value in os.environ.items()
        if name in _PASSED_ON or (name.startswith("LAMBDAPACK_") and name != "LAMBDAPACK_CACHE")
    }
    command = container.ContainerCommand(
        arguments, _target(session), session.config.build.image, list(_folders(session, arguments)),
        Path.cwd(), variables, sys.stdin.buffer.read() if "-" in arguments else b"",
    )  # fmt: skip
    return container.run(command, cache_dir=session.cache, progress=session.progress)


def _config(arguments: Sequence[str]) -> Path | None:
    for number, argument in enumerate(arguments):
        if argument == "--config" and number + 1 < len(arguments):
            return Path(arguments[number + 1])
        if argument.startswith("--config="):
            return Path(argument.partition("=")[2])
    return None


def _target(session: Session) -> Target:
    """The target of the pack that is built; the configuration's where none is built yet."""
    from lambdapack import pack
    from lambdapack.errors import LambdapackError

    try:
        return Target.parse(pack.load(session.build_directory).index.target)
    except LambdapackError:
        return session.target(None, None)


def _folders(session: Session, arguments: Sequence[str]) -> Iterator[Path]:
    """The folders that the command may look at: the project's, the current one, and those it names."""
    yield session.root
    yield Path.cwd()
    for argument in arguments:
        named = Path(argument.rpartition("=")[2].lstrip("@"))
        if named.name and named.exists():
            yield (named if named.is_dir() else named.parent).absolute()
