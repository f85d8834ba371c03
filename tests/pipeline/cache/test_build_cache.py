"""The build cache on a disk that is full, damaged, shared or killed under it."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdapack.memo import key_of
from lambdapack.model import NO_OPTIONS, Lock, Pin, PipOptions
from lambdapack.model.target import Target
from lambdapack.pipeline import cached_lock
from lambdapack.pipeline.cache import BuildCache, prune, survey
from lambdapack.pipeline.output import copy_kept, keep_copies
from tests.support.told import Told

TARGET = Target("3.11", "x86_64")


def files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def damage(path: Path) -> None:
    """Change one byte in the middle, or give an empty file one."""
    data = bytearray(path.read_bytes() or bytes(1))
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_value_is_found_again_by_its_key_and_kind_alone(tmp_path: Path) -> None:
    """Another process finds it too; nothing else has it."""
    BuildCache(tmp_path).put("frames", "ab" * 32, b"value")
    store = BuildCache(tmp_path)
    assert store.get("frames", "ab" * 32) == b"value"
    assert store.get("frames", "cd" * 32) is None
    assert store.get("trees", "ab" * 32) is None
    assert (store.found["frames"], store.asked["frames"]) == (1, 2)


def test_a_store_that_is_off_finds_and_keeps_nothing(tmp_path: Path) -> None:
    """Not even a folder is made."""
    store = BuildCache(tmp_path / "none", enabled=False)
    store.put("frames", "ab" * 32, b"value")
    assert store.get("frames", "ab" * 32) is None
    assert not (tmp_path / "none").exists()


@given(st.binary(max_size=300), st.data())
@settings(max_examples=60, deadline=None)
def test_a_damaged_or_cut_value_is_never_given(
    tmp_path_factory: pytest.TempPathFactory, value: bytes, data: st.DataObject
) -> None:
    """Whatever byte changed, wherever it was cut: it is thrown away with a note, and can be made again."""
    heard = Told()
    store = BuildCache(tmp_path_factory.mktemp("store"), heard)
    store.put("frames", "ab" * 32, value)
    path = store.path("frames", "ab" * 32)
    stored = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(stored) - 1))
    if data.draw(st.booleans()):
        del stored[at:]
    else:
        stored[at] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(stored)
    assert store.get("frames", "ab" * 32) is None
    assert "damaged entry" in heard.notes[0]
    store.put("frames", "ab" * 32, value)
    assert store.get("frames", "ab" * 32) == value


def test_where_nothing_can_be_written_the_user_is_told_once(tmp_path: Path) -> None:
    """A file is where the cache's folder should be: nothing raises, nothing is found."""
    (tmp_path / "builds").write_text("in the way")
    heard = Told()
    store = BuildCache(tmp_path / "builds", heard)
    for number in range(3):
        store.put("frames", f"{number:064x}", b"value")
        assert store.get("frames", f"{number:064x}") is None
    with store.in_use():
        pass
    assert len(heard.warnings) == 1
    assert "cannot be written" in heard.warnings[0]


def test_a_disk_that_gets_full_leaves_no_half_entry(tmp_path: Path) -> None:
    """The entry that does not fit is not there, the one before it is, and the user is told once."""
    code = f"""
import resource, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from lambdapack.pipeline.cache import BuildCache
from tests.support.told import Told
heard = Told()
store = BuildCache(Path({str(tmp_path)!r}), heard)
store.put("frames", "aa" * 32, b"small")
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
store.put("frames", "bb" * 32, bytes(5000))
store.put("frames", "cc" * 32, bytes(5000))
assert store.get("frames", "aa" * 32) == b"small"
assert store.get("frames", "bb" * 32) is None
assert len(heard.warnings) == 1, heard.warnings
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert [path.name for path in files(tmp_path)] == ["aa" * 32]


WRITER = """
import hashlib, itertools, sys
from pathlib import Path
from lambdapack.pipeline.cache import BuildCache
store = BuildCache(Path(sys.argv[1]))
print("ready", flush=True)
for number in itertools.count():
    value = hashlib.sha256(b"%d" % number).digest() * 3000
    store.put("frames", f"{number:064x}", value)
    with store.making() as part:
        (part / "tree").mkdir()
        (part / "tree" / "file").write_bytes(value)
        store.put_folder("trees", f"{number:064x}", part, b"description")
"""


def test_killed_at_any_time_it_leaves_only_whole_entries(tmp_path: Path) -> None:
    """After kill -9 every entry that is found is sound; what was half made is no entry, and goes."""
    chance = random.Random(4)
    for _ in range(5):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(chance.random() / 5)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
    heard = Told()
    store = BuildCache(tmp_path, heard)
    found = 0
    for path in (tmp_path / "frames").glob("*/*"):
        number = int(path.name, 16)
        assert store.get("frames", path.name) == hashlib.sha256(b"%d" % number).digest() * 3000
        found += 1
    for path in (tmp_path / "trees").glob("*/*"):
        folder = store.get_folder("trees", path.name)
        assert folder is not None and (folder[0] / "tree" / "file").stat().st_size == 96_000
    assert found
    assert not heard.notes
    for part in (tmp_path / ".parts").iterdir():
        os.utime(part, (0, 0))
    with store.in_use():
        assert not list((tmp_path / ".parts").iterdir())


RACER = """
import random, sys
from pathlib import Path
from lambdapack.pipeline.cache import BuildCache, prune
root, seed = Path(sys.argv[1]), int(sys.argv[2])
chance = random.Random(seed)

def turn(store):
    key = f"{chance.randrange(20):064x}"
    found = store.get("frames", key)
    assert found in (None, key.encode() * 50), found
    store.put("frames", key, key.encode() * 50)
    with store.making() as part:
        (part / "file").write_bytes(key.encode())
        store.put_folder("trees", key, part, key.encode())
    kept = store.get_folder("trees", key)
    assert kept is None or kept[1] == key.encode()

store = BuildCache(root / "builds")
for _ in range(30):
    with store.in_use():
        for _ in range(10):
            turn(store)
    if seed == 0:
        prune(root, everything=True)
assert store.found["frames"]
"""


def test_processes_share_it_while_another_empties_it(tmp_path: Path) -> None:
    """Four at once: each finds an entry whole or not at all, and none of them fails."""
    racers = [
        subprocess.Popen([sys.executable, "-c", RACER, str(tmp_path), str(seed)], stderr=subprocess.PIPE)
        for seed in range(4)
    ]
    for racer in racers:
        _, complaint = racer.communicate(timeout=300)
        assert racer.returncode == 0, complaint.decode()


def entry(store: BuildCache, key: str, size: int, age: float) -> Path:
    """A value that was last used some seconds ago."""
    store.put("frames", key, bytes(size - 32))
    path = store.path("frames", key)
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_what_was_not_used_for_the_longest_time_goes_first(tmp_path: Path) -> None:
    """Down to the size, and no further; a use counts, not only the making."""
    store = BuildCache(tmp_path / "builds")
    oldest, middle, newest = (
        entry(store, f"{number:02x}" * 32, 1000, age) for number, age in ((1, 300), (2, 200), (3, 100))
    )
    assert store.get("frames", "01" * 32) is not None
    pruned = prune(tmp_path, max_bytes=2000)
    assert (pruned.entries, pruned.bytes) == (1, 1000)
    assert oldest.exists() and newest.exists() and not middle.exists()
    assert prune(tmp_path, older_than=50).entries == 1
    assert oldest.exists() and not newest.exists()
    assert prune(tmp_path, max_bytes=10**9).entries == 0


def test_what_a_running_build_uses_as_it_lies_there_stays(tmp_path: Path) -> None:
    """Even with --all: pip-tools are imported from the cache; entries of builds may go at any time."""
    (tmp_path / "tools" / "python3.11").mkdir(parents=True)
    (tmp_path / "tools" / "python3.11" / "pip.py").write_bytes(bytes(10))
    store = BuildCache(tmp_path / "builds")
    kept = entry(store, "ab" * 32, 100, 0)
    with store.in_use():
        pruned = prune(tmp_path, everything=True)
    assert pruned.spared == ("tools",)
    assert (tmp_path / "tools" / "python3.11" / "pip.py").exists() and not kept.exists()
    assert prune(tmp_path, everything=True).bytes == 10
    assert [path.name for path in files(tmp_path)] == [".lock"]


def test_the_survey_counts_every_folder(tmp_path: Path) -> None:
    """Entries, bytes and ages, of the build cache and of what is beside it."""
    entry(BuildCache(tmp_path / "builds"), "ab" * 32, 500, 1000)
    (tmp_path / "hints").mkdir()
    (tmp_path / "hints" / "one").write_bytes(bytes(7))
    folders = {folder.name: folder for folder in survey(tmp_path)}
    assert folders["builds/frames"].entries == 1
    assert folders["builds/frames"].bytes == 500
    assert 999 <= folders["builds/frames"].oldest < 1100
    assert folders["hints"].bytes == 7
    assert survey(tmp_path / "none") == ()


def test_a_whole_build_is_copied_and_a_damaged_one_is_not(tmp_path: Path) -> None:
    """A file in an output folder may be changed there: the cache's stays as it was."""
    made, out = tmp_path / "made", tmp_path / "out"
    made.mkdir()
    out.mkdir()
    (made / "a.tar.zst").write_bytes(b"pack")
    (made / "build.json").write_bytes(b"{}")
    heard = Told()
    store = BuildCache(tmp_path / "builds", heard)
    keep_copies(store, "ab" * 32, files(made))
    for _ in range(2):
        copied = copy_kept(store, "ab" * 32, out)
        assert sorted(path.read_bytes() for path in copied) == [b"pack", b"{}"]
        (out / "a.tar.zst").write_bytes(b"changed")
    damage(next((tmp_path / "builds" / "packs").rglob("a.tar.zst")))
    assert copy_kept(store, "ab" * 32, out) == ()
    assert len(heard.notes) == 1
    assert copy_kept(store, "ab" * 32, out) == ()


def lock_of(*pins: tuple[str, str]) -> Lock:
    made = tuple(Pin(name, version, (f"sha256:{key_of(name, version)}",)) for name, version in sorted(pins))
    return Lock(
        TARGET,
        (2, 26),
        made,
        tuple(pin.name for pin in made),
        PipOptions((("index-url", "https://u:secret@x"),)),
    )


def test_a_lock_grows_old_unless_its_hashes_settle_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some hours an index may answer otherwise; to exact versions with hashes it cannot."""
    heard, lock = Told(), lock_of(("alpha", "1"), ("beta", "2"))
    store = BuildCache(tmp_path, heard)
    cached_lock.keep(store, "ab" * 32, lock, [("warning", "careful")], local=NO_OPTIONS)
    found = cached_lock.find(store, "ab" * 32)
    assert found is not None and found.said == (("warning", "careful"),) and found.seconds < 60
    assert (found.lock.pins, found.lock.requested, found.lock.glibc) == (
        lock.pins,
        lock.requested,
        lock.glibc,
    )
    assert found.lock.digest == lock.digest
    now = time.time()
    monkeypatch.setattr(
        "lambdapack.pipeline.cached_lock.time.time", lambda: now + cached_lock.FRESH_SECONDS + 60
    )
    assert cached_lock.find(store, "ab" * 32) is None
    assert cached_lock.find(store, "ab" * 32, hashed={"alpha"}) is None
    assert cached_lock.find(store, "ab" * 32, hashed={"alpha", "beta"}) is not None
    monkeypatch.setattr("lambdapack.pipeline.cached_lock.time.time", lambda: now - 3600)
    assert cached_lock.find(store, "ab" * 32) is None, "a clock that was set back says nothing about the age"


def test_no_credentials_are_kept_with_a_lock(tmp_path: Path) -> None:
    """The options that name an index are not part of it."""
    cached_lock.keep(BuildCache(tmp_path), "ab" * 32, lock_of(("alpha", "1")), local=NO_OPTIONS)
    assert all(b"secret" not in path.read_bytes() for path in files(tmp_path))
