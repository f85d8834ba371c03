"""pip and pip-tools of the target's own Python in a container, told what pip is told on this machine."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from lambdapack.errors import LambdapackError, ToolError
from lambdapack.files import disk_errors
from lambdapack.install.docker.archive import members_below
from lambdapack.install.docker.container import WORK, Container
from lambdapack.install.docker.images import Image
from lambdapack.install.docker.prerequisites import MissingPrerequisite, find_missing
from lambdapack.install.docker.settings import Settings, masked
from lambdapack.install.docker.workers import PLACES
from lambdapack.lock import DRIVER_CODE, DRIVER_FOLDER, AnswerReader, DriverRequest
from lambdapack.model import PipOptions
from lambdapack.progress import Advance
from lambdapack.python import pip
from lambdapack.python.interpreter import Interpreter

_TOOLS = f"{WORK}/tools"
_CACHE = f"{WORK}/cache"
_RUNNER = f"{_TOOLS}/pip/__pip-runner__.py"
VARIABLES: Mapping[str, str] = {
    **PLACES,
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
"""What pip, and what it builds, see of the image, and what decides the bytes of a wheel."""
_LINES_OF_DETAIL = 12
_BUILD_FAILED = "error: subprocess-exited-with-error"
_PACKAGE_MANAGER = "command -v dnf || command -v microdnf || command -v yum || command -v apt-get"


class ImagePip:
    """pip and pip-tools in a running container, where they resolve; see ``lock.Place``.

    Args:
        container: Running.
        image: The container's image.
        settings: pip's, of this machine.
        sources: pip's options of the requirements.

    Attributes:
        interpreter: The image's Python; this machine cannot run it.
        environment: The variables of every run of pip.
    """

    def __init__(self, container: Container, image: Image, settings: Settings, sources: PipOptions) -> None:
        relay = container.relay
        self.container = container
        self.image = image
        self.sources = sources
        self.interpreter = Interpreter(Path(relay.python), relay.version, relay.machine)
        self.environment = settings.hand_in(relay, VARIABLES)
        self._settings = settings
        self._secrets = settings.secrets(sources)
        self._tools: Path | None = None

    def bring(self, tools: Path) -> None:
        """Put pip-tools and the resolver's driver into the container, unless they are there already."""
        if self._tools == tools:
            return
        members = [
            *members_below("tools", tools, lambda path: path.is_file() and "__pycache__" not in path.parts),
            *members_below(f"lib/{DRIVER_FOLDER.name}", DRIVER_FOLDER, lambda path: path.suffix == ".py"),
        ]
        self.container.put(members, doing="bringing pip into the container")
        self._tools = tools

    def ask(
        self, request: DriverRequest, tools: Path, log: TextIO, advance: Advance
    ) -> dict[str, Any] | None:
        """The resolver's driver's last answer to ``request``; see ``lock.Place.ask``.

        Raises:
            ToolError: An sdist's metadata cannot be built, or the container failed.
        """
        self.bring(tools)
        relay = self.container.relay
        options = self._settings.options(relay, request.options).arguments
        full = {**request.facts, "tools": _TOOLS, "cache": f"{_CACHE}/metadata", "pip_args": options}
        for name, text in request.texts.items():
            full[name] = relay.keep(f"{name}.txt", text.encode())
        answers = AnswerReader(advance)
        ended = self.container.run(
            [relay.python, "-I", "-B", "-c", DRIVER_CODE, f"{WORK}/lib"],
            environment=self.environment,
            doing="resolving the requirements in the image",
            stdin=relay.keep("request.json", json.dumps(full).encode()),
            output=answers.feed,
        )
        printed = self.readable(ended.errors)
        log.write(printed)
        if answers.last is None or ended.status:
            return None
        answer: dict[str, Any] = json.loads(self.readable(json.dumps(answers.last).encode()))
        if answer.get("kind") == "pip" and _BUILD_FAILED in printed:
            about = str(answer.get("about") or "an sdist").split(" from ", maxsplit=1)[0]
            doing = f"building {about.replace('==', ' ')} from its sdist in {self.image.name}"
            raise self._error(printed[printed.rindex(_BUILD_FAILED) :], doing, 1)
        return answer

    def readable(self, printed: bytes) -> str:
        """What pip printed, with this machine's addresses and without secrets."""
        text = printed.decode(errors="replace")
        return masked(self.container.relay.unmasked(text), self._secrets)

    def build_wheel(
        self,
        requirement: str,
        destination: Path,
        *,
        options: PipOptions,
        doing: str,
        arguments: Sequence[str] = (),
        output: Callable[[bytes], None] | None = None,
    ) -> Path:
        """Build the wheel of one requirement into the folder ``destination``, which is made.

        Args:
            requirement: As it stands in a requirements file.
            options, arguments: pip's, for the requirements file and for the command line.
            doing: What is done, for messages.
            output: Called with each piece that pip prints, as it comes.

        Raises:
            ToolError: The wheel cannot be built; says what the image lacks for it.
        """
        out = f"{WORK}/{self.container.new_folder()}/out"
        # No options on the command line: an address could be read from the list of processes.
        relay = self.container.relay
        text = f"{self._settings.options(relay, options).text}{requirement}\n"
        file = relay.keep("wheel.txt", text.encode())
        ended = self.container.run(
            [relay.python, _RUNNER, "wheel", "--no-deps", *arguments, "--wheel-dir", out, "-r", file],
            environment=self.environment,
            doing=doing,
            output=output,
        )
        if ended.status:
            raise self._error(self.readable(ended.printed), doing, ended.status)
        with disk_errors(destination):
            destination.mkdir(parents=True, exist_ok=True)
            wheels = self.container.get(out, destination, doing=doing)
        if len(wheels) != 1 or wheels[0].suffix != ".whl":
            raise ToolError(f"{doing} failed: pip made {len(wheels)} files instead of one wheel")
        return wheels[0]

    def _error(self, text: str, doing: str, status: int) -> LambdapackError:
        """The error for a run of pip that printed ``text`` and ended with ``status``."""
        lines = _deciding(text)
        missing = find_missing(lines)
        if missing is not None:
            return ToolError(
                f"{doing} failed: it needs {missing}, which the image does not have",
                hint=self._way_out(missing),
                detail="\n".join(lines[max(0, missing.line - 2) : missing.line + 3]),
            )
        error = pip.explain(text, doing=doing, status=status)
        error.detail = "\n".join(lines[-_LINES_OF_DETAIL:]) or error.detail
        if error.hint is None:
            error.hint = "choose a version that has a wheel, or an image with what the build needs (--image)"
        return error

    def _way_out(self, missing: MissingPrerequisite) -> str:
        ended = self.container.run(
            ["/bin/sh", "-c", _PACKAGE_MANAGER], environment=PLACES, doing="looking at the image"
        )
        package = missing.package("deb" if ended.output.strip().endswith(b"apt-get") else "rpm")
        image = f"or make an image that has it (FROM {self.image.name}) and name it with --image"
        if package is None:
            return f"install it with --system-package PACKAGE ([build] system-packages), {image}"
        return f"the package {package} is likely to have it: --system-package {package}, {image}"


def _deciding(text: str) -> list[str]:
    """The lines of a failed build up to its last error, without pip's frame around them."""
    lines = [line.strip(" |╰─>\t") for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith(("note:", "hint:", "[notice]"))]
    errors = [number for number, line in enumerate(lines) if re.search(r"error:|Error:", line)]
    return lines[: errors[-1] + 1] if errors else lines
