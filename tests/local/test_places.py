"""A pack in the function's zip, in its layers or on a mount: no request to S3, at any level of isolation."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lambdapack import deploy, limits
from lambdapack.errors import CheckError, ConfigurationError
from lambdapack.local import Invocation, LocalCloud
from lambdapack.model import Files, FunctionSettings, FunctionSpec, Location, Place, Target
from lambdapack.pack import Pack, assets, write
from lambdapack.pack.assets import Asset
from lambdapack.python import interpreter
from tests.support.shim_world import make_tree

RUNNING = interpreter.find("{}.{}".format(*sys.version_info))
APP = """
import runtime_shim
import heavy
from heavy.second import leaf
import os


def handler(event, context):
    with open(os.path.join(runtime_shim.path("model"), "words.txt")) as file:
        words = file.read()
    import heavy.cold
    fetched = runtime_shim.stats()["bytes"]
    return {"leaf": leaf.LEAF, "cold": heavy.cold.COLD, "words": words, "bytes": fetched}
"""


def s3(pack_id: str) -> Location:
    return Location("bucket", f"team/packs/{pack_id[:2]}/{pack_id}.tar.zst", "us-east-1")


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """A pack of 20 MB with an asset beside it."""
    folder = tmp_path_factory.mktemp("pack")
    tree, trace = make_tree(folder / "tree", RUNNING)
    pack = write(tree, trace, "0" * 64, folder / "out", level=1)
    (folder / "model").mkdir()
    (folder / "model/words.txt").write_text("some words")
    (folder / "model/more.bin").write_bytes(bytes(1_000_000))
    assets.build([Asset("model", folder / "model", level=1)], folder / "out")
    return pack


@pytest.fixture(scope="module", params=["auto", "user", "none"])
def cloud(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, lambdapack_cache: Path
) -> Iterator[LocalCloud]:
    level = request.param
    if level == "user" and subprocess.run(["unshare", "-Urmpf", "true"], check=False).returncode:
        level = "none"
    state = tmp_path_factory.mktemp("cloud") / "state"
    with LocalCloud(state, cache_dir=lambdapack_cache, isolation=level) as cloud:
        yield cloud


@pytest.fixture
def release(tmp_path: Path, pack: Pack, lambdapack_cache: Path) -> Any:
    """Packages ``APP`` with the pack and the asset at the places given."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "app.py").write_text(APP)

    def package(place: Place, model: Place | None = None) -> deploy.Release:
        function = deploy.FunctionOptions(
            "places", "app.handler", source, Target(RUNNING.python),
            FunctionSettings(memory_mb=512, tmp_mb=600, timeout=30, mount="/mnt/packs"),
            place=place, asset_places={"model": model} if model else {},
        )  # fmt: skip
        return deploy.package(
            function, pack, s3, output=tmp_path / "function.zip", cache_dir=lambdapack_cache
        )

    return package


def answer(result: Invocation) -> dict[str, Any]:
    assert not result.error, result.log
    document: dict[str, Any] = json.loads(result.payload)
    return document


@pytest.mark.parametrize("place", ["zip", "layer", "mount"])
def test_no_place_but_s3_asks_for_anything(
    cloud: LocalCloud, release: Any, pack: Pack, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cold and warm answers are those from S3; the pack is the same, and nothing is requested.

    The pack is larger than a layer here, so that it is cut over three of them.
    """
    monkeypatch.setattr(limits, "LAYER_SIZE", 8_000_000)
    made = release(place)
    assert made.spec.pack_id == pack.id
    assert len(made.spec.layers) == (3 if place == "layer" else 0)
    cloud.deploy(made.spec, pack.path)
    cloud.requests(clear=True)
    cold = cloud.invoke("places", b"{}", cold=True)
    warm = cloud.invoke("places", b"{}")
    assert (cold.cold, warm.cold) == (True, False)
    assert answer(cold) == answer(warm)
    assert {**answer(cold), "bytes": 0} == {
        "leaf": "leaf", "cold": "never traced", "words": "some words", "bytes": 0,
    }  # fmt: skip
    assert answer(cold)["bytes"] > 20_000_000
    assert cloud.requests() == []


def test_an_asset_has_its_own_place(cloud: LocalCloud, release: Any, pack: Pack) -> None:
    """The pack comes from the zip, and the asset alone from S3."""
    made = release("zip", "s3")
    cloud.deploy(made.spec, pack.path)
    cloud.requests(clear=True)
    assert answer(cloud.invoke("places", b"{}", cold=True))["words"] == "some words"
    (asset,) = made.spec.assets
    assert {entry.path.rpartition("/")[2] for entry in cloud.requests()} == {f"{asset.pack_id}.tar.zst"}


def test_the_parts_of_a_pack_in_a_row_are_the_pack(
    release: Any, pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Layers hold whole frames, none is larger than asked for, and nothing but the pack's bytes is there."""
    monkeypatch.setattr(limits, "LAYER_SIZE", 8_000_000)
    made = release("layer")
    contents: dict[str, bytes] = {}
    for path in made.spec.layers:
        with zipfile.ZipFile(path) as layer:
            assert sum(entry.file_size for entry in layer.infolist()) <= 8_000_000
            contents.update({f"/opt/{name}": layer.read(name) for name in layer.namelist()})
    for location, file in (
        (made.spec.location, pack.path),
        *((a.location, a.pack) for a in made.spec.assets),
    ):
        assert isinstance(location, Files)
        assert b"".join(contents.pop(path) for path, _ in location.parts) == file.read_bytes()
    assert contents == {}


def test_zip_and_layers_do_not_depend_on_when_and_where(release: Any) -> None:
    """Twice the same function gives the same bytes, so that a second deployment changes nothing."""
    first = release("layer")
    before = [path.read_bytes() for path in (first.spec.zip_path, *first.spec.layers)]
    again = release("layer")
    assert [path.read_bytes() for path in (again.spec.zip_path, *again.spec.layers)] == before


def test_layers_of_an_earlier_place_do_not_stay(release: Any, tmp_path: Path) -> None:
    """What is beside the zip belongs to the zip."""
    assert len(release("layer").spec.layers) == len(list(tmp_path.glob("*.layer*.zip"))) == 1
    release("zip")
    assert not list(tmp_path.glob("*.layer*.zip"))


def test_packs_too_large_for_layers_are_refused(release: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five layers are all that a function can have, and a frame is not cut."""
    monkeypatch.setattr(limits, "LAYER_SIZE", 3_000_000)
    with pytest.raises(CheckError, match="larger than the 5 layers") as caught:
        release("layer")
    assert 'place = "s3"' in str(caught.value.hint)


def test_more_than_lambda_takes_unzipped_is_refused(release: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Zip and layers count together, wherever the pack is among them."""
    monkeypatch.setattr("lambdapack.limits.UNZIPPED", 20_000_000)
    for place in ("zip", "layer"):
        with pytest.raises(CheckError, match=r"MiB unzipped, over Lambda's") as caught:
            release(place)
        assert 'place = "s3"' in str(caught.value.hint)


def test_a_later_layer_wins(cloud: LocalCloud, tmp_path: Path) -> None:
    """Layers are laid over each other in order, their modules can be imported."""
    for number in (1, 2):
        with zipfile.ZipFile(tmp_path / f"{number}.zip", "w") as layer:
            layer.writestr("python/both.py", f"NUMBER = {number}")
            layer.writestr(f"python/only{number}.py", "")
    with zipfile.ZipFile(tmp_path / "function.zip", "w") as function:
        function.writestr(
            "app.py",
            "import both, only1, only2\ndef handler(event, context):\n    return both.NUMBER\n",
        )
    cloud.deploy(
        FunctionSpec(
            "layered", "app.handler", Target(RUNNING.python), tmp_path / "function.zip", None, None,
            FunctionSettings(memory_mb=256), layers=(tmp_path / "1.zip", tmp_path / "2.zip"),
        ),
        None,
    )  # fmt: skip
    assert cloud.invoke("layered", b"{}").payload == b"2"


@pytest.mark.parametrize("place", ["layer", "s3"])
def test_an_unchanged_function_gets_its_dependencies_from_a_layer(
    cloud: LocalCloud, pack: Pack, tmp_path: Path, lambdapack_cache: Path, place: Place
) -> None:
    """One layer and one variable; the code imports what is in the pack, and nothing of ours."""
    made = deploy.layer(
        deploy.FunctionOptions("any", "", tmp_path, Target(RUNNING.python), place=place), pack, s3,
        output=tmp_path / "layer.zip", cache_dir=lambdapack_cache,
    )  # fmt: skip
    with zipfile.ZipFile(tmp_path / "theirs.zip", "w") as function:
        function.writestr("app.py", "import heavy\ndef handler(event, context): return heavy.VERSION\n")
    where = made.dependencies.location if place == "s3" else None
    cloud.deploy(
        FunctionSpec(
            "theirs", "app.handler", Target(RUNNING.python), tmp_path / "theirs.zip", None, where,
            FunctionSettings(memory_mb=512, tmp_mb=600, environment=made.environment), layers=made.paths,
        ),
        pack.path if place == "s3" else None,
    )  # fmt: skip
    cloud.requests(clear=True)
    cold, warm = cloud.invoke("theirs", b"{}", cold=True), cloud.invoke("theirs", b"{}")
    assert (cold.payload, warm.payload) == (b'"1.0"', b'"1.0"'), cold.log
    assert bool(cloud.requests()) == (place == "s3")


def test_a_layer_holds_no_pack_of_a_zip(pack: Pack, tmp_path: Path, lambdapack_cache: Path) -> None:
    """There is no zip that it could be in."""
    function = deploy.FunctionOptions("any", "", tmp_path, Target(RUNNING.python), place="zip")
    with pytest.raises(ConfigurationError, match="in the function's zip"):
        deploy.layer(function, pack, s3, output=tmp_path / "layer.zip", cache_dir=lambdapack_cache)


def test_a_pack_too_large_for_one_layer_goes_into_several(
    pack: Pack, tmp_path: Path, lambdapack_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shim takes room in the first; each is at most as large as one call takes."""
    monkeypatch.setattr(limits, "LAYER_SIZE", 8_000_000)
    function = deploy.FunctionOptions("any", "", tmp_path, Target(RUNNING.python), place="layer")
    made = deploy.layer(function, pack, s3, output=tmp_path / "layer.zip", cache_dir=lambdapack_cache)
    assert [path.name for path in made.paths] == ["layer.zip", *(f"layer.{n}.zip" for n in (2, 3, 4))]
    assert all(path.stat().st_size < 8_100_000 for path in made.paths)
