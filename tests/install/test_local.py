"""lambdapack.install: a lock becomes a tree for its target, whole and checked, or nothing at all."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdapack.elf import is_elf, read
from lambdapack.errors import ConfigurationError, ToolError
from lambdapack.install import check_binaries, choose, unpack_wheels
from lambdapack.install.unpack import read_tree
from lambdapack.lock import read_requirements, resolve
from lambdapack.model import Lock, Pin
from lambdapack.model.target import Target
from lambdapack.python import interpreter, pip
from tests.support.told import Told
from tests.support.wheelhouse import elf, only_place, wheel

AMD = Target("3.11")
ARM = Target("3.11", "arm64")
ABI = "cp311-cp311"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels, the only place where pip looks."""
    return only_place(tmp_path / "wheels", monkeypatch)


def locked(*wheels: Path, target: Target = AMD, glibc: tuple[int, int] | None = None) -> Lock:
    """The lock that these wheels would have."""
    pins = []
    for path in wheels:
        name, version = path.name.split("-")[:2]
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        pins.append(Pin(name.replace("_", "-"), version, (f"sha256:{digest}",)))
    return Lock(target, glibc or target.glibc, tuple(sorted(pins)), tuple(pin.name for pin in pins))


def leftovers(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"wheels"}


def test_installs_into_a_tree_that_its_records_describe(folder: Path, tmp_path: Path) -> None:
    """Each distribution has its version, the files of its RECORD that exist, and its importable names."""
    files = {
        "app/__init__.py": b"",
        "app/data.txt": b"x",
        "helper.py": b"",
        "_fast.cpython-311.so": b"no elf",
    }
    app = wheel(folder, "my-app", "1.0", files=files, entry_points="[console_scripts]\nrun = helper:main\n")
    other = wheel(folder, "other", "2")
    destination = tmp_path / "tree"
    tree = unpack_wheels(locked(app, other), destination)
    first, second = tree.distributions
    assert (first.name, first.version) == ("my-app", "1.0")
    assert first.top_level == ("_fast", "app", "helper")
    assert {"app/__init__.py", "app/data.txt", "helper.py", "bin/run"} <= set(first.files)
    assert second.top_level == ("other",)
    there = {p.relative_to(destination).as_posix() for p in destination.rglob("*") if p.is_file()}
    assert there == set(first.files) | set(second.files)
    assert not [name for name in there if name.endswith(".pyc")]
    assert read_tree(destination, AMD) == tree
    assert leftovers(tmp_path) == {"tree"}


def test_the_targets_wheels_are_taken(folder: Path, tmp_path: Path) -> None:
    """Of wheels for several platforms pip takes the target's, and no binary of another machine gets in."""
    for target, machine in ((AMD, "x86_64"), (ARM, "aarch64")):
        path = wheel(folder, "app", "1", tag=f"{ABI}-manylinux2014_{machine}", files={"app.so": elf(machine)})
        tree = unpack_wheels(locked(path, target=target), tmp_path / machine)
        assert {read(p).machine for p in tree.root.rglob("*.so")} == {machine}
    path = wheel(folder, "new", "1", tag=f"{ABI}-manylinux_2_28_x86_64")
    with pytest.raises(ToolError):
        unpack_wheels(locked(path), tmp_path / "old-glibc")
    unpack_wheels(locked(path, glibc=(2, 34)), tmp_path / "new-glibc")


def test_a_file_that_is_not_the_locked_one_is_refused(folder: Path, tmp_path: Path) -> None:
    """A wheel with another hash is never installed, and nothing is left."""
    path = wheel(folder, "app", "1")
    lock = locked(path)
    wheel(folder, "app", "1", files={"app.py": b"evil"})
    with pytest.raises(ToolError, match="not the one that was locked") as caught:
        unpack_wheels(lock, tmp_path / "tree")
    assert "Expected sha256" in str(caught.value.detail)
    assert leftovers(tmp_path) == set()


def test_a_wheel_that_is_gone_is_an_error(folder: Path, tmp_path: Path) -> None:
    """A locked file that no index has any more is an error of a few lines."""
    path = wheel(folder, "app", "1")
    lock = locked(path)
    path.unlink()
    with pytest.raises(ToolError, match="installing 1 wheels") as caught:
        unpack_wheels(lock, tmp_path / "tree")
    assert len(str(caught.value.detail).splitlines()) <= 6


def test_a_folder_with_something_in_it_is_left_alone(folder: Path, tmp_path: Path) -> None:
    """Installing never mixes with what is there."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "mine").write_text("")
    with pytest.raises(ConfigurationError, match="is not empty"):
        unpack_wheels(locked(wheel(folder, "app", "1")), tmp_path / "tree")
    assert (tmp_path / "tree" / "mine").exists()


def test_ctrl_c_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    """An interrupted installation leaves neither the tree nor a part of it."""
    big = wheel(folder, "big", "1", files={f"big/{n}.py": os.urandom(1000) for n in range(9000)})
    program = (
        "import sys; from pathlib import Path; from lambdapack.install import unpack_wheels\n"
        "from lambdapack.model import Lock, Pin; from lambdapack.model.target import Target\n"
        "pin = Pin('big', '1', (sys.argv[1],))\n"
        "unpack_wheels(Lock(Target('3.11'), (2, 26), (pin,), ('big',)), Path(sys.argv[2]))\n"
    )
    destination = tmp_path / "out" / "tree"
    digest = locked(big).pins[0].hashes[0]
    process = subprocess.Popen(
        [sys.executable, "-c", program, digest, str(destination)],
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None and not list(destination.parent.glob(".lambdapack-new-*/tmp/*")):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    process.wait(60)
    assert process.returncode != 0
    assert list(destination.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
            "no space",
        ),
        (
            "WARNING: Retrying\nERROR: connection error: [Errno 111] Connection refused",
            "could not be reached",
        ),
        ("ERROR: HTTP error 503 Server Error: SlowDown for url", "could not be reached"),
        ("ERROR: something else", "ended with status 1"),
    ],
)
def test_pips_failures_are_told_apart(text: str, said: str) -> None:
    """Each way in which pip fails has its own message, and only the deciding lines are shown."""
    error = pip.explain(f"Collecting a\n{text}\n", doing="installing", status=1)
    assert said in error.message
    assert error.exit_status == 3
    assert "Collecting" not in str(error.detail)


def test_the_builder_is_chosen_with_a_reason() -> None:
    """'auto' is local where the target's Python is here, and docker where an image is named."""
    here = Target(".".join(map(str, sys.version_info[:2])), "arm64")
    for name in ("auto", "local"):
        builder, reason = choose(name, here)
        assert builder.name == "local"
        assert "arm64" in reason
    assert choose("docker", here)[0].name == "docker"
    builder, reason = choose("auto", here, image="somebody/python")
    assert builder.name == "docker"
    assert "somebody/python" in reason
    with pytest.raises(ConfigurationError, match="no builder 'podman'"):
        choose("podman", AMD)


paths = st.lists(st.from_regex(r"[a-z_]{1,6}(\.py|\.txt|\.so|/)?", fullmatch=True), min_size=1, max_size=3)


@given(
    st.dictionaries(
        paths.map(lambda p: "/".join(x.rstrip("/") for x in p)), st.binary(max_size=3), max_size=8
    )
)
def test_a_tree_lists_what_is_recorded_and_there(content: Mapping[str, bytes]) -> None:
    """Whatever RECORD says, a tree lists only files that exist inside it, each once, in order."""
    import tempfile  # noqa: PLC0415 - hypothesis runs this many times in one test

    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        info = root / "a_b-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: A_b\nVersion: 1\n")
        rows = ["../../../etc/passwd,,", "/etc/passwd,,", "gone.py,,", "a_b-1.dist-info/RECORD,,"]
        for path, data in content.items():
            rows.append(f"{path},,")
            try:
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_bytes(data)
            except OSError:
                continue
        (info / "RECORD").write_text("\n".join([*rows, *rows]))
        (found,) = read_tree(root, AMD).distributions
        assert found.name == "a-b"
        assert list(found.files) == sorted(set(found.files))
        assert set(found.files) <= {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()}
        assert all(name.isidentifier() for name in found.top_level)


@pytest.mark.parametrize("broken", ["METADATA", "RECORD"])
def test_a_broken_dist_info_is_named(tmp_path: Path, broken: str) -> None:
    """A dist-info without METADATA or RECORD is an error that names it."""
    info = tmp_path / "x-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: x\nVersion: 1\n")
    (info / "RECORD").write_text("")
    (info / broken).unlink()
    with pytest.raises(ToolError, match=r"x-1\.dist-info"):
        read_tree(tmp_path, AMD)


def test_a_real_tree_for_arm64_holds_arm64_binaries_only(lambdapack_cache: Path, tmp_path: Path) -> None:
    """From the real registry: every ELF header of an arm64 tree says aarch64, with a glibc that it has."""
    lock = resolve(read_requirements(["markupsafe", "wrapt"], []), ARM, interpreter.find("3.11"),
                   cache_dir=lambdapack_cache)  # fmt: skip
    told = Told()
    tree = unpack_wheels(lock, tmp_path / "tree", progress=told)
    binaries = [path for path in tree.root.rglob("*") if is_elf(path)]
    assert binaries
    assert {read(path).machine for path in binaries} == {"aarch64"}
    check_binaries(tree, portable=(), glibc=lock.glibc, progress=told)
    assert told.warnings == []
    assert {d.name for d in tree.distributions} == {"markupsafe", "wrapt"}
