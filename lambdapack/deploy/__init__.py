"""The deploy stage: the function's zip (``bundle``) and the clouds that take it (``aws``)."""

from lambdapack.deploy.handler import SHIM_HANDLER, WRAPPED_VARIABLE, Modules, check, targets
from lambdapack.deploy.release import LOCAL_LOCATION, FunctionOptions, Release, locate, package, prepare
from lambdapack.deploy.sources import collect

__all__ = [
    "LOCAL_LOCATION",
    "SHIM_HANDLER",
    "WRAPPED_VARIABLE",
    "FunctionOptions",
    "Modules",
    "Release",
    "check",
    "collect",
    "locate",
    "package",
    "prepare",
    "targets",
]
