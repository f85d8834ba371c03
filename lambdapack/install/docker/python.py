"""The image's own Python at work: it resolves locks, builds wheels from sdists and compiles to bytecode."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from lambdapack.errors import LambdapackError, ToolError
from lambdapack.files import disk_errors, work_folder
from lambdapack.install.docker import lacking
from lambdapack.install.docker.container import WORK, Container, Member
from lambdapack.install.docker.images import Image
from lambdapack.install.docker.settings import Settings, masked
from lambdapack.install.docker.working import PLACES
from lambdapack.lock import DRIVER_CODE, DRIVER_FOLDER, AnswerReader, DriverRequest
from lambdapack.memo import CacheFolder
from lambdapack.model import Lock, Pin, PipOptions
from lambdapack.progress import Advance, Progress
from lambdapack.python import bytecode, pip, toolchain, worker
from lambdapack.python.interpreter import Interpreter
from lambdapack.python.wheel_recipe import recipe

__all__ = ["ImagePython"]

_TOOLS = f"{WORK}/tools"
_CACHE = f"{WORK}/cache"
_OUT = f"{WORK}/out"
_ENVIRONMENT = {
    "HOME": f"{WORK}/home",
    "TMPDIR": f"{WORK}/tmp",
    "XDG_CACHE_HOME": _CACHE,
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "PIP_CACHE_DIR": f"{_CACHE}/pip",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INPUT": "1",
    "PIP_NO_COLOR": "1",
    "PIP_PROGRESS_BAR": "off",
    # pip builds in folders with random names, and without this their names are in what is built.
    "CFLAGS": "-g0",
    "CXXFLAGS": "-g0",
    "SOURCE_DATE_EPOCH": "315532800",
    "PYTHONHASHSEED": "0",
}
_LINES_OF_DETAIL = 12
_CHARACTERS = 2000
_SUBPROCESS = "error: subprocess-exited-with-error"


class ImagePython:
    """The target's Python in a running container.

    Args:
        container: It.
        image: What it runs, for messages and for the cache of wheels.
        settings: pip's.
        sources: pip's options of the requirements.
        cache_dir: Where built wheels are kept.
    """

    def __init__(
        self, container: Container, image: Image, settings: Settings, sources: PipOptions, cache_dir: Path
    ) -> None:
        self._container = container
        self._image = image
        self._settings = settings
        self._cache_dir = cache_dir
        self._pip_options = sources
        self._secrets = settings.secrets(sources)
        self._tools: Path | None = None
        self._folders = 0
        self._environment = settings.hand_in(container.relay, _ENVIRONMENT)
        relay = container.relay
        self.interpreter = Interpreter(Path(relay.python), relay.version, relay.machine)

    def ask(
        self, request: DriverRequest, tools: Path, log: TextIO, advance: Advance
    ) -> dict[str, Any] | None:
        """Answer one request of the resolver, in the image; see ``lock.Place``."""
        self._bring(tools)
        relay = self._container.relay
        options = self._settings.options(relay, request.options).arguments
        full = {**request.facts, "tools": _TOOLS, "cache": f"{_CACHE}/metadata", "pip_args": options}
        for name, text in request.texts.items():
            full[name] = relay.keep(f"{name}.txt", text.encode())
        reader = AnswerReader(advance)
        path = relay.keep_json("request.json", full)
        printed = bytearray()

        def complain(data: bytes) -> None:
            printed.extend(data)
            log.write(self._shown(data.decode(errors="replace")))

        status = self._container.run(
            [relay.python, "-I", "-B", "-c", DRIVER_CODE, f"{WORK}/lib"],
            environment=self._environment,
            output=reader.feed,
            errors=complain,
            stdin=path,
            doing="resolving the requirements in the image",
        )
        if reader.last is None or status:
            return None
        cleaned: dict[str, Any] = json.loads(self._shown(json.dumps(reader.last)))
        text = self._shown(printed.decode(errors="replace"))
        if cleaned.get("kind") == "pip" and _SUBPROCESS in text:
            about = str(cleaned.get("about") or "an sdist").split(" from ", maxsplit=1)[0]
            doing = f"building {about.replace('==', ' ')} from its sdist in {self._image.name}"
            raise self._explained(text[text.rindex(_SUBPROCESS) :], doing, 1)
        return cleaned

    def wheels(self, lock: Lock, tools: Path, destination: Path, progress: Progress) -> tuple[Pin, ...]:
        """Build a wheel of each sdist of ``lock`` into ``destination``; those built before are reused.

        Returns:
            Pins for the wheels.

        Raises:
            ToolError: One cannot be built; says what it lacks.
        """
        pins = []
        wanted = [pin for pin in lock.pins if pin.name in lock.built]
        with progress.step("build sdists", total=len(wanted), unit="sdists") as advance:
            for pin in wanted:
                kept = self._kept(pin, lock)
                if not kept.is_dir():
                    self._build(pin, lock, tools, kept, advance)
                wheel = next(kept.glob("*.whl"))
                shutil.copyfile(wheel, destination / wheel.name)
                digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
                pins.append(Pin(pin.name, pin.version, (f"sha256:{digest}",)))
                advance(1, note=wheel.name)
        return tuple(pins)

    def _kept(self, pin: Pin, lock: Lock) -> Path:
        """Where the wheel of ``pin`` is kept: by what it is made of and where."""
        made_of = [
            *(str(lock.target), self._image.id, sorted(pin.hashes), sorted(_ENVIRONMENT.items())),
            *(recipe(self._pip_options), toolchain.requirements(lock.target.python)),
        ]
        key = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()
        return CacheFolder.WHEELS.of(self._cache_dir) / f"{pin.name}-{pin.version}-{key[:16]}"

    def _build(self, pin: Pin, lock: Lock, tools: Path, kept: Path, advance: Advance) -> None:
        self._bring(tools)
        relay = self._container.relay
        options = self._settings.options(relay, lock.sources)
        one = Lock(lock.target, lock.glibc, (pin,), ())
        # Options in the file: on the command line, an address would be seen.
        wanted = relay.keep("sdist.txt", f"{options.text}{one.text}".encode())
        out, printed = f"{_OUT}/{pin.name}", bytearray()

        def heard(data: bytes) -> None:
            printed.extend(data)
            line = self._shown(data.decode(errors="replace")).strip().splitlines()
            if line:
                advance(0, note=f"{pin.name}: {line[-1].strip()[:80]}")

        doing = f"building {pin.name} {pin.version} from its sdist in {self._image.name}"
        status = self._container.run(
            [relay.python, f"{_TOOLS}/pip/__pip-runner__.py", "wheel", "--no-deps", "--require-hashes",
             "--wheel-dir", out, "-r", wanted],
            environment=self._environment, output=heard, errors=heard, doing=doing,
        )  # fmt: skip
        if status:
            raise self._explained(self._shown(printed.decode(errors="replace")), doing, status)
        kept.parent.mkdir(parents=True, exist_ok=True)
        with disk_errors(kept.parent), work_folder(kept.parent, ".part-") as folder:
            part = folder / "wheel"
            part.mkdir()
            found = self._container.get(out, part, doing=doing)
            if len(found) != 1 or found[0].suffix != ".whl":
                raise ToolError(f"{doing} failed: pip made {len(found)} files instead of one wheel")
            part.rename(kept)

    def local_wheel(self, source: Path, tools: Path, destination: Path, label: str) -> Path:
        """Build a wheel of a local folder or sdist into ``destination``.

        Raises:
            ToolError: It cannot be built; says what it lacks.
        """
        self._bring(tools)
        folder = self._folder()
        doing = f"building a wheel of {label} in {self._image.name}"
        self._container.put(_source(source, folder), doing=f"bringing {label} into the image")
        options = self._settings.options(self._container.relay, self._pip_options)
        # Options in a file: on the command line, an address would be seen.
        below = f"{folder}/{source.name}"
        wanted = self._container.relay.keep("local.txt", f"{options.text}{below}\n".encode())
        printed = bytearray()
        status = self._container.run(
            [self._container.relay.python, f"{_TOOLS}/pip/__pip-runner__.py", "wheel", "--no-deps",
             "--wheel-dir", f"{folder}/out", "-r", wanted],
            environment=self._environment, output=printed.extend, errors=printed.extend, doing=doing,
        )  # fmt: skip
        if status:
            raise self._explained(self._shown(printed.decode(errors="replace")), doing, status)
        destination.mkdir(parents=True, exist_ok=True)
        found = self._container.get(f"{folder}/out", destination, doing=doing)
        if len(found) != 1 or found[0].suffix != ".whl":
            raise ToolError(f"{doing} failed: pip made {len(found)} files instead of one wheel")
        return found[0]

    def _explained(self, text: str, doing: str, status: int) -> LambdapackError:
        lines = _telling(text)
        detail = "\n".join(lines[-_LINES_OF_DETAIL:])
        lack = lacking.find(lines)
        if lack is not None:
            return ToolError(
                f"{doing} failed: it needs {lack}, which the image does not have",
                hint=self._way_out(lack),
                detail="\n".join(lines[max(0, lack.line - 2) : lack.line + 3]),
            )
        error = pip.explain(text, doing=doing, status=status)
        error.detail = detail or error.detail
        if error.hint is None:
            error.hint = "choose a version that has a wheel, or an image with what the build needs (--image)"
        return error

    def _way_out(self, lack: lacking.Lack) -> str:
        image = f"or make an image that has it (FROM {self._image.name}) and name it with --image"
        package = lack.package(self._family())
        if package is None:
            return f"install it with --system-package PACKAGE ([build] system-packages), {image}"
        return f"the package {package} is likely to have it: --system-package {package}, {image}"

    def _family(self) -> str:
        """Whose names packages have in the image."""
        probe = [
            "/bin/sh",
            "-c",
            "command -v dnf || command -v microdnf || command -v yum || command -v apt-get",
        ]
        found = bytearray()
        self._container.run(
            probe,
            environment=PLACES,
            output=found.extend,
            errors=bytearray().extend,
            doing="looking at the image",
        )
        return "deb" if found.strip().endswith(b"apt-get") else "rpm"

    def _bring(self, tools: Path) -> None:
        """Put pip-tools and the resolver's driver into the container, once."""
        if self._tools == tools:
            return
        self._container.put(_outfit(tools), doing="bringing pip into the container")
        self._tools = tools

    def _shown(self, text: str) -> str:
        return masked(self._container.relay.unmasked(text), self._secrets)

    def compile_tree(self, root: Path, progress: Progress) -> None:
        """As ``bytecode.compile_tree``, in the image.

        Raises:
            ToolError: The image's Python failed.
        """
        folder = self._folder()
        names = [path.relative_to(root).as_posix() for path in sorted(root.rglob("*.py")) if path.is_file()]
        if not names:
            return
        self._container.put(self._sources(root, names, folder), doing="bringing the sources into the image")
        pending = bytearray()
        with progress.step("compile in the image", total=len(names), unit="files") as advance:

            def heard(data: bytes) -> None:
                pending.extend(data)
                advance(data.count(b"\n"))

            status = self._container.run(
                worker.command(self.interpreter.path, f"{WORK}/lib/{bytecode.WORKER.name}", f"{folder}/tree"),
                environment={**bytecode.ENVIRONMENT, **PLACES},
                output=heard,
                errors=pending.extend,
                stdin=f"{folder}/names",
                doing="compiling to bytecode",
            )
        wrong = [line for line in pending.split(b"\n") if line.startswith(b"! ")]
        if status or wrong:
            text = (wrong[0] if wrong else bytes(pending)).decode(errors="replace")
            raise ToolError("compiling to bytecode failed in the image", detail=text[-_CHARACTERS:])
        self._container.get(
            f"{folder}/tree", root, doing="fetching the bytecode", wanted=lambda name: name.endswith(".pyc")
        )

    def _folder(self) -> str:
        """A new folder of the container."""
        self._folders += 1
        return f"{WORK}/work{self._folders}"

    def _sources(self, root: Path, names: list[str], folder: str) -> Iterator[Member]:
        below = folder.removeprefix(f"{WORK}/")
        yield f"lib/{bytecode.WORKER.name}", bytecode.WORKER
        yield f"{below}/names", b"".join(os.fsencode(name) + b"\0" for name in names)
        for name in names:
            yield f"{below}/tree/{name}", root / name


def _outfit(tools: Path) -> Iterator[Member]:
    for path in sorted(tools.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield f"tools/{path.relative_to(tools).as_posix()}", path
    for path in sorted(DRIVER_FOLDER.glob("*.py")):
        yield f"lib/{DRIVER_FOLDER.name}/{path.name}", path


def _source(source: Path, folder: str) -> Iterator[Member]:
    below = folder.removeprefix(f"{WORK}/")
    if source.is_file():
        yield f"{below}/{source.name}", source
        return
    for path in sorted(source.rglob("*")):
        if path.is_file():
            yield f"{below}/{source.name}/{path.relative_to(source).as_posix()}", path


def _telling(text: str) -> list[str]:
    """The lines of a failed build that say why, without pip's frame around them."""
    lines = [line.strip(" |╰─>\t") for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith(("note:", "hint:", "[notice]"))]
    decisive = [number for number, line in enumerate(lines) if re.search(r"error:|Error:", line)]
    return lines[: decisive[-1] + 1] if decisive else lines
