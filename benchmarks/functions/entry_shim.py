"""A function whose pack is in place already, and that uses none of it."""

import runtime_shim  # noqa: F401


def handler(event, context):
    return None
