"""What every command shares: the configuration, where output goes, and the options for both."""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import click

from lambdapack.config import Config, discover, load
from lambdapack.errors import ConfigurationError
from lambdapack.model import Target
from lambdapack.model.runtimes import PYTHONS, SUGGESTED
from lambdapack.progress import QUIET, Progress

_Function = TypeVar("_Function", bound=Callable[..., Any])
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Session:
    """One run of one command.

    Attributes:
        config: The configuration; its defaults where there is no file.
        file: The configuration's file; ``None`` where there is none.
        root: The folder that the configuration's paths are relative to.
        as_json: Print one JSON document, for a machine.
        quiet: Print the result alone.
    """

    config: Config
    file: Path | None
    root: Path
    as_json: bool
    quiet: bool

    @classmethod
    def open(cls, config: Path | None, *, as_json: bool = False, quiet: bool = False) -> Session:
        """Read the configuration that ``config`` names, or the nearest one."""
        from lambdapack.files import sweep_scratch

        sweep_scratch()
        file = config or discover(Path.cwd())
        if file is None:
            return cls(Config(), None, Path.cwd(), as_json, quiet)
        file = file.absolute()
        return cls(load(file), file, file.parent, as_json, quiet)

    @property
    def progress(self) -> Progress:
        """On stderr: bars on a terminal, lines elsewhere, nothing with ``--quiet``."""
        if self.quiet:
            return QUIET
        from lambdapack.report.live import LineProgress, TerminalProgress

        return TerminalProgress() if sys.stderr.isatty() else LineProgress(sys.stderr)

    @property
    def state(self) -> Path:
        """Folder of the embedded cloud."""
        return self.root / ".lambdapack" / "local"

    @property
    def cache(self) -> Path:
        """Folder of the cache."""
        from lambdapack.memo import default_cache_dir

        return default_cache_dir()

    @property
    def cache_limit(self) -> int:
        """Bytes that the build cache may hold after a build: ``$LAMBDAPACK_CACHE_MB``, else the default."""
        from lambdapack.pipeline.cache import LIMIT

        text = os.environ.get("LAMBDAPACK_CACHE_MB")
        if text is None:
            return LIMIT
        if not text.isdigit():
            raise ConfigurationError(
                f"LAMBDAPACK_CACHE_MB is {text!r}, which is no number of megabytes", hint="unset it"
            )
        return int(text) * 1_000_000

    @property
    def build_directory(self) -> Path:
        """Where the pack and build.json are, unless an option says otherwise."""
        return self.root / self.config.build.output

    @property
    def assets(self) -> dict[str, Path]:
        """Name -> file or folder of each asset in the configuration."""
        return {name: self.root / asset.path for name, asset in self.config.assets.items()}

    def zip_path(self, name: str) -> Path:
        """Where the zip of the function ``name`` goes."""
        return self.root / ".lambdapack" / f"{name}.zip"

    def pack_file(self, path: Path | None) -> Path:
        """The ``.tar.zst`` that ``path`` is or that is in that folder; by default the last build's."""
        path = path or self.build_directory
        if path.name.endswith(".tar.zst"):
            return path
        from lambdapack import pack

        return pack.load(path).path

    @property
    def name(self) -> str:
        """The function's name: the configuration's, else the folder's."""
        return (
            self.config.function.name or re.sub(r"[^A-Za-z0-9-_]+", "-", self.root.name).strip("-") or "app"
        )

    def target(self, python: str | None, arch: str | None) -> Target:
        """What to build for: the options over the configuration over the running Python.

        Raises:
            ConfigurationError: No version is named, and Lambda has not the running one.
        """
        config = self.config.build
        version = python or config.python
        if version is None:
            version = ".".join(map(str, sys.version_info[:2]))
            if version not in PYTHONS:
                raise ConfigurationError(
                    f"lambdapack runs on Python {version}, which Lambda does not have",
                    hint=f"say which one the function has: --python {SUGGESTED}",
                )
        return Target(version, arch or config.arch)

    def emit(self, document: str, body: Mapping[str, Any], brief: str | None = None) -> None:
        """Print one versioned JSON document, for a machine; where only the result is wanted, ``brief``."""
        if self.as_json:
            click.echo(json.dumps({"document": f"lambdapack.{document}", "version": 1, **body}, indent=2))
        elif self.quiet and brief is not None:
            click.echo(brief)

    def say(self, text: str) -> None:
        """Print a line for people."""
        if not self.quiet and not self.as_json:
            click.echo(text)

    def show(self, renderable: Any) -> None:
        """Print a rich table or text for people."""
        if not self.quiet and not self.as_json:
            from rich.console import Console

            Console(highlight=False).print(renderable, soft_wrap=True)


def common(command: Callable[..., None]) -> Callable[..., None]:
    """The options that every command takes, as its ``session``."""

    @functools.wraps(command)
    def run(config: Path | None, as_json: bool, quiet: bool, **given: Any) -> None:
        command(session=Session.open(config, as_json=as_json, quiet=quiet), **given)

    return session_options(run)


def stoppable(command: _Function) -> _Function:
    """A command that SIGTERM and SIGHUP end as Ctrl-C does: it ends what it started, and cleans up.

    By default they would end this process alone.
    """
    return _as_interrupts()(command)


@contextmanager
def _as_interrupts() -> Iterator[None]:
    def interrupt(number: int, frame: FrameType | None) -> None:
        # Only the first: the next would interrupt the cleaning up.
        signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    # A signal that is ignored stays ignored: nohup asks for that.
    taken = [number for number in _SIGNALS if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def session_options(function: _Function) -> _Function:
    """The options that every command takes, one by one."""
    for option in (
        click.option("--quiet", "-q", is_flag=True, help="Print the result and nothing else."),
        click.option("--json", "as_json", is_flag=True, help="Print one versioned JSON document."),
        click.option(
            "--config",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="Configuration file.  [default: the nearest lambdapack.toml or pyproject.toml]",
        ),
    ):
        function = option(function)
    return function


def glibc_version(text: str | None) -> tuple[int, int] | None:
    """``"2.28"`` -> ``(2, 28)``."""
    if text is None:
        return None
    if not re.fullmatch(r"2\.\d{1,2}", text):
        raise ConfigurationError(f"{text!r} is not a version of glibc like 2.28", hint="mend --glibc")
    return (2, int(text[2:]))


def read_payload(text: str | None, default: Path | None) -> bytes:
    """The event as bytes: JSON, ``@FILE``, ``-`` for stdin; else the file ``default``, else ``{}``."""
    try:
        if text == "-":
            data = sys.stdin.buffer.read()
        elif text is not None and text.startswith("@"):
            data = Path(text[1:]).read_bytes()
        elif text is not None:
            data = text.encode()
        else:
            data = default.read_bytes() if default is not None else b"{}"
        json.loads(data)
    except OSError as error:
        raise ConfigurationError(f"cannot read the payload: {error}") from None
    except ValueError as error:
        raise ConfigurationError(
            f"the payload is not JSON: {error}", hint="""quote it for the shell: --payload '{"key": 1}'"""
        ) from None
    return data
