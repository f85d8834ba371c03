"""A pack in files: whole or cut, read in the same order and with the same checks as one in S3."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lambdapack.pack import read_index
from lambdapack.python import interpreter
from runtime_shim._file import Source
from runtime_shim._source import FetchError
from tests.support.shim_world import World, running_world

RUNNING = interpreter.find("{}.{}".format(*sys.version_info))
START = """
    import json, runtime_shim
    import heavy, heavy.second, heavy.cold
    runtime_shim.ready()
    import sys
    loaded = sorted({"socket", "ssl", "hmac", "runtime_shim._s3", "runtime_shim._net"} & set(sys.modules))
    print(json.dumps({"stats": runtime_shim.stats(), "cold": heavy.cold.COLD, "loaded": loaded}))
"""
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
NOWHERE = dict.fromkeys(("AWS_ENDPOINT_URL_S3", "AWS_REGION", *KEYS), "")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, lambdapack_cache: Path) -> Iterator[World]:
    with running_world(tmp_path_factory.mktemp("files"), RUNNING, lambdapack_cache) as world:
        yield world


@pytest.fixture
def world(plain: World) -> Iterator[World]:
    """The world, cold; its location is put back afterwards."""
    location = plain.function / "runtime_shim/location.json"
    before = location.read_bytes()
    plain.forget()
    plain.log()
    yield plain
    location.write_bytes(before)


def place(world: World, *parts: tuple[str, int]) -> None:
    """Say that the pack is in these files."""
    document = {"id": world.pack.id, "parts": parts}
    (world.function / "runtime_shim/location.json").write_text(json.dumps(document))


def cut(world: World, folder: Path, pieces: int) -> list[tuple[str, int]]:
    """Cut the pack by whole frames into so many files."""
    index, data = read_index(world.pack.path)[1], world.pack.path.read_bytes()
    firsts = [number * len(index.frame_stored) // pieces for number in range(pieces)]
    parts = []
    for number, (first, end) in enumerate(zip(firsts, [*firsts[1:], None], strict=True)):
        path = folder / f"part.{number + 1}"
        path.write_bytes(
            data[index.frame_stored_start[first] : index.frame_stored_start[end] if end else None]
        )
        parts.append((str(path), first))
    return parts


def start(world: World, **environment: str) -> dict[str, object]:
    result: dict[str, object] = json.loads(world.run(START, **NOWHERE, **environment).splitlines()[-1])
    assert world.log() == []
    return result


@pytest.mark.parametrize("memory", ["512", "10240"])
@pytest.mark.parametrize("pieces", [1, 3])
def test_a_pack_in_files_needs_no_network(world: World, tmp_path: Path, pieces: int, memory: str) -> None:
    """Whole or cut, over one reader or several: no region, no credentials, no socket, no request."""
    place(world, *cut(world, tmp_path, pieces))
    cold = start(world, AWS_LAMBDA_FUNCTION_MEMORY_SIZE=memory)
    assert cold["cold"] == "never traced"
    assert cold["loaded"] == []
    assert cold["stats"]["source"] == "file"  # type: ignore[index]
    assert cold["stats"]["role"] == "fetcher"  # type: ignore[index]
    assert start(world)["stats"]["role"] == "warm"  # type: ignore[index]


def test_a_relative_path_is_relative_to_the_shim(world: World) -> None:
    """In the function's own zip the pack lies beside the shim, whatever the working directory is."""
    beside = world.function / "runtime_shim/pack.tar.zst"
    shutil.copy(world.pack.path, beside)
    place(world, ("pack.tar.zst", 0))
    try:
        assert start(world)["cold"] == "never traced"
    finally:
        beside.unlink()


def test_absolute_paths_can_be_below_another_folder(world: World, tmp_path: Path) -> None:
    """Where nothing can be mounted at /opt, LAMBDAPACK_FILES names the folder that stands for the root."""
    (tmp_path / "opt").mkdir()
    shutil.copy(world.pack.path, tmp_path / "opt/pack.1")
    place(world, ("/opt/pack.1", 0))
    assert start(world, LAMBDAPACK_FILES=str(tmp_path))["cold"] == "never traced"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("gone.tar.zst", "build the function's zip again: lambdapack package"),
        ("/opt/lambdapack/gone.1", "give the function the layers"),
        ("/mnt/packs/gone.tar.zst", "lambdapack push DIR MOUNT"),
    ],
)
def test_a_missing_file_is_named_with_its_remedy(world: World, path: str, said: str) -> None:
    """The error has the path and what helps in this place; it is raised at once, after one attempt."""
    place(world, (path, 0))
    error = world.run(START, status=1, **NOWHERE)
    assert "PackError" in error and path in error and said in error
    assert "attempts" not in error


def test_a_short_file_is_named_with_its_remedy(world: World, tmp_path: Path) -> None:
    """A file that ends too early was not written completely: the error says how far it goes."""
    parts = cut(world, tmp_path, 2)
    os.truncate(parts[1][0], 1000)
    place(world, *parts)
    error = world.run(START, status=1, **NOWHERE)
    assert f"{parts[1][0]} ends after 1000 bytes" in error and "PackError" in error


def test_an_unreadable_file_is_named(world: World, tmp_path: Path) -> None:
    """A folder in the file's place cannot be read; the system's word for that is in the error."""
    place(world, (str(tmp_path), 0))
    error = world.run(START, status=1, **NOWHERE)
    assert f"cannot read {tmp_path}" in error and "Is a directory" in error and "PackError" in error


def test_a_changed_file_is_not_read_again(world: World, tmp_path: Path) -> None:
    """A frame with another digest never reaches the function, and reading it again would not help."""
    parts = cut(world, tmp_path, 2)
    with Path(parts[1][0]).open("r+b") as file:
        file.seek(5000)
        file.write(b"changed")
    place(world, *parts)
    error = world.run(START, status=1, **NOWHERE)
    assert f"in {parts[1][0]} does not have the digest" in error and "PackError" in error
    assert "attempts" not in error


@pytest.mark.parametrize("firsts", [(1,), (0, 5, 3), (0, 10_000)])
def test_parts_out_of_order_are_refused(firsts: tuple[int, ...]) -> None:
    """The parts begin with the first frame and go up, within the frames that there are."""
    with pytest.raises(FetchError, match="not in order"):
        Source([("/opt/x", first) for first in firsts], "/var/task", [0, 10, 20, 30, 40, 50, 60], {})


@pytest.mark.parametrize("parts", [[["x"]], [[1, "x"]], "x", [["x", 0.5]]])
def test_a_damaged_location_is_a_damaged_zip(world: World, parts: object) -> None:
    """What is not a list of paths and frame numbers is refused before anything is fetched."""
    document = {"id": world.pack.id, "parts": parts}
    (world.function / "runtime_shim/location.json").write_text(json.dumps(document))
    assert "names no pack" in world.run(START, status=1, **NOWHERE)
