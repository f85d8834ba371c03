"""A long-running server of the local cloud, which keeps environments warm between commands."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hmac
import json
import os
import secrets
import signal
import socketserver
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lambdapack.errors import ConfigurationError, LambdapackError
from lambdapack.local.client import ADDRESS_FILE
from lambdapack.local.cloud import LocalCloud
from lambdapack.local.link import read_faults
from lambdapack.progress import QUIET, Progress

_EXPIRE_EVERY = 5.0
_LINE_LIMIT = 16 * 1024 * 1024


def serve(
    state: Path,
    *,
    progress: Progress = QUIET,
    ready: Callable[[str], None] = lambda address: None,
    **options: Any,
) -> None:
    """Serve a state folder until Ctrl-C, SIGTERM or ``Client.stop``.

    Args:
        state: The folder; one server at a time.
        progress: As in ``LocalCloud``.
        ready: Called with ``127.0.0.1:PORT`` once the server answers.
        options: Further arguments of ``LocalCloud``.

    Raises:
        ConfigurationError: Another server runs on the folder.
    """
    state.mkdir(parents=True, exist_ok=True)
    with _locked(state), LocalCloud(state, progress=progress, use_server=False, **options) as cloud:
        server = _Server(cloud)
        address = state / ADDRESS_FILE
        try:
            _publish(address, server)
            threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
            ready(f"127.0.0.1:{server.server_address[1]}")
            with _terminable(), contextlib.suppress(KeyboardInterrupt):
                while not server.stopped.wait(_EXPIRE_EVERY):
                    cloud.expire()
        finally:
            address.unlink(missing_ok=True)
            server.shutdown()
            server.server_close()


@contextlib.contextmanager
def _locked(state: Path) -> Iterator[None]:
    with (state / "server.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"a server of the local cloud runs on {state} already",
                hint="use it (lambdapack invoke finds it), or stop it first",
            ) from None
        yield


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Inside the block SIGTERM ends the server as Ctrl-C does; only the main thread can set that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _publish(address: Path, server: _Server) -> None:
    document = {"port": server.server_address[1], "token": server.token, "pid": os.getpid()}
    temporary = address.with_name(f".{address.name}.part")
    temporary.unlink(missing_ok=True)
    temporary.touch(0o600, exist_ok=False)
    temporary.write_text(json.dumps(document))
    temporary.replace(address)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, cloud: LocalCloud) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.cloud = cloud
        self.token = secrets.token_urlsafe(24)
        self.stopped = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: a client may hang up at any time."""


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        line = self.rfile.readline(_LINE_LIMIT)
        try:
            request = json.loads(line)
            if not hmac.compare_digest(str(request["token"]), self.server.token):
                return
            answer: dict[str, Any] = {"result": self._do(request)}
        except LambdapackError as error:
            said = {"message": error.message, "hint": error.hint, "detail": error.detail}
            answer = {"raised": {"type": type(error).__name__, **said}}
        self.wfile.write(json.dumps(answer).encode() + b"\n")

    def _do(self, request: dict[str, Any]) -> dict[str, Any]:
        cloud, verb = self.server.cloud, request["do"]
        if verb == "invoke":
            options = dict(request["options"])
            faults = read_faults(options.pop("faults", ()))
            payload = base64.b64decode(request["payload"])
            return cloud.invoke(request["name"], payload, faults=faults, **options).as_dict()
        if verb == "prepare":
            return {"logs": cloud.prepare(request["name"], request["environments"], **request["options"])}
        if verb == "status":
            return cloud.status()
        if verb == "requests":
            return {"requests": [asdict(entry) for entry in cloud.requests(clear=request["clear"])]}
        if verb == "discard":
            cloud.discard(request["name"])
        elif verb == "stop":
            self.server.stopped.set()
        elif verb != "ping":
            raise ConfigurationError(f"the local cloud's server does not know {verb!r}")
        return {}
