"""A client of the local cloud's server: it sends one line of JSON and gets one back."""

from __future__ import annotations

import base64
import json
import socket
from pathlib import Path
from typing import Any

from lambdapack import errors
from lambdapack.local.invocation import Invocation
from lambdapack.local.s3.objects import Entry

ADDRESS_FILE = "server.json"


class Client:
    """Talks to a server.

    Args:
        port: The server's port on 127.0.0.1.
        token: The server's secret, from its file that only its user can read.
    """

    def __init__(self, port: int, token: str) -> None:
        self.address = f"127.0.0.1:{port}"
        self._port = port
        self._token = token

    def invoke(self, name: str, payload: bytes, **options: Any) -> Invocation:
        """As ``LocalCloud.invoke``; ``faults`` as dictionaries."""
        text = base64.b64encode(payload).decode()
        return Invocation.from_dict(self._ask("invoke", name=name, payload=text, options=options))

    def prepare(self, name: str, environments: int, **options: Any) -> list[str]:
        """As ``LocalCloud.prepare``."""
        asked = self._ask("prepare", name=name, environments=environments, options=options)
        logs: list[str] = asked["logs"]
        return logs

    def status(self) -> dict[str, Any]:
        """As ``LocalCloud.status``."""
        return self._ask("status")

    def requests(self, *, clear: bool) -> list[Entry]:
        """As ``LocalCloud.requests``."""
        return [Entry(**entry) for entry in self._ask("requests", clear=clear)["requests"]]

    def discard(self, name: str) -> None:
        """As ``LocalCloud.discard``."""
        self._ask("discard", name=name)

    def stop(self) -> None:
        """End the server."""
        self._ask("stop")

    def alive(self) -> bool:
        """Whether the server answers."""
        try:
            self._ask("ping")
        except (OSError, errors.LambdapackError):
            return False
        return True

    def _ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        request = {"token": self._token, "do": command, **arguments}
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=5) as connection:
                connection.settimeout(None)  # an invocation may take up to the function's timeout
                connection.sendall(json.dumps(request).encode() + b"\n")
                with connection.makefile("rb") as reader:
                    line = reader.readline()
        except OSError as error:
            raise errors.ToolError(f"talking to the local server at {self.address}: {error}") from None
        if not line:
            raise errors.ToolError(f"the local cloud's server at {self.address} closed the connection")
        answer = json.loads(line)
        if raised := answer.get("raised"):
            kinds = {kind.__name__: kind for kind in (errors.CheckError, errors.ConfigurationError)}
            raise kinds.get(raised.pop("type"), errors.ToolError)(**raised)
        result: dict[str, Any] = answer["result"]
        return result


def find(state: Path) -> Client | None:
    """A client of the server that runs on a state folder, ``None`` if no server runs."""
    try:
        document = json.loads((state / ADDRESS_FILE).read_text())
        client = Client(int(document["port"]), str(document["token"]))
    except (OSError, ValueError, KeyError):
        return None
    # A server that was killed leaves its file.
    return client if client.alive() else None
