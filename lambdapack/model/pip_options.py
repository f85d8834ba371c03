"""pip's options on where packages come from, as a value that requirements and locks carry."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class PipOptions:
    """Options for a run of pip. Addresses among them may hold credentials, so ``repr`` shows none.

    Attributes:
        pairs: Option and value in order, e.g. ``(("find-links", "/wheels"), ("pre", ""))``. Options are
            named as in pip's configuration, without dashes; the value of a flag is empty.
    """

    pairs: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @classmethod
    def find_links(cls, *places: Path) -> PipOptions:
        """The options that let pip look at ``places``: folders of wheels, or pages that link to wheels."""
        return cls(tuple(("find-links", str(place)) for place in places))

    def __add__(self, other: PipOptions) -> PipOptions:
        return PipOptions(self.pairs + other.pairs)

    @property
    def arguments(self) -> tuple[str, ...]:
        """The options as words of a command line."""
        return tuple(word for option, value in self.pairs for word in (f"--{option}", value) if word)

    @property
    def text(self) -> str:
        """The options as lines of a requirements file."""
        return "".join(f"{' '.join([f'--{option}', *value.split()])}\n" for option, value in self.pairs)

    def values(self, options: Collection[str]) -> Iterator[str]:
        """The values of those ``options`` that are given."""
        return (value for option, value in self.pairs if option in options)

    def without(self, *options: str) -> PipOptions:
        """All but ``options``."""
        return PipOptions(tuple(pair for pair in self.pairs if pair[0] not in options))

    def mapped(self, options: Collection[str], change: Callable[[str], str]) -> PipOptions:
        """The same options, with the values of ``options`` changed."""
        return PipOptions(
            tuple((option, change(value) if option in options else value) for option, value in self.pairs)
        )


NO_OPTIONS = PipOptions()
"""Nothing but what pip's configuration says."""
