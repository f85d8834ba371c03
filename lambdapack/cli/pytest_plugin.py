"""Lets ``runtime_shim.path`` find assets in unit tests: pytest loads this by itself.

Below a configuration with ``[assets]``, ``LAMBDAPACK_ASSETS`` is set to their sources for the run. It is
left alone where it is set already.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

__all__ = ["pytest_configure", "pytest_unconfigure"]

_VARIABLE = "LAMBDAPACK_ASSETS"
_set: list[str] = []


class _Config(Protocol):
    """What is asked of pytest's configuration."""

    @property
    def rootpath(self) -> Path:
        """The folder that pytest takes for the project's."""


def pytest_configure(config: _Config) -> None:
    """Say where the assets are."""
    if _VARIABLE in os.environ:
        return
    file = _file(config.rootpath)
    if file is None:
        return
    # Most runs have no such file, and pay for none of this.
    import pytest

    from lambdapack import config as configuration
    from lambdapack.errors import ConfigurationError

    try:
        assets = configuration.load(file).assets
    except ConfigurationError as error:
        raise pytest.UsageError(error.message) from None
    if assets:
        os.environ[_VARIABLE] = os.pathsep.join(
            f"{name}={file.parent / one.path}" for name, one in assets.items()
        )
        _set.append(_VARIABLE)


def pytest_unconfigure() -> None:
    """Leave the environment as it was."""
    while _set:
        os.environ.pop(_set.pop(), None)


def _file(root: Path) -> Path | None:
    """The nearest configuration that may name assets, without what it costs to read it."""
    for folder in (root, *root.parents):
        for name in ("lambdapack.toml", "pyproject.toml"):
            path = folder / name
            try:
                text = path.read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            if name == "lambdapack.toml" or "[tool.lambdapack" in text:
                return path if "assets" in text else None
    return None
