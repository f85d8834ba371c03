"""The ways to a cold start: what is in the function's folder, what is in S3, which variables are set."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from benchmarks.artifacts import Kit, Material
from benchmarks.workloads import Workload
from lambdapack import deploy
from lambdapack.deploy.handler import SHIM
from lambdapack.errors import ConfigurationError
from lambdapack.model import Location, Place
from lambdapack.python import bytecode
from lambdapack.store import key as pack_key

__all__ = ["FLOOR", "OURS", "PEERS", "PLACED", "WAYS", "Way", "prepare", "with_shim_of"]

OURS, FLOOR = "lambdapack", "plain directory"
PLACED: dict[str, Place] = {OURS: "s3", f"{OURS} zip": "zip", f"{OURS} layer": "layer"}
"""Where lambdapack's pack is, by the way's name."""
BUCKET = "bench"
REGION = "us-east-1"
_FUNCTIONS = Path(__file__).parent / "functions"


@dataclass(frozen=True)
class Way:
    """One function folder, ready to be started.

    Attributes:
        name: For people.
        task: What is at /var/task.
        objects: ``bucket/key`` names that its role may read.
        environment: Its variables.
        handler: Its handler.
        opt: What is at /opt; ``None`` without layers.
    """

    name: str
    task: Path
    objects: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    handler: str = "lambda_function.handler"
    opt: Path | None = None


@dataclass(frozen=True)
class _Site:
    """Where a way is set up."""

    kit: Kit
    workload: Workload
    material: Material
    task: Path
    s3: Path


def prepare(name: str, kit: Kit, workload: Workload, *, folder: Path, s3: Path) -> Way:
    """Set up the way ``name`` below ``folder`` and ``s3`` (the endpoint's root).

    Raises:
        LambdapackError: What it needs cannot be had.
    """
    task = folder / workload.name / name.replace(" ", "-")
    shutil.rmtree(task, ignore_errors=True)
    task.mkdir(parents=True)
    return WAYS[name](_Site(kit, workload, kit.material(workload), task, s3))


def with_shim_of(revision: str, kit: Kit, way: Way) -> Way:
    """The same function with the shim of an earlier commit: what a change of the shim costs, in one run.

    Raises:
        ConfigurationError: This is no checkout that has the commit.
    """
    task = way.task.with_name(f"{way.task.name}-{revision.replace('/', '-')}")
    shutil.rmtree(task, ignore_errors=True)
    shutil.copytree(way.task, task)
    for path in [*(task / SHIM).rglob("*.py"), *(task / SHIM).rglob("*.pyc")]:
        path.unlink()
    done = subprocess.run(
        ["git", "archive", revision, f"{SHIM}/*.py"],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise ConfigurationError(f"the shim of {revision}: {done.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(task, filter="data")
    bytecode.compile_tree(task, kit.interpreter)
    return replace(way, name=f"{way.name} of {revision}", task=task)


def _lambdapack(site: _Site, name: str) -> Way:
    built = site.material.pack
    location = Location(BUCKET, pack_key("team", built.id), REGION)
    source = site.task.with_name("source")
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir()
    _write(source, site.workload, "entry_lambdapack.py")
    for entry in ("bare", "shim"):
        shutil.copy(_FUNCTIONS / f"entry_{entry}.py", source)
    made = deploy.package(
        deploy.FunctionOptions(
            "bench", "lambda_function.handler", source, site.kit.target, place=PLACED[name]
        ),
        built,
        lambda _: location,
        output=site.task.with_name("function.zip"),
        cache_dir=site.kit.cache,
    )
    opt = site.task.with_name(f"{site.task.name}-opt")
    shutil.rmtree(opt, ignore_errors=True)
    for path, folder in [(made.bundle.path, site.task), *((layer, opt) for layer in made.bundle.layers)]:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
    way = Way(name, site.task, environment=site.workload.environment)
    if PLACED[name] != "s3":
        return replace(way, opt=opt if made.bundle.layers else None)
    _offer(built.path, site.s3, location.key)
    return replace(way, objects=(f"{BUCKET}/{location.key}",))


def _plain(site: _Site) -> Way:
    _write(site.task, site.workload, "entry_plain.py")
    bytecode.compile_tree(site.task, site.kit.interpreter)
    shutil.copytree(site.material.plain, site.task / "dependencies", copy_function=os.link)
    return Way(FLOOR, site.task, environment=site.workload.environment)


def _recipe(site: _Site) -> Way:
    _write(site.task, site.workload, "entry_recipe.py")
    bytecode.compile_tree(site.task, site.kit.interpreter)
    key = f"archives/{site.material.recipe_zip.name}"
    _offer(site.material.recipe_zip, site.s3, key)
    variables = {**site.workload.environment, "BENCH_BUCKET": BUCKET, "BENCH_KEY": key}
    return Way("usual recipe", site.task, (f"{BUCKET}/{key}",), variables)


def _zappa(site: _Site) -> Way:
    shutil.copytree(site.kit.zappa(), site.task, dirs_exist_ok=True)
    key = f"archives/{site.material.zappa_tar.name}"
    _offer(site.material.zappa_tar, site.s3, key)
    settings = {
        # What Zappa writes into its zappa_settings.py for a function that is neither WSGI nor ASGI.
        "DEBUG": False,
        "LOG_LEVEL": "INFO",
        "ENVIRONMENT_VARIABLES": {},
        "PROJECT_NAME": "project",
        "API_STAGE": "bench",
        "ARCHIVE_PATH": f"s3://{BUCKET}/{key}",
        "SLIM_HANDLER": True,
        "DJANGO_SETTINGS": None,
        "EXCEPTION_HANDLER": None,
        "BINARY_SUPPORT": False,
        "AWS_EVENT_MAPPING": {},
        "COGNITO_TRIGGER_MAPPING": {},
        "AUTHORIZER_FUNCTION": None,
    }
    text = "".join(f"{name} = {value!r}\n" for name, value in settings.items())
    (site.task / "zappa_settings.py").write_text(text)
    bytecode.compile_tree(site.task, site.kit.interpreter)
    # By default Zappa unpacks in the first invocation; its users who read on make it do so in init.
    variables = {**site.workload.environment, "INSTANTIATE_LAMBDA_HANDLER_ON_IMPORT": "1"}
    return Way("Zappa", site.task, (f"{BUCKET}/{key}",), variables, "zappa.handler.lambda_handler")


def _srp(site: _Site) -> Way:
    _write(site.task, site.workload, "entry_srp.py")
    shutil.copy(site.kit.srp(), site.task)
    bytecode.compile_tree(site.task, site.kit.interpreter)
    os.link(site.material.recipe_zip, site.task / ".requirements.zip")
    return Way("serverless-python-requirements", site.task, environment=site.workload.environment)


WAYS: dict[str, Callable[[_Site], Way]] = {
    **{name: partial(_lambdapack, name=name) for name in PLACED},
    FLOOR: _plain,
    "usual recipe": _recipe,
    "Zappa": _zappa,
    "serverless-python-requirements": _srp,
}
"""By name, in the order in which they are shown."""
PEERS = ("usual recipe", "Zappa", "serverless-python-requirements")
S3_PEERS = ("usual recipe", "Zappa")
"""Those that load from S3; the zip of the third is bounded by Lambda's 250 MB."""


def _write(folder: Path, workload: Workload, entry: str) -> None:
    shutil.copy(_FUNCTIONS / entry, folder / "lambda_function.py")
    shutil.copy(workload.source, folder / "workload.py")
    shutil.copy(_FUNCTIONS / "mark.py", folder)


def _offer(path: Path, s3: Path, key: str) -> None:
    """Put an object behind the endpoint."""
    stored = s3 / BUCKET / key
    stored.parent.mkdir(parents=True, exist_ok=True)
    if not stored.exists():
        os.link(path, stored)
