"""Runs pip-tools' resolver inside a Python of the target's version, as if on the target's machine.

lambdapack does not import the driver: that Python runs it. It may be a Python 3.8, and sees only the
standard library and the folder of pip-tools. The driver reads one JSON object on standard input and writes
one JSON object a line on standard output: ``{"event": "package", "name"}`` for each package that is looked
up, and last ``{"event": "solved"}`` or ``{"event": "failed"}`` with the facts. ``resolver/explain.py`` says
what these mean.
"""
