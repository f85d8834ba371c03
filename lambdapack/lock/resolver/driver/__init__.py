"""Runs pip-tools' resolver inside a Python of the target's version, as if on the target's machine.

Not imported by lambdapack but run by that Python, which may be 3.8 and sees only the standard library
and the tools' folder that it is told. It reads one JSON object on standard input and writes one JSON
object a line on standard output: ``{"event": "package", "name"}`` for each package that it looks up, and
last ``{"event": "solved"}`` or ``{"event": "failed"}`` with the facts; what they mean is decided elsewhere.
"""
