"""What the model of a cold start is fed with: a profile, a pack's decoding, and real starts.

A ``CalibrationRecord`` is kept in the build folder, one for each cloud; the plan reads it.
"""

from lambdapack.pipeline.calibration.local import MEMORIES, Subject, calibrate
from lambdapack.pipeline.calibration.record import VERSION, CalibrationRecord, assumed, body, read, write
from lambdapack.pipeline.calibration.starts import from_log

__all__ = [
    "MEMORIES", "VERSION", "CalibrationRecord", "Subject", "assumed", "body", "calibrate", "from_log", "read",
    "write",
]  # fmt: skip
