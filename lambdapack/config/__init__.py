"""``lambdapack.toml``, or its tables in ``pyproject.toml``, as a checked value."""

from lambdapack.config.environment_file import read_environment
from lambdapack.config.model import FILE_NAME, Config, discover, load

__all__ = ["FILE_NAME", "Config", "discover", "load", "read_environment"]
