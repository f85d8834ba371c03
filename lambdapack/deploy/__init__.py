"""The deploy stage: a function's code and its pack go in; a zip, or a function in AWS, comes out."""

from lambdapack.deploy import policy
from lambdapack.deploy.function import FunctionOptions
from lambdapack.deploy.handler import (
    SHIM_HANDLER,
    WRAPPED_VARIABLE,
    Modules,
    check_handler,
    imported_names,
)
from lambdapack.deploy.layer import Layers
from lambdapack.deploy.release import LOCAL_LOCATION, Release, Rollout, deploy, layer, package
from lambdapack.deploy.shipped import Shipped, shipped
from lambdapack.deploy.sources import collect_sources

__all__ = [
    "LOCAL_LOCATION", "SHIM_HANDLER", "WRAPPED_VARIABLE", "FunctionOptions", "Layers", "Modules", "Release",
    "Rollout", "Shipped", "check_handler", "collect_sources", "deploy", "imported_names", "layer", "package",
    "policy", "shipped",
]  # fmt: skip
