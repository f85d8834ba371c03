"""An installed tree -> a smaller one, with the proof that it still imports and runs as before."""

from lambdapack.slim.proof import SlimResult, slim
from lambdapack.slim.select import SlimOptions, by_name, check_options

__all__ = ["SlimOptions", "SlimResult", "by_name", "check_options", "slim"]
