"""What can go wrong, as one small hierarchy.

::

    LambdapackError              exit status 3
    |-- CheckError               1  a budget, digest or check failed
    |-- ConfigurationError       2  wrong usage, wrong configuration, wrong input
    |   `-- LinuxError           2  only Linux can do it; the command line does it in a container
    `-- ToolError                3  a tool, the network or AWS failed

A message says what was being done and what was measured against which limit; ``hint`` says what to
run or change next. The command line prints both and no traceback.
"""

from __future__ import annotations

__all__ = ["CheckError", "ConfigurationError", "LambdapackError", "LinuxError", "ToolError"]


class LambdapackError(Exception):
    """Anything that lambdapack reports to its user.

    Args:
        message: What was being done and what went wrong, in one or two sentences.
        hint: The next step: a command to run or a setting to change.
        detail: Output of a tool, shown below the message, e.g. the last lines that pip printed.
    """

    exit_status = 3

    def __init__(self, message: str, *, hint: str | None = None, detail: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.detail = detail


class CheckError(LambdapackError):
    """A budget that the user set, a digest or another check failed."""

    exit_status = 1


class ConfigurationError(LambdapackError):
    """Wrong usage, configuration or input: the user can mend it without anybody else."""

    exit_status = 2


class LinuxError(ConfigurationError):
    """Only Linux can do what was asked, and this machine runs another system."""


class ToolError(LambdapackError):
    """A tool, the network or AWS failed."""

    exit_status = 3
