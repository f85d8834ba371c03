"""What builds wheels of local packages and sdists: a builder of the install stage, seen from here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from lambdapack.progress import Progress


class Wheelwright(Protocol):
    """Builds wheels for one target."""

    @property
    def identity(self) -> Mapping[str, str]:
        """What a built wheel depends on besides its source, e.g. an image's id."""

    def wheel(self, source: Path, destination: Path, *, label: str, progress: Progress) -> Path:
        """Build a wheel of ``source``, a folder that may be written to or an sdist.

        Args:
            source: What to build.
            destination: A folder for the wheel; it is made.
            label: The package's name, for messages.
            progress: Told what is done.

        Returns:
            The wheel.

        Raises:
            ConfigurationError: This builder cannot build such a package.
            ToolError: The build failed.
        """
