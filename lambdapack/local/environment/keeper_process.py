"""The keeper of an environment, as a process to talk to. What it does is in the package ``keeper``."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
from collections.abc import Callable, Mapping
from threading import Thread
from typing import Any

from lambdapack.errors import ToolError
from lambdapack.python import keeper

_WAIT = 30.0
"""Seconds to wait for an answer, which takes milliseconds."""


class KeeperProcess:
    """Starts a keeper and sends it commands.

    Args:
        configuration: As the docstring of the package ``keeper`` describes it.
        on_exit: Called, in another thread, with each ``exit`` line: the runtime has died.

    Raises:
        ToolError: The namespaces cannot be made; the message says why.
    """

    def __init__(self, configuration: Mapping[str, Any], on_exit: Callable[[dict[str, Any]], None]) -> None:
        self._on_exit = on_exit
        self._answers: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._process = subprocess.Popen(
            keeper.command("main"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[configuration["log"]],
            # Ctrl-C in a terminal ends this process, which closes the keeper's stdin and so ends the keeper.
            start_new_session=True,
            env={"PATH": os.environ.get("PATH", os.defpath)},
        )
        Thread(target=self._listen, daemon=True).start()
        try:
            answer = self._exchange(configuration)
            if answer["event"] != "ready":
                raise ToolError(f"making the namespaces of an execution environment: {answer['why']}")
        except ToolError:
            self.close()
            raise

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """The answer to a command.

        Raises:
            ToolError: The keeper has ended.
        """
        return self._exchange({"do": command, **arguments})

    def close(self) -> None:
        """End the keeper, and with it all that runs or is mounted in the environment."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            if answer["event"] == "exit":
                self._on_exit(answer)
            else:
                self._answers.put(answer)
        self._answers.put(None)

    def _exchange(self, document: Mapping[str, Any]) -> dict[str, Any]:
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(document).encode() + b"\n")
            self._process.stdin.flush()
        except (OSError, ValueError) as error:
            raise ToolError(f"talking to the keeper of an execution environment: {error}") from None
        try:
            answer = self._answers.get(timeout=_WAIT)
        except queue.Empty:
            answer = None
        if answer is None:
            raise ToolError("the keeper of an execution environment ended unexpectedly")
        return answer
