"""Which files a program touches, in order of first use."""

from lambdapack.trace.modules import default_code
from lambdapack.trace.tracing import run
from lambdapack.trace.walk import heuristic

__all__ = ["default_code", "heuristic", "run"]
