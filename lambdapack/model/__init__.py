"""The values that flow between stages. Frozen, without behaviour that needs a disk or a network."""

from lambdapack.model import runtimes
from lambdapack.model.access import Caller, SecretReference
from lambdapack.model.function import (
    FUNCTION_NAME,
    Files,
    FunctionAsset,
    FunctionSettings,
    FunctionSpec,
    Location,
    Place,
    number_rule,
    refused_by_lambda,
)
from lambdapack.model.lock import NO_OPTIONS, LeftOut, Lock, Pin, PipOptions
from lambdapack.model.needs import Need
from lambdapack.model.owners import Owners, bytecode_of, is_cached, source_of
from lambdapack.model.routing import Routing
from lambdapack.model.shift import Shift
from lambdapack.model.slim import ImportCheck, RuleSaving, SlimReport
from lambdapack.model.target import Target
from lambdapack.model.tree import Distribution, MissingLibrary, SystemLibrary, Trace, Tree
from lambdapack.model.wheel import Wheel, WheelFile

__all__ = [
    "FUNCTION_NAME", "NO_OPTIONS", "Caller", "Distribution", "Files", "FunctionAsset", "FunctionSettings",
    "FunctionSpec", "ImportCheck", "LeftOut", "Location", "Lock", "MissingLibrary", "Need", "Owners", "Pin",
    "PipOptions", "Place", "Routing", "RuleSaving", "SecretReference", "Shift", "SlimReport",
    "SystemLibrary", "Target", "Trace", "Tree", "Wheel", "WheelFile",
    "bytecode_of", "is_cached", "number_rule", "refused_by_lambda", "runtimes", "source_of",
]  # fmt: skip
