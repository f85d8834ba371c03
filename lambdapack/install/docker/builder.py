"""The builder that uses the target's own image: its Python resolves the lock and compiles sdists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from lambdapack.errors import ToolError
from lambdapack.files import scratch_folder
from lambdapack.install import syslibs
from lambdapack.install.docker import container, engine, images, settings
from lambdapack.install.docker.container import Limits
from lambdapack.install.docker.libraries import ImageLibraries
from lambdapack.install.docker.loading import ImageLoader
from lambdapack.install.docker.python import ImagePython
from lambdapack.install.docker.working import ImageWorkers
from lambdapack.install.local import LocalBuilder
from lambdapack.lock import Place
from lambdapack.memo import CacheFolder
from lambdapack.model import NO_OPTIONS, Lacking, Lock, PipOptions, Target, Tree
from lambdapack.progress import QUIET, Progress
from lambdapack.python import toolchain
from lambdapack.python.interpreter import Interpreter

__all__ = ["DockerBuilder"]


class DockerBuilder:
    """Builds in a container of an image with the target's Python, by default AWS's build image.

    What has to be run is run there: the resolver, and the builds of sdists, whose wheels come back and are
    kept. Wheels are unpacked by this machine's pip, which runs nothing of them and so gives the very tree
    that the local builder gives.

    Args:
        image: Name of the image, instead of the target's.
        limits: What a build may use.
        packages: System packages to install in the image first.
    """

    name = "docker"

    def __init__(
        self, image: str | None = None, limits: Limits | None = None, packages: Sequence[str] = ()
    ) -> None:
        self._image = image
        self._limits = limits or Limits()
        self._packages = tuple(packages)

    def identify(
        self, target: Target, *, progress: Progress = QUIET
    ) -> tuple[Mapping[str, str], Interpreter | None]:
        """The image that ``open`` would take; its Python is known once a container runs.

        Raises:
            ToolError: No engine, or no image.
        """
        with engine.connect() as client:
            return _identity(self._ready(client, target, progress)), None

    def _ready(self, client: Any, target: Target, progress: Progress) -> images.Image:
        """The image, with the system packages that were asked for."""
        image = images.find(client, target, self._image, progress)
        if not self._packages:
            return image
        return images.with_packages(client, image, self._packages, settings.proxies(), progress)

    @contextmanager
    def open(
        self,
        target: Target,
        *,
        sources: PipOptions = NO_OPTIONS,
        cache_dir: Path,
        progress: Progress = QUIET,
    ) -> Iterator[DockerWorkshop]:
        """Start a container, which is removed at the end.

        Args:
            target: What will be built.
            sources: pip's options of the requirements.
            cache_dir: Where tools and built wheels are kept.
            progress: Told what is done.

        Raises:
            ToolError: No engine, no image, or the image is not for ``target``.
        """
        told = settings.read(sources)
        # Wheels of what was named by itself; their pages are options of the lock, which comes later.
        folders = {**told.folders, CacheFolder.FILES.of(cache_dir): False}
        with engine.connect() as client:
            image = self._ready(client, target, progress)
            with container.start(client, image, target, self._limits, folders) as running:
                python = ImagePython(running, image, told, sources, cache_dir)
                if python.interpreter.python != target.python:
                    raise ToolError(f"the image {image.name} has Python {python.interpreter.version}")
                progress.note(f"image: {image.name} ({image.id[7:19]}), Python {python.interpreter.version}")
                yield DockerWorkshop(image, python, running, cache_dir)

    def libraries(
        self, target: Target, *, progress: Progress = QUIET
    ) -> tuple[dict[str, tuple[str, str, str]], images.Image]:
        """Name -> path, package and package URL of every shared library of the image, and the image."""
        with engine.connect() as client:
            image = images.find(client, target, self._image, progress)
            with container.start(client, image, target, self._limits, {}) as running:
                return ImageLibraries(running).listed(), image

    def install(self, lock: Lock, destination: Path, *, cache_dir: Path, progress: Progress = QUIET) -> Tree:
        """Install ``lock`` into the new folder ``destination`` with a container of its own."""
        with self.open(lock.target, sources=lock.sources, cache_dir=cache_dir, progress=progress) as shop:
            return shop.install(lock, destination, progress=progress)


class DockerWorkshop:
    """A container that is ready to build.

    Attributes:
        interpreter: The image's Python; it cannot be run on this machine.
        place: Where the resolver runs.
        identity: What built things depend on besides their inputs: name, id and digest of the image.
    """

    def __init__(
        self,
        image: images.Image,
        python: ImagePython,
        running: container.Container,
        cache_dir: Path,
    ) -> None:
        self.interpreter: Interpreter = python.interpreter
        self.place: Place | None = python
        self.identity: Mapping[str, str] = _identity(image)
        self.runs_here = False
        self.ask_elsewhere = ImageWorkers(running).ask
        self.load_elsewhere = ImageLoader(running).check
        self._python = python
        self._libraries = ImageLibraries(running)
        self._cache_dir = cache_dir

    def compile_tree(self, root: Path, *, jobs: int | None = None, progress: Progress = QUIET) -> None:
        """Compile every module under ``root`` to bytecode, in the image; ``jobs`` are the local builder's."""
        self._python.compile_tree(root, progress)

    def wheel(self, source: Path, destination: Path, *, label: str, progress: Progress = QUIET) -> Path:
        """Build a wheel of a folder or an sdist in the image; see ``lockdriver.Wheelwright``."""
        tools = toolchain.ensure(self.interpreter, self._cache_dir, progress)
        return self._python.local_wheel(source, tools, destination, label)

    def install(self, lock: Lock, destination: Path, *, progress: Progress = QUIET) -> Tree:
        """Install ``lock`` into the new folder ``destination``: ``complete`` what it ``unpack``s."""
        return self.complete(self.unpack(lock, destination, progress=progress), lock, progress=progress)

    def complete(self, tree: Tree, lock: Lock, *, progress: Progress = QUIET) -> Tree:
        """Copy into the tree of a lock the shared libraries that it needs, Lambda lacks and the image has."""
        has = syslibs.provided(lock.target)
        return syslibs.bundle(tree, has, self._libraries, progress, glibc=lock.glibc)

    def bring(self, tree: Tree, opened: Sequence[Lacking], lock: Lock, *, progress: Progress = QUIET) -> Tree:
        """Copy the shared libraries that a program opened by name into the tree, with what they need."""
        has = syslibs.provided(lock.target)
        return syslibs.bundle(tree, has, self._libraries, progress, glibc=lock.glibc, opened=opened)

    def unpack(self, lock: Lock, destination: Path, *, progress: Progress = QUIET) -> Tree:
        """Unpack the wheels of ``lock`` into the new folder ``destination``, sdists built before.

        Raises:
            ToolError: An sdist cannot be built, or pip failed.
        """
        if not lock.built:
            return LocalBuilder().unpack(lock, destination, progress=progress)
        tools = toolchain.ensure(self.interpreter, self._cache_dir, progress)
        with scratch_folder() as folder:
            built = self._python.wheels(lock, tools, folder, progress)
            names = {pin.name for pin in built}
            pins = (*(pin for pin in lock.pins if pin.name not in names), *built)
            ready = replace(
                lock,
                pins=tuple(sorted(pins)),
                sources=lock.sources + PipOptions.find_links(folder),
                built=(),
            )
            return LocalBuilder().unpack(ready, destination, progress=progress)


def _identity(image: images.Image) -> Mapping[str, str]:
    return {"image": image.name, "id": image.id, "digest": image.digest}
