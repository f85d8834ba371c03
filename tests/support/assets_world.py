"""A world of the shim whose function has assets."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from lambdapack.local.endpoint import new_credentials
from lambdapack.local.link import Fault
from lambdapack.pack import assets
from lambdapack.pack.assets import Asset, BuiltAsset
from lambdapack.python.interpreter import Interpreter
from runtime_shim import _index
from runtime_shim._index import Index
from tests.support.shim_world import World, running_world

MODEL = {"weights.bin": Random(3).randbytes(20_000_000), "sub/words.txt": b"a word\n" * 1000, "empty": b""}
SINGLE = Random(4).randbytes(1_000_000)
LATE = Random(5).randbytes(2_000_000)


@dataclass
class AssetsWorld(World):
    """A function with the folder ``model`` and the file ``single``, fetched at the start, and ``late``."""

    built: dict[str, BuiltAsset] = field(default_factory=dict)

    def index(self, name: str) -> Index:
        """The index of an asset."""
        return _index.decode((self.folder(name) / "index.json").read_bytes())

    def folder(self, name: str) -> Path:
        """What the function's zip holds of an asset."""
        return self.function / "runtime_shim" / "assets" / name

    def asset_key(self, name: str) -> str:
        """Its key in the bucket."""
        return f"team/packs/{self.built[name].id[:2]}/{self.built[name].id}.tar.zst"

    def asset_stored(self, name: str) -> Path:
        """Its object, behind the endpoint."""
        return self.function.parent / "s3" / "bucket" / self.asset_key(name)

    def place(self, name: str) -> Path:
        """Its folder below the shim's root."""
        return self.root / "assets" / self.built[name].id[:16]

    def sent(self) -> dict[str, int]:
        """Bytes sent since the last ``link``, by asset; ``""`` for the pack."""
        keys = {self.asset_key(name): name for name in self.built} | {self.key: ""}
        found: dict[str, int] = {}
        for entry in self.log():
            name = keys[entry.path.split("bucket/", 1)[1].partition("?")[0]]
            found[name] = found.get(name, 0) + entry.sent
        return found

    def link(self, *, bandwidth_mbps: float | None = None, faults: Iterable[Fault] = ()) -> None:
        """As ``World.link``; the credentials may read the assets too."""
        self.keys = new_credentials()
        keys = [self.key, *(self.asset_key(name) for name in self.built)]
        self.endpoint.grant(
            self.keys, [f"bucket/{key}" for key in keys], bandwidth_mbps=bandwidth_mbps, faults=faults
        )
        self.environment.update(
            AWS_ACCESS_KEY_ID=self.keys.access_key,
            AWS_SECRET_ACCESS_KEY=self.keys.secret_key,
            AWS_SESSION_TOKEN=self.keys.session_token,
        )

    def moved(self, function: Path) -> AssetsWorld:
        """A copy whose function's folder may be changed."""
        shutil.copytree(self.function, function)
        return AssetsWorld(**{**self.__dict__, "function": function})


@contextmanager
def running_assets_world(folder: Path, interpreter: Interpreter, cache: Path) -> Iterator[AssetsWorld]:
    """A world with its endpoint, which ends with it."""
    with running_world(folder, interpreter, cache) as plain:
        source = folder / "assets"
        for name, content in {**{f"model/{k}": v for k, v in MODEL.items()}, "single.bin": SINGLE}.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(content)
        (source / "late.bin").write_bytes(LATE)
        wanted = [
            Asset("model", source / "model", level=1),
            Asset("single", source / "single.bin", level=1),
            Asset("late", source / "late.bin", fetch="use", level=1),
        ]
        built = {one.name: one for one in assets.build(wanted, folder / "built")}
        world = AssetsWorld(**plain.__dict__, built=built)
        for name, one in built.items():
            _install(world, name, one, folder / "built")
        path = world.function / "runtime_shim/location.json"
        begun = [one.name for one in wanted if one.fetch == "start"]
        path.write_text(json.dumps({**json.loads(path.read_text()), "assets": begun}))
        world.link()
        yield world


def _install(world: AssetsWorld, name: str, one: BuiltAsset, directory: Path) -> None:
    stored = world.asset_stored(name)
    stored.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(directory / one.pack, stored)
    world.folder(name).mkdir(parents=True)
    shutil.copy(directory / one.index, world.folder(name) / "index.json")
    location = {"id": one.id, "bucket": "bucket", "key": world.asset_key(name), "region": "us-east-1"}
    (world.folder(name) / "location.json").write_text(json.dumps({**location, "file": one.file}))
