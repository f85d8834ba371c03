"""A project of the check's own, and the commands that a user would run in its folder."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.aws_check.plan import Settings
from lambdapack.errors import CheckError, ToolError

__all__ = ["FAIL", "Project"]

FAIL = "LAMBDAPACK_CHECK_FAIL"
"""The variable with which the function fails each call."""
_APP = f"""\
import runtime_shim  # first: it brings the pack
import os
import workload


def handler(event, context):
    if os.environ.get("{FAIL}"):
        raise RuntimeError("as the check asked")
    return workload.handler(event, context)
"""


@dataclass(frozen=True)
class Project:
    """A folder with a function.

    Attributes:
        folder: The folder.
        settings: Of the check.
        location: Where the pack goes, ``s3://BUCKET/PREFIX``.
    """

    folder: Path
    settings: Settings
    location: str

    def write(self, workload: Path) -> None:
        """Write the function around a module with ``handler(event, context)``."""
        source = self.folder / "src"
        source.mkdir(parents=True, exist_ok=True)
        (source / "app.py").write_text(_APP)
        shutil.copy(workload, source / "workload.py")
        self.configure()

    def configure(self, *, snap_start: bool = False, variables: Mapping[str, str] | None = None) -> None:
        """Write ``lambdapack.toml``."""
        given = self.settings
        lines = [
            "[build]", f"requirements = {json.dumps(list(given.requirements))}",
            f'python = "{given.python}"', f'arch = "{given.arch}"',
            "[trace]", 'handler = "app.handler"',
            "[store]", f'location = "{self.location}"', f'region = "{given.region}"',
            "[function]", 'handler = "app.handler"', 'source = "src"', f"memory = {given.memory_mb}",
            "timeout = 30", "log_retention = 1", f"snap-start = {str(snap_start).lower()}",
            "[function.environment]", *(f'{key} = "{value}"' for key, value in (variables or {}).items()),
        ]  # fmt: skip
        (self.folder / "lambdapack.toml").write_text("\n".join(lines) + "\n")

    def run(self, *words: str, status: int = 0) -> dict[str, Any]:
        """Run one command; the document that it prints, empty where it is to fail.

        Raises:
            CheckError: It ended otherwise than with ``status``.
        """
        command = [sys.executable, "-m", "lambdapack", *words, "--json"]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        said = " ".join(words)
        if done.returncode != status:
            raise CheckError(
                f"lambdapack {said} ended with status {done.returncode} instead of {status}",
                detail="\n".join((done.stdout + done.stderr).splitlines()[-20:]),
                hint="what the check has made is destroyed now",
            )
        if status:
            return {}
        try:
            document: dict[str, Any] = json.loads(done.stdout)
        except ValueError as error:
            raise ToolError(f"lambdapack {said} printed no document: {error}") from error
        return document
