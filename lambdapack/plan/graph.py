"""Who needs whom in a pack: chains from what the user asked for, and what would go with a distribution.

A distribution without extras and each of its extras are nodes of their own: ``a`` that needs ``b[x]`` needs
``b``, and all that ``b`` needs for ``x``, which another one that needs plain ``b`` does not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from lambdapack.model import Need

_Node = tuple[str, str]
"""A distribution's name with one of its extras; ``""`` is the distribution itself."""


@dataclass(frozen=True)
class Graph:
    """The dependencies of a pack.

    Attributes:
        asked: What the user asked for.
        needs: Name of each distribution in the pack -> what it needs.
        assumed: Names in ``asked`` that the user did not write, of which nothing says who needs them.
    """

    asked: tuple[Need, ...]
    needs: Mapping[str, tuple[Need, ...]]
    assumed: frozenset[str] = frozenset()

    def reached(self, asked: Iterable[Need] | None = None, *, without: str = "") -> frozenset[str]:
        """Names that ``asked`` need, themselves included, if the distribution ``without`` were not there.

        By default ``asked`` is what the user asked for.
        """
        return frozenset(name for name, _ in self._walk(asked, without))

    def needed_by(self, name: str) -> tuple[str, ...]:
        """The distributions that need ``name`` themselves, sorted."""
        return tuple(sorted({parent for parent, _ in self._parents(name, self._walk())} - {name}))

    def chains(self, name: str) -> tuple[tuple[str, ...], ...]:
        """How the user came to ``name``: a shortest chain for each distribution that needs that one.

        A chain begins with what the user asked for and ends with ``name``; extras stand in brackets.
        A distribution that is itself there only for ``name`` gives none.
        """
        walked = self._walk(without=name)
        chains = [(name,)] if any(need.name == name for need in self.asked) else []
        parents: dict[str, tuple[str, ...]] = {}
        for node in self._parents(name, walked):
            chain = (*_path(walked, node), name)
            best = parents.setdefault(node[0], chain)
            parents[node[0]] = min(best, chain, key=len)
        return (*chains, *sorted(parents.values(), key=lambda chain: (len(chain), chain)))

    def goes_with(self, name: str) -> frozenset[str]:
        """The other distributions that nothing needs any more once ``name`` is gone."""
        return self.reached() - self.reached(without=name) - {name}

    def only_asked(self, name: str) -> frozenset[str]:
        """Those that would stay without ``name`` only since the user asks for them by name, too."""
        extras = {extra for node, extra in self._walk() if node == name and extra}
        below = self.reached([Need(name, extras=tuple(sorted(extras)))])
        others = [need for need in self.asked if need.name not in below]
        kept = self.reached(others, without=name)
        return below - kept - self.goes_with(name) - {name}

    def _walk(self, asked: Iterable[Need] | None = None, without: str = "") -> dict[_Node, _Node | None]:
        """Each node that ``asked`` need -> the node that led there on a shortest way; ``None``: the user."""
        walked: dict[_Node, _Node | None] = {}
        waiting: deque[tuple[Need, _Node | None]] = deque(
            (need, None) for need in (self.asked if asked is None else asked)
        )
        while waiting:
            need, parent = waiting.popleft()
            if need.name == without or need.name not in self.needs:
                continue
            for extra in ("", *need.extras):
                node = (need.name, extra)
                if node not in walked:
                    walked[node] = parent
                    waiting.extend((further, node) for further in self._of(node))
        return walked

    def _of(self, node: _Node) -> Iterator[Need]:
        """The needs of a node."""
        name, extra = node
        return (need for need in self.needs[name] if (extra in need.when if extra else not need.when))

    def _parents(self, name: str, walked: Collection[_Node]) -> list[_Node]:
        return [node for node in walked if any(need.name == name for need in self._of(node))]


def _path(walked: Mapping[_Node, _Node | None], node: _Node) -> tuple[str, ...]:
    """The names from the user to ``node``, with their extras."""
    path, at = [], node
    while True:
        name, extra = at
        path.append(f"{name}[{extra}]" if extra else name)
        before = walked[at]
        if before is None:
            return tuple(reversed(path))
        at = before


def explained(graph: Graph) -> Graph:
    """The graph with a reason for each distribution that is in the pack.

    A lock file does not say which extras were asked for. A distribution that nothing explains otherwise is
    taken to be there for any extra that brings it, and what not even that explains as asked for.
    """
    while True:
        reached = graph.reached()
        missing = frozenset(graph.needs) - reached
        if not missing:
            return graph
        needs = {
            name: tuple(
                replace(need, when=()) if name in reached and need.when and need.name in missing else need
                for need in found
            )
            for name, found in graph.needs.items()
        }
        if needs == graph.needs:
            wanted = {need.name for name in missing for need in needs[name] if need.name != name}
            # Those that need one another in a circle have no first one.
            roots = sorted(missing - wanted) or sorted(missing)[:1]
            asked, assumed = (*graph.asked, *map(Need, roots)), graph.assumed | frozenset(roots)
            graph = replace(graph, asked=asked, assumed=assumed)
        else:
            graph = replace(graph, needs=needs)
