"""A tree and a program -> the files that the program touches, in order of first use."""

from lambdapack.trace.modules import default_code, heuristic, public_modules
from lambdapack.trace.tracing import Program, TraceOptions, run

__all__ = ["Program", "TraceOptions", "default_code", "heuristic", "public_modules", "run"]
