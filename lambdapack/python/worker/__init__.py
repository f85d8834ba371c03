"""Have the target's own Python, which has nothing but the standard library, do a piece of work."""

from lambdapack.python.worker.asking import SETTLED, STARTER, Elsewhere, ask, command, library_path

__all__ = ["SETTLED", "STARTER", "Elsewhere", "ask", "command", "library_path"]
