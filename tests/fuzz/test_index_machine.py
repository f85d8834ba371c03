"""An index as it grows: whatever is added, its bytes say the same to both readers."""

from __future__ import annotations

import itertools

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lambdapack.pack import check
from runtime_shim import _index

_LETTERS = st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="/")
NAMES = st.text(_LETTERS, min_size=1, max_size=20).filter(lambda name: name not in (".", ".."))


class IndexMachine(RuleBasedStateMachine):
    """Adds files, shared objects and frames to an index, keeping the format's rules."""

    def __init__(self) -> None:
        super().__init__()
        self.paths: list[str] = []
        self.classes: list[str] = []
        self.sizes: list[int] = []
        self.offsets: list[int] = []
        self.executable: list[int] = []
        self.needs: dict[int, list[int]] = {}
        self.native: dict[str, list[int]] = {}
        self.end = 0
        self.cuts: set[int] = set()

    @rule(
        parts=st.lists(NAMES, min_size=1, max_size=4),
        letter=st.sampled_from("csmxldn"),
        size=st.integers(0, 10_000),
        gap=st.integers(1, 32),
        executable=st.booleans(),
    )
    def add(self, parts: list[str], letter: str, size: int, gap: int, executable: bool) -> None:
        """A file after the last one; its number as the first part keeps paths apart."""
        file = len(self.paths)
        self.paths.append("/".join([f"{file}", *parts]))
        self.classes.append(letter)
        self.sizes.append(size)
        self.offsets.append(self.end + 512 * gap)
        self.end = self.offsets[-1] + size + -size % 512
        if executable:
            self.executable.append(file)
        if letter == "n":
            self.native.setdefault(parts[0], []).append(file)

    @precondition(lambda self: len(self.paths) > 1)
    @rule(choices=st.data())
    def need(self, choices: st.DataObject) -> None:
        """One object maps others, and so does a module that opens them by name."""
        objects = [file for file, letter in enumerate(self.classes) if letter in "xldn"]
        file = choices.draw(st.sampled_from(range(len(self.paths))))
        others = [other for other in objects if other != file]
        if others and self.classes[file] != "m":
            self.needs[file] = sorted(choices.draw(st.sets(st.sampled_from(others), min_size=1)))

    @rule(at=st.integers(1, 100_000))
    def cut(self, at: int) -> None:
        """A frame ends here, if the archive is that long."""
        self.cuts.add(at)

    def index(self) -> _index.Index:
        total = self.end + 1024
        edges = [0, *sorted(cut for cut in self.cuts if cut < total), total]
        frame_size = [end - start for start, end in itertools.pairwise(edges)]
        count = len(frame_size)
        return _index.Index(
            target="python3.11/x86_64", lock="ab" * 32, tool="machine 1", glibc="",
            hot=count // 2, eager=count,
            frame_stored=[1] * count, frame_size=frame_size, frame_sha256=["ab" * 32] * count,
            paths=self.paths, classes="".join(self.classes), sizes=self.sizes, offsets=self.offsets,
            executable=self.executable, needs=self.needs, native=self.native,
        )  # fmt: skip

    @invariant()
    def is_sound_and_comes_back(self) -> None:
        """Sound to the strict check, accepted by the shim, every field as it was, the same bytes again."""
        made = self.index()
        data = _index.encode(made)
        assert check.problems(data) == []
        back = _index.decode(data)
        assert all(
            getattr(back, name) == getattr(made, name)
            for name in (*_index.FIELDS, "frame_start", "frame_stored_start")
        )
        assert _index.encode(back) == data

    @invariant()
    def a_path_twice_is_seen(self) -> None:
        """By both readers, wherever the two are."""
        if len(self.paths) > 1:
            made = self.index()
            made.paths = [*made.paths[:-1], made.paths[0]]
            data = _index.encode(made)
            assert any("twice" in problem for problem in check.problems(data))
            try:
                _index.decode(data)
            except _index.IndexFormatError:
                return
            raise AssertionError("accepted")


TestIndexMachine = IndexMachine.TestCase
TestIndexMachine.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
