"""Two builds side by side, and the reason for one distribution."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from lambdapack.model import Need
from lambdapack.plan import Build, Change, Graph, Share, Sizes, compare, reason, sum_of
from tests.plan.test_graph import GRAPHS

_SIZE = st.integers(0, 10**9)
_SIZES = st.builds(Sizes, _SIZE, _SIZE, _SIZE, _SIZE)
_NOTHING = Graph((), {})


def build(shares: dict[str, tuple[str, Sizes]], graph: Graph = _NOTHING, id_: str = "0" * 64) -> Build:
    """A build of distributions, each with its version and sizes."""
    listed = tuple(Share(name, version, sizes) for name, (version, sizes) in shares.items())
    return Build(id_, "lambdapack 1", "python3.12/x86_64", "3.12.1", listed, graph)


SHARES = st.dictionaries(
    st.sampled_from([*"abcde", "(index)"]), st.tuples(st.sampled_from(["1", "2"]), _SIZES), max_size=6
)
BUILDS = st.builds(build, SHARES, GRAPHS)


@given(BUILDS)
def test_a_build_is_as_itself(one: Build) -> None:
    """Nothing came, went or grew; the order in which the shares are listed is no difference."""
    assert compare(one, one).changes == ()
    assert compare(one, replace(one, shares=one.shares[::-1])).changes == ()


@given(BUILDS, BUILDS)
def test_changes_add_up(old: Build, new: Build) -> None:
    """The changes' sum is the difference of the totals; what is not listed is alike in both."""
    comparison = compare(old, new)
    assert sum_of(change.sizes for change in comparison.changes) == comparison.total
    assert comparison.total == new.total - old.total
    changed = {change.name for change in comparison.changes}
    alike = [{share for share in each.shares if share.name not in changed} for each in (old, new)]
    assert alike[0] == alike[1]


@given(BUILDS, BUILDS)
def test_the_mirrored_comparison_has_the_signs_swapped(old: Build, new: Build) -> None:
    """What came is what went the other way round, with the same chain and the same bytes."""

    def mirrored(change: Change) -> Change:
        return Change(change.name, change.new, change.old, Sizes() - change.sizes, change.chain)

    assert compare(new, old).changes == tuple(map(mirrored, compare(old, new).changes))


@given(BUILDS, BUILDS)
def test_each_change_says_what_happened(old: Build, new: Build) -> None:
    """New and gone are told from the names, and have the chain of the build that has the distribution."""
    versions = [{share.name: share.version for share in each.shares} for each in (old, new)]
    for change in compare(old, new).changes:
        was, now = (each.get(change.name) for each in versions)
        assert (change.old, change.new) == (was, now)
        kinds = {"new": was is None, "gone": now is None, "size": was == now}
        assert [kind for kind, holds in kinds.items() if holds] == [change.kind] * (change.kind != "version")
        has = {"new": new, "gone": old}.get(change.kind)
        chains = has.graph.chains(change.name) if has else ()
        assert change.chain == (chains[0] if chains else ())


@given(GRAPHS, st.data())
def test_what_is_saved_is_what_a_pack_without_would_lack(graph: Graph, data: st.DataObject) -> None:
    """The distribution and what goes with it, in bytes; no byte is counted twice or comes from elsewhere."""
    one = build({name: ("1", data.draw(_SIZES)) for name in graph.needs}, graph)
    name = data.draw(st.sampled_from(sorted(graph.needs)))
    found = reason(one, name)
    left = {share for share in one.shares if share not in (found.share, *found.goes)}
    assert found.saved + sum_of(share.sizes for share in left) == one.total == found.total
    assert {share.name for share in found.goes} == graph.goes_with(name)


def test_a_reason_names_the_versions_and_who_asked() -> None:
    """What each that needs the distribution takes; one that nothing accounts for was not asked for."""
    graph = Graph((Need("a"), Need("d")), {
        "a": (Need("b", ">=2"), Need("b", "<9", when=("x",))), "b": (), "c": (Need("b"),), "d": (),
    }, frozenset("d"))  # fmt: skip
    one = build(dict.fromkeys("abcd", ("1", Sizes(1, 1, 1, 1))), graph)
    assert reason(one, "b").needed_by == {"a": ">=2"}
    assert [reason(one, name).asked for name in "abd"] == [True, False, False]
