"""Lets ``runtime_shim.path`` find assets in unit tests: pytest loads this module by itself.

Below a configuration with ``[assets]``, ``LAMBDAPACK_ASSETS`` is set to their sources for the run; a value
that the variable has already stays.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

_VARIABLE = "LAMBDAPACK_ASSETS"


def pytest_configure(config: pytest.Config) -> None:
    """Set the variable to where the assets are; the environment is left as it was."""
    if _VARIABLE in os.environ:
        return
    file = _file(config.rootpath)
    if file is None:
        return
    # Most runs have no such file, and must not pay for these imports.
    import pytest

    from lambdapack import config as configuration
    from lambdapack.errors import ConfigurationError

    try:
        assets = configuration.load(file).assets
    except ConfigurationError as error:
        raise pytest.UsageError(error.message) from None
    if assets:
        named = [f"{name}={file.parent / asset.path}" for name, asset in assets.items()]
        patch = pytest.MonkeyPatch()
        patch.setenv(_VARIABLE, os.pathsep.join(named))
        config.add_cleanup(patch.undo)


def _file(root: Path) -> Path | None:
    """The nearest configuration file that may name assets; nothing heavy is imported to find out."""
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
