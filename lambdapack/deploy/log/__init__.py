"""A function's log: events go in; cold starts and invocations come out. Nothing here asks a network."""

from lambdapack.deploy.log.events import LogEvent
from lambdapack.deploy.log.records import EnvironmentStart, Init, Report, Restore, ShimLine, read
from lambdapack.deploy.log.starts import ColdStart, LoggedInvocation, Starts, invocations

__all__ = [
    "ColdStart", "EnvironmentStart", "Init", "LogEvent", "LoggedInvocation", "Report", "Restore", "ShimLine",
    "Starts", "invocations", "read",
]  # fmt: skip
