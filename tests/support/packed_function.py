"""The function of a world of the shim, as the local cloud takes it."""

from __future__ import annotations

import textwrap
import zipfile
from pathlib import Path

from lambdapack.local import LocalCloud
from lambdapack.model import FunctionAsset, FunctionSettings, FunctionSpec, Location
from lambdapack.model.target import Target
from tests.support.assets_world import AssetsWorld

REGION = "us-east-1"
APP = """
    import runtime_shim
    import heavy, json, os, time
    from heavy.second import leaf

    def handler(event, context):
        time.sleep(event.get("sleep", 0))
        result = {"leaf": leaf.LEAF, "version": heavy.VERSION, "pid": os.getpid()}
        if event.get("lazy"):
            from heavy import cold
            with open(cold.__file__) as file:
                result["source"] = file.read()
            result["late"] = os.path.getsize(runtime_shim.path("late"))
        result["model"] = sorted(os.listdir(runtime_shim.path("model")))
        result["stats"] = runtime_shim.stats()
        return result
    """


def deploy(cloud: LocalCloud, world: AssetsWorld, settings: FunctionSettings, name: str = "function") -> None:
    """Deploy the world's function with ``APP`` as its handler, its pack and its assets."""
    (world.function / "app.py").write_text(textwrap.dedent(APP))
    path = world.function.parent / f"{name}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(each for each in world.function.rglob("*") if each.is_file()):
            archive.write(file, file.relative_to(world.function))
    folder = world.function.parent / "built"
    assets = tuple(
        FunctionAsset(
            asset, built.id, folder / built.pack, folder / built.index,
            Location("bucket", world.asset_key(asset), REGION), built.file,
        )
        for asset, built in world.built.items()
    )  # fmt: skip
    spec = FunctionSpec(
        name, "app.handler", Target(world.interpreter.python), path, world.pack.id,
        Location("bucket", world.key, REGION), settings, assets,
    )  # fmt: skip
    cloud.deploy(spec, Path(world.pack.path))


def eager_bytes(world: AssetsWorld) -> int:
    """Stored bytes of all that a first invocation may need: eager frames, and the assets of the start."""
    index = world.pack.index
    assets = (world.index(name) for name, built in world.built.items() if name != "late")
    return sum(index.frame_stored[: index.eager]) + sum(sum(each.frame_stored) for each in assets)
