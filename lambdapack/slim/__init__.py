"""An installed tree -> a smaller one that imports and runs as before, and the proof of it."""

from lambdapack.slim.cut import SlimOptions, check_options
from lambdapack.slim.proof import Runner, Slimmed, slim

__all__ = ["Runner", "SlimOptions", "Slimmed", "check_options", "slim"]
