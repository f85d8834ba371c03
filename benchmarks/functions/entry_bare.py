"""A function without dependencies."""


def handler(event, context):
    return None
