"""Every client of AWS has its retries and time-outs said, and errors tell after what was given up."""

from __future__ import annotations

import ast
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError, WaiterError

import lambdapack
from lambdapack.deploy.aws import errors
from lambdapack.store import patience
from lambdapack.store.patience import Patience

ROOT = Path(lambdapack.__file__).parent


def calls(path: Path) -> Iterator[str]:
    """The names of all functions and methods that a file calls."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            called = node.func
            yield called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")


@pytest.mark.parametrize("name", ["client", "create_client", "resource", "get_waiter"])
def test_clients_and_waiters_are_made_in_one_place(name: str) -> None:
    """No module but this one makes a client or a waiter, so none waits for longer than is written there."""
    makers = {path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py") if name in calls(path)}
    assert makers <= {"store/patience.py"}


def test_no_client_is_made_past_it() -> None:
    """Taking a session's method for later, as in ``make = session.client``, is no way round."""
    for path in set(ROOT.rglob("*.py")) - {ROOT / "store" / "patience.py"}:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            taken = isinstance(node, ast.Attribute) and node.attr == "client"
            assert not taken or "session" not in ast.unparse(node).lower(), f"{path}: {ast.unparse(node)}"


def test_the_bound_is_the_sum_of_all_attempts_and_pauses() -> None:
    """Two attempts of 13 s with one pause of at most 1 + 5 s are 32 s; a single one has no pause."""
    assert patience.QUICK.seconds == 2 * 13 + 6
    assert Patience(1, 5, 60).seconds == 65
    assert patience.CALLS.seconds == 446
    assert "446 s" in str(patience.CALLS)


def test_settings_of_the_environment_do_not_change_a_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS_MAX_ATTEMPTS and AWS_RETRY_MODE would make the bound untrue."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "50")
    monkeypatch.setenv("AWS_RETRY_MODE", "adaptive")
    client = made("http://127.0.0.1:1")
    assert client.meta.config.retries == {"mode": "standard", "total_max_attempts": 6}
    assert (client.meta.config.connect_timeout, client.meta.config.read_timeout) == (5, 60)


def made(endpoint: str, chosen: Patience = patience.CALLS, service: str = "lambda"):
    session = boto3.Session(
        region_name="eu-central-1", aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="secret"
    )
    return patience.make_client(session, service, chosen, endpoint_url=endpoint)


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    """Answers every request with the status that its ``status`` says, and counts them."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.server.count += 1
            body = self.server.body
            self.send_response(self.server.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.count, running.status, running.body = 0, 503, b"{}"
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def url(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}"


def test_an_answer_5xx_says_after_how_many_attempts_it_was_given_up(server) -> None:
    """The error names the attempts that were made, and the bound."""
    with pytest.raises(ClientError) as caught:
        made(url(server), Patience(attempts=3)).list_functions()
    assert server.count == 3
    told = errors.explain(caught.value, "listing functions").message
    assert told.endswith(f"; gave up after 3 attempts in at most {Patience(attempts=3).seconds:.0f} s")


def test_a_refusal_was_not_given_up(server) -> None:
    """What AWS refuses is asked once, and the error does not speak of attempts."""
    server.status = 400
    with pytest.raises(ClientError) as caught:
        made(url(server)).list_functions()
    assert server.count == 1
    assert patience.gave_up(caught.value) == ""


def test_silence_ends_with_the_time_out(server) -> None:
    """A server that takes the request and never answers is given up after the attempts, and this is said."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent_url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ReadTimeoutError) as caught:
            made(silent_url, Patience(attempts=2, connect=1, read=0.2)).list_functions()
    assert patience.gave_up(caught.value) == "2 attempts in at most 8 s"


def test_a_waiter_says_how_long_it_waited(server, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not become active in time is an error with the seconds."""
    server.status, server.body = 200, b'{"Configuration": {"State": "Pending"}}'
    with pytest.raises(WaiterError) as caught:
        patience.wait(made(url(server)), "function_active_v2", 2, {"FunctionName": "f"})
    assert "did not become active within 2 s" in errors.explain(caught.value, "creating f").message
