"""``lambdapack init``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lambdapack.cli.session import Session, session_options
from lambdapack.config import Config
from lambdapack.errors import ConfigurationError
from lambdapack.files import write_bytes
from lambdapack.model import FUNCTION_NAME

_APP = '''\
"""Statistics of a list of numbers, with NumPy."""

import runtime_shim  # first: streams the pack into place while the rest is imported

import numpy as np


def handler(event, context):
    numbers = np.array(event["numbers"], dtype=float)
    return {"count": numbers.size, "mean": float(numbers.mean()), "std": float(numbers.std())}
'''

_CONFIGURATION = """\
# Every key is described in docs/configuration.md of lambdapack.

[build]
requirements = ["numpy"]

[trace]
# Run once at build time, to learn which files a cold start needs first.
handler = "app.handler"
event = "event.json"

[function]
name = "{name}"
handler = "app.handler"
memory = 1769
tmp = 512
timeout = 30

# For AWS: lambdapack deploy --cloud aws
# [store]
# location = "s3://BUCKET/PREFIX"
"""

_EVENT = '{"numbers": [1, 2, 3, 4]}\n'

_README = """\
# {name}

    lambdapack build       # lock, install, slim and compress the dependencies
    lambdapack plan        # does it fit Lambda, and where is each megabyte?
    lambdapack deploy      # to the embedded local cloud
    lambdapack invoke      # with event.json; --count 3 shows cold and warm

Set `[store] location` in `lambdapack.toml`, and `lambdapack deploy --cloud aws` deploys the same to AWS.
"""

_IGNORE = ".lambdapack/\n__pycache__/\n"


@click.command("init", short_help="Write a small working project.")
@click.argument("directory", default=".", type=click.Path(file_okay=False, path_type=Path), metavar="[DIR]")
@click.option("--name", metavar="NAME", help="The function's name.  [default: the folder's]")
@session_options
def command(directory: Path, name: str | None, **given: Any) -> None:
    """Write a small working project into DIR: a handler, its configuration and a sample event.

    \b
    Examples:
      lambdapack init hello && cd hello
      lambdapack build && lambdapack deploy && lambdapack invoke
    """
    session = Session(Config(), None, directory.resolve(), given["as_json"], given["quiet"])
    name = name or session.name
    if not FUNCTION_NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} is not a function name: 1 to 64 letters, digits, hyphens and underscores",
            hint="choose another with --name",
        )
    files = {
        "app.py": _APP,
        "lambdapack.toml": _CONFIGURATION.format(name=name),
        "event.json": _EVENT,
        "README.md": _README.format(name=name),
        ".gitignore": _IGNORE,
    }
    _write(directory, files)
    session.emit("init", {"directory": str(directory), "name": name, "files": sorted(files)})
    session.say(f"wrote {', '.join(sorted(files))} in {directory}")
    change = "" if directory == Path() else f"cd {directory} && "
    session.say(f"next: {change}lambdapack build && lambdapack deploy && lambdapack invoke")


def _write(directory: Path, files: dict[str, str]) -> None:
    # A file with the very same text is a killed init's, or would come out the same.
    there = [name for name, text in files.items() if not _is_free(directory / name, text)]
    if there:
        raise ConfigurationError(
            f"{directory} already has {', '.join(there)}; init overwrites nothing",
            hint="name another folder: lambdapack init DIR",
        )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            write_bytes(directory / name, text.encode())
    except OSError as error:
        raise ConfigurationError(f"cannot write to {directory}: {error.strerror}") from None


def _is_free(path: Path, text: str) -> bool:
    """Whether ``path`` may be written: it does not exist, or has this text already."""
    try:
        return path.read_bytes() == text.encode()
    except FileNotFoundError:
        return True
    except OSError:
        return False
