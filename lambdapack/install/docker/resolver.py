"""The resolver's driver, run by the target's own Python in a container."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TextIO

from lambdapack.install.docker.container import WORK
from lambdapack.install.docker.image_pip import CACHE, TOOLS, ImagePip
from lambdapack.lock import DRIVER_CODE, AnswerReader, DriverRequest
from lambdapack.progress import Advance

_BUILD_FAILED = "error: subprocess-exited-with-error"


class ImageResolver:
    """Where the resolver runs, if that is a container; see ``lock.Place``."""

    def __init__(self, pip: ImagePip) -> None:
        self._pip = pip

    def ask(
        self, request: DriverRequest, tools: Path, log: TextIO, advance: Advance
    ) -> dict[str, Any] | None:
        """The driver's last answer to ``request``; see ``lock.Place.ask``.

        Raises:
            ToolError: An sdist's metadata cannot be built, or the container failed.
        """
        pip = self._pip
        pip.bring(tools)
        relay, options = pip.container.relay, pip.options(request.options).arguments
        full = {**request.facts, "tools": TOOLS, "cache": f"{CACHE}/metadata", "pip_args": options}
        for name, text in request.texts.items():
            full[name] = relay.keep(f"{name}.txt", text.encode())
        answers = AnswerReader(advance)
        ended = pip.container.run(
            [relay.python, "-I", "-B", "-c", DRIVER_CODE, f"{WORK}/lib"],
            environment=pip.environment,
            doing="resolving the requirements in the image",
            stdin=relay.keep_json("request.json", full),
            output=answers.feed,
        )
        printed = pip.readable(ended.errors)
        log.write(printed)
        if answers.last is None or ended.status:
            return None
        answer: dict[str, Any] = json.loads(pip.readable(json.dumps(answers.last).encode()))
        if answer.get("kind") == "pip" and _BUILD_FAILED in printed:
            about = str(answer.get("about") or "an sdist").split(" from ", maxsplit=1)[0]
            doing = f"building {about.replace('==', ' ')} from its sdist in {pip.image.name}"
            raise pip.error(printed[printed.rindex(_BUILD_FAILED) :], doing, 1)
        return answer
