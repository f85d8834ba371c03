"""The local cloud: functions run by Lambda's own runtime client, within Lambda's limits, without an account.

In go a ``FunctionSpec`` and a pack's path (``LocalCloud.deploy``), then payloads (``LocalCloud.invoke``); out
come ``Invocation`` values with Lambda's log lines. ``serve`` keeps a cloud running for several commands;
``LocalTraffic`` is what a shift of calls needs; ``profiling`` looks into a cold start, import by import.
"""

from typing import TYPE_CHECKING, Any

from lambdapack.local.cloud import DEFAULT_STATE, LocalCloud
from lambdapack.local.invocation import Invocation, find_stats
from lambdapack.local.link import Fault, LinkSettings
from lambdapack.local.log_store import LogEvent, LogReader
from lambdapack.local.server import serve

if TYPE_CHECKING:
    from lambdapack.local.traffic import LocalTraffic

__all__ = [
    "DEFAULT_STATE", "Fault", "Invocation", "LinkSettings", "LocalCloud", "LocalTraffic", "LogEvent",
    "LogReader", "find_stats", "serve",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """``LocalTraffic`` on use: it brings the deploy stage along, which takes longer than all else here."""
    if name != "LocalTraffic":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lambdapack.local.traffic import LocalTraffic  # noqa: PLC0415 - slow

    return LocalTraffic
