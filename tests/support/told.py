"""A progress that remembers what a user would have read."""

from __future__ import annotations

from lambdapack.progress import Quiet


class Told(Quiet):
    """Keeps notes and warnings, each by itself, and both in order as ``said``."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self.said: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)
        self.said.append(message)

    def warn(self, message: str) -> None:
        self.warnings.append(message)
        self.said.append(message)
