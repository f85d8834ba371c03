"""The builder of a lambdapack that runs in the target's image: what the docker builder does, from within.

The remote builder uses this where it builds. Sdists are built by the image's compilers, and the shared
libraries that Lambda lacks come from the image, with the bytes that the docker builder gives.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from lambdapack.errors import ToolError
from lambdapack.files import scratch_folder
from lambdapack.install import syslibs
from lambdapack.install.docker.image_pip import VARIABLES
from lambdapack.install.docker.workers import LIBRARIES_WORKER
from lambdapack.install.local import LocalWorkshop
from lambdapack.install.syslibs import LibraryOrigin, LibraryQuery
from lambdapack.install.unpack import unpack_wheels
from lambdapack.model import NO_OPTIONS, Lock, MissingLibrary, Pin, PipOptions, Target, Tree
from lambdapack.progress import QUIET, Progress
from lambdapack.python import interpreter, pip, toolchain, worker
from lambdapack.python.wheel_recipe import build_environment


class InsideBuilder:
    """Opens workshops in the image that this process runs in; see ``Builder``.

    Args:
        image: The image's name, for build.json.
    """

    name = "inside"

    def __init__(self, image: str) -> None:
        self._identity = {"image": image}

    def identify(
        self, target: Target, *, progress: Progress = QUIET
    ) -> tuple[Mapping[str, str], interpreter.Interpreter | None]:
        """See ``Builder``; raises as ``open`` does."""
        return self._identity, interpreter.find(target.python)

    @contextmanager
    def open(
        self,
        target: Target,
        *,
        sources: PipOptions = NO_OPTIONS,
        cache_dir: Path,
        progress: Progress = QUIET,
    ) -> Iterator[InsideWorkshop]:
        """Find the image's Python.

        Raises:
            ConfigurationError: The image has no Python of the target's version.
        """
        workshop = InsideWorkshop(interpreter.find(target.python), cache_dir, sources)
        workshop.identity = self._identity
        yield workshop


class InsideWorkshop(LocalWorkshop):
    """The image that this process runs in; see ``Workshop``."""

    compiles = True

    def wheel(self, source: Path, destination: Path, *, label: str, progress: Progress = QUIET) -> Path:
        """Build a wheel of a folder or an sdist; see ``lock.Wheelwright``."""
        doing = f"building a wheel of {label}"
        return self._build([*self._sources.arguments, source], destination, doing, progress)

    def unpack(self, lock: Lock, destination: Path, *, progress: Progress = QUIET) -> Tree:
        """Build the sdists of ``lock``, and unpack all wheels; see ``Workshop.unpack``."""
        if not lock.built:
            return unpack_wheels(lock, destination, progress=progress)
        with scratch_folder() as folder:
            pins = {pin.name: pin for pin in (*lock.pins, *self._sdists(lock, folder, progress))}
            wheels = replace(
                lock,
                pins=tuple(sorted(pins.values())),
                sources=lock.sources + PipOptions.find_links(folder),
                built=(),
            )
            return unpack_wheels(wheels, destination, progress=progress)

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
        source = _OwnLibraries(self.interpreter.path)
        return syslibs.bundle(tree, has, source, progress, glibc=lock.glibc, opened=opened)

    def _sdists(self, lock: Lock, folder: Path, progress: Progress) -> Iterator[Pin]:
        """Build a wheel of each sdist into ``folder``; the pins of the wheels."""
        sdists = [pin for pin in lock.pins if pin.name in lock.built]
        with progress.step("build sdists", total=len(sdists), unit="sdists") as advance:
            for pin in sdists:
                requirement = folder / f"{pin.name}.txt"
                requirement.write_text(Lock(lock.target, lock.glibc, (pin,), ()).text)
                options: Sequence[str | Path] = (
                    "--require-hashes",
                    *lock.sources.arguments,
                    "-r",
                    requirement,
                )
                doing = f"building {pin.name} {pin.version} from its sdist"
                wheel = self._build(options, folder / pin.name, doing, progress)
                moved = wheel.rename(folder / wheel.name)
                digest = hashlib.sha256(moved.read_bytes()).hexdigest()
                yield Pin(pin.name, pin.version, (f"sha256:{digest}",))
                advance(1, note=wheel.name)

    def _build(
        self, arguments: Sequence[str | Path], destination: Path, doing: str, progress: Progress
    ) -> Path:
        """The one wheel that pip builds into ``destination``.

        Raises:
            ToolError: The wheel cannot be built.
        """
        tools = toolchain.ensure(self.interpreter, self._cache_dir, progress)
        with scratch_folder() as scratch:
            own = {"HOME": scratch, "TMPDIR": scratch, "XDG_CACHE_HOME": scratch, "PIP_CACHE_DIR": scratch}
            try:
                pip.run(
                    ["wheel", "--no-deps", "--wheel-dir", destination, *arguments],
                    doing=doing,
                    variables={**VARIABLES, **{name: str(path) for name, path in own.items()}},
                    inherited=build_environment(),
                    pip=(self.interpreter.path, "-s", tools / "pip" / "__pip-runner__.py"),
                )
            except ToolError as error:
                error.hint = (
                    error.hint or "choose a version with a wheel, or an --image that has what it needs"
                )
                raise
        wheels = list(destination.glob("*.whl"))
        if len(wheels) != 1:
            raise ToolError(f"{doing} failed: pip made {len(wheels)} files instead of one wheel")
        return wheels[0]


class _OwnLibraries:
    """The shared libraries of the image that this process runs in; see ``syslibs.Source``."""

    def __init__(self, python: Path) -> None:
        self._python = python

    def fetch(self, queries: Sequence[LibraryQuery], destination: Path) -> Mapping[str, LibraryOrigin]:
        """Copy the libraries that are there into ``destination``, as the dynamic linker would find them."""
        names = {query.name for query in queries}
        origins = {
            name: origin for name, origin in self._find(queries).items() if name in names and "/" not in name
        }
        for name, origin in origins.items():
            shutil.copyfile(origin.path, destination / name)
        return origins

    def _find(self, queries: Sequence[LibraryQuery]) -> dict[str, LibraryOrigin]:
        asked = json.dumps({"ask": [asdict(query) for query in queries]})
        done = subprocess.run(
            worker.command(self._python, LIBRARIES_WORKER),
            input=asked,
            capture_output=True,
            text=True,
            env={"LC_ALL": "C", "PATH": "/usr/bin:/bin", **worker.library_path()},
            check=False,
        )
        try:
            answer = json.loads(done.stdout)
            return {str(name): LibraryOrigin(*map(str, origin)) for name, origin in answer.items()}
        except (ValueError, AttributeError, TypeError):
            raise ToolError(
                f"looking for shared libraries failed with status {done.returncode}",
                detail=done.stderr[-2000:] or None,
            ) from None
