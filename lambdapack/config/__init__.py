"""``lambdapack.toml``, or its tables in ``pyproject.toml``, as a checked value."""

from lambdapack.config.model import FILE_NAME, Config, discover, load

__all__ = ["FILE_NAME", "Config", "discover", "load"]
