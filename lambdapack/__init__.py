"""lambdapack: run Python dependencies that are too heavy for AWS Lambda.

The table of contents, in the order in which a build passes through it: ``lock`` -> ``install`` ->
``trace`` -> ``slim`` -> ``pack`` -> ``plan`` -> ``store`` -> ``deploy``. What Python callers may use is in
``__all__`` here and in the packages that ``docs/python.md`` names; each is imported when it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lambdapack.errors import CheckError, ConfigurationError, LambdapackError, ToolError
    from lambdapack.model import Target
    from lambdapack.pack.assets import Asset
    from lambdapack.pipeline import BuildOptions, BuildReport, BuildResult, Reuse, build
    from lambdapack.progress import Progress
    from lambdapack.slim import SlimOptions
    from lambdapack.trace import TraceOptions

__all__ = [
    "Asset", "BuildOptions", "BuildReport", "BuildResult", "CheckError", "ConfigurationError",
    "LambdapackError", "Progress", "Reuse", "SlimOptions", "Target", "ToolError", "TraceOptions",
    "__version__", "build",
]  # fmt: skip

__version__ = "0.1.0"
_HOMES = {
    "lambdapack.errors": ("CheckError", "ConfigurationError", "LambdapackError", "ToolError"),
    "lambdapack.model": ("Target",),
    "lambdapack.pack.assets": ("Asset",),
    "lambdapack.pipeline": ("BuildOptions", "BuildReport", "BuildResult", "Reuse", "build"),
    "lambdapack.progress": ("Progress",),
    "lambdapack.slim": ("SlimOptions",),
    "lambdapack.trace": ("TraceOptions",),
}


def __getattr__(name: str) -> Any:
    """Import the room of a public name, once the name is asked for."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module 'lambdapack' has no attribute {name!r}")
