"""Run pip, which does every download and installation, and say in plain words what went wrong."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from lambdapack.errors import ConfigurationError, LambdapackError, ToolError
from lambdapack.python.worker import end_group

__all__ = ["environment", "explain", "network_error", "run", "tail"]

# Settings that would change how pip prints, or send files elsewhere than to the folder that it is told.
_FORCED = {
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INPUT": "1",
    "PIP_REQUIRE_VIRTUALENV": "0",
    "PIP_USER": "0",
    "PIP_QUIET": "0",
    "PIP_VERBOSE": "0",
    "PIP_NO_COLOR": "1",
    "PIP_PROGRESS_BAR": "off",
}
_DROPPED = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_REPORT", "PIP_DRY_RUN", "PIP_PYTHON", "PIP_PLATFORM")
_NETWORK = re.compile(
    r"connection (error|refused|reset|broken|aborted)|Name or service not known|name resolution|"
    r"Failed to (connect|establish)|timed? ?out|NewConnectionError|Max retries|ProxyError|"
    r"CERTIFICATE_VERIFY_FAILED|SSLError|Network is unreachable|(50[0-9]|429) (Server|Client) Error|"
    r"IncompleteRead|Remote end closed",
    re.IGNORECASE,
)
_LINES_OF_DETAIL = 6


def environment(
    extra: Mapping[str, str] | None = None, inherited: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """This process's variables for a run of pip: those of pip's configuration stay, Python's own do not."""
    kept = {
        name: value
        for name, value in inherited.items()
        if name not in _DROPPED and not name.startswith("PYTHON")
    }
    return {**kept, **_FORCED, **(extra or {})}


def run(
    arguments: Sequence[str | Path],
    *,
    doing: str,
    variables: Mapping[str, str] | None = None,
    inherited: Mapping[str, str] = os.environ,
    pip: Sequence[str | Path] = (),
) -> str:
    """Run ``pip ARGUMENTS`` with the Python that runs lambdapack; returns what it printed.

    Args:
        arguments: The command and its options.
        doing: What is being done, for messages, e.g. ``"installing 45 wheels"``.
        variables: Environment variables to set besides.
        inherited: The variables of this process.
        pip: The command of another Python's pip.

    Raises:
        ToolError: pip failed.
        ConfigurationError: This Python has no pip.
    """
    if not pip and importlib.util.find_spec("pip") is None:
        raise ConfigurationError(
            f"{doing} needs pip, and {sys.executable} has none",
            hint=f"{sys.executable} -m ensurepip, or install lambdapack again: pip is a dependency of it",
        )
    command = [*map(str, pip or (sys.executable, "-m", "pip")), *map(str, arguments)]
    status, text = _run(command, environment(variables, inherited))
    if status:
        raise explain(text, doing=doing, status=status)
    return text


def _run(command: Sequence[str], variables: Mapping[str, str]) -> tuple[int, str]:
    """The exit status of a command, and what it printed."""
    # A file, not a pipe: nothing has to be read while pip runs, and nothing fills up.
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=variables,
            # pip and the processes that it starts (git, compilers) are ended together.
            start_new_session=True,
        )
        try:
            status = process.wait()
        except BaseException:
            # This waits for the whole group, so that nothing writes to folders that are removed now.
            end_group(process)
            raise
        log.seek(0)
        return status, log.read()


def explain(text: str, *, doing: str, status: int) -> LambdapackError:
    """The error for a run of pip that printed ``text`` and ended with ``status``."""
    detail = tail(text)
    if re.search(r"No space left on device|Errno 28|Disk quota exceeded", text):
        return ToolError(
            f"{doing} failed: no space left on the disk",
            hint="free some, or point TMPDIR and LAMBDAPACK_CACHE at a larger disk",
            detail=detail,
        )
    lines = text.splitlines()
    at = next((number for number, line in enumerate(lines) if "DO NOT MATCH THE HASHES" in line), None)
    if at is not None:
        return ToolError(
            f"{doing} failed: a file is not the one that was locked, its SHA-256 differs",
            hint="build again to lock it anew; if that repeats, the package index or a proxy alters files",
            detail="\n".join(line.rstrip() for line in lines[at : at + 6] if line.strip()),
        )
    if _NETWORK.search(text):
        return network_error(doing, detail)
    if status < 0:
        return ToolError(f"{doing} failed: pip was ended by signal {-status}", detail=detail)
    return ToolError(f"{doing} failed: pip ended with status {status}", detail=detail)


def network_error(doing: str, detail: str | None) -> ToolError:
    """The error for a package index that could not be reached."""
    return ToolError(
        f"{doing} failed: the package index could not be reached",
        hint="check the network and pip's configuration (pip config list; HTTPS_PROXY), then run it again",
        detail=detail,
    )


def tail(text: str) -> str | None:
    """The last lines of pip's output that decide, without its warnings and progress."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.lstrip().startswith(("ERROR", "OSError", "error:"))]
    chosen = errors or [line for line in lines if not line.startswith("WARNING")] or lines
    return "\n".join(chosen[-_LINES_OF_DETAIL:]) or None
