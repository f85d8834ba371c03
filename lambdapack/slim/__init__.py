"""An installed tree -> a smaller one, with the proof that it still imports and runs as before."""

from lambdapack.slim.options import SlimOptions, check_options
from lambdapack.slim.proof import SlimResult, slim

__all__ = ["SlimOptions", "SlimResult", "check_options", "slim"]
