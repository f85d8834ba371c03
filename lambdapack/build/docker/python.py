"""The image's own Python at work: it resolves locks and builds wheels from sdists."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TextIO

from lambdapack import atomic, lockdriver, pip
from lambdapack.build.docker.container import WORK, Container
from lambdapack.build.docker.images import Image
from lambdapack.build.docker.settings import Settings, masked
from lambdapack.errors import LambdapackError, ToolError
from lambdapack.interpreter import Interpreter
from lambdapack.model import Lock, Pin
from lambdapack.progress import Advance, Progress

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
_MISSING_HEADER = re.compile(r"fatal error: (\S+): No such file or directory")
_MISSING_LIBRARY = re.compile(r"cannot find -l(\S+)")
_MISSING_TOOL = re.compile(
    r"error: command '([^']+)' failed: No such file|"
    r"([\w.+-]+): (?:command )?not found|"
    r"FileNotFoundError: \[Errno 2\] No such file or directory: '([\w.+-]+)'"
)


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
        self, container: Container, image: Image, settings: Settings, sources: Sequence[str], cache_dir: Path
    ) -> None:
        self._container = container
        self._image = image
        self._settings = settings
        self._cache_dir = cache_dir
        self._secrets = settings.secrets(sources)
        self._tools: Path | None = None
        self._environment = settings.hand_in(container.relay, _ENVIRONMENT)
        relay = container.relay
        self.interpreter = Interpreter(Path(relay.python), relay.version, relay.machine)

    def ask(
        self, request: Mapping[str, Any], texts: Mapping[str, str], tools: Path, log: TextIO, advance: Advance
    ) -> dict[str, Any] | None:
        """Answer one request of the resolver, in the image; see ``lockdriver.Place``."""
        self._bring(tools)
        relay = self._container.relay
        options = self._settings.options(relay, request["pip_args"])
        full = {**request, "tools": _TOOLS, "cache": f"{_CACHE}/metadata", "pip_args": options}
        for name, text in texts.items():
            full[name] = relay.keep(f"{name}.txt", text.encode())
        reader = lockdriver.Answers(advance)
        path = relay.keep_json("request.json", full)
        status = self._container.run(
            [relay.python, "-I", "-B", "-c", lockdriver.CODE, f"{WORK}/lib"],
            environment=self._environment,
            output=reader.feed,
            errors=lambda data: self._log(data, log),
            stdin=path,
            doing="resolving the requirements in the image",
        )
        if reader.last is None or status:
            return None
        cleaned: dict[str, Any] = json.loads(self._shown(json.dumps(reader.last)))
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
        made_of = [str(lock.target), self._image.id, *sorted(pin.hashes), *sorted(_ENVIRONMENT.items())]
        key = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()
        return self._cache_dir / "wheels" / f"{pin.name}-{pin.version}-{key[:16]}"

    def _build(self, pin: Pin, lock: Lock, tools: Path, kept: Path, advance: Advance) -> None:
        self._bring(tools)
        relay = self._container.relay
        options = self._settings.options(relay, lock.sources)
        one = Lock(lock.target, lock.glibc, (pin,), ())
        # Options in the file: on the command line, an address would be seen.
        wanted = relay.keep("sdist.txt", f"{_lines(options)}{one.text}".encode())
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
        with TemporaryDirectory(dir=kept.parent, prefix=".part-") as folder, atomic.explained(kept.parent):
            part = Path(folder, "wheel")
            part.mkdir()
            found = self._container.get(out, part, doing=doing)
            if len(found) != 1 or found[0].suffix != ".whl":
                raise ToolError(f"{doing} failed: pip made {len(found)} files instead of one wheel")
            part.rename(kept)

    def _explained(self, text: str, doing: str, status: int) -> LambdapackError:
        detail = "\n".join(_telling(text)[-_LINES_OF_DETAIL:])
        lacking = _lacking(text)
        if lacking:
            return ToolError(
                f"{doing} failed: it needs {lacking}, which the image does not have",
                hint=f"make an image that has it (FROM {self._image.name}, then install it) and name it with "
                "--image or [build] image",
                detail=detail,
            )
        error = pip.explain(text, doing=doing, status=status)
        error.detail = detail or error.detail
        if error.hint is None:
            error.hint = "choose a version that has a wheel, or an image with what the build needs (--image)"
        return error

    def _bring(self, tools: Path) -> None:
        """Put pip-tools and the resolver's driver into the container, once."""
        if self._tools == tools:
            return
        self._container.put(_outfit(tools), doing="bringing pip into the container")
        self._tools = tools

    def _shown(self, text: str) -> str:
        return masked(self._container.relay.unmasked(text), self._secrets)

    def _log(self, data: bytes, log: TextIO) -> None:
        log.write(self._shown(data.decode(errors="replace")))


def _outfit(tools: Path) -> Iterator[tuple[str, Path | bytes]]:
    for path in sorted(tools.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield f"tools/{path.relative_to(tools).as_posix()}", path
    for path in sorted(lockdriver.FOLDER.glob("*.py")):
        yield f"lib/{lockdriver.FOLDER.name}/{path.name}", path


def _lines(options: Sequence[str]) -> str:
    """Options as lines of a requirements file."""
    lines: list[str] = []
    for word in options:
        if word.startswith("--"):
            lines.append(word)
        else:
            lines[-1] += " " + " ".join(word.split())
    return "".join(line + "\n" for line in lines)


def _telling(text: str) -> list[str]:
    """The lines of a failed build that say why, without pip's frame around them."""
    lines = [line.strip(" |╰─>\t") for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith(("note:", "hint:", "[notice]"))]
    decisive = [number for number, line in enumerate(lines) if re.search(r"error:|Error:", line)]
    return lines[: decisive[-1] + 1] if decisive else lines


def _lacking(text: str) -> str | None:
    """What a build said that it does not find."""
    if found := _MISSING_HEADER.search(text):
        return f"the header {found[1]}"
    if found := _MISSING_LIBRARY.search(text):
        return f"the library lib{found[1]}"
    if found := _MISSING_TOOL.search(text):
        return f"the program {next(name for name in found.groups() if name)}"
    return None
