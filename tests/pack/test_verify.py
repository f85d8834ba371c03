"""What is wrong with a pack is found, whichever byte it is in."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from lambdapack import pack
from lambdapack.errors import CheckError, ConfigurationError
from lambdapack.pack import Pack, tail
from lambdapack.pack.stream import END, tar_header
from runtime_shim import _index
from tests.support import packing

FILES = {
    **packing.SAMPLE,
    **{f"demo/f{number}.txt": hashlib.sha256(b"%d" % number).digest() * 9_000 for number in range(20)},
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return packing.pack(tmp_path_factory.mktemp("sound"), FILES, *packing.SAMPLE_TOUCHED)


def damaged(sound: Pack, folder: Path, data: bytes) -> Path:
    path = folder / sound.path.name
    path.write_bytes(data)
    return path


def test_a_sound_pack_has_no_problems(sound: Pack) -> None:
    """The other tests here mean something only because of this."""
    assert pack.verify(sound.path) == []


@pytest.mark.parametrize("keep", [0, 1, 8, 16, 17, 1000, -1, -9, -17, -18, -400])
def test_truncated_packs_are_found(sound: Pack, tmp_path: Path, keep: int) -> None:
    """At any place: nothing, a header, half the data, all but the last byte."""
    path = damaged(sound, tmp_path, sound.path.read_bytes()[:keep])
    assert pack.verify(path)
    with pytest.raises(CheckError, match="is not a sound pack"):
        pack.read_index(path)


def places(sound: Pack) -> dict[str, int]:
    """One offset in each kind of place of a pack."""
    data_end = sound.index.frame_stored_start[-1]
    size = sound.path.stat().st_size
    table = size - 8 - 9 - 8 * (len(sound.index.frame_size) + 1)
    return {
        "zstd header of the first frame": 0,
        "content of a hot frame": sound.index.frame_stored_start[1] + 40,
        "content of the last frame": data_end - 1,
        "magic of the index frame": data_end,
        "length of the index frame": data_end + 4,
        "index": data_end + 8 + 100,
        "last byte of the index": table - 1,
        "magic of the seek table": table,
        "length of the seek table": table + 4,
        "size in the seek table": table + 8 + 4,
        "size of the index in the seek table": size - 9 - 8,
        "number of frames": size - 9,
        "descriptor": size - 5,
        "last byte": size - 1,
    }


@pytest.mark.parametrize("place", range(14))
@pytest.mark.parametrize("bit", [0, 7])
def test_a_flipped_bit_is_found(sound: Pack, tmp_path: Path, place: int, bit: int) -> None:
    """In a frame, in the index, in the seek table or in any header: never taken for sound."""
    name, offset = list(places(sound).items())[place]
    data = bytearray(sound.path.read_bytes())
    data[offset] ^= 1 << bit
    assert pack.verify(damaged(sound, tmp_path, bytes(data))), name


@given(st.data())
def test_any_changed_byte_is_found(data: st.DataObject) -> None:
    """There is no byte in a pack that may change."""
    with_tmp = _tiny()
    content = bytearray(with_tmp.path.read_bytes())
    offset = data.draw(st.integers(0, len(content) - 1))
    content[offset] ^= data.draw(st.integers(1, 255))
    changed = with_tmp.path.parent / "changed" / with_tmp.path.name
    changed.parent.mkdir(exist_ok=True)
    changed.write_bytes(content)
    assert pack.verify(changed)


_TINY: list[Pack] = []


@pytest.fixture(autouse=True, scope="module")
def _tiny_pack(tmp_path_factory: pytest.TempPathFactory) -> None:
    _TINY[:] = [packing.pack(tmp_path_factory.mktemp("tiny"), {"a/b": b"content", "a/c.py": b"x = 1\n"})]


def _tiny() -> Pack:
    return _TINY[0]


def test_swapped_frames_are_found(sound: Pack, tmp_path: Path) -> None:
    """Two frames in each other's place, the seek table adjusted to it."""
    index, data = sound.index, sound.path.read_bytes()
    frames = [data[a:b] for a, b in zip(index.frame_stored_start, index.frame_stored_start[1:], strict=False)]
    frames[0], frames[1] = frames[1], frames[0]
    seek = list(zip(index.frame_stored, index.frame_size, strict=True))
    seek[0], seek[1] = seek[1], seek[0]
    problems = pack.verify(damaged(sound, tmp_path, assemble(frames, seek, _index.encode(index))))
    assert problems == ["the seek table and the index give different sizes"]
    unadjusted = b"".join(frames) + data[index.frame_stored_start[-1] :]
    problems = pack.verify(damaged(sound, tmp_path, unadjusted))
    assert problems[:2] == [f"frame {number}: its digest is not the index's" for number in (0, 1)]


def assemble(frames: list[bytes], seek: list[tuple[int, int]], encoded: bytes) -> bytes:
    index_frame = tail.encode_index_frame(encoded)
    return b"".join(frames) + index_frame + tail.encode_seek_table([*seek, (len(index_frame), 0)])


def forged(folder: Path, contents: bytes, **fields: object) -> Path:
    """A pack whose digests are right, and whose one frame holds ``contents``."""
    frame = zstandard.compress(contents)
    frame = fields.pop("frame", frame)  # type: ignore[assignment]
    values: dict = {
        "target": "python3.11/x86_64",
        "lock": packing.LOCK,
        "tool": "forger 1",
        "glibc": "",
        "hot": 0,
        "eager": 1,
        "frame_stored": [len(frame)],
        "frame_size": [len(contents)],
        "frame_sha256": [hashlib.sha256(frame).hexdigest()],
        "paths": ["a.bin"],
        "classes": "d",
        "sizes": [3],
        "offsets": [512],
        "executable": [],
        "needs": {},
        "native": {},
        **fields,
    }
    encoded = _index.encode(_index.Index(**values))
    path = folder / f"{hashlib.sha256(encoded).hexdigest()}.tar.zst"
    seek = list(zip(values["frame_stored"], values["frame_size"], strict=True))
    path.write_bytes(assemble([frame], seek, encoded))
    return path


STREAM = tar_header("a.bin", 3, False) + b"abc" + bytes(509) + END


def test_a_forged_pack_can_be_sound(tmp_path: Path) -> None:
    """The forgeries below differ from this one in one thing each."""
    assert pack.verify(forged(tmp_path, STREAM)) == []


@pytest.mark.parametrize(
    ("stream", "problem"),
    [
        (STREAM.replace(b"a.bin", b"b.bin", 1), "a.bin: its tar header is not the one"),
        (STREAM.replace(b"0000644", b"0004755", 1), "a.bin: its tar header is not the one"),
        (STREAM[:515] + b"hidden" + STREAM[521:], "a.bin: it is not padded with zeros"),
        (STREAM[:-1024] + b"\1" * 1024, "the archive does not end in two blocks of zeros"),
    ],
)
def test_the_tar_must_say_what_the_index_says(tmp_path: Path, stream: bytes, problem: str) -> None:
    """Otherwise tar would unpack another tree than the shim does."""
    assert [problem in found for found in pack.verify(forged(tmp_path, stream))] == [True]


def test_a_frame_that_is_larger_than_it_says(tmp_path: Path) -> None:
    """The size in the zstd header is compared before anything is allocated, and the content after."""
    bomb = zstandard.compress(bytes(50_000_000))
    fields = {"frame": bomb, "frame_stored": [len(bomb)], "frame_sha256": [hashlib.sha256(bomb).hexdigest()]}
    assert pack.verify(forged(tmp_path, STREAM, **fields)) == [
        f"frame 0: its header says 50000000 bytes, the index {len(STREAM)}"
    ]


def test_a_frame_with_something_behind_it(tmp_path: Path) -> None:
    """Two zstd frames in the place of one: a decoder that stops after the first would not see it."""
    double = zstandard.compress(STREAM) + zstandard.compress(b"more")
    fields = {
        "frame": double,
        "frame_stored": [len(double)],
        "frame_sha256": [hashlib.sha256(double).hexdigest()],
    }
    assert any("frame 0: not a" in found for found in pack.verify(forged(tmp_path, STREAM, **fields)))


def test_a_wrong_name_is_found(sound: Pack, tmp_path: Path) -> None:
    """The name is the id, so that a pack under another's key is noticed."""
    path = tmp_path / f"{'0' * 64}.tar.zst"
    path.write_bytes(sound.path.read_bytes())
    assert pack.verify(path) == [f"the file is named {path.name}, its id is {sound.id}"]
    with pytest.raises(CheckError, match="its name is another's"):
        pack.load(path)


def test_an_index_beside_it_that_differs_is_found(sound: Pack, tmp_path: Path) -> None:
    """The index goes into the function's zip: it must be the pack's."""
    path = damaged(sound, tmp_path, sound.path.read_bytes())
    (tmp_path / sound.index_path.name).write_bytes(b"{}")
    assert pack.verify(path) == [f"{sound.index_path.name} is not the index of this pack"]


def test_bytes_behind_a_pack_are_found(sound: Pack, tmp_path: Path) -> None:
    """A pack ends with its seek table."""
    path = damaged(sound, tmp_path, sound.path.read_bytes() + b"\0")
    assert "does not end in a seek table" in pack.verify(path)[0]


def test_a_missing_pack_is_wrong_usage(tmp_path: Path) -> None:
    """Not a damaged pack: exit status 2, with the command that makes one."""
    with pytest.raises(ConfigurationError, match="there is no pack at"):
        pack.verify(tmp_path / "nothing.tar.zst")


@given(st.binary(max_size=400))
@example(b"\xb1\xea\x92\x8f" * 20)
def test_any_bytes_are_refused_politely(data: bytes) -> None:
    """No byte string makes the reader of the tail raise anything but its own error."""
    with pytest.raises(tail.TailError):
        tail.read_tail(io.BytesIO(data))


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2**32 - 1)), max_size=20),
    st.binary(max_size=99),
    st.binary(max_size=60),
)
def test_well_formed_tails_with_wrong_numbers_are_refused_politely(
    seek: list[tuple[int, int]], encoded: bytes, filler: bytes
) -> None:
    """A seek table that is formally right but does not add up to the file is refused; one that does is
    read back as it was written."""
    index_frame = tail.encode_index_frame(encoded)
    data = filler + index_frame + tail.encode_seek_table([*seek, (len(index_frame), 0)])
    if sum(stored for stored, _ in seek) == len(filler):
        assert tail.read_tail(io.BytesIO(data)) == (seek, encoded)
    else:
        with pytest.raises(tail.TailError):
            tail.read_tail(io.BytesIO(data))
