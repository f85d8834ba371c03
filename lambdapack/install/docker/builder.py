"""Builder and workshop of the docker builder: a container that lives as long as one build."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from lambdapack.errors import ToolError
from lambdapack.files import new_folder, scratch_folder
from lambdapack.install import syslibs
from lambdapack.install.docker import container, engine, images, settings
from lambdapack.install.docker.archive import members_below
from lambdapack.install.docker.container import WORK, BuildLimits
from lambdapack.install.docker.image_pip import VARIABLES, ImagePip
from lambdapack.install.docker.workers import ImageWorkers
from lambdapack.install.syslibs import LibraryOrigin
from lambdapack.install.unpack import unpack_wheels
from lambdapack.memo import CacheFolder
from lambdapack.model import NO_OPTIONS, Lock, MissingLibrary, Pin, PipOptions, Target, Tree
from lambdapack.progress import QUIET, Advance, Progress
from lambdapack.python import toolchain
from lambdapack.python.interpreter import Interpreter
from lambdapack.python.wheel_recipe import recipe

_NOTE_CHARACTERS = 80


class DockerBuilder:
    """Builds in a container of an image with the target's Python, by default AWS's build image.

    What has to be run is run there: the resolver, and the builds of sdists, whose wheels come back and are
    kept. Wheels are unpacked by this machine's pip, which runs no code of theirs and so gives the very tree
    that the local builder gives.

    Args:
        image: Name of the image, instead of the target's.
        limits: What a build may use.
        packages: System packages to install in the image first.
    """

    name = "docker"

    def __init__(
        self, image: str | None = None, limits: BuildLimits | None = None, packages: Sequence[str] = ()
    ) -> None:
        self._name = image
        self._limits = limits or BuildLimits()
        self._packages = tuple(packages)

    def identify(
        self, target: Target, *, progress: Progress = QUIET
    ) -> tuple[Mapping[str, str], Interpreter | None]:
        """The image that ``open`` would take; the image's Python is known once a container runs.

        Raises:
            ToolError: No engine, or no image.
        """
        with engine.connect() as client:
            return _identity(self._image(client, target, progress)), None

    def _image(self, client: Any, target: Target, progress: Progress) -> images.Image:
        """The image, with the system packages that were asked for."""
        image = images.find(client, target, self._name, progress)
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
        """Start a container, which is removed at the end; see ``Builder``.

        Raises:
            ToolError: No engine, no image, or the image is not for ``target``.
        """
        own = settings.read(sources)
        # The lock's options, which come later, name the pages of wheels that requirements name themselves.
        folders = {**own.folders, CacheFolder.FILES.of(cache_dir): False}
        with engine.connect() as client:
            image = self._image(client, target, progress)
            with container.start(client, image, target, self._limits, folders) as running:
                pip = ImagePip(running, image, own, sources)
                version = pip.interpreter.version
                if pip.interpreter.python != target.python:
                    raise ToolError(f"the image {image.name} has Python {version}")
                progress.note(f"image: {image.name} ({image.id[7:19]}), Python {version}")
                yield DockerWorkshop(pip, cache_dir)

    def libraries(
        self, target: Target, *, progress: Progress = QUIET
    ) -> tuple[dict[str, LibraryOrigin], images.Image]:
        """Name -> origin of every shared library of the image, and the image."""
        with engine.connect() as client:
            image = images.find(client, target, self._name, progress)
            with container.start(client, image, target, self._limits, {}) as running:
                return ImageWorkers(running).libraries(), image


class DockerWorkshop:
    """A running container with the target's Python in it; see ``Workshop``."""

    compiles = True

    def __init__(self, pip: ImagePip, cache_dir: Path) -> None:
        self.interpreter = pip.interpreter
        self.place = pip
        self.identity = _identity(pip.image)
        self._workers = ImageWorkers(pip.container)
        self.ask_elsewhere = self._workers.ask
        self.load_elsewhere = self._workers.load
        self._pip = pip
        self._cache_dir = cache_dir

    def compile_tree(self, root: Path, *, jobs: int | None = None, progress: Progress = QUIET) -> None:
        """Compile every module under ``root`` to bytecode, in the image; ``jobs`` are the local builder's."""
        self._workers.compile_tree(root, progress)

    def wheel(self, source: Path, destination: Path, *, label: str, progress: Progress = QUIET) -> Path:
        """Build a wheel of a folder or an sdist in the image; see ``lock.Wheelwright``."""
        pip = self._pip
        pip.bring(self._tools(progress))
        name = f"{pip.container.new_folder()}/{source.name}"
        pip.container.put(members_below(name, source), doing=f"bringing {label} into the image")
        doing = f"building a wheel of {label} in {pip.image.name}"
        return pip.build_wheel(f"{WORK}/{name}", destination, options=pip.sources, doing=doing)

    def unpack(self, lock: Lock, destination: Path, *, progress: Progress = QUIET) -> Tree:
        """Build the sdists of ``lock`` in the image, and unpack all wheels; see ``Workshop.unpack``."""
        if not lock.built:
            return unpack_wheels(lock, destination, progress=progress)
        with scratch_folder() as folder:
            built = self._build_sdists(lock, folder, progress)
            pins = {pin.name: pin for pin in (*lock.pins, *built)}
            wheels = replace(
                lock,
                pins=tuple(sorted(pins.values())),
                sources=lock.sources + PipOptions.find_links(folder),
                built=(),
            )
            return unpack_wheels(wheels, destination, progress=progress)

    def _build_sdists(self, lock: Lock, destination: Path, progress: Progress) -> Sequence[Pin]:
        """Copy a wheel of each sdist into ``destination``; those in the cache are not built again.

        Returns:
            Pins for the wheels.
        """
        tools, pins = self._tools(progress), []
        sdists = [pin for pin in lock.pins if pin.name in lock.built]
        with progress.step("build sdists", total=len(sdists), unit="sdists") as advance:
            for pin in sdists:
                folder = CacheFolder.WHEELS.of(self._cache_dir) / _key(pin, lock, self._pip)
                if not folder.is_dir():
                    self._pip.bring(tools)
                    with new_folder(folder) as made:
                        _build(self._pip, pin, lock, made.path, advance)
                wheel = next(folder.glob("*.whl"))
                shutil.copyfile(wheel, destination / wheel.name)
                digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
                pins.append(Pin(pin.name, pin.version, (f"sha256:{digest}",)))
                advance(1, note=wheel.name)
        return pins

    def bundle(
        self,
        tree: Tree,
        lock: Lock,
        *,
        opened: Sequence[MissingLibrary] | None = None,
        progress: Progress = QUIET,
    ) -> Tree:
        """Copy the shared libraries that are missing, and that the image has, into the tree."""
        has = syslibs.runtime_libraries(lock.target)
        return syslibs.bundle(tree, has, self._workers, progress, glibc=lock.glibc, opened=opened)

    def _tools(self, progress: Progress) -> Path:
        return toolchain.ensure(self.interpreter, self._cache_dir, progress)


def _identity(image: images.Image) -> Mapping[str, str]:
    return {"image": image.name, "id": image.id, "digest": image.digest}


def _key(pin: Pin, lock: Lock, pip: ImagePip) -> str:
    """The name of the folder for the wheel of ``pin``, with a digest of all that decides its bytes."""
    decisive = [
        str(lock.target),
        pip.image.id,
        sorted(pin.hashes),
        sorted(VARIABLES.items()),
        recipe(pip.sources),
        toolchain.requirements(lock.target.python),
    ]
    digest = hashlib.sha256(json.dumps(decisive).encode()).hexdigest()
    return f"{pin.name}-{pin.version}-{digest[:16]}"


def _build(pip: ImagePip, pin: Pin, lock: Lock, destination: Path, advance: Advance) -> None:
    def note_last_line(data: bytes) -> None:
        lines = pip.readable(data).strip().splitlines()
        if lines:
            advance(0, note=f"{pin.name}: {lines[-1].strip()[:_NOTE_CHARACTERS]}")

    pip.build_wheel(
        Lock(lock.target, lock.glibc, (pin,), ()).text,
        destination,
        options=lock.sources,
        doing=f"building {pin.name} {pin.version} from its sdist in {pip.image.name}",
        arguments=["--require-hashes"],
        output=note_last_line,
    )
