"""A deployed function -> invocations at several memory settings, kept so that an interrupted run goes on.

A cloud invokes, a ``Record`` keeps what was measured in the build folder, ``measure`` does what is missing.
"""

from lambdapack.pipeline.tuning.clouds import AwsFunction, LocalFunction, TunableFunction
from lambdapack.pipeline.tuning.measuring import WARM, bound, measure, missing
from lambdapack.pipeline.tuning.record import Record, Subject

__all__ = [
    "WARM",
    "AwsFunction",
    "LocalFunction",
    "Record",
    "Subject",
    "TunableFunction",
    "bound",
    "measure",
    "missing",
]
