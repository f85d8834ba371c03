"""Wheels of local packages, built on this machine: only of pure Python, which is the same everywhere."""

from __future__ import annotations

from pathlib import Path

from lambdapack.errors import ConfigurationError, ToolError
from lambdapack.files import scratch_folder
from lambdapack.model import PipOptions
from lambdapack.python import pip
from lambdapack.python.interpreter import Interpreter
from lambdapack.python.wheel_recipe import build_environment

__all__ = ["pure_wheel"]

# As in the image: neither the clock nor the order of a set may show in what is built.
_VARIABLES = {"SOURCE_DATE_EPOCH": "315532800", "PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C.UTF-8"}


def pure_wheel(
    interpreter: Interpreter,
    source: Path,
    destination: Path,
    *,
    label: str,
    sources: PipOptions,
    tools: Path,
) -> Path:
    """Build a wheel with pip and build isolation.

    Args:
        interpreter: The target's Python.
        source: A folder or an sdist.
        destination: A folder for the wheel; it is made.
        label: The package's name, for messages.
        sources: pip's options on where build dependencies are.
        tools: A folder with pip.

    Raises:
        ConfigurationError: What was built is for one platform.
        ToolError: The build failed.
    """
    doing = f"building a wheel of {label}"
    with scratch_folder() as scratch:
        try:
            pip.run(
                ["wheel", "--no-deps", *sources.arguments, "--wheel-dir", destination, source],
                doing=doing,
                variables={**_VARIABLES, "TMPDIR": str(scratch)},
                inherited=build_environment(),
                pip=(interpreter.path, "-s", tools / "pip" / "__pip-runner__.py"),
            )
        except ToolError as error:
            error.hint = error.hint or "if it needs a compiler or a library, use --builder docker"
            raise
    found = list(destination.glob("*.whl"))
    if len(found) != 1:
        raise ToolError(f"{doing} failed: pip made {len(found)} files instead of one wheel")
    if not found[0].name.endswith("-any.whl"):
        raise ConfigurationError(
            f"{label} is not pure Python: its wheel is {found[0].name}, made for this machine",
            hint="use --builder docker, which builds in the target's image",
        )
    return found[0]
