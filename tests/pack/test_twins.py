"""Near-copies of a library share a frame."""

from __future__ import annotations

import io
import random
from collections.abc import Mapping
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from lambdapack import pack
from lambdapack.limits import MIB
from lambdapack.pack import twins
from lambdapack.pack.classes import load_order
from lambdapack.pack.twins import Files, gather, measured
from runtime_shim import _index
from tests.support import packing
from tests.support.elf_files import shared_object

LIBRARY, CODE, NATIVE = _index.LIBRARY, _index.CODE, _index.NATIVE_DATA


def gathered(
    band: Mapping[str, tuple[str, float]], direct: Mapping[str, tuple[str, ...]], alike: set[str]
) -> tuple[list[str], dict[str, int]]:
    """Gather a band of path -> class and MiB; ``alike`` holds pairs such as ``ab``."""
    sizes = {path: int(size * MIB) for path, (_, size) in band.items()}
    files = Files(sizes, {path: kind for path, (kind, _) in band.items()}, direct)
    return gather([list(band)], files, lambda first, second: first + second in alike)


def test_a_copy_moves_to_the_first_one_and_all_others_keep_their_order() -> None:
    """Two pairs of twins are two frames; a copy of a copy joins the frame of the first."""
    band = {
        "a": (LIBRARY, 2), "m": (CODE, 2), "b": (LIBRARY, 3), "x": (LIBRARY, 2), "n": (CODE, 1),
        "y": (LIBRARY, 3), "z": (LIBRARY, 2.1),
    }  # fmt: skip
    order, numbers = gathered(band, {}, {"ax", "az", "by"})
    assert order == ["a", "x", "z", "m", "b", "y", "n"]
    assert numbers == {"a": 1, "x": 1, "z": 1, "b": 2, "y": 2}


def test_what_a_copy_needs_moves_before_it() -> None:
    """A library is never in place before what it needs."""
    band = {"a": (LIBRARY, 2), "m": (CODE, 1), "q": (LIBRARY, 0.2), "b": (LIBRARY, 2)}
    assert gathered(band, {"b": ("q",)}, {"ab"}) == (["a", "q", "b", "m"], {"a": 1, "q": 1, "b": 1})


def test_what_a_copy_needs_is_not_torn_from_its_own_twin() -> None:
    """Then the copy stays where it was."""
    band = {"a": (LIBRARY, 2), "q": (LIBRARY, 4), "x": (LIBRARY, 4), "b": (LIBRARY, 2)}
    assert gathered(band, {"b": ("q",)}, {"ab", "qx"}) == (["a", "q", "x", "b"], {"q": 1, "x": 1})


@pytest.mark.parametrize(
    "band",
    [
        {"a": (LIBRARY, 2), "n": (NATIVE, 1), "b": (LIBRARY, 2)},
        {"a": (LIBRARY, 0.9), "b": (LIBRARY, 0.9)},
        {"a": (LIBRARY, 21), "b": (LIBRARY, 21)},
        {"a": (LIBRARY, 2), "b": (LIBRARY, 3)},
        {"a": (CODE, 2), "b": (CODE, 2)},
    ],
    ids=["native data between them", "small", "too large together", "of other sizes", "no libraries"],
)
def test_what_must_stay_where_it_is_stays(band: Mapping[str, tuple[str, float]]) -> None:
    """However alike two files are."""
    assert gathered(band, {}, {"ab"}) == (list(band), {})


def test_files_of_different_bands_are_no_twins() -> None:
    """A frame is of one band."""
    files = Files(dict.fromkeys("ab", 2 * MIB), dict.fromkeys("ab", LIBRARY), {})
    assert gather(["a", "b"], files, lambda first, second: True) == (["a", "b"], {})


def test_a_library_is_compared_with_few_others() -> None:
    """The work grows with the number of libraries, not with its square."""
    compared = []
    files = Files(
        {f"{number}": 2 * MIB + number for number in range(50)},
        {f"{number}": LIBRARY for number in range(50)},
        {},
    )
    gather([list(files.sizes)], files, lambda first, second: bool(compared.append((first, second))))
    assert len(compared) < 50 * twins.TRIES and ("48", "49") in compared and ("0", "49") not in compared


@given(st.data())
def test_any_gathering_keeps_files_needs_and_frames_together(data: st.DataObject) -> None:
    """No file is lost or doubled, those of a frame are neighbours and fit into it, needs come first."""
    names = "abcdefghij"
    band = {name: (LIBRARY, data.draw(st.sampled_from([0.1, 2, 2.2, 15]))) for name in names}
    direct = {
        name: tuple(sorted(data.draw(st.sets(st.sampled_from(names[:place]), max_size=2))))
        for place, name in enumerate(names)
        if place
    }
    alike = data.draw(st.sets(st.sampled_from([a + b for a in names for b in names if a < b])))
    order, numbers = gathered(band, direct, alike)
    assert sorted(order) == list(names)
    for number in set(numbers.values()):
        at = [place for place, name in enumerate(order) if numbers.get(name) == number]
        assert at == list(range(at[0], at[-1] + 1)) and len(at) > 1
        assert sum(band[order[place]][1] for place in at) * MIB <= twins.MOST
    for place, name in enumerate(order):
        assert not set(load_order(name, direct)) & set(order[place:])


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


def libraries() -> dict[str, bytes]:
    """``b`` is ``a`` with another megabyte in its middle changed to a fifth; ``c`` shares a third with it."""
    body, head = noise(1, 3 * MIB), shared_object()
    return {
        "p/liba.so": head + body,
        "p/libb.so": head + body[:MIB] + noise(2, MIB // 5) + body[MIB + MIB // 5 :],
        "p/libc.so": head + body[:MIB] + noise(3, 2 * MIB),
    }


class Counting(dict[tuple[str, str], bytes]):
    """A memo that is a dict."""

    def get(self, kind: str, key: str) -> bytes | None:  # type: ignore[override]
        return super().get((kind, key))

    def put(self, kind: str, key: str, value: bytes) -> None:
        self[kind, key] = value


def test_twins_are_libraries_of_which_most_is_saved(tmp_path: Path) -> None:
    """Measured once for the same bytes."""
    packing.tree(tmp_path, libraries())
    memo = Counting()
    alike = measured(tmp_path, memo)
    assert alike("p/liba.so", "p/libb.so") and not alike("p/liba.so", "p/libc.so")
    assert sorted(memo.values()) == [b"0", b"1"]
    for key in memo:
        memo[key] = b"1"
    assert alike("p/liba.so", "p/libc.so")


@pytest.mark.parametrize("level", [1, 19])
def test_a_pack_holds_a_copy_once_at_any_level(tmp_path: Path, level: int) -> None:
    """The two are one frame, which is not much larger than the first alone; every reader unpacks it, `tar`
    with zstd's own limit of memory too; the frames of other files are as they were."""
    files = {"p/first.txt": noise(4, 5 * MIB), **libraries(), "p/last.txt": noise(5, 5 * MIB)}
    touched = ("p/first.txt", "p/liba.so", "p/libc.so", "p/last.txt", "p/libb.so")
    made = packing.pack(tmp_path, files, *touched, level=level)
    index = made.index
    assert index.paths == ["p/first.txt", "p/liba.so", "p/libb.so", "p/libc.so", "p/last.txt"]
    assert index.frames_of(1) == index.frames_of(2) and len(index.frames_of(1)) == 1
    assert index.frame_stored[index.frames_of(1)[0]] < 3.4 * MIB
    assert not set(index.frames_of(1)) & {*index.frames_of(0), *index.frames_of(3)}
    assert pack.verify(made.path) == []
    unpacked = tmp_path / "unpacked"
    pack.extract(made.path, unpacked)
    assert {path: (unpacked / path).read_bytes() for path in files} == files
    with made.path.open("rb") as file:
        stream = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
        content = io.BytesIO(stream.read())
    assert all(data in content.getbuffer().tobytes() for data in files.values())


def test_tar_unpacks_twins(tmp_path: Path) -> None:
    """With its default limit of 128 MiB for the window."""
    made = packing.pack(tmp_path, libraries(), *libraries())
    packing.untar(made.path, tmp_path / "theirs")
    assert (tmp_path / "theirs/p/libb.so").read_bytes() == libraries()["p/libb.so"]
