"""The plan's arithmetic: shares, limits, budgets, and the document."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdapack import limits, plan
from lambdapack.errors import CheckError
from lambdapack.plan import AssetFacts, Budget, Facts, LibraryFacts
from lambdapack.plan.cold_start import predicted
from lambdapack.plan.shares import owners_by_name, share, stored_by_file
from runtime_shim._index import ARENA, Index
from runtime_shim._space import bytes_on_disk


@dataclass(frozen=True)
class Built:
    name: str
    version: str = "1.0"
    top_level: tuple[str, ...] = ()
    installed_bytes: int = 0
    slimmed_bytes: int = 0


def make_index(
    files: list[tuple[str, str, int]], stored: list[int], *, hot: int = 0, eager: int | None = None
) -> Index:
    """An index of ``(path, class letter, size)``, cut into frames of about equal size."""
    offsets, at = [], 0
    for _, _, size in files:
        offsets.append(at + 512)
        at += 512 + -(-size // 512) * 512
    sizes = share(at, [1] * len(stored)) if stored else []
    return Index(
        target="python3.11/x86_64", lock="0" * 64, tool="test", glibc="", hot=hot,
        eager=len(stored) if eager is None else eager, frame_stored=stored, frame_size=sizes,
        frame_sha256=["0" * 64] * len(stored), paths=[f[0] for f in files],
        classes="".join(f[1] for f in files), sizes=[f[2] for f in files], offsets=offsets, executable=[],
        needs={}, native={},
    )  # fmt: skip


FILES = st.lists(
    st.tuples(
        st.sampled_from(
            ["a/x.py", "b/y.so", "c-1.0.dist-info/METADATA", "d.libs/z.so", "__pycache__/e.pyc", "f.py"]
        ),
        st.sampled_from("csmxldn"),
        st.integers(0, 5000),
    ),
    max_size=12,
)
STORED = st.lists(st.integers(0, 10_000), min_size=1, max_size=6)


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**9), min_size=1, max_size=30))
def test_shares_add_up_and_are_within_one_of_exact(total: int, weights: list[int]) -> None:
    """Parts are whole, add up to the total, and none is off its exact share by a whole unit."""
    parts = share(total, weights)
    assert sum(parts) == total
    if sum(weights):
        for part, weight in zip(parts, weights, strict=True):
            assert abs(part * sum(weights) - total * weight) < sum(weights)


@given(FILES, STORED, st.data())
def test_rows_add_up_to_the_pack(
    files: list[tuple[str, str, int]], stored: list[int], data: st.DataObject
) -> None:
    """Whatever the files and frames, the rows' sums are the pack's own sums, to the byte."""
    hot = data.draw(st.integers(0, len(stored)))
    extra = data.draw(st.integers(0, 1000))
    index = make_index(files, stored, hot=hot, eager=data.draw(st.integers(hot, len(stored))))
    verdict = plan.assess(
        Facts(index, pack_bytes=sum(stored) + extra, distributions=(Built("a", top_level=("a",)),))
    )
    assert sum(row.stored for row in verdict.rows) == sum(stored) + extra == verdict.stored
    assert sum(row.hot for row in verdict.rows) == sum(stored[:hot]) == verdict.hot
    assert sum(row.slimmed for row in verdict.rows) == sum(index.sizes) == verdict.slimmed
    assert [row.stored for row in verdict.rows] == sorted((row.stored for row in verdict.rows), reverse=True)


@given(FILES.filter(bool), STORED)
def test_a_file_gets_nothing_of_frames_that_it_is_not_in(
    files: list[tuple[str, str, int]], stored: list[int]
) -> None:
    """A frame is shared among the files that have bytes in it, headers and padding included."""
    index = make_index(files, stored)
    parts, _ = stored_by_file(index)
    ends = list(accumulate(512 + -(-size // 512) * 512 for _, _, size in files))
    for file, end in enumerate(ends):
        start = ends[file - 1] if file else 0
        within = [
            frame for frame in range(len(stored))
            if index.frame_start[frame] < end and index.frame_start[frame + 1] > start
        ]  # fmt: skip
        assert parts[file] <= sum(stored[frame] for frame in within)


def test_a_frame_is_shared_by_uncompressed_bytes() -> None:
    """Two files of 512 and 1,536 bytes, each with its header, share one frame 1024 : 2048."""
    index = make_index([("a/x", "d", 512), ("b/y", "d", 1536)], [300])
    assert stored_by_file(index) == ([100, 200], [0, 0])


def test_owners_are_told_from_dist_info_import_name_and_libs_folder() -> None:
    """A path belongs to the distribution whose folder it is in; what several share is a row of its own."""
    built = [
        Built("scikit-learn", top_level=("sklearn",)),
        Built("numpy", top_level=("numpy",)),
        Built("six", top_level=("six",)),
        Built("google-auth", top_level=("google",)),
        Built("protobuf", top_level=("google",)),
    ]
    paths = [
        "scikit_learn-1.5.dist-info/METADATA", "sklearn/__init__.py", "numpy.libs/libopenblas.so", "six.py",
        "__pycache__/six.cpython-311.pyc", "google/auth/x.py", "strange/x.py",
    ]  # fmt: skip
    assert owners_by_name(paths, built) == [
        "scikit-learn", "scikit-learn", "numpy", "six", "six", "(google: google-auth, protobuf)", "(strange)",
    ]  # fmt: skip


def checks(verdict: plan.Verdict) -> dict[str, plan.Check]:
    return {check.name: check for check in verdict.checks}


def test_everything_within_its_limit_is_ok() -> None:
    """A small function breaks nothing and has no fix to name."""
    index = make_index([("a/x.so", "x", 1000)], [400], hot=1)
    verdict = plan.assess(Facts(index, zip_bytes=1000, unzipped_bytes=3000))
    assert verdict.ok
    assert all(check.ok and check.fix is None for check in verdict.checks)
    plan.enforce(verdict)


@pytest.mark.parametrize("over", [0, 1])
def test_unzipped_is_held_to_262144000_bytes(over: int) -> None:
    """Lambda's limit is met by exactly 262,144,000 bytes and broken by one more."""
    index = make_index([("a/x", "d", 1)], [1])
    verdict = plan.assess(Facts(index, unzipped_bytes=262_144_000 + over))
    assert checks(verdict)["unzipped"].ok is (not over)
    assert verdict.ok is (not over)


def test_unzipped_says_what_it_would_be_without_lambdapack() -> None:
    """The reason for all this: installed size and own code together, against the same limit."""
    index = make_index([("a/x", "d", 1)], [1])
    built = (Built("a", top_level=("a",), installed_bytes=524_000_000, slimmed_bytes=1),)
    verdict = plan.assess(Facts(index, distributions=built, unzipped_bytes=288_000))
    assert verdict.without_lambdapack == 524_288_000
    assert (
        checks(verdict)["unzipped"].note
        == "without lambdapack it would be 524.3 MB, 2.0 times what Lambda takes"
    )


def test_a_pack_that_lambda_would_take_unpacked_is_said() -> None:
    """Where a plain zip would do, the plan does not pretend otherwise."""
    built = (Built("a", top_level=("a",), installed_bytes=1_000_000, slimmed_bytes=1),)
    verdict = plan.assess(Facts(make_index([("a/x", "d", 1)], [1]), distributions=built, unzipped_bytes=0))
    assert checks(verdict)["unzipped"].note == (
        "without lambdapack it would be 1.0 MB, which Lambda takes as well"
    )


def test_tmp_counts_what_the_shim_counts_and_names_the_setting() -> None:
    """/tmp: the blocks of the eager files, of folders and a few more, and a 32nd for the file system; the fix
    is a setting."""
    size = 600 * limits.MIB
    index = make_index([("a/x.so", "x", size), ("a/x.py", "s", 1024)], [10])
    verdict = plan.assess(Facts(index, tmp_mb=512))
    need = size + 4096 * (1 + 1 + 16) + 64
    assert verdict.tmp_stream == need + need // 32
    assert verdict.tmp_disk == need + 64 + (need + 64) // 32
    assert not verdict.ok
    assert checks(verdict)["tmp"].fix == "set tmp to 620 MB"
    assert plan.assess(Facts(index, tmp_mb=620)).ok


def test_lazy_frames_need_no_tmp_before_the_first_invocation() -> None:
    """What is fetched on demand counts once it was asked for, and in disk mode."""
    index = make_index([("a/x.so", "x", 512), ("a/x.py", "s", 512)], [10, 10], hot=1, eager=1)
    verdict = plan.assess(Facts(index))
    assert verdict.tmp_stream < verdict.tmp_all <= verdict.tmp_disk


def test_disk_mode_is_held_to_what_disk_mode_needs() -> None:
    """The mode decides which /tmp figure is the limit; the other is advice."""
    files = [(f"a/{number}.py", "s", 10) for number in range(200_000)]
    index = make_index(files, [10])
    stream, disk = (plan.assess(Facts(index, mode=mode)) for mode in ("stream", "disk"))
    assert stream.ok
    assert not checks(stream)["tmp.disk"].ok
    assert [check.name for check in disk.failed] == ["tmp"]


def test_more_than_lambda_has_is_not_a_setting() -> None:
    """Over 10,240 MB no setting helps, and the fix says so."""
    index = make_index([("a/x", "d", 11_000 * limits.MIB)], [10])
    assert "10240 MB" in (checks(plan.assess(Facts(index)))["tmp"].fix or "")


def test_init_is_the_eager_bytes_over_the_link() -> None:
    """750 MB at 75 MB/s take the 10 s that an init may take; one byte more is too much."""
    index = make_index([("a/x", "d", 100)], [750_000_000])
    assert checks(plan.assess(Facts(index)))["init"].measured == 10.0
    assert plan.assess(Facts(index)).ok
    index = make_index([("a/x", "d", 100)], [750_000_001])
    assert [check.name for check in plan.assess(Facts(index)).failed] == ["init"]


def test_a_missing_library_fails_where_it_is_needed() -> None:
    """It is a limit of Lambda's then, in words and not in megabytes; elsewhere it is advice."""
    index = make_index([("a/x.so", "x", 1)], [1])
    fatal, other = (
        LibraryFacts(f"lib{kind}.so.1", 1, kind == "a", "x.so needs it", "fix it") for kind in "ab"
    )
    assert plan.assess(Facts(index, missing=(other,))).ok
    verdict = plan.assess(Facts(index, missing=(fatal, other)))
    assert [check.name for check in verdict.failed] == ["library.liba.so.1"]
    with pytest.raises(CheckError, match=r"does not fit: x\.so needs it$") as caught:
        plan.enforce(verdict)
    assert caught.value.hint == "fix it"


def test_a_large_zip_is_advice_not_failure() -> None:
    """Over 50 MiB a zip goes through S3: worth a line, not an exit status."""
    index = make_index([("a/x", "d", 1)], [1])
    verdict = plan.assess(Facts(index, zip_bytes=50 * limits.MIB + 1))
    assert not checks(verdict)["zip"].ok
    assert verdict.ok


@pytest.mark.parametrize("over", [0, 1])
def test_a_limit_is_met_by_exactly_what_it_says(over: int) -> None:
    """The zip that Lambda takes in the request, /tmp and the memory: one byte more is too much."""
    index, memory = make_index([("a/x.py", "d", 1)], [1]), 1769 * limits.MIB
    # The file system takes a 32nd part, rounded down.
    files = max(need for need in range(520_000_000, 521_000_000) if need + need // 32 <= 512 * limits.MIB)
    base = bytes_on_disk(index, ARENA, range(1))
    asset = AssetFacts("model", "use", 1, files - base - 2 * 4096 + over, memory + over, 2)
    verdict = plan.assess(Facts(index, zip_bytes=50 * limits.MIB + over, assets=(asset,)))
    for name in ("zip", "tmp", "memory.assets"):
        assert checks(verdict)[name].ok is (not over), name
    assert verdict.tmp_stream == 512 * limits.MIB + over


def test_assets_are_weighed_by_what_each_measure_counts() -> None:
    """The link carries what is stored; /tmp holds the stream and a block a file; memory holds the files. What
    is fetched when it is asked for does not take part in the start."""
    index = make_index([("a/x", "d", 100)], [75_000_000])
    early = AssetFacts("early", "start", 300_000_000, 310_000_000, 320_000_000, 3)
    late = AssetFacts("late", "use", 400_000_000, 10_000, 900, 5)
    bare = plan.assess(Facts(index))
    verdict = plan.assess(Facts(index, assets=(early, late)), Budget(assets=700))
    assert (bare.assets_seconds, verdict.assets_seconds) == (0.0, 4.0)
    assert checks(verdict)["init"].measured == 1.0
    assert checks(verdict)["init.assets"].measured == 5.0
    need = bytes_on_disk(index, ARENA, range(1)) + 310_010_000 + 8 * 4096
    assert verdict.tmp_stream == need + need // 32
    assert checks(verdict)["tmp"].note == "stream mode, before the first invocation, with all assets"
    memory = checks(verdict)["memory.assets"]
    assert (memory.measured, memory.limit, memory.ok) == (320_000_900, 1769 * limits.MIB, True)
    assert (checks(verdict)["budget.assets"].measured, checks(verdict)["budget.assets"].ok) == (7e8, True)
    assert "init.assets" not in checks(bare)


def test_too_much_of_an_asset_names_the_one_that_takes_the_most() -> None:
    """Over the link, that is: the fix says which asset, and what can be done with it."""
    index = make_index([("a/x", "d", 100)], [75_000_001])
    small = AssetFacts("small", "start", 75_000_000, 1, 9 << 30, 1)
    large = AssetFacts("large", "start", 600_000_000, 1, 1, 1)
    verdict = plan.assess(Facts(index, assets=(small, large)), Budget(assets=674.9))
    assert checks(verdict)["init"].ok and not checks(verdict)["init.assets"].ok
    for name in ("memory.assets", "budget.assets"):
        assert not checks(verdict)[name].ok
        assert (checks(verdict)[name].fix or "").startswith("the asset large (600.0 MB) is the most: "), name
    assert [check.name for check in verdict.failed] == ["budget.assets"]


def test_each_place_is_weighed_by_what_lambda_counts_there() -> None:
    """In zip and layers the compressed pack counts, beside the function's own files; elsewhere not.

    A pack that takes less than its tree fits where the tree does not.
    """
    index = make_index([("a/x", "d", 1)], [100_000_000])
    facts = Facts(index, pack_bytes=120_000_000, own_zip_bytes=600_000, own_bytes=3_000_000)
    s3, zipped, layer, mount = plan.assess(facts).places
    assert (s3.place, s3.fits, s3.unzipped, s3.seconds) == (
        "s3",
        True,
        3_000_000,
        pytest.approx(predicted(facts, "s3").total + 3 * limits.CODE_SECONDS_PER_MB),
    )
    assert s3.seconds is not None and s3.seconds > 100 / 75, "what the link takes"
    assert (zipped.place, zipped.fits, zipped.unzipped) == ("zip", True, 123_000_000)
    assert "through a bucket" in zipped.note
    assert (layer.place, layer.fits, layer.layers) == ("layer", True, 3)
    before = 123 * limits.CODE_SECONDS_PER_MB
    assert layer.seconds == zipped.seconds == pytest.approx(predicted(facts, "zip").total + before)
    assert (mount.place, mount.fits, mount.unzipped, mount.seconds) == ("mount", True, 3_000_000, None)


@pytest.mark.parametrize("over", [0, 1])
def test_a_place_fits_up_to_exactly_what_lambda_takes(over: int) -> None:
    """Own files, pack and the assets that go with it together; those with a place of their own stay there."""
    index = make_index([("a/x", "d", 1)], [1])
    goes = AssetFacts("goes", "start", 40_000_000, 1, 1, 1)
    stays = AssetFacts("stays", "start", 30_000_000, 1, 1, 1, "zip", False)
    facts = Facts(
        index, pack_bytes=limits.UNZIPPED - 70_000_000 - 3_000_000 + over, own_bytes=3_000_000,
        own_zip_bytes=1, assets=(goes, stays),
    )  # fmt: skip
    options = {option.place: option for option in plan.assess(facts).places}
    assert options["zip"].fits is options["layer"].fits is not over
    assert options["zip"].unzipped == limits.UNZIPPED + over
    assert options["s3"].unzipped == 33_000_000


def test_a_pack_that_does_not_come_over_the_link_takes_no_time_of_init() -> None:
    """Only an asset in S3 still comes over the link."""
    index = make_index([("a/x", "d", 1)], [10 * limits.LINK_BYTES_PER_SECOND + 1])
    there = AssetFacts("there", "start", limits.LINK_BYTES_PER_SECOND, 1, 1, 1, "s3", False)
    here = AssetFacts("here", "start", limits.LINK_BYTES_PER_SECOND, 1, 1, 1, "layer")
    assert not plan.assess(Facts(index)).ok
    verdict = plan.assess(Facts(index, place="layer", assets=(there, here)))
    assert (verdict.ok, verdict.eager_seconds, verdict.assets_seconds) == (True, 0.0, 1.0)
    assert "in its layer" in checks(verdict)["init"].note


def test_what_is_too_large_with_its_pack_goes_to_s3() -> None:
    """The fix names the place that has room."""
    index = make_index([("a/x", "d", 1)], [1])
    facts = Facts(index, place="layer", unzipped_bytes=limits.UNZIPPED + 1)
    assert 'place = "s3"' in (checks(plan.assess(facts))["unzipped"].fix or "")


def test_exactly_what_lambda_takes_needs_no_pack() -> None:
    """262,144,000 bytes are taken as well; one more is more."""
    for more, said in ((0, "which Lambda takes as well"), (1_000_000, "1.0 times what Lambda takes")):
        built = (Built("a", top_level=("a",), installed_bytes=limits.UNZIPPED + more),)
        facts = Facts(make_index([("a/x", "d", 1)], [1]), distributions=built, unzipped_bytes=0)
        assert checks(plan.assess(facts))["unzipped"].note.endswith(f", {said}")


def test_all_of_tmp_can_be_set() -> None:
    """A pack that takes the last of the 10,240 MB gets that setting as its fix."""
    index = make_index([("a/x", "d", 9925 * limits.MIB)], [10])
    assert checks(plan.assess(Facts(index)))["tmp"].fix == "set tmp to 10240 MB"


def test_a_remainder_goes_to_the_largest_fraction() -> None:
    """Among equal fractions to the first."""
    assert share(10, [1, 1, 4]) == [2, 2, 6]
    assert share(10, [1, 2, 4]) == [1, 3, 6]
    assert share(5, [1, 1]) == [3, 2]
    assert share(3, [0, 0]) == [2, 1]


def test_broken_budgets_are_all_in_one_error() -> None:
    """Every broken budget is reported, with the largest distribution, and ends in exit status 1."""
    index = make_index([("a/x", "d", 5_000_000), ("b/y", "d", 1000)], [2_000_000], hot=1)
    budget = Budget(pack=1.9, hot=1, slimmed=4, tmp=1, zip=0.5)
    verdict = plan.assess(Facts(index, zip_bytes=600_000), budget)
    with pytest.raises(CheckError) as caught:
        plan.enforce(verdict)
    assert caught.value.exit_status == 1
    for name in ("pack", "hot", "slimmed", "tmp", "zip"):
        assert f"budget.{name} is" in caught.value.message
    assert "budget.pack is 2.0 MB, over 1.9 MB" in caught.value.message
    assert "budget.tmp is 5.0 MiB, over 1.0 MiB" in caught.value.message
    assert "a (2.0 MB) is the most" in (caught.value.hint or "")


def test_kept_budgets_are_ok() -> None:
    """A budget is met by exactly what it says."""
    index = make_index([("a/x", "d", 1000)], [2_000_000, 3_000_000], hot=1)
    verdict = plan.assess(Facts(index), Budget(pack=5, hot=2, slimmed=0.001))
    assert verdict.ok
    assert [checks(verdict)[f"budget.{name}"].measured for name in ("pack", "hot", "slimmed")] == [
        5e6,
        2e6,
        1e3,
    ]


def test_document_is_versioned_json() -> None:
    """The document's version and keys are a contract; a new key is added here on purpose."""
    index = make_index([("a/x", "d", 1000)], [200], hot=1)
    built = (Built("a", top_level=("a",), installed_bytes=3000, slimmed_bytes=1000),)
    found = json.loads(
        json.dumps(plan.document(plan.assess(Facts(index, pack_bytes=250, distributions=built))))
    )
    assert (found["document"], found["version"], found["ok"]) == ("lambdapack.plan", 1, True)
    assert sorted(found) == sorted(
        [
            "document",
            "version",
            "ok",
            "estimate",
            "estimated",
            "cold",
            "fastest",
            "steps",
            "together",
            "target",
            "rows",
            "checks",
            "installed",
            "slimmed",
            "stored",
            "hot",
            "eager",
            "without_lambdapack",
            "tmp_stream",
            "tmp_disk",
            "tmp_all",
            "hot_seconds",
            "eager_seconds",
            "tmp_mb",
            "memory_mb",
            "mode",
            "assets",
            "assets_seconds",
            "place",
            "places",
            "snap_start",
            "costs",
        ]
    )
    assert found["rows"] == [
        {
            "name": "a",
            "version": "1.0",
            "installed": 3000,
            "slimmed": 1000,
            "stored": 200,
            "hot": 200,
            "import_ms": None,
        },
        {
            "name": "(index)",
            "version": "",
            "installed": None,
            "slimmed": 0,
            "stored": 50,
            "hot": 0,
            "import_ms": None,
        },
    ]
    assert sorted(found["checks"][0]) == sorted(
        ["name", "kind", "measured", "limit", "unit", "ok", "note", "fix"]
    )


def test_snap_start_has_a_price_a_longer_init_and_no_larger_tmp() -> None:
    """By memory: a month of each version, and each restore; what does not fit is not mended by more /tmp."""
    index = make_index([("a/x.so", "x", 600 * limits.MIB)], [1_000_000_000])
    plain = plan.assess(Facts(index, tmp_mb=512))
    assert plain.snap_start is None and {check.name for check in plain.failed} == {"tmp", "init"}
    verdict = plan.assess(Facts(index, tmp_mb=512, memory_mb=2048, snapshot="needed"))
    assert {check.name: check.fix for check in verdict.failed} == {
        "tmp": "leave snap-start out: with it, Lambda has at most 512 MB of /tmp"
    }
    (init,) = [check for check in verdict.checks if check.name == "init"]
    assert init.limit == 130
    longer = plan.assess(Facts(index, snapshot="needed", timeout=600)).checks
    assert [check.limit for check in longer if check.name == "init"] == [600]
    cost = verdict.snap_start
    assert cost is not None
    assert cost.month == pytest.approx(2 * 0.0000015046 * 30 * 86400)
    assert cost.restore == pytest.approx(2 * 0.0001397998)
    json.dumps(plan.document(verdict))


def test_a_snapshot_of_everything_needs_room_for_everything() -> None:
    """With ``snapshot = "all"`` the lazy frames count from the first invocation on."""
    index = make_index(
        [("a/x.so", "x", 300 * limits.MIB), ("b/y.so", "x", 300 * limits.MIB)], [1000, 1000], eager=1
    )
    assert plan.assess(Facts(index, tmp_mb=512, snapshot="needed")).ok
    (failed,) = plan.assess(Facts(index, tmp_mb=512, snapshot="all")).failed
    assert failed.name == "tmp" and (failed.fix or "").startswith('set snapshot to "needed", or')


@pytest.mark.parametrize(
    ("day", "kind"),
    [("2026-01-01", None), ("2027-06-30", "advice"), ("2027-08-30", "advice"), ("2027-08-31", "limit")],
)
def test_an_ending_runtime_is_advice_and_then_a_limit(day: str, kind: str | None) -> None:
    """The plan of a python3.11 function fails from the day on which Lambda takes no change of it."""
    verdict = plan.assess(Facts(make_index([], [1]), today=date.fromisoformat(day)))
    found = [check for check in verdict.checks if check.name == "runtime"]
    assert [check.kind for check in found] == ([kind] if kind else [])
    assert verdict.ok is (kind != "limit")
    for check in found:
        assert (check.measured > check.limit) is (kind == "limit")
    if kind == "limit":
        with pytest.raises(CheckError, match=r"python3\.11 has taken neither") as caught:
            plan.enforce(verdict)
        assert "--python" in str(caught.value.hint)
