"""The shim against a network and servers that misbehave: never for ever, and never without a word."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme

import runtime_shim
from runtime_shim import PackError, _fetch, _net, _s3
from tests.support.network_world import (
    HOST,
    KEYS,
    Behaviour,
    Frames,
    Server,
    TlsServer,
    everything,
    fetcher,
    proxying,
    serving,
    sound,
)

SIZES = [5_000, 70_000, 300]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried, and how often, stays the same."""
    monkeypatch.setattr(_fetch, "LONGEST_PAUSE", 0.001)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds of a quarter of what they are, for servers that are waited for in vain."""
    monkeypatch.setattr(_net, "READ_TIMEOUT", 0.5)
    monkeypatch.setattr(_s3, "READ_TIMEOUT", 0.5)
    monkeypatch.setattr(_s3, "WINDOW", 0.45)
    monkeypatch.setattr(_fetch, "SILENCE", 2.0)
    monkeypatch.setattr(_fetch, "SHORTEST_ATTEMPT", 0.375)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rates are looked at after a second, and nearly any will do."""
    monkeypatch.setattr(_net, "READ_TIMEOUT", 1.0)
    monkeypatch.setattr(_s3, "WINDOW", 0.9)
    monkeypatch.setattr(_fetch, "SLOWEST", 1000.0)
    monkeypatch.setattr(_fetch, "MEASURED", 0.5)
    monkeypatch.setattr(_fetch, "SILENCE", 0.5)
    monkeypatch.setattr(_fetch, "SHORTEST_ATTEMPT", 0.0)


def whole(server: Server, connection: socket.socket, first: int, last: int) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(server.body) + server.body)


def chunked(server: Server, connection: socket.socket, first: int, last: int) -> None:
    part = server.body[first : last + 1]
    head = b"HTTP/1.1 206 X\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection.sendall(head + b"%x\r\n" % len(part) + part + b"\r\n0\r\n\r\n")


def other_range(server: Server, connection: socket.socket, first: int, last: int) -> None:
    answer = server.answer(first, last)
    connection.sendall(answer.replace(b"bytes %d-%d" % (first, last), b"bytes %d-%d" % (first + 1, last + 1)))


def other_bytes(server: Server, connection: socket.socket, first: int, last: int) -> None:
    head, _, body = server.answer(first, last).partition(b"\r\n\r\n")
    connection.sendall(head + b"\r\n\r\n" + body[::-1])


def length_of_text(server: Server, connection: socket.socket, first: int, last: int) -> None:
    connection.sendall(server.answer(first, last).replace(b"Content-Length: ", b"Content-Length: x"))


def length_negative(server: Server, connection: socket.socket, first: int, last: int) -> None:
    connection.sendall(server.answer(first, last).replace(b"Content-Length: ", b"Content-Length: -"))


def no_length(server: Server, connection: socket.socket, first: int, last: int) -> str:
    connection.sendall(b"HTTP/1.1 206 X\r\n\r\n" + server.body[first : last + 1])
    return "close"


def length_huge(server: Server, connection: socket.socket, first: int, last: int) -> None:
    connection.sendall(b"HTTP/1.1 206 X\r\nContent-Length: %d\r\n\r\n" % (1 << 40))


def header_huge(server: Server, connection: socket.socket, first: int, last: int) -> None:
    connection.sendall(b"HTTP/1.1 206 X\r\n" + b"X-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 10_000)


def header_dripping(server: Server, connection: socket.socket, first: int, last: int) -> None:
    drip(server, connection, server.answer(first, last))


def body_dripping(server: Server, connection: socket.socket, first: int, last: int) -> None:
    head, _, body = server.answer(first, last).partition(b"\r\n\r\n")
    connection.sendall(head + b"\r\n\r\n")
    drip(server, connection, body)


def error_dripping(server: Server, connection: socket.socket, first: int, last: int) -> None:
    connection.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")
    drip(server, connection, b" " * 5000)


def drip(server: Server, connection: socket.socket, data: bytes) -> None:
    for byte in data:
        connection.sendall(bytes([byte]))
        if server.closing.wait(0.02):
            return


def silent(server: Server, connection: socket.socket, first: int, last: int) -> str:
    server.closing.wait(60)
    return "close"


def garbage(server: Server, connection: socket.socket, first: int, last: int) -> str:
    connection.sendall(b"\x16\x03\x01\x02" * 50 + b"\r\n\r\n")
    return "close"


def superscript(server: Server, connection: socket.socket, first: int, last: int) -> str:
    connection.sendall(b"HTTP/1.1 \xb2\xb2\xb2 OK\r\n\r\n")
    return "close"


def hang_up(server: Server, connection: socket.socket, first: int, last: int) -> str:
    connection.sendall(server.answer(first, last)[:150])
    return "close"


def switching(server: Server, connection: socket.socket, first: int, last: int) -> None:
    connection.sendall(b"HTTP/1.1 101 Switching\r\n\r\n")


def refused(status: int, code: str, said: str = "no") -> Behaviour:
    document = f"<Error><Code>{code}</Code><Message>{said}</Message></Error>".encode()

    def answer(server: Server, connection: socket.socket, first: int, last: int) -> None:
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(document)}\r\n\r\n".encode()
        connection.sendall(head + document)

    return answer


HOSTILE = [
    (whole, 1, "does not know ranges"),
    (chunked, 1, "with Transfer-Encoding: chunked"),
    (other_range, 3, "with the range bytes 1-"),
    (other_bytes, 3, "does not have the digest"),
    (length_of_text, 1, "with Content-Length: x"),
    (length_negative, 1, "with Content-Length: -"),
    (no_length, 1, "without a Content-Length"),
    (length_huge, 1, "it is not the pack that this function was built with"),
    (header_huge, 1, "a header of more than 64 KB"),
    (header_dripping, 5, "bytes of a header in"),
    (body_dripping, 5, "is given up"),
    (error_dripping, 1, "S3 answered 403"),
    (silent, 5, "no data for"),
    (garbage, 1, "does not speak HTTP"),
    (superscript, 1, "does not speak HTTP"),
    (switching, 1, "answered 101"),
    (hang_up, 8, "closed after"),
    (refused(500, "InternalError"), 8, "500 InternalError"),
    (refused(403, "ExpiredToken"), 3, "out of date"),
    (refused(403, "RequestTimeTooSkewed"), 3, "the clock here says 2"),
    (refused(403, "AccessDenied"), 1, "lacks s3:GetObject.*removed by a lifecycle rule"),
    (
        refused(403, "AccessDenied", "X is not authorized to perform: kms:Decrypt on it"),
        1,
        "kms:Decrypt on that",
    ),
    (refused(404, "NoSuchKey"), 1, "is there a lifecycle rule"),
]


@pytest.mark.parametrize(
    ("behave", "most", "said"), HOSTILE, ids=[f"{n}-{said[:20]}" for n, (_, _, said) in enumerate(HOSTILE)]
)
def test_a_wrong_answer_is_an_error_that_says_what_is_wrong(
    behave: Behaviour, most: int, said: str, request: pytest.FixtureRequest
) -> None:
    """Whatever a server does: an error that names it, after a bounded number of requests, no byte placed."""
    if behave in (silent, header_dripping, body_dripping, error_dripping):
        request.getfixturevalue("hasty")
    frames = Frames(SIZES)
    with serving(frames.body, behave) as server, pytest.raises(PackError, match=said):
        fetcher(frames, server.url).run(everything(frames))
    assert 1 <= len(server.requests) <= most
    assert not frames.placed


def go_on(server: Server, connection: socket.socket, first: int, last: int) -> None:
    connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" + server.answer(first, last))


def small_letters(server: Server, connection: socket.socket, first: int, last: int) -> None:
    head, _, body = server.answer(first, last).partition(b"\r\n\r\n")
    connection.sendall(head.lower().replace(b"http", b"HTTP") + b"\r\n\r\n" + body)


def no_range(server: Server, connection: socket.socket, first: int, last: int) -> None:
    connection.sendall(server.answer(first, last).replace(b"Content-Range", b"X-Range"))


def more_than_asked(server: Server, connection: socket.socket, first: int, last: int) -> None:
    connection.sendall(server.answer(first, last) + b"HTTP/1.1 206 X\r\nContent-Length: 3\r\n\r\nabc")


@pytest.mark.parametrize("behave", [sound, go_on, small_letters, no_range, more_than_asked])
@pytest.mark.parametrize("connections", [1, 3])
def test_what_is_only_unusual_is_taken(behave: Behaviour, connections: int) -> None:
    """100 Continue, headers in small letters, no Content-Range: the digests vouch for the bytes."""
    frames = Frames([400_000] * 8)
    with serving(frames.body, behave) as server:
        fetcher(frames, server.url, connections).run(everything(frames))
    assert frames.complete


@pytest.mark.parametrize("late", [False, True], ids=["at once", "with the next request"])
def test_what_is_sent_too_much_answers_no_other_request(late: bool) -> None:
    """Bytes behind an answer are never taken for the next one: that, or its repetition, connects afresh."""
    frames = Frames([400_000] * 2)
    more = b"HTTP/1.1 206 X\r\nContent-Length: 3\r\n\r\nabc"

    def answer(server: Server, connection: socket.socket, first: int, last: int) -> None:
        before = more if late and len(server.requests) == 2 else b""
        connection.sendall(before + server.answer(first, last) + (b"" if late else more))

    with serving(frames.body, answer) as server:
        connection = _s3.Connection(
            _s3.Source("bucket", "key", "us-east-1", {"AWS_ENDPOINT_URL_S3": server.url, **KEYS})
        )
        got = bytearray(1000)
        connection.request(0, 999)
        connection.read_into(memoryview(got))
        assert got == frames.body[:1000]
        time.sleep(0.05)  # what is sent too much has come
        if late:
            with pytest.raises(_s3.S3Error) as raised:
                connection.request(5000, 5999)
            assert raised.value.retry
        connection.request(5000, 5999)
        connection.read_into(memoryview(got))
        assert got == frames.body[5000:6000]
        connection.close()
    assert server.connections == 2


def test_the_bounds_fit_below_init() -> None:
    """The last attempt that is begun at a dead endpoint, and all before it, end before init does."""
    dead = _fetch.SILENCE - _fetch.SHORTEST_ATTEMPT
    assert dead + max(_net.CONNECT_TIMEOUT, _net.READ_TIMEOUT) + 2 * _fetch.FIRST_PAUSE * 8 < _fetch.INIT
    assert dead + _net.RESOLVE_TIMEOUT < _fetch.INIT


@pytest.mark.usefixtures("hasty")
def test_the_first_failure_is_told_at_once_and_once() -> None:
    """One line with what, where and what follows, before the second attempt is made."""
    frames = Frames(SIZES)
    told: list[tuple[str, int]] = []
    with serving(frames.body, silent) as server:
        work = fetcher(frames, server.url)
        work.tell = lambda line: told.append((line, len(server.requests)))
        with pytest.raises(PackError):
            work.run(everything(frames))
        assert len(server.requests) > 1
    ((line, requests),) = told
    assert requests == 1
    assert "\n" not in line
    for part in ("s3://bucket/key", "127.0.0.1", "no data for", "trying again"):
        assert part in line


@pytest.mark.parametrize("status", [429, 503])
def test_a_slow_down_is_waited_for_and_said(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """S3's SlowDown is repeated beyond the bounds of a dead network, and the log says for how long."""
    monkeypatch.setattr(_fetch, "SILENCE", 0.0)
    monkeypatch.setattr(_fetch, "ATTEMPTS", 2)
    frames = Frames(SIZES)
    busy = refused(status, "SlowDown")

    def behave(server: Server, connection: socket.socket, first: int, last: int) -> None:
        (busy if len(server.requests) < 20 else sound)(server, connection, first, last)

    told: list[str] = []
    with serving(frames.body, behave) as server:
        work = fetcher(frames, server.url)
        work.tell = told.append
        work.run(everything(frames))
    assert frames.complete
    assert work.stats.retries == 19
    assert len(told) == 1
    assert "SlowDown" in told[0]
    assert "repeated for 60 s" in told[0]


@pytest.mark.parametrize(("more", "attempts"), [(-0.1, 1), (60.0, _fetch.ATTEMPTS)])
def test_no_attempt_begins_whose_failure_init_would_hide(more: float, attempts: int) -> None:
    """Init ends before another attempt could fail and say so: then the error is raised at once."""
    frames = Frames([100])
    with serving(frames.body, lambda *_: "close") as server:
        work = fetcher(frames, server.url)
        work.init_ends = time.monotonic() + _fetch.LAST_ATTEMPT + more
        with pytest.raises(PackError):
            work.run(everything(frames))
    assert len(server.requests) == attempts


def test_each_new_attempt_is_signed_anew() -> None:
    """Credentials that were rotated meanwhile are used by the next attempt."""
    frames = Frames([100])

    def once(server: Server, connection: socket.socket, first: int, last: int) -> str | None:
        if len(server.requests) > 1:
            return sound(server, connection, first, last)
        environ["AWS_ACCESS_KEY_ID"] = "AKROTATED"
        return "close"

    with serving(frames.body, once) as server:
        work = fetcher(frames, server.url)
        environ: dict[str, str] = work.source._environ  # type: ignore[assignment]
        work.run(everything(frames))
    assert frames.complete
    assert ["AKROTATED" in head for head in server.requests] == [False, True]


@pytest.mark.parametrize(
    ("seconds", "again"),
    [(0, False), (_s3.SIGNATURE_LIFE - 1, False), (_s3.SIGNATURE_LIFE, True), (-1, True)],
)
def test_a_signature_is_used_while_it_is_fresh(
    seconds: float, again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signed again once it is old, and where the clock was set back: S3 takes no signature of the future."""
    now = [1_700_000_000.0]
    clock = SimpleNamespace(time=lambda: now[0], gmtime=time.gmtime, strftime=time.strftime)
    monkeypatch.setattr(_s3, "time", clock)
    source = _s3.Source("bucket", "key", "us-east-1", dict(KEYS))
    before = source.head()
    now[0] += seconds
    monkeypatch.setitem(source._environ, "AWS_ACCESS_KEY_ID", "AKROTATED")  # type: ignore[arg-type]
    assert (source.head() != before) == again


def trickle(server: Server, connection: socket.socket, data: bytes) -> None:
    """200 kB/s at most."""
    for start in range(0, len(data), 4000):
        connection.sendall(data[start : start + 4000])
        server.closing.wait(0.02)


@pytest.mark.usefixtures("slow")
def test_a_slow_link_that_moves_is_not_given_up() -> None:
    """A frame that takes longer than the silence allowed arrives, while its bytes keep coming."""
    frames = Frames([350_000])

    def behave(server: Server, connection: socket.socket, first: int, last: int) -> None:
        trickle(server, connection, server.answer(first, last))

    with serving(frames.body, behave) as server:
        work = fetcher(frames, server.url)
        work.run(everything(frames))
    assert frames.complete
    assert work.stats.retries == 0


@pytest.mark.usefixtures("slow")
def test_a_slow_link_that_breaks_is_tried_again() -> None:
    """Time in which bytes came is no silence, although the frame that they were of has to come again."""
    frames = Frames([350_000])

    def behave(server: Server, connection: socket.socket, first: int, last: int) -> str:
        if len(server.requests) > 1:
            connection.sendall(server.answer(first, last))
        else:
            trickle(server, connection, server.answer(first, last)[:300_000])
        return "close"

    with serving(frames.body, behave) as server:
        fetcher(frames, server.url).run(everything(frames))
        assert len(server.requests) == 2
    assert frames.complete


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize(("seconds", "lines"), [(6.0, 1), (10_000.0, 0), (-1.0, 0), (None, 0)])
def test_a_link_too_slow_for_init_is_told_once(
    seconds: float | None, lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the figures, in the middle of the first frame, and only while init is still going on."""
    monkeypatch.setattr(_fetch, "ATTEMPTS", 1)
    frames = Frames([350_000, 2_000_000])
    told: list[tuple[str, int]] = []

    def behave(server: Server, connection: socket.socket, first: int, last: int) -> str:
        trickle(server, connection, server.answer(first, last)[:300_000])
        return "close"

    with serving(frames.body, behave) as server:
        work = fetcher(frames, server.url)
        work.tell = lambda line: told.append((line, len(frames.placed)))
        work.init_ends = None if seconds is None else time.monotonic() + seconds
        with pytest.raises(PackError):
            work.run(everything(frames))
    said = [(line, placed) for line, placed in told if "still to come" in line]
    assert len(said) == lines
    for line, placed in said:
        assert placed == 0
        assert re.search(r" 2\.\d MB of the pack are still to come, at 0\.\d\d MB/s .* \d+ s, and init", line)
        assert "the next init goes on from there" in line


def test_each_attempt_tries_the_next_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """One dead address of a name costs one attempt, not the whole list."""
    frames = Frames(SIZES)
    with serving(frames.body, sound) as server:
        addresses = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, server.port))
            for address in ("127.0.0.9", "127.0.0.10", "127.0.0.1")
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_: addresses)
        work = fetcher(frames, f"http://s3.example:{server.port}")
        told: list[str] = []
        work.tell = told.append
        work.run(everything(frames))
    assert frames.complete
    assert work.stats.retries == 2
    assert "s3.example (127.0.0.9)" in told[0]
    # What lacks in a VPC is called by its very name.
    assert "gateway endpoint for S3 (com.amazonaws.us-east-1.s3)" in told[0]


def test_a_resolver_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """libc asks for longer than init lasts; the shim does not."""
    monkeypatch.setattr(_net, "RESOLVE_TIMEOUT", 0.05)
    monkeypatch.setattr(_fetch, "ATTEMPTS", 2)
    never = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: never.wait(60))
    frames = Frames(SIZES)
    with pytest.raises(PackError, match=r"no answer to what s3.example's address is.*resolve names"):
        fetcher(frames, "http://s3.example").run(everything(frames))
    never.set()


def test_who_has_nobody_left_to_fetch_for_stops_between_attempts() -> None:
    """An orphan of a dead endpoint does not hold its lock until the last attempt."""

    class Gone(BaseException):
        pass

    frames = Frames(SIZES)
    asked: list[int] = []

    def alive() -> None:
        asked.append(1)
        if len(asked) > 1:
            raise Gone

    with serving(frames.body, refused(500, "InternalError")) as server:
        work = fetcher(frames, server.url)
        work.alive = alive
        with pytest.raises(Gone):
            work.run(everything(frames))
        assert len(server.requests) == 1


def test_an_hour_frozen_is_not_an_hour_of_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock jumps while a request is under way: the connection is dead, the fetch goes on."""
    now = [0.0]
    clock = SimpleNamespace(monotonic=lambda: now[0], sleep=lambda _: None, time=time.time)
    monkeypatch.setattr(_fetch, "time", clock)
    frames = Frames(SIZES)

    def behave(server: Server, connection: socket.socket, first: int, last: int) -> str | None:
        if len(server.requests) == 1:
            now[0] += 3600
            return "close"
        return sound(server, connection, first, last)  # type: ignore[func-returns-value]

    with serving(frames.body, behave) as server:
        fetcher(frames, server.url).run(everything(frames))
    assert frames.complete


@pytest.mark.parametrize("threads", [0, 1])
def test_threads_that_cannot_be_started_are_done_without(threads: int) -> None:
    """Whoever runs does the work of those that do not; where nobody runs, the caller does it."""
    from _thread import start_new_thread  # noqa: PLC0415  # as the shim does it

    frames = Frames([400_000] * 8)
    left = [threads]

    def spawn(work: Any, arguments: tuple[()]) -> int:
        if not left[0]:
            raise RuntimeError("can't start new thread")
        left[0] -= 1
        return start_new_thread(work, arguments)

    with serving(frames.body, sound) as server:
        fetcher(frames, server.url, 3).run(everything(frames), spawn)
        assert frames.complete
        assert server.connections == 1


def test_no_worker_outlives_a_run_that_fails() -> None:
    """A decoder that cannot be loaded: the workers have ended too when the error is raised."""
    frames = Frames([400_000] * 8)

    def late(server: Server, connection: socket.socket, first: int, last: int) -> None:
        server.closing.wait(0.3)
        sound(server, connection, first, last)

    def broken() -> Any:
        raise ImportError("no decoder")

    with serving(frames.body, late) as server:
        work = fetcher(frames, server.url, 3)
        work._load_decoder = broken
        with pytest.raises(ImportError, match="no decoder"):
            work.run(everything(frames))
        assert len(work._links) == 2
        assert all(link._sock is None for link in work._links)
    assert not frames.placed


IMPORTS = """
    import json, sys
    sys.path[:0] = {path!r}
    import zstandard
    from tests.support.network_world import Frames, everything, fetcher
    frames = Frames([5_000, 70_000])
    work = fetcher(frames, {url!r}, **{environment!r})
    work.prepare()
    late = []
    class Watch:
        def find_spec(self, name, path=None, target=None):
            late.append(name)
    sys.meta_path.insert(0, Watch())
    try:
        work.run(everything(frames))
    except Exception as error:
        print(error, file=sys.stderr)
    print(json.dumps([frames.complete, late]))
    """


def imported_late(url: str, **environment: str) -> list[Any]:
    """Whether a prepared fetcher got everything, and what it imported while it ran."""
    path = [str(Path(runtime_shim.__file__).parent.parent), str(Path(__file__).parents[2])]
    code = textwrap.dedent(IMPORTS).format(path=path, url=url, environment=environment)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    answer: list[Any] = json.loads(done.stdout)
    return answer


def test_a_prepared_fetcher_imports_nothing() -> None:
    """A thread that fetched and imported at once could wait for itself."""
    frames = Frames([5_000, 70_000])
    with serving(frames.body, sound) as server:
        assert imported_late(f"http://localhost:{server.port}") == [True, []]


def test_a_prepared_fetcher_asks_for_credentials_without_an_import() -> None:
    """SnapStart's credentials too."""
    frames = Frames([5_000, 70_000])

    def keys(server: Server, connection: socket.socket, first: int, last: int) -> str:
        document = json.dumps({"AccessKeyId": "a", "SecretAccessKey": "b", "Token": "c"}).encode()
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + document)
        return "close"

    with serving(frames.body, sound) as server, serving(b"", keys) as endpoint:
        late = imported_late(
            server.url,
            AWS_ACCESS_KEY_ID="",
            AWS_CONTAINER_CREDENTIALS_FULL_URI=f"http://localhost:{endpoint.port}/",
        )
    assert late == [True, []]


def test_a_prepared_fetcher_goes_through_tls_and_a_proxy_without_an_import(tmp_path: Path) -> None:
    """What TLS, Amazon's certificates and a proxy's password need was loaded before."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    frames = Frames([5_000, 70_000])
    server = TlsServer(frames.body, authority)
    with proxying(server.port) as proxy:
        late = imported_late(
            f"https://{HOST}",
            HTTPS_PROXY=f"http://user:password@127.0.0.1:{proxy.port}",
            AWS_CA_BUNDLE=str(tmp_path / "ca.pem"),
        )
        assert late == [True, []]
        # Without the bundle: nobody vouches for it, and to find that out takes no import either.
        late = imported_late(f"https://localhost:{server.port}")
    server.close()
    assert late == [False, []]


def test_a_bundle_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """AWS_CA_BUNDLE names a missing file, or one without certificates: no attempt is repeated."""
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing\n")
    frames = Frames(SIZES)
    with serving(frames.body, silent) as server:
        for bundle in (str(tmp_path / "missing.pem"), str(empty)):
            work = fetcher(frames, f"https://localhost:{server.port}", AWS_CA_BUNDLE=bundle)
            with pytest.raises(PackError, match=f"AWS_CA_BUNDLE names {bundle}"):
                work.run(everything(frames))
            assert work.stats.retries == 0
            with pytest.raises(PackError, match=f"AWS_CA_BUNDLE names {bundle}"):
                work.prepare()


def test_the_sources_are_those_that_run_in_a_function() -> None:
    """The modules of the network side import the standard library and each other alone."""
    folder = Path(runtime_shim.__file__).parent
    for name in ("_endpoint", "_net", "_proxy", "_keys", "_s3", "_fetch"):
        for line in (folder / f"{name}.py").read_text().splitlines():
            found = re.match(r"\s*(?:from|import) ([\w.]+)", line)
            if found and not found[1].startswith("."):
                assert found[1].split(".")[0] in sys.stdlib_module_names, line
