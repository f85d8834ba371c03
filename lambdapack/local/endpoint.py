"""The S3 endpoint as a process that the local cloud starts and sends commands."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lambdapack.errors import ToolError
from lambdapack.local.link import Fault, LinkSettings
from lambdapack.local.s3.objects import Entry
from lambdapack.local.s3.sigv4 import Credentials


def new_credentials(ahead: float = 0.0) -> Credentials:
    """Temporary credentials like those that Lambda gives an execution environment.

    ``ahead`` is by how many seconds S3's clock is ahead of the environment's.
    """
    access_key = "ASIA" + secrets.token_hex(8).upper()
    return Credentials(access_key, secrets.token_urlsafe(30), secrets.token_urlsafe(300), ahead=ahead)


class Endpoint:
    """Starts the endpoint's process and talks to the process. Safe to use from several threads.

    Args:
        root: Folder of ``<bucket>/<key>``.
        host: The address that it listens on.
        prefix: Words before its command, to run it elsewhere, for example in a network namespace.

    Raises:
        ToolError: The process does not start.
    """

    def __init__(self, root: Path, *, host: str = "127.0.0.1", prefix: Sequence[str] = ()) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        command = [*prefix, sys.executable, "-m", "lambdapack.local.s3", "--control"]
        # In a session of its own: Ctrl-C in a terminal ends this process, which closes the endpoint's stdin.
        self._process = subprocess.Popen(
            [*command, "--root", str(root), "--host", host],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.url: str = self._read()["url"]

    def grant(
        self,
        credentials: Credentials,
        read: Iterable[str],
        *,
        bandwidth_mbps: float | None = None,
        faults: Iterable[Fault] = (),
    ) -> None:
        """Let ``credentials`` GET the objects ``read`` (``bucket/key``) over a link of their own."""
        link = asdict(LinkSettings(bandwidth_mbps, faults=tuple(faults)))
        self._ask("grant", grant={"credentials": asdict(credentials), "read": sorted(read), **link})

    def set_link(self, access_key: str, link: LinkSettings) -> None:
        """Change the link of a grant; its requests are counted from 1 again."""
        self._ask("link", access_key=access_key, **asdict(link))

    def revoke(self, access_key: str) -> None:
        """Forget a grant, and break its connections."""
        self._ask("revoke", access_key=access_key)

    def log(self, *, clear: bool = False) -> list[Entry]:
        """The answered requests so far."""
        return [Entry(**entry) for entry in self._ask("log", clear=clear)["log"]]

    def close(self) -> None:
        """End the process."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                stream.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        with self._lock:
            try:
                assert self._process.stdin is not None
                self._process.stdin.write(json.dumps({"do": command, **arguments}) + "\n")
                self._process.stdin.flush()
            except (OSError, ValueError) as error:
                raise ToolError(f"talking to the local S3 endpoint: {error}") from None
            return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ToolError(f"the local S3 endpoint ended with status {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ToolError(f"the local S3 endpoint refused a command: {answer['error']}")
        return answer
