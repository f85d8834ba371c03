"""What is fuzzed, each as a function of bytes that raises AssertionError where a rule is broken.

They need no fuzzer: the corpus is replayed by pytest, and ``fuzz_run.py`` drives them with atheris.
"""

from __future__ import annotations

import os
import posixpath
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lambdapack import pack
from lambdapack.errors import LambdapackError
from lambdapack.pack import check
from lambdapack.pack.compare import read_owners
from runtime_shim import _index
from runtime_shim._disk import Place
from runtime_shim._index import Index

_MEMORY = "/dev/shm"  # thousands of small trees a minute: not on a disk where there is another place


def index(data: bytes) -> None:
    """Both readers of an index answer with their own errors, and what the strict one finds sound the shim
    accepts; whatever the shim accepts leads nowhere else than below its folder and into its frames.
    """
    found = check.problems(data)
    assert all(isinstance(problem, str) for problem in found)
    try:
        accepted = _index.decode(data)
    except _index.IndexFormatError:
        assert found, "the shim refuses what is a sound index"
        return
    if not found:
        assert _index.encode(accepted) == data
    stays_inside(accepted)


def stays_inside(accepted: Index) -> None:
    """The promises of the shim's check."""
    for file, path in enumerate(accepted.paths):
        # By another way than the check's: what the path means to the system is what it says.
        assert posixpath.normpath("/root/" + path) == "/root/" + path != "/root/", path
        os.fsencode(path)
        assert "\0" not in path
        end = accepted.offsets[file] + accepted.sizes[file]
        assert 0 <= accepted.offsets[file] <= end <= accepted.frame_start[-1]
        held = accepted.frames_of(file)
        assert 0 <= held.start < held.stop <= len(accepted.frame_size)
        assert file == 0 or accepted.offsets[file - 1] + accepted.sizes[file - 1] <= accepted.offsets[file]
    named = [accepted.executable, accepted.needs, *accepted.needs.values(), *accepted.native.values()]
    assert all(0 <= file < len(accepted.paths) for files in named for file in files)
    assert 0 <= accepted.hot <= accepted.eager <= len(accepted.frame_size)


def reader(data: bytes) -> None:
    """Whatever a file named as a pack holds: verify, inspect and extract end in lambdapack's own errors,
    nothing is written outside the destination, and what verifies is unpacked as its index says.
    """
    with folder() as root:
        path = root / "a.tar.zst"
        path.write_bytes(data)
        # The name of a mutated pack is never its id.
        problems = [problem for problem in pack.verify(path) if not problem.startswith("the file is named")]
        sound = _own_errors(lambda: _owners(path)) & _own_errors(lambda: pack.extract(path, root / "out"))
        assert sound or problems, "a pack that verifies is refused"
        names = sorted(entry.name for entry in root.iterdir())
        assert names == ["a.tar.zst", *(["out"] if (root / "out").exists() else [])], names
        if (root / "out").exists():
            _is_as_indexed(root / "out", pack.read_index(path)[1])


def _owners(path: Path) -> None:
    with pack.open_pack(path) as (file, _, index):
        try:
            read_owners(pack.FileReader(file, index))
        except pack.FrameError as error:
            raise pack.UnsoundError(path, [str(error)]) from None


def _own_errors(call: Callable[[], object]) -> bool:
    try:
        call()
    except LambdapackError:
        return False
    return True


def _is_as_indexed(root: Path, unpacked: Index) -> None:
    found = {}
    for where, folders, files in os.walk(root):
        assert not any(Path(where, name).is_symlink() for name in (*folders, *files))
        found.update({os.path.relpath(Path(where, name), root): Path(where, name) for name in files})
    assert found.keys() == set(unpacked.paths)
    for number, path in enumerate(unpacked.paths):
        state = found[path].stat()
        assert state.st_size == unpacked.sizes[number]
        assert bool(state.st_mode & 0o111) == (number in unpacked.executable)


class Choices:
    """Small numbers taken from bytes, zeros once they are used up."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._next = 0

    def below(self, limit: int) -> int:
        """One number of 0 to ``limit`` - 1."""
        taken = self._data[self._next : self._next + 2]
        self._next += 2
        return int.from_bytes(taken, "big") % limit if limit else 0

    def __bool__(self) -> bool:
        return self._next < len(self._data)


_SIZES = (0, 1, 12, 511, 512, 513, 4096, 9000)
_STEPS_MAX = 60


def layout(choices: Choices) -> tuple[Index, bytes]:
    """A random index, with files of every class and cuts anywhere, and its tar stream."""
    paths, classes, sizes, offsets, executable = [], "", [], [], []
    stream = bytearray()
    for file in range(choices.below(9)):
        paths.append("/".join(["dir"] * choices.below(4) + [f"file{file}"]))
        classes += "csmxldn"[choices.below(7)]
        sizes.append(_SIZES[choices.below(len(_SIZES))])
        if choices.below(3) == 0:
            executable.append(file)
        stream += bytes(512)
        offsets.append(len(stream))
        stream += bytes([1 + (file * 37 + at // 7) % 255 for at in range(sizes[-1])])
        stream += bytes(-len(stream) % 512)
    stream += bytes(1024)
    cuts = sorted({choices.below(len(stream)) for _ in range(choices.below(8))} - {0})
    frame_size = [end - start for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    made = Index(
        target="any", lock="ab" * 32, tool="fuzz", glibc="", hot=0, eager=len(frame_size),
        frame_stored=[1] * len(frame_size), frame_size=frame_size, frame_sha256=["ab" * 32] * len(frame_size),
        paths=paths, classes=classes, sizes=sizes, offsets=offsets, executable=executable,
        needs={}, native={},
    )  # fmt: skip
    _index.check(made)
    return made, bytes(stream)


def place(data: bytes) -> None:
    """Frames of any layout, placed in any order and more than once, with files, arena and journal removed or
    cut at any moment and processes that begin anew: what counts as in place has the right bytes, and once
    nothing is missing everything is there.
    """
    choices = Choices(data)
    made, stream = layout(choices)
    disk = bool(choices.below(2))
    places: list[Place] = []
    with folder() as root, closing_all(places):
        places.append(Place(f"{root}/packs", "ab" * 32, made, disk))
        for _ in range(_STEPS_MAX):
            if not choices:
                break
            _step(choices, places, stream, disk)
        # Nothing more happens to it. Each frame once, those again that shared a file with a gone one, and all
        # of them if a read is the first to see that the arena is gone.
        assert any(_is_complete(places[-1], stream) for _ in range(4))


@contextmanager
def closing_all(places: list[Place]) -> Iterator[None]:
    """A process has one place and keeps it for good; here thousands come and go."""
    try:
        yield
    finally:
        for one in places:
            one._arena.close()
            one.journal.file.close()


def _step(choices: Choices, places: list[Place], stream: bytes, disk: bool) -> None:
    here, what = places[-1], choices.below(12)
    made, root = here.index, Path(here.base).parent
    if what < 5:
        left = here.missing(0, len(made.frame_size))
        if left:
            _put(here, left[choices.below(len(left))], stream)
    elif what == 5:
        _put(here, choices.below(len(made.frame_size)), stream)
    elif what == 6:
        places.append(Place(str(root), "ab" * 32, made, disk))
    elif what == 7 and made.paths:
        _holds_what_is_right(here, choices.below(len(made.paths)), stream)
    elif what > 7:
        _damage(choices, here, root)


def _is_complete(here: Place, stream: bytes) -> bool:
    for frame in here.missing(0, len(here.index.frame_size)):
        _put(here, frame, stream)
    if here.missing(0, len(here.index.frame_size)):
        return False
    found = [_holds_what_is_right(here, file, stream) for file in range(len(here.index.paths))]
    return all(found)


def _put(here: Place, frame: int, stream: bytes) -> None:
    start, end = here.index.frame_start[frame : frame + 2]
    here.put(frame, memoryview(stream)[start:end])


def _holds_what_is_right(here: Place, file: int, stream: bytes) -> bool:
    """Whether a file is there, which may be seen only when it is read; never another content."""
    held = here.index.frames_of(file)
    if here.missing(held.start, held.stop):
        return False
    found = _content(here, file)
    assert found is None or found == _expected(here.index, stream, file), here.index.paths[file]
    return found is not None


def _damage(choices: Choices, here: Place, root: Path) -> None:
    """What a handler that tidies /tmp does: remove or cut one thing, or all of it."""
    below = sorted(path for path in root.rglob("*") if path.is_file())
    what = choices.below(4)
    if what == 0:
        shutil.rmtree(root, ignore_errors=True)
    elif below:
        chosen = below[choices.below(len(below))]
        if what == 1:
            os.truncate(chosen, choices.below(chosen.stat().st_size + 1))
        else:
            chosen.unlink()


def _content(here: Place, file: int) -> bytes | None:
    if here.index.classes[file] in here.in_arena:
        found = here.read(file)
        return None if found is None else bytes(found)
    return Path(here.site, here.index.paths[file]).read_bytes()


def _expected(made: Index, stream: bytes, file: int) -> bytes:
    return stream[made.offsets[file] : made.offsets[file] + made.sizes[file]]


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    where = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(
        prefix="lambdapack-fuzz-", dir=where, ignore_cleanup_errors=True
    ) as made:
        yield Path(made)


TARGETS = {"index": index, "pack": reader, "place": place}
