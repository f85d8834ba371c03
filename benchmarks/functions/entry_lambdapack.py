"""The function as lambdapack wants it."""

import runtime_shim  # noqa: F401

from workload import handler  # noqa: F401
