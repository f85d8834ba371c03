"""The local cloud: functions run by Lambda's own runtime client, within Lambda's limits, without an account.

In go a ``FunctionSpec`` and a pack's path (``LocalCloud.deploy``), then payloads (``LocalCloud.invoke``); out
come ``Invocation`` values with Lambda's log lines. ``serve`` keeps a cloud running for several commands;
``profiling`` looks into a cold start, import by import.
"""

from lambdapack.local.cloud import DEFAULT_STATE, LocalCloud
from lambdapack.local.invocation import Invocation, find_stats
from lambdapack.local.link import Fault, LinkSettings
from lambdapack.local.server import serve

__all__ = ["DEFAULT_STATE", "Fault", "Invocation", "LinkSettings", "LocalCloud", "find_stats", "serve"]
