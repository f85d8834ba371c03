"""A pack that is not there yet, from the directories of its wheels."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from lambdapack import plan
from lambdapack.model import Need, Target, Wheel, WheelFile
from lambdapack.plan import Graph, estimated
from lambdapack.report.verdict import verdict_tables
from runtime_shim import _index

TARGET = Target("3.12", "x86_64")
SIZE = st.integers(0, 10**8)
FILE = st.builds(
    lambda stem, end, size, compressed, loaded: WheelFile(
        stem + end, size, min(compressed, size), min(loaded, size)
    ),
    st.sampled_from(["x/a", "x/b", "x/tests/c", "x-1.dist-info/d"]),
    st.sampled_from([".py", ".so", ".cpython-312-x86_64-linux-gnu.so", ".bin", ".pyc"]),
    SIZE, SIZE, SIZE,
)  # fmt: skip
FILES = st.lists(FILE, max_size=8, unique_by=lambda file: file.path)


def of(*wheels: Wheel, **more: object) -> plan.Facts:
    return estimated(wheels, TARGET, frozenset(), **more)  # type: ignore[arg-type]


@settings(deadline=None)
@given(FILES, FILES)
def test_an_estimate_is_an_index_like_that_of_a_pack(one: list[WheelFile], two: list[WheelFile]) -> None:
    """Its frames hold its files, and the rows add up to the pack; another wheel never makes less of any."""
    other = tuple(file._replace(path=f"y{file.path}") for file in two)
    wheels = (Wheel("x", "1", tuple(one), b""), Wheel("y", "2", other, b""))
    less, facts = of(wheels[0]), of(*wheels)
    index = facts.index
    ends = [offset + -(-size // 512) * 512 for offset, size in zip(index.offsets, index.sizes, strict=True)]
    assert ends[:-1] == [offset - 512 for offset in index.offsets[1:]]
    assert sum(index.frame_size) == (ends[-1] if ends else 0)
    before, after = plan.assess(less), plan.assess(facts)
    assert sum(row.stored for row in after.rows) == after.stored
    for size in ("installed", "slimmed", "stored", "hot", "eager", "tmp_stream", "tmp_disk", "tmp_all"):
        assert getattr(after, size) >= getattr(before, size)
    assert after.estimated is not None and plan.document(after)["estimate"] is True


def test_each_kind_of_file_becomes_what_a_build_makes_of_it() -> None:
    """Source has bytecode beside; symbols of a library go; what is dropped is gone."""
    files = (
        WheelFile("x/a.py", 1000, 400, 1000),
        WheelFile("x/l.so", 1_000_000, 300_000, 400_000),
        WheelFile("x/tests/t.py", 500, 200, 500),
        WheelFile("x-1.dist-info/METADATA", 100, 50, 100),
    )
    facts = estimated((Wheel("x", "1", files, b""),), TARGET, {"x/tests/t.py"})
    kinds = dict(zip(facts.index.paths, facts.index.classes, strict=True))
    assert kinds == {
        "x/a.py": _index.SOURCE, "x/__pycache__/a.cpython-312.pyc": _index.CODE, "x/l.so": _index.LIBRARY,
        "x-1.dist-info/METADATA": _index.METADATA,
    }  # fmt: skip
    sizes = dict(zip(facts.index.paths, facts.index.sizes, strict=True))
    assert sizes["x/l.so"] == 388_000 and sizes["x/__pycache__/a.cpython-312.pyc"] == 1200
    (built,) = facts.distributions
    assert (built.top_level, built.installed_bytes) == (("x",), 1_001_600 + 1800)
    assert built.slimmed_bytes == sum(facts.index.sizes)
    bare = estimated((Wheel("x", "1", files, b""),), TARGET, (), sources=False)
    assert "x/a.py" not in bare.index.paths


def test_an_estimate_is_told_as_one() -> None:
    """In the table, with how far it may be off, and with what nothing is known of."""
    graph = Graph((Need("x"),), {"x": ()})
    facts = of(Wheel("x", "1", (WheelFile("x.py", 10, 5, 10),), b""), graph=graph, unknown=("annoy",))
    console = Console(width=300, record=True)
    with console.capture() as shown:
        console.print(verdict_tables(plan.assess(facts)))
    assert "an estimate, from the directories of 1 wheel: the pack is usually within 10%" in shown.get()
    assert "unknown, and counted as nothing, as there is no wheel: annoy" in shown.get()
