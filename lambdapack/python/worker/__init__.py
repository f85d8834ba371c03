"""Have the target's own Python, which has nothing but the standard library, do a piece of work."""

from lambdapack.python.worker.asking import SETTLED, STARTER, Elsewhere, ask, command, library_path
from lambdapack.python.worker.ending import end_group

__all__ = ["SETTLED", "STARTER", "Elsewhere", "ask", "command", "end_group", "library_path"]
