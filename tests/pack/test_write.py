"""Packs on disk: what goes in comes out, the same bytes every time, complete or not at all."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import textwrap
import time
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdapack import pack
from lambdapack.errors import CheckError, ConfigurationError, ToolError
from lambdapack.limits import MIB
from lambdapack.pack.check import path_problem
from runtime_shim import _index
from tests.support import packing


def contents(root: Path) -> dict[str, tuple[bytes, int]]:
    """Path -> (content, mode) of every file below ``root``."""
    return {
        path.relative_to(root).as_posix(): (path.read_bytes(), path.stat().st_mode & 0o777)
        for path in root.rglob("*")
        if path.is_file()
    }


NAMES = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="/"),
    min_size=1,
    max_size=60,
)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join).filter(lambda path: not path_problem(path))


@st.composite
def trees(draw: st.DrawFn) -> dict[str, bytes]:
    """Files whose paths do not stand in each other's way."""
    files: dict[str, bytes] = {}
    folders: set[str] = set()
    for path in draw(st.lists(PATHS, min_size=1, max_size=12)):
        parents = {path[:at] for at, letter in enumerate(path) if letter == "/"}
        if path not in folders and path not in files and not parents & files.keys():
            files[path] = draw(st.binary(max_size=2000)) * draw(st.sampled_from((1, 1, 1, 700)))
            folders |= parents
    return files


@settings(max_examples=40, deadline=None)
@given(trees(), st.randoms())
def test_any_tree_survives(files: dict[str, bytes], random) -> None:
    """Whatever the names, sizes and modes are: the pack verifies, our reader and the real tar unpack the
    same tree, and the index says of each file where it is."""
    executable = [path for path in files if random.random() < 0.3]
    touched = random.sample(sorted(files), k=random.randint(0, len(files)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tree = packing.tree(folder / "tree", files, executable=executable)
        made = pack.write(tree, packing.trace(*touched), packing.LOCK, folder / "pack", level=1)
        assert pack.verify(made.path) == []
        expected = {path: (data, 0o755 if path in executable else 0o644) for path, data in files.items()}
        pack.extract(made.path, folder / "ours")
        assert contents(folder / "ours") == expected
        packing.untar(made.path, folder / "theirs")
        assert contents(folder / "theirs") == expected
        stream = zstandard.ZstdDecompressor().stream_reader(made.path.read_bytes(), read_across_frames=True)
        tar = stream.read()
        for path, size, offset in zip(made.index.paths, made.index.sizes, made.index.offsets, strict=True):
            assert tar[offset : offset + size] == files[path]


def test_tar_header_is_portable(tmp_path: Path) -> None:
    """ustar for what fits, pax for what does not; no time, no owner, nothing but regular files."""
    files = {"a/" + "n" * 120 + "/" + "m" * 120: b"long", "é.txt": b"accent", "plain": b"x"}
    made = packing.pack(tmp_path, files)
    with (
        made.path.open("rb") as file,
        zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as stream,
        tarfile.open(fileobj=stream, mode="r|") as archive,
    ):
        members = {member.name: member for member in archive}
    assert members.keys() == files.keys()
    for member in members.values():
        assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (0, 0, 0, "", "")
        assert member.type == tarfile.REGTYPE and member.mode == 0o644


def big_tree(root: Path) -> dict[str, bytes]:
    """Enough for several frames."""
    return {
        **packing.SAMPLE,
        **{f"demo/f{number}.txt": hashlib.sha256(b"%d" % number).digest() * 20_000 for number in range(40)},
    }


def test_same_bytes_whatever_the_jobs_the_folder_the_times_and_the_umask(tmp_path: Path) -> None:
    """Only the tree, the trace, the lock and the level decide the bytes."""
    made = []
    for jobs, umask, stamp in ((1, 0o022, 0), (4, 0o077, 1_000_000_000), (3, 0o002, 5)):
        before = os.umask(umask)
        try:
            folder = tmp_path / f"jobs{jobs}"
            tree = packing.tree(folder / "tree", big_tree(folder))
            for path in tree.root.rglob("*"):
                os.utime(path, (stamp, stamp))
            made.append(
                pack.write(
                    tree, packing.trace("demo/f7.txt"), packing.LOCK, folder / "pack", level=3, jobs=jobs
                )
            )
        finally:
            os.umask(before)
    assert len({one.id for one in made}) == 1
    assert len({one.path.read_bytes() for one in made}) == 1
    assert {oct(one.path.stat().st_mode & 0o777) for one in made} == {"0o644"}


def test_what_a_pack_says_of_itself(tmp_path: Path) -> None:
    """The id is the SHA-256 of the index beside the pack and inside it; both files carry it as name."""
    made = packing.pack(tmp_path, packing.SAMPLE, *packing.SAMPLE_TOUCHED)
    encoded = made.index_path.read_bytes()
    assert hashlib.sha256(encoded).hexdigest() == made.id
    assert (made.path.name, made.index_path.name) == (f"{made.id}.tar.zst", f"{made.id}.index.json")
    pack_id, index = pack.read_index(made.path)
    assert pack_id == made.id
    assert _index.encode(index) == encoded
    assert (index.target, index.lock) == ("python3.11/x86_64", packing.LOCK)
    assert 0 < index.hot < index.eager < len(index.frame_size)


def test_progress_counts_every_byte_of_the_stream(tmp_path: Path) -> None:
    """It ends exactly at its total."""
    seen: list[tuple[str, int | None, str]] = []
    done: list[int] = []

    class Watching:
        def step(self, name: str, *, total: int | None = None, unit: str = ""):
            seen.append((name, total, unit))
            return self

        def __enter__(self):
            return lambda amount=1, note=None: done.append(amount)

        def __exit__(self, *error: object) -> None:
            return None

        def note(self, message: str) -> None:
            return None

        warn = note

    tree = packing.tree(tmp_path / "tree", big_tree(tmp_path))
    made = pack.write(tree, packing.trace(), packing.LOCK, tmp_path / "pack", level=1, progress=Watching())
    assert seen == [("compress", made.index.frame_start[-1], "B")]
    assert sum(done) == made.index.frame_start[-1]


def test_frames_declare_their_size_and_window(tmp_path: Path) -> None:
    """A decoder can allocate at once: the content size is in each header, no checksum, no dictionary, and
    the window is no larger than the frame needs."""
    made = packing.pack(tmp_path, big_tree(tmp_path), level=19)
    with made.path.open("rb") as file:
        for stored, size in zip(made.index.frame_stored, made.index.frame_size, strict=True):
            parameters = zstandard.get_frame_parameters(file.read(stored))
            assert (parameters.content_size, parameters.has_checksum, parameters.dict_id) == (size, False, 0)
            assert parameters.window_size <= 8 * MIB


@pytest.mark.parametrize("level", [0, 23, -1])
def test_levels_that_do_not_exist_are_refused(tmp_path: Path, level: int) -> None:
    """Before anything is written."""
    with pytest.raises(ConfigurationError, match=f"level {level}"):
        packing.pack(tmp_path, {"a": b""}, level=level)
    assert not (tmp_path / "pack").exists()


@pytest.mark.parametrize("content", [b"shorter now", b"longer" * 200_000])
def test_a_file_that_changes_while_it_is_packed_is_noticed(tmp_path: Path, content: bytes) -> None:
    """A pack of half-written files would be sound by its digests: so it is not made at all."""
    tree = packing.tree(tmp_path / "tree", big_tree(tmp_path))

    class Spoiling:
        def step(self, name: str, **more: object):
            (tree.root / "demo/f39.txt").write_bytes(content)
            return self

        def __enter__(self):
            return lambda amount=1, note=None: None

        def __exit__(self, *error: object) -> None:
            return None

        note = warn = lambda self, message: None

    with pytest.raises(ToolError, match=r"f39\.txt changed"):
        pack.write(tree, packing.trace(), packing.LOCK, tmp_path / "pack", level=1, progress=Spoiling())
    assert list((tmp_path / "pack").iterdir()) == []


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    """The exception passes through, and the folder is empty."""
    tree = packing.tree(tmp_path / "tree", big_tree(tmp_path))

    class Interrupting:
        def step(self, name: str, **more: object):
            return self

        def __enter__(self):
            def advance(amount: int = 1, *, note: str | None = None) -> None:
                raise KeyboardInterrupt

            return advance

        def __exit__(self, *error: object) -> None:
            return None

        note = warn = lambda self, message: None

    with pytest.raises(KeyboardInterrupt):
        pack.write(tree, packing.trace(), packing.LOCK, tmp_path / "pack", level=1, progress=Interrupting())
    assert list((tmp_path / "pack").iterdir()) == []


def test_a_killed_writer_leaves_nothing_that_is_trusted(tmp_path: Path) -> None:
    """SIGKILL in the middle: no pack is there, the next write succeeds and cleans up."""
    tree = packing.tree(tmp_path / "tree", big_tree(tmp_path))
    script = textwrap.dedent(f"""
        import sys, time
        from pathlib import Path
        sys.path.insert(0, {str(Path(packing.__file__).parent)!r})
        from tests.support import packing
        from lambdapack import pack
        from lambdapack.model import Tree

        class Slow:
            def step(self, name, **more): return self
            def __enter__(self):
                print("writing", flush=True)
                return lambda amount=1, note=None: time.sleep(60)
            def __exit__(self, *error): return None

        tree = Tree(Path({str(tree.root)!r}), packing.TARGET, ())
        folder = Path({str(tmp_path / "pack")!r})
        pack.write(tree, packing.trace(), packing.LOCK, folder, level=1, progress=Slow())
    """)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "writing\n"
        deadline = time.monotonic() + 30
        while not any((tmp_path / "pack").iterdir()) and time.monotonic() < deadline:
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
    assert [path.name for path in (tmp_path / "pack").iterdir() if not path.name.startswith(".")] == []
    with pytest.raises(ConfigurationError, match="there is no pack"):
        pack.load(tmp_path / "pack")
    made = pack.write(tree, packing.trace(), packing.LOCK, tmp_path / "pack", level=1)
    assert {path.name for path in (tmp_path / "pack").iterdir()} == {made.path.name, made.index_path.name}


def test_load_finds_the_pack_of_the_build(tmp_path: Path) -> None:
    """build.json decides where several packs lie together; without it the only one is meant."""
    first = packing.pack(tmp_path, {"a/x": b"1"})
    assert pack.load(tmp_path / "pack").id == first.id
    second = packing.pack(tmp_path, {"a/x": b"2"})
    with pytest.raises(ConfigurationError, match="holds 2 packs"):
        pack.load(tmp_path / "pack")
    (tmp_path / "pack/build.json").write_text(f'{{"version": 1, "id": "{second.id}"}}')
    assert pack.load(tmp_path / "pack").id == second.id
    assert pack.load(first.path).id == first.id


def test_load_brings_the_index_back(tmp_path: Path) -> None:
    """A pack that came alone has its index inside; one that is another's is not accepted."""
    made = packing.pack(tmp_path, {"a/x": b"1"})
    encoded = made.index_path.read_bytes()
    made.index_path.unlink()
    assert pack.load(made.path).index_path.read_bytes() == encoded
    made.index_path.write_bytes(encoded + b" ")
    with pytest.raises(CheckError, match="is not the index"):
        pack.load(made.path)


def test_extract_needs_a_new_folder(tmp_path: Path) -> None:
    """An existing tree is never mixed with the pack's; an empty folder is as good as none."""
    made = packing.pack(tmp_path, packing.SAMPLE)
    (tmp_path / "there").mkdir()
    pack.extract(made.path, tmp_path / "there")
    with pytest.raises(ConfigurationError, match="is there already"):
        pack.extract(made.path, tmp_path / "there")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pack", "there", "tree"]


def test_extract_of_a_damaged_pack_leaves_nothing(tmp_path: Path) -> None:
    """Not even the files that came before the damage."""
    made = packing.pack(tmp_path, big_tree(tmp_path))
    data = bytearray(made.path.read_bytes())
    data[made.index.frame_stored_start[-2] + 30] ^= 1
    made.path.write_bytes(data)
    with pytest.raises(CheckError, match="digest"):
        pack.extract(made.path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pack", "tree"]
