"""A tree and a program -> the files that the program touches, in order of first use."""

from lambdapack.trace.modules import default_code, heuristic, public_modules
from lambdapack.trace.touched import logged, read_touched, write_touched
from lambdapack.trace.tracing import Program, TraceOptions, run

__all__ = [
    "Program", "TraceOptions", "default_code", "heuristic", "logged", "public_modules", "read_touched",
    "run", "write_touched",
]  # fmt: skip
