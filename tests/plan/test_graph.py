"""Who needs whom: chains and what would go, against brute force on small graphs."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from lambdapack.model import Need
from lambdapack.plan.graph import Graph, explained

NAMES = st.sampled_from("abcde")
EXTRAS = st.lists(st.sampled_from("xy"), max_size=2, unique=True).map(tuple)
NEEDS = st.builds(Need, NAMES, st.just(""), EXTRAS, EXTRAS)
ASKED = st.lists(st.builds(Need, NAMES, st.just(""), EXTRAS), max_size=3).map(tuple)
GRAPHS = st.builds(
    Graph, ASKED, st.dictionaries(NAMES, st.lists(NEEDS, max_size=4).map(tuple), min_size=1, max_size=5)
)


def installed(graph: Graph, without: str = "") -> Mapping[str, frozenset[str]]:
    """Name -> extras of what an installer would install, by trying again until nothing is added."""
    found: dict[str, frozenset[str]] = {}
    while True:
        needs = [*graph.asked]
        for name, extras in found.items():
            needs += [need for need in graph.needs[name] if not need.when or extras & set(need.when)]
        more = dict(found)
        for need in needs:
            if need.name != without and need.name in graph.needs:
                more[need.name] = more.get(need.name, frozenset()) | set(need.extras)
        if more == found:
            return found
        found = more


@given(GRAPHS, NAMES)
def test_what_goes_is_what_an_installer_would_not_install(graph: Graph, name: str) -> None:
    """Resolving again without a distribution leaves out that one and what goes with it, and nothing else."""
    with_it, without = set(installed(graph)), set(installed(graph, without=name))
    assert graph.reached() == with_it
    assert graph.goes_with(name) == with_it - without - {name}


@given(GRAPHS, NAMES)
def test_a_chain_is_of_needs_and_ends_at_the_name(graph: Graph, name: str) -> None:
    """Each link is a need that holds with the extras in brackets; the first is asked for; none comes twice.

    And each distribution that would be there without the name and needs it has a chain.
    """
    chains = graph.chains(name)
    for chain in chains:
        links = [link.rstrip("]").partition("[")[::2] for link in chain]
        assert links[-1] == (name, "")
        assert len(set(links)) == len(links)
        first, extra = links[0]
        assert any(need.name == first and (not extra or extra in need.extras) for need in graph.asked)
        for (parent, with_extra), (child, wanted) in pairwise(links):
            assert any(
                need.name == child
                and (not wanted or wanted in need.extras)
                and (with_extra in need.when if with_extra else not need.when)
                for need in graph.needs[parent]
            )
    others = installed(graph, without=name)
    parents = {
        parent for parent, extras in others.items()
        if any(
            need.name == name and (not need.when or extras & set(need.when)) for need in graph.needs[parent]
        )
    }  # fmt: skip
    assert {chain[-2].partition("[")[0] for chain in chains if len(chain) > 1} == parents
    assert parents <= set(graph.needed_by(name))


@given(GRAPHS, NAMES)
def test_what_is_only_asked_for_goes_once_it_is_not(graph: Graph, name: str) -> None:
    """Once they are taken out of the request as well, they go with the distribution."""
    only = graph.only_asked(name)
    assert not only & (graph.goes_with(name) | {name})
    asked = tuple(need for need in graph.asked if need.name not in only)
    assert not only & set(installed(Graph(asked, graph.needs), without=name))


@given(GRAPHS)
def test_each_distribution_of_a_pack_is_explained(graph: Graph) -> None:
    """Extras that nobody wrote down and circles included; what was explained before is as before."""
    whole = explained(graph)
    assert whole.reached() == set(graph.needs)
    assert set(whole.asked) >= set(graph.asked)
    if graph.reached() == set(graph.needs):
        assert whole == graph


def test_the_extra_of_another_goes_with_the_one_that_asks_for_it() -> None:
    """a needs b[x]; b stays, since it is asked for, but what it needs for x goes with a."""
    graph = Graph(
        (Need("a"), Need("b")),
        {"a": (Need("b", extras=("x",)),), "b": (Need("c", when=("x",)), Need("d")), "c": (), "d": ()},
    )
    assert graph.goes_with("a") == {"c"}
    assert graph.chains("c") == (("a", "b[x]", "c"),)
    assert graph.chains("d") == (("b", "d"),)
    assert graph.only_asked("a") == {"b", "d"}


def test_a_circle_goes_as_a_whole() -> None:
    """Two that need one another keep neither of them, and neither explains the other."""
    graph = Graph((Need("a"),), {"a": (Need("b"),), "b": (Need("c"),), "c": (Need("b"),)})
    assert graph.goes_with("a") == {"b", "c"}
    assert graph.goes_with("b") == {"c"}
    assert graph.needed_by("b") == ("a", "c")
    assert graph.chains("b") == (("a", "b"),)


def test_an_extra_that_a_lock_file_does_not_name_explains_what_came_by_it() -> None:
    """uv.lock says "server", not "server[fast]": what only the extra needs still goes with the server."""
    graph = explained(Graph((Need("server"),), {"server": (Need("loop", when=("fast",)),), "loop": ()}))
    assert graph.goes_with("server") == {"loop"}
    assert graph.asked == (Need("server"),)
