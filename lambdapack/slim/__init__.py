"""An installed tree -> a smaller one, with the proof that it still imports and runs as before."""

from lambdapack.slim.proof import SlimResult, slim
from lambdapack.slim.select import SlimOptions, check_options

__all__ = ["SlimOptions", "SlimResult", "check_options", "slim"]
