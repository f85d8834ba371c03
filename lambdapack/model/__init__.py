"""The values that flow between stages. Frozen, without behaviour that needs a disk or a network."""

from lambdapack.model.function import FunctionAsset, FunctionSpec, Location
from lambdapack.model.lock import LeftOut, Lock, Pin
from lambdapack.model.pip_options import NO_OPTIONS, PipOptions
from lambdapack.model.slim import Dropped, ImportCheck, SlimReport
from lambdapack.model.target import AL2023_GLIBC, Target
from lambdapack.model.tree import Distribution, Lacking, SystemLibrary, Trace, Tree

__all__ = [
    "AL2023_GLIBC",
    "NO_OPTIONS",
    "Distribution",
    "Dropped",
    "FunctionAsset",
    "FunctionSpec",
    "ImportCheck",
    "Lacking",
    "LeftOut",
    "Location",
    "Lock",
    "Pin",
    "PipOptions",
    "SlimReport",
    "SystemLibrary",
    "Target",
    "Trace",
    "Tree",
]
