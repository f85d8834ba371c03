"""The local cloud: functions run by Lambda's own runtime client, within Lambda's limits, without an account.

``LocalCloud`` is the whole of it; ``lambdapack.local.server.serve`` keeps one running.
"""

from lambdapack.local.cloud import DEFAULT_STATE, LocalCloud
from lambdapack.local.invocation import Invocation
from lambdapack.local.link import Fault
from lambdapack.local.server import serve

__all__ = ["DEFAULT_STATE", "Fault", "Invocation", "LocalCloud", "serve"]
