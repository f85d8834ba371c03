"""Which paths the guard takes for the pack's, and what it does before each event, in this process."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runtime_shim import _guard
from runtime_shim._disk import Place
from runtime_shim._guard import ENVIRONMENTS, PATHS, PROGRAMS, STARTER, Guard
from runtime_shim._importer import Contents, Importer
from runtime_shim._index import Index
from runtime_shim._start import Pack

FILES = {
    "pkg/__init__.py": "s", "pkg/data.txt": "d", "pkg/tool": "d", "pkg/mods/a.py": "s", "pkg/mods/b.py": "s",
    "own/sitecustomize.py": "s", "own/x.bin": "d", "top.py": "s",
}  # fmt: skip
SIZE = 100


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    """Of a pack whose only frame is in place."""
    paths = list(FILES)
    offsets = [512 + 1024 * number for number in range(len(paths))]
    total = offsets[-1] + 1024
    index = Index(
        target="any", lock="", tool="", glibc="", hot=1, eager=1, frame_stored=[1], frame_size=[total],
        frame_sha256=[""], paths=paths, classes="".join(FILES.values()), sizes=[SIZE] * len(paths),
        offsets=offsets, executable=[paths.index("pkg/tool")], needs={}, native={},
    )  # fmt: skip
    place = Place(str(tmp_path / "root"), "ab" * 32, index, disk=False)
    place.put(0, memoryview(bytearray(b"p") * total))
    pack = Pack(place, lambda place, alive: pytest.fail("nothing is fetched"), 1)
    yield Guard(Importer(pack, Contents(index)))
    place._arena.close()
    place.journal.file.close()


@pytest.fixture
def site(guard: Guard, tmp_path: Path) -> Path:
    """The pack's root, with links to it outside."""
    root = Path(guard._site)
    (tmp_path / "link").symlink_to(root)
    (tmp_path / "pkg link").symlink_to(root / "pkg")
    (tmp_path / "file link").symlink_to(root / "pkg/data.txt")
    (tmp_path / "elsewhere").mkdir()
    return root


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("{site}/pkg/data.txt", "pkg/data.txt"),
        ("{site}", ""),
        ("{site}/", ""),
        ("{site}/pkg", "pkg"),
        ("{site}//pkg/./data.txt", "pkg/data.txt"),
        ("/{site}/pkg/data.txt", "pkg/data.txt"),
        ("{site}/own/../pkg/data.txt", "pkg/data.txt"),
        ("{site}/pkg/new.txt", "pkg/new.txt"),
        ("{site}/pkg/../../outside", None),
        ("{site}x/pkg/data.txt", None),
        ("{tmp}/link/pkg/data.txt", "pkg/data.txt"),
        ("{tmp}/link", ""),
        ("{tmp}/pkg link/data.txt", "pkg/data.txt"),
        ("{tmp}/pkg link/../top.py", "top.py"),
        ("{tmp}/file link", "pkg/data.txt"),
        ("{tmp}/elsewhere/data.txt", None),
        ("{tmp}/none/data.txt", None),
        ("/proc/self/cwd", None),
        ("", None),
        ("{site}/pkg\0/data.txt", None),
    ],
)
def test_a_path_is_the_packs_however_it_is_spelled(
    guard: Guard, site: Path, tmp_path: Path, path: str, expected: str | None
) -> None:
    """As text, as bytes, as an object and relative to an open folder; what is no path is nobody's."""
    text = path.format(site=site, tmp=tmp_path)
    assert guard.relative(text) == expected
    assert guard.relative(os.fsencode(text)) == expected
    if text and "\0" not in text:
        assert guard.relative(Path(text)) == (expected if "/../" not in text else guard.relative(text))
    if text.startswith(str(tmp_path)) and "\0" not in text:
        folder = os.open(tmp_path, os.O_RDONLY)
        assert guard.relative(os.path.relpath(text, tmp_path), folder) == guard.relative(
            str(tmp_path / os.path.relpath(text, tmp_path))
        )
        os.close(folder)
    assert guard.relative(7) is None and guard.relative(None) is None


def test_a_link_is_itself_where_it_is_not_followed(guard: Guard, site: Path, tmp_path: Path) -> None:
    """``os.lstat`` and ``os.remove`` look at the link, ``os.stat`` at what it leads to."""
    assert guard.relative(str(tmp_path / "file link"), follow=False) is None
    inside = site / "pkg/made"
    inside.symlink_to(site / "pkg/data.txt")
    assert guard.relative(str(inside)) == "pkg/data.txt"
    assert guard.relative(str(inside), follow=False) == "pkg/made"


def test_a_thread_of_the_shims_sees_no_pack(guard: Guard, site: Path) -> None:
    """It would wait for itself."""
    with guard._pack.own():
        assert guard.relative(str(site / "pkg/data.txt")) is None
        assert guard.relative(str(site)) is None


def test_a_folder_before_dots_is_made(guard: Guard, site: Path) -> None:
    """The kernel looks for it although the path leaves it again."""
    assert not (site / "pkg/mods").exists()
    assert guard.relative(f"{site}/pkg/mods/../data.txt") == "pkg/data.txt"
    assert (site / "pkg/mods").is_dir()


def test_a_folder_that_is_not_the_packs_is_looked_at_once(
    guard: Guard, tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number alone does not say that it is the same: the next folder may get it."""
    real, resolved = _guard.stat, []
    monkeypatch.setattr(guard, "_unseen", lambda work, *args: resolved.append(args) or work(*args))

    def numbered(path: str) -> Any:
        state = real(path)
        # Every folder has the number of the one before, and times of its own.
        return SimpleNamespace(st_dev=state.st_dev, st_ino=1, st_ctime_ns=state.st_ino)

    monkeypatch.setattr(_guard, "stat", numbered)
    monkeypatch.setattr(guard, "_is_base", lambda folder: False)
    assert guard.relative(f"{tmp_path}/elsewhere/x") is guard.relative(f"{tmp_path}/elsewhere/y") is None
    assert len(resolved) == 1
    assert guard.relative(f"{tmp_path}/pkg link/data.txt") == "pkg/data.txt"


def test_few_folders_are_remembered(guard: Guard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that looks at many does not make the process grow."""
    monkeypatch.setattr(_guard, "STRANGE", 3)
    for number in range(10):
        (tmp_path / f"folder{number}").mkdir()
        assert guard.relative(f"{tmp_path}/folder{number}/x") is None
        assert len(guard._strange) <= 3


ONE, OTHER, NEW = "pkg/data.txt", "own/x.bin", "pkg/new"
# Event, its arguments with paths of the pack, which of them are opened.
EVENTS: list[tuple[str, tuple[Any, ...], list[str]]] = [
    *((event, (ONE, 0, 0, -1), [ONE]) for event in PATHS if PATHS[event][0] == (0, -1)),
    ("import", ("module", ONE, None, None, None), [ONE]),
    ("import", ("module", None, None, None, None), []),
    ("os.chmod", (ONE, 0o644, -1), [ONE]),
    ("os.chown", (ONE, 0, 0, -1), [ONE]),
    ("os.link", (ONE, OTHER, -1, -1), [ONE, OTHER]),
    ("os.rename", (ONE, OTHER, -1, -1), [ONE, OTHER]),
    ("os.mkdir", (NEW, 0o777, -1), [NEW]),
    ("os.rmdir", (ONE, -1), [ONE]),
    ("os.symlink", (ONE, NEW, -1), [ONE, NEW]),
    ("os.utime", (ONE, None, None, -1), [ONE]),
]


@pytest.mark.parametrize("row", EVENTS, ids=lambda row: row[0])
def test_each_event_opens_the_paths_among_its_arguments(
    guard: Guard, site: Path, monkeypatch: pytest.MonkeyPatch, row: tuple[str, tuple[Any, ...], list[str]]
) -> None:
    """All of them, and nothing else; relative to the folder that the event names."""
    event, arguments, expected = row
    opened: list[str] = []
    monkeypatch.setattr(guard, "open", opened.append)
    paths = {ONE, OTHER, NEW}
    guard.audit(event, tuple(f"{site}/{word}" if word in paths else word for word in arguments))
    assert opened == expected
    positions = {descriptor for _, descriptor in PATHS[event] if descriptor >= 0}
    if positions:
        opened.clear()
        folder = os.open(site, os.O_RDONLY)
        guard.audit(event, tuple(folder if at in positions else word for at, word in enumerate(arguments)))
        os.close(folder)
        assert opened == expected


def test_every_event_of_paths_is_tested() -> None:
    """A new row of the table needs one here."""
    assert {event for event, _, _ in EVENTS} == set(PATHS)


@pytest.mark.parametrize(
    "event", ["os.exec", "os.posix_spawn", "os.system", "sqlite3.connect", "subprocess.Popen"]
)
def test_each_program_finds_the_files_that_its_words_name(guard: Guard, site: Path, event: str) -> None:
    """In any of the words that may have paths: the file alone, after "=", in a list of words, in quotes."""
    arguments: list[Any] = ["true"] * 4
    arguments[PROGRAMS[event][-1]] = [
        b"cat",
        f"--file={site}/top.py",
        f"sed 's/a/b/' '{site}/pkg/mods/a.py';",
    ]
    if event in ENVIRONMENTS and ENVIRONMENTS[event] >= 0:
        arguments[ENVIRONMENTS[event]] = {}
    assert not (site / "top.py").exists()
    guard.audit(event, tuple(arguments))
    assert (site / "top.py").stat().st_size == (site / "pkg/mods/a.py").stat().st_size == SIZE
    assert not (site / "pkg/mods/b.py").exists()
    guard.audit(event, tuple([str(site / "pkg")] if word == arguments[PROGRAMS[event][-1]] else word
        for word in arguments))  # fmt: skip
    assert (site / "pkg/mods/b.py").stat().st_size == SIZE, "a folder is given with all that is in it"


@pytest.mark.parametrize("event", ["os.exec", "os.posix_spawn", "os.system", "subprocess.Popen"])
def test_each_child_finds_what_its_variables_name(
    guard: Guard, site: Path, monkeypatch: pytest.MonkeyPatch, event: str
) -> None:
    """A starter in the folders that it imports from, and the files of any other variable."""
    variables = {"PYTHONPATH": f"/none:{site}/pkg", "NAMED": f"{site}/top.py"}
    arguments: list[Any] = ["true"] * 4
    if event == "os.system":
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
    else:
        arguments[ENVIRONMENTS[event]] = variables
    guard.audit(event, tuple(arguments))
    assert (site / "top.py").exists()
    text = (site / "pkg" / STARTER).read_text()
    assert text.startswith("# Written by lambdapack's shim") and repr(str(site.parents[1])) in text
    compile(text, STARTER, "exec")
    assert guard.ours("pkg", STARTER) and not guard.ours("own", STARTER)


def test_a_folder_with_a_sitecustomize_of_its_own_keeps_that(guard: Guard, site: Path) -> None:
    """It is the pack's file, and what it opens beside it is there."""
    guard.audit("subprocess.Popen", ("true", [], None, {"PYTHONPATH": f"{site}/own"}))
    assert (site / "own" / STARTER).read_bytes() == b"p" * SIZE
    assert (site / "own/x.bin").exists()


@pytest.mark.parametrize(("key", "fetched"), [("AKMINE", False), ("AKOTHER", True)])
def test_a_child_without_this_functions_keys_finds_every_frame(
    guard: Guard, site: Path, monkeypatch: pytest.MonkeyPatch, key: str, fetched: bool
) -> None:
    """It cannot fetch by itself; one that has the keys can."""
    waited: list[str] = []
    monkeypatch.setattr(guard._pack, "wait_file", lambda file: waited.append(list(FILES)[file]))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKMINE")
    child = {**os.environ, "PYTHONPATH": f"{site}/pkg", "AWS_ACCESS_KEY_ID": key}
    guard.audit("os.exec", ("true", ["true"], child))
    assert waited == ([path for path in FILES if path.startswith("pkg/")] if fetched else [])


def test_the_starter_is_written_once_and_whole(guard: Guard, site: Path) -> None:
    """A child that reads it never sees half of it, and a second child changes nothing."""
    for _ in range(2):
        guard.audit("subprocess.Popen", ("true", [], None, {b"PYTHONPATH": os.fsencode(site)}))
    before = (site / STARTER).stat()
    guard.audit("subprocess.Popen", ("true", [], None, {"PYTHONPATH": str(site)}))
    assert (site / STARTER).stat().st_mtime_ns == before.st_mtime_ns
    assert [path.name for path in site.iterdir() if path.name.startswith(STARTER)] == [STARTER]
    told = subprocess.run(
        [
            "python3",
            "-S",
            "-c",
            f"exec(open({str(site / STARTER)!r}).read().replace('/children/', '/none/'))",
        ],
        check=False,
        capture_output=True,
    )
    assert told.returncode == 0, "without the shim's folder it does nothing"


def test_a_listing_waits_for_the_files_in_it(
    guard: Guard, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Native code may open what Python has listed; the root is listed in the middle of the imports."""
    waited: list[str] = []
    monkeypatch.setattr(guard._importer, "wait_library", lambda file: waited.append(list(FILES)[file]))
    monkeypatch.setattr(guard._pack, "arrived", lambda file: False)
    assert guard.expose("") and waited == []
    assert {path.name for path in site.iterdir() if path.is_dir()} == {"pkg", "own"}
    assert guard.expose("pkg") and waited == ["pkg/data.txt", "pkg/tool"]
    assert not guard.expose("pkg/none")


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_what_a_listing_adds_is_what_is_not_on_disk(guard: Guard, site: Path) -> None:
    """Files of the arena, each with its number, and never one that is there already."""
    numbers = {path: number for number, path in enumerate(FILES)}
    guard.expose("pkg")
    assert dict(guard.unlisted("pkg", names(site / "pkg"))) == {"__init__.py": numbers["pkg/__init__.py"]}
    guard.open("pkg/__init__.py")
    assert dict(guard.unlisted("pkg", names(site / "pkg"))) == {}
    (site / "pkg/data.txt").write_bytes(b"cut")
    assert dict(guard.unlisted("", names(site))) == {"top.py": numbers["top.py"]}


def test_a_look_finds_what_there_is(guard: Guard, site: Path) -> None:
    """A real file is on disk, a file of the arena has a number until it is, a folder is made."""
    numbers = {path: number for number, path in enumerate(FILES)}
    assert guard.look("pkg/data.txt") is None
    assert guard.look("top.py") == numbers["top.py"]
    guard.open("top.py")
    assert guard.look("top.py") is None and (site / "top.py").stat().st_size == SIZE
    assert guard.look("pkg/mods") is None and (site / "pkg/mods").is_dir()
    assert (guard.size(numbers["top.py"]), guard.mode(numbers["top.py"])) == (SIZE, 0o644)
    assert guard.mode(numbers["pkg/tool"]) == 0o755
    assert os.access(site / "pkg/tool", os.X_OK)
