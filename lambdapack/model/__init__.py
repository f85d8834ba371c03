"""The values that flow between stages. Frozen, without behaviour that needs a disk or a network."""

from lambdapack.model.function import (
    FUNCTION_NAME,
    FunctionAsset,
    FunctionSettings,
    FunctionSpec,
    Location,
    number_rule,
    refused_by_lambda,
)
from lambdapack.model.lock import LeftOut, Lock, Pin
from lambdapack.model.slim import Dropped, ImportCheck, SlimReport
from lambdapack.model.target import AL2023_GLIBC, Target
from lambdapack.model.tree import Distribution, Lacking, SystemLibrary, Trace, Tree

__all__ = [
    "AL2023_GLIBC", "FUNCTION_NAME", "Distribution", "Dropped", "FunctionAsset", "FunctionSettings",
    "FunctionSpec", "ImportCheck", "Lacking", "LeftOut", "Location", "Lock", "Pin", "SlimReport",
    "SystemLibrary", "Target", "Trace", "Tree", "number_rule", "refused_by_lambda",
]  # fmt: skip
