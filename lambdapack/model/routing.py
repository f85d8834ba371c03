"""Where an alias sends its calls."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Routing:
    """The versions behind an alias.

    Attributes:
        version: The version that has all calls but those of ``other``.
        other: A second version, ``None`` without one.
        weight: The share of calls that ``other`` gets, from 0 to 1; 0 without one.
    """

    version: str
    other: str | None = None
    weight: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1 or (self.other is None and self.weight):
            raise ValueError(f"no share of calls: {self}")

    @property
    def shares(self) -> dict[str, float]:
        """Version -> share of calls; they add up to 1."""
        if self.other is None:
            return {self.version: 1.0}
        return {self.version: 1 - self.weight, self.other: self.weight}
