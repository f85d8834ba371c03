"""What the ways need before anything is measured: packs, trees, archives, the peers' own code.

Everything is kept in one cache folder, by the digest of the lock it was made from.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.workloads import Workload
from lambdapack import lock, pack, pipeline
from lambdapack.errors import ToolError
from lambdapack.install import unpack_wheels
from lambdapack.local.environment import runtime as local_runtime
from lambdapack.model import Lock
from lambdapack.model.target import Target
from lambdapack.pack.extract import extract
from lambdapack.pipeline.options import BuildOptions
from lambdapack.progress import Progress
from lambdapack.python import bytecode, interpreter, pip
from lambdapack.trace import TraceOptions

__all__ = ["Kit", "Material"]

ZAPPA = "zappa==0.63.0"
# Of what Zappa needs, what its handler imports; the rest would lie in the zip unused.
_ZAPPA_NEEDS = ("werkzeug", "durationpy")
SRP = "serverless-python-requirements@6.1.2"
_FUNCTIONS = Path(__file__).parent / "functions"


@dataclass(frozen=True)
class Material:
    """What one workload is made of.

    Attributes:
        pack: lambdapack's.
        plain: The pack's files in a folder: slimmed, stripped, with bytecode.
        recipe_zip, zappa_tar: Archives of the tree that pip installed, without bytecode, as the peers' users
            make them; ``zappa_tar`` has the handler too.
    """

    pack: pack.Pack
    plain: Path
    recipe_zip: Path
    zappa_tar: Path


class Kit:
    """Makes and keeps what is measured.

    Args:
        cache: Where it is kept.
        target: The Python that everything is for; it must run here.
        reuse: Take a pack that was built before as it is, whatever changed in lambdapack since.
        progress: Told about each step.
    """

    def __init__(self, cache: Path, target: Target, *, reuse: bool, progress: Progress) -> None:
        self.cache = cache
        self.target = target
        self.reuse = reuse
        self.progress = progress
        self.interpreter = interpreter.find(target.python)

    def runtime(self) -> local_runtime.Runtime:
        """A bare Python, and beside it what Lambda's runtime brings: boto3 and a runtime client."""
        found = local_runtime.install(self.target, self.cache, progress=self.progress)
        client = self.cache / "bench" / f"runtime-{self.target.python}"
        if not client.is_dir():
            with _appearing(client) as part:
                self._pip(part, "boto3")
                bytecode.compile_tree(part, self.interpreter, progress=self.progress)
        shutil.copy(Path(__file__).with_name("driver.py"), client)
        return replace(found, client=client)

    def material(self, workload: Workload) -> Material:
        """Build what is missing of a workload.

        Raises:
            LambdapackError: A stage failed.
        """
        base = self.cache / "bench" / workload.name
        base.mkdir(parents=True, exist_ok=True)
        with (base / "lock").open("w") as held:
            # Two runs of the benchmark share the cache.
            fcntl.flock(held, fcntl.LOCK_EX)
            return self._material(workload, base)

    def _material(self, workload: Workload, base: Path) -> Material:
        built = self._pack(workload, base / "pack")
        digest = built.index.lock[:16]
        plain = base / f"plain-{built.id[:16]}"
        if not plain.is_dir():
            for old in base.glob("plain-*"):
                shutil.rmtree(old)
            extract(built.path, plain, progress=self.progress)
        recipe = base / f"recipe-{digest}.zip"
        zappa = base / f"zappa-{digest}.tar.gz"
        if not recipe.exists() or not zappa.exists():
            tree = self._installed(workload, base / f"tree-{digest}", digest)
            with self.progress.step(f"archives of {workload.name} for the peers"):
                _zip(tree, recipe)
                _tar(tree, workload, zappa)
            shutil.rmtree(tree)
        return Material(built, plain, recipe, zappa)

    def zappa(self) -> Path:
        """Zappa and what it needs, as it puts them into a function's zip."""
        folder = self.cache / "bench" / ZAPPA
        if not folder.is_dir():
            with self.progress.step(f"install {ZAPPA}"), _appearing(folder) as part:
                self._pip(part, "--no-deps", ZAPPA)
                self._pip(part, *_ZAPPA_NEEDS)
                bytecode.compile_tree(part, self.interpreter, progress=self.progress)
        return folder

    def srp(self) -> Path:
        """serverless-python-requirements' own helper.

        Raises:
            ToolError: npm is not there, or fails.
        """
        helper = self.cache / "bench" / SRP / "package" / "unzip_requirements.py"
        if not helper.exists():
            if not shutil.which("npm"):
                raise ToolError(f"{SRP} comes from npm, and there is no npm")
            with self.progress.step(f"fetch {SRP}"), _appearing(helper.parents[1]) as part:
                done = subprocess.run(
                    ["npm", "pack", "--silent", SRP], cwd=part, capture_output=True, text=True, check=False
                )
                archives = list(part.glob("*.tgz"))
                if done.returncode or not archives:
                    raise ToolError(f"npm pack {SRP}: {done.stderr.strip()[-300:]}")
                with tarfile.open(archives[0]) as opened:
                    opened.extractall(part, filter="data")
        return helper

    def _pack(self, workload: Workload, output: Path) -> pack.Pack:
        if self.reuse and (output / "build.json").exists():
            return pack.load(output)
        options = BuildOptions(
            requirements=workload.requirements,
            files=(),
            target=self.target,
            output=output,
            builder="local",
            glibc=workload.glibc,
            trace=TraceOptions(code=trace_code(workload)),
        )
        pipeline.build(options, cache_dir=self.cache, progress=self.progress)
        return pack.load(output)

    def _installed(self, workload: Workload, folder: Path, digest: str) -> Path:
        """The tree as pip installs it, of the very lock that the pack was built from."""
        document = json.loads((folder.parent / "pack" / "build.json").read_text())
        resolved = lock.resolve(
            lock.read_requirements(workload.requirements, []),
            self.target,
            self.interpreter,
            options=lock.LockOptions(workload.glibc),
            cache_dir=self.cache,
            progress=self.progress,
        )
        if not resolved.digest.startswith(digest):
            resolved = _same_lock(resolved, document["lock"]["text"])
        shutil.rmtree(folder, ignore_errors=True)
        unpack_wheels(resolved, folder, progress=self.progress)
        return folder

    def _pip(self, folder: Path, *requirements: str) -> None:
        options = ("--no-compile", "--only-binary=:all:", "--upgrade", "--target", folder)
        pip.run(
            ["install", *options, *requirements],
            doing=f"installing {requirements[-1]} for the benchmark",
        )


def trace_code(workload: Workload) -> str:
    """The workload as code to trace: its module, then one call."""
    source = workload.source.read_text(encoding="utf-8").replace("import mark", "#")
    return f"{source}\nhandler({{}}, None)\n"


def _same_lock(resolved: Lock, text: str) -> Lock:
    """The resolved lock, if it names what ``text`` does."""
    if resolved.text != text:
        raise ToolError(
            "the index has newer releases than the pack was built from",
            hint="build the packs again: python -m benchmarks without --reuse",
        )
    return resolved


def _zip(tree: Path, destination: Path) -> None:
    """``zip -9`` without bytecode."""
    part = destination.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in _files(tree):
            archive.write(path, path.relative_to(tree))
    part.replace(destination)


def _tar(tree: Path, workload: Workload, destination: Path) -> None:
    """Zappa's project archive: dependencies and the handler."""
    part = destination.with_suffix(".part")
    with tarfile.open(part, "w:gz", compresslevel=9) as archive:
        for path in _files(tree):
            archive.add(path, path.relative_to(tree))
        archive.add(workload.source, "workload.py")
        archive.add(_FUNCTIONS / "mark.py", "mark.py")
    part.replace(destination)


def _files(tree: Path) -> Iterator[Path]:
    for folder, names, files in os.walk(tree):
        names[:] = sorted(name for name in names if name != "__pycache__")
        yield from (Path(folder) / name for name in sorted(files))


@contextmanager
def _appearing(folder: Path) -> Iterator[Path]:
    """A folder that is there when all of it is."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield part
        part.chmod(0o755)
        part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
