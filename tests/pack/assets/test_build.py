"""Assets in packs of their own: the same bytes for the same files, made once."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdapack import pack
from lambdapack.errors import ConfigurationError
from lambdapack.pack import assets
from lambdapack.pack.assets import Asset, building, collect
from lambdapack.pack.check import problems
from runtime_shim import _index

OLD = time.time() - 3600


def write(root: Path, files: dict[str, bytes]) -> Path:
    """A folder of ``files`` that looks as if it had been there for a while."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (OLD, OLD))
    return root


FILES = {"weights.bin": Random(1).randbytes(300_000), "sub/vocabulary.txt": b"word\n" * 5000, "empty": b""}


def test_the_id_depends_on_the_content_alone(tmp_path: Path) -> None:
    """Name, place, times and number of cores change no byte; one byte of content changes the id."""
    first = write(tmp_path / "a", FILES)
    second = write(tmp_path / "elsewhere" / "b", FILES)
    os.utime(second / "empty", (1, 1))
    one = assets.build([Asset("one", first, level=3)], tmp_path / "x", jobs=1)
    two = assets.build([Asset("two", second, fetch="use", level=3)], tmp_path / "y", jobs=4)
    assert one[0].id == two[0].id
    assert (tmp_path / "x" / one[0].pack).read_bytes() == (tmp_path / "y" / two[0].pack).read_bytes()
    write(second, {"empty": b"x"})
    assert assets.build([Asset("two", second, level=3)], tmp_path / "y")[0].id != one[0].id


def test_what_is_unpacked_is_what_was_packed(tmp_path: Path) -> None:
    """Any tool that reads packs reads these: sound, for any target, data alone, modes kept."""
    root = write(tmp_path / "a", FILES)
    (root / "sub/vocabulary.txt").chmod(0o755)
    (built,) = assets.build([Asset("one", root, level=3)], tmp_path / "out")
    path = tmp_path / "out" / built.pack
    assert pack.verify(path) == []
    pack_id, index = pack.read_index(path)
    assert (pack_id, index.target, set(index.classes)) == (built.id, "any", {"d"})
    pack.extract(path, tmp_path / "again")
    assert {
        str(p.relative_to(tmp_path / "again")): p.read_bytes()
        for p in (tmp_path / "again").rglob("*")
        if p.is_file()
    } == FILES
    assert os.access(tmp_path / "again/sub/vocabulary.txt", os.X_OK)
    assert not os.access(tmp_path / "again/weights.bin", os.X_OK)


def test_a_single_file_keeps_its_name(tmp_path: Path) -> None:
    """Loaders look at suffixes, so the file in the pack is called as it was."""
    write(tmp_path, {"model.onnx": b"content"})
    (built,) = assets.build([Asset("m", tmp_path / "model.onnx")], tmp_path / "out")
    assert built.file == "model.onnx"
    assert pack.read_index(tmp_path / "out" / built.pack)[1].paths == ["model.onnx"]


def test_an_unchanged_asset_is_neither_read_nor_compressed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Size, time and inode tell; a changed file makes its own asset anew and leaves the others alone."""
    monkeypatch.setattr(collect, "_TICK_NS", 0)  # these files were not there a while ago
    first = write(tmp_path / "a", FILES)
    second = write(tmp_path / "b", {"x": b"1" * 1000})
    wanted = [Asset("a", first, level=3), Asset("b", second, level=3)]
    before = assets.build(wanted, tmp_path / "out")
    stamps = {one.name: (tmp_path / "out" / one.pack).stat().st_mtime_ns for one in before}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", _refuse(first))
        assert assets.build(wanted, tmp_path / "out") == before
    write(second, {"x": b"2" * 1000})
    after = assets.build(wanted, tmp_path / "out")
    assert after[0] == before[0]
    assert after[1].id != before[1].id
    assert (tmp_path / "out" / after[0].pack).stat().st_mtime_ns == stamps["a"]
    packs = {path.name for path in (tmp_path / "out/assets").glob("*.tar.zst")}
    assert packs == {Path(one.pack).name for one in after}, "the pack that nothing refers to is gone"


def _refuse(folder: Path) -> object:
    real = Path.open

    def opened(self: Path, *args: object, **kwargs: object) -> object:
        assert not self.is_relative_to(folder), f"{self} was read"
        return real(self, *args, **kwargs)  # type: ignore[call-overload]

    return opened


def test_a_file_that_was_touched_is_read_but_not_compressed(tmp_path: Path) -> None:
    """Git and CI give files new times; the content decides."""
    root = write(tmp_path / "a", FILES)
    (before,) = assets.build([Asset("a", root, level=3)], tmp_path / "out")
    written = (tmp_path / "out" / before.pack).stat().st_mtime_ns
    for path in root.rglob("*"):
        os.utime(path, (OLD + 60, OLD + 60))
    assert assets.build([Asset("a", root, level=3)], tmp_path / "out") == (before,)
    assert (tmp_path / "out" / before.pack).stat().st_mtime_ns == written


def test_a_file_changed_in_the_same_tick_is_noticed(tmp_path: Path) -> None:
    """A file that was just written is read again: its time may not tell a second change from the first."""
    root = write(tmp_path / "a", {"x": b"1"})
    now = time.time()
    os.utime(root / "x", (now, now))
    (before,) = assets.build([Asset("a", root)], tmp_path / "out")
    (root / "x").write_bytes(b"2")
    os.utime(root / "x", (now, now))
    assert assets.build([Asset("a", root)], tmp_path / "out")[0].id != before.id


def test_a_damaged_pack_is_made_again(tmp_path: Path) -> None:
    """What a killed build or a full disk left is not trusted."""
    root = write(tmp_path / "a", FILES)
    (built,) = assets.build([Asset("a", root, level=3)], tmp_path / "out")
    path = tmp_path / "out" / built.pack
    os.truncate(path, 1000)
    assert assets.build([Asset("a", root, level=3)], tmp_path / "out") == (built,)
    assert pack.verify(path) == []


def test_without_assets_nothing_is_left(tmp_path: Path) -> None:
    """Taking the last asset out of the configuration takes its pack out of the build."""
    root = write(tmp_path / "a", FILES)
    assets.build([Asset("a", root, level=1)], tmp_path / "out")
    assert assets.build([], tmp_path / "out") == ()
    assert list((tmp_path / "out").iterdir()) == []
    assert assets.read(tmp_path / "out") == ()


def test_links_are_followed_and_ignored_files_left_out(tmp_path: Path) -> None:
    """A model hub's snapshot is a folder of links; what its user does not need stays behind."""
    blobs = write(tmp_path / "blobs", {"1": b"weights", "2": b"readme"})
    snapshot = tmp_path / "snapshot"
    (snapshot / "onnx").mkdir(parents=True)
    (snapshot / "model.bin").symlink_to(blobs / "1")
    (snapshot / "README.md").symlink_to(blobs / "2")
    (snapshot / "onnx/large.onnx").write_bytes(b"not needed")
    (built,) = assets.build([Asset("m", snapshot, ignore=("*.md", "onnx/"))], tmp_path / "out")
    pack.extract(tmp_path / "out" / built.pack, tmp_path / "again")
    assert [path.name for path in (tmp_path / "again").rglob("*")] == ["model.bin"]
    assert (tmp_path / "again/model.bin").read_bytes() == b"weights"


@pytest.mark.parametrize("kind", ["missing", "empty", "loop", "dangling", "pipe"])
def test_what_cannot_be_packed_is_named(tmp_path: Path, kind: str) -> None:
    """The message names the asset and the path, and says what is wrong with it."""
    root = tmp_path / "asset"
    if kind != "missing":
        root.mkdir()
    if kind == "loop":
        (root / "again").symlink_to(root)
    elif kind == "dangling":
        (root / "gone").symlink_to(tmp_path / "nowhere")
    elif kind == "pipe":
        os.mkfifo(root / "pipe")
    with pytest.raises(ConfigurationError) as caught:
        assets.build([Asset("model", root)], tmp_path / "out")
    assert "asset model" in caught.value.message
    assert str(root) in caught.value.message


def test_noise_is_not_squeezed_and_text_is(tmp_path: Path) -> None:
    """Incompressible frames are kept as the fastest level leaves them, at hardly more than their size."""
    noise = Random(2).randbytes(9_000_000)
    write(tmp_path / "a", {"noise": noise, "text": b"the same again " * 600_000})
    (built,) = assets.build([Asset("a", tmp_path / "a", level=19)], tmp_path / "out")
    _, index = pack.read_index(tmp_path / "out" / built.pack)
    assert len(noise) < built.bytes < len(noise) * 1.001 + 20_000
    assert max(index.frame_size) <= 8 * 1024 * 1024


def test_a_pack_for_any_target_holds_data_alone(tmp_path: Path) -> None:
    """Code is for one Python: an index that says otherwise is refused."""
    write(tmp_path / "a", {"x": b"1"})
    (built,) = assets.build([Asset("a", tmp_path / "a")], tmp_path / "out")
    document = json.loads((tmp_path / "out" / built.index).read_bytes())
    document["files"]["class"] = "s"
    encoded = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    assert any("class data alone" in problem for problem in problems(encoded))


def test_a_record_of_another_version_is_refused(tmp_path: Path) -> None:
    """assets.json is versioned like build.json."""
    (tmp_path / assets.FILE_NAME).write_text('{"document": "lambdapack.assets", "version": 9, "assets": []}')
    with pytest.raises(ConfigurationError, match="version 9"):
        assets.read(tmp_path)
    (tmp_path / assets.FILE_NAME).write_text("[]")
    with pytest.raises(ConfigurationError, match="cannot read"):
        assets.read(tmp_path)


_NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20).filter(
    lambda name: name not in (".", "..")
)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(_NAMES, st.integers(0, 150_000), min_size=1, max_size=8),
    st.integers(32_768, 65_536),
)
def test_frames_are_cut_as_the_format_wants(
    tmp_path_factory: pytest.TempPathFactory, sizes: dict[str, int], frame: int
) -> None:
    """Whatever the names and sizes, the pack is sound and holds every byte, or the name is refused."""
    folder = tmp_path_factory.mktemp("any")
    noise = Random(0)
    try:
        files = write(folder / "a", {name: noise.randbytes(size) for name, size in sizes.items()})
    except OSError:
        return  # a name that this file system has not
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "_FRAME", frame)
        try:
            (built,) = assets.build([Asset("a", files, level=1)], folder / "out")
        except ConfigurationError as error:
            assert "cannot carry" in error.message
            return
    assert pack.verify(folder / "out" / built.pack) == []
    index = _index.decode((folder / "out" / built.index).read_bytes())
    assert sorted(index.paths) == sorted(sizes)


def test_placed_refuses_a_build_that_is_not_the_configurations(tmp_path: Path) -> None:
    """An asset that was added to the configuration and not built yet is an error that says so."""
    write(tmp_path / "a", {"x": b"1"})
    assets.build([Asset("a", tmp_path / "a")], tmp_path / "out")
    with pytest.raises(ConfigurationError, match="those of the configuration: b"):
        assets.placed(tmp_path / "out", lambda _: None, ["a", "b"])
    (placed,) = assets.placed(tmp_path / "out", lambda _: None, ["a"])
    placed.pack.unlink()
    with pytest.raises(ConfigurationError, match="asset a: its pack is not in"):
        assets.placed(tmp_path / "out", lambda _: None)
