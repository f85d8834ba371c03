"""Which source a file was compiled from, and which distribution each file of a tree belongs to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from lambdapack.model.target import Target
from lambdapack.model.tree import Distribution

_CACHE = "__pycache__"


def bytecode_of(source: str, target: Target) -> str:
    """Where the target's Python looks for the bytecode of ``source``.

    >>> bytecode_of("a/b.py", Target("3.12"))
    'a/__pycache__/b.cpython-312.pyc'
    """
    folder, slash, name = source.rpartition("/")
    return f"{folder}{slash}{_CACHE}/{name.removesuffix('.py')}.{target.cache_tag}.pyc"


def is_cached(path: str) -> bool:
    """Whether a file is bytecode in a ``__pycache__`` folder."""
    folder, _, name = path.rpartition("/")
    return name.endswith(".pyc") and folder.rpartition("/")[2] == _CACHE


def source_of(path: str) -> str:
    """The source of a module's bytecode, wherever that lies; any other path is its own source.

    >>> source_of("a/__pycache__/b.cpython-311.pyc"), source_of("a/b.pyc"), source_of("a/b.so")
    ('a/b.py', 'a/b.py', 'a/b.so')
    """
    if not is_cached(path):
        return path[:-1] if path.endswith(".pyc") else path
    folder, _, name = path.rpartition("/")
    return f"{folder.removesuffix(_CACHE)}{name.split('.')[0]}.py"


@dataclass(frozen=True)
class Owners:
    """The owners of files, as RECORDs tell them.

    Attributes:
        recorded: Path -> the distribution whose RECORD lists it; the last one, where several do.
        claims: Top-level name -> distributions that have something below it, besides those of ``recorded``.
    """

    recorded: Mapping[str, str]
    claims: Mapping[str, frozenset[str]]

    @classmethod
    def installed(cls, distributions: Iterable[Distribution]) -> Owners:
        """The owners by name, of a tree's files."""
        return cls({path: each.name for each in distributions for path in each.files}, {})

    def of(self, path: str) -> str | None:
        """The distribution that a file belongs to; ``None`` where no RECORD tells.

        What no RECORD lists (bytecode that was compiled after the installation, files that a build left)
        belongs to whom its source belongs to, or everything else below its top-level name.
        """
        source = source_of(path)
        owner = self.recorded.get(path) or self.recorded.get(source)
        if owner is not None:
            return owner
        candidates = self._by_top_level.get(source.split("/", 1)[0], set())
        return next(iter(candidates)) if len(candidates) == 1 else None

    @cached_property
    def _by_top_level(self) -> Mapping[str, set[str]]:
        names: dict[str, set[str]] = defaultdict(set)
        for top, claiming in self.claims.items():
            names[top].update(claiming)
        for path, name in self.recorded.items():
            names[path.split("/", 1)[0]].add(name)
        return names
