"""The shim's arithmetic against the libraries that it stands in for."""

from __future__ import annotations

import json
import socket
import time
import urllib.parse
from itertools import pairwise
from pathlib import Path

import pytest
import zstandard
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from runtime_shim import _endpoint, _fetch, _index, _s3
from runtime_shim._index import Index
from runtime_shim._source import FetchError
from tests.support.network_world import Frames, Server, everything, fetcher, serving


@given(st.text())
def test_keys_are_quoted_as_s3_quotes_them(key: str) -> None:
    """Percent-encoding equals urllib's with S3's safe set."""
    key = key.encode("utf-8", "ignore").decode()
    assert _endpoint.quote(key) == urllib.parse.quote(key, safe="/-_.~")


@given(
    key=st.text(alphabet="abcAZ09-_.~/ +=é", min_size=1),
    token=st.sampled_from(["", "session/token=="]),
    secret=st.text(alphabet="abcXYZ019/+", min_size=1),
    when=st.integers(1_600_000_000, 2_000_000_000),
)
def test_signatures_equal_botocores(key: str, token: str, secret: str, when: int) -> None:
    """The hand-made SigV4 headers are those that botocore makes of the same request."""
    path = "/bucket/" + _endpoint.quote(key)
    now = time.gmtime(when)
    ours = dict(_s3.sign("s3.eu-west-1.amazonaws.com", path, "eu-west-1", ("AKIA", secret, token), now))
    request = AWSRequest("GET", "https://s3.eu-west-1.amazonaws.com" + path)
    request.headers["X-Amz-Content-SHA256"] = _s3.UNSIGNED
    request.context["payload_signing_enabled"] = False
    request.context["timestamp"] = time.strftime("%Y%m%dT%H%M%SZ", now)
    signer = S3SigV4Auth(Credentials("AKIA", secret, token or None), "s3", "eu-west-1")
    request.headers["X-Amz-Date"] = request.context["timestamp"]
    if token:
        request.headers["X-Amz-Security-Token"] = token
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    assert ours["authorization"].rpartition("Signature=")[2] == signature


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:9000", (False, "127.0.0.1", 9000, "")),
        ("https://s3.example.com/", (True, "s3.example.com", 443, "")),
        ("http://[::1]:81/base/", (False, "::1", 81, "/base")),
        ("http://host", (False, "host", 80, "")),
    ],
)
def test_endpoint_urls(url: str, expected: tuple[bool, str, int, str]) -> None:
    """Scheme, host, port and prefix of an endpoint are read as a URL library reads them."""
    assert _endpoint.split_url(url) == expected


@pytest.mark.parametrize(
    ("bucket", "region", "host", "path"),
    [
        ("plain", "eu-west-1", "plain.s3.eu-west-1.amazonaws.com", "/a/b"),
        ("with.dots", "eu-west-1", "s3.eu-west-1.amazonaws.com", "/with.dots/a/b"),
        ("plain", "cn-north-1", "plain.s3.cn-north-1.amazonaws.com.cn", "/a/b"),
    ],
)
def test_where_an_object_is(bucket: str, region: str, host: str, path: str) -> None:
    """Virtual-hosted addresses, path style where a certificate's wildcard would not match."""
    source = _s3.Source(bucket, "a/b", region, {})
    assert (source.host, source.path, source.port, source.tls) == (host, path, 443, True)


@pytest.mark.parametrize(("memory", "connections"), [("", 1), ("x", 1), ("3008", 1), ("3009", 3)])
def test_large_functions_get_several_connections(memory: str, connections: int) -> None:
    """Above the memory of which AWS says that the link is faster."""
    assert _fetch.connections_for({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": memory}) == connections


def test_requests_grow_so_that_there_are_few() -> None:
    """The first is small for the first imports, each later one four times as large, up to a bound."""
    mb = 1024 * 1024
    jobs = _fetch.cut(list(range(120)), [mb] * 120)
    assert [len(job) for job in jobs] == [1, 4, 16, 24, 24, 24, 24, 3]


@given(
    stored=st.lists(st.integers(1, 5_000_000), min_size=1, max_size=60),
    missing=st.sets(st.integers(0, 59)),
)
def test_jobs_cover_the_missing_frames_once_and_in_order(stored: list[int], missing: set[int]) -> None:
    """Each missing frame is in exactly one request, requests are consecutive runs within their bound."""
    frames = sorted(frame for frame in missing if frame < len(stored))
    jobs = _fetch.cut(frames, stored)
    whole = _fetch.cut(frames, stored, bounded=False)
    for cuts in (jobs, whole):
        assert [frame for job in cuts for frame in job] == frames
        assert all(job == list(range(job[0], job[-1] + 1)) for job in cuts)
    assert all(len(job) == 1 or sum(stored[frame] for frame in job) <= _fetch.REQUEST for job in jobs)
    assert all(before[-1] + 1 < after[0] for before, after in pairwise(whole))


@given(st.lists(st.integers(0, 300), min_size=1, max_size=30), st.integers(64, 512))
def test_a_file_is_complete_after_exactly_the_frames_it_touches(sizes: list[int], frame: int) -> None:
    """frames_of equals a byte-by-byte account; an empty file needs the frame at its offset."""
    offsets, at = [], 0
    for size in sizes:
        offsets.append(at)
        at += size + 10
    frames = [min(frame, at - start) for start in range(0, at, frame)]
    index = Index(
        target="", lock="", tool="", glibc="", hot=0, eager=0, frame_stored=[1] * len(frames),
        frame_size=frames, frame_sha256=[], paths=[str(i) for i in range(len(sizes))],
        classes="d" * len(sizes), sizes=sizes, offsets=offsets, executable=[], needs={}, native={},
    )  # fmt: skip
    for file, size in enumerate(sizes):
        touched = {(offsets[file] + byte) // frame for byte in range(max(size, 1))}
        assert set(index.frames_of(file)) == touched


class Parts:
    """The real decoder, which gives a byte at a time."""

    def ZstdDecompressor(self) -> Parts:  # noqa: N802 - zstandard's name
        return self

    def stream_reader(self, stored: memoryview) -> Parts:
        self._reader = zstandard.ZstdDecompressor().stream_reader(stored)
        return self

    def readinto(self, data: memoryview) -> int:
        return self._reader.readinto(data[:1])

    def read(self, size: int) -> bytes:
        return self._reader.read(size)


@pytest.mark.parametrize("decoder", [zstandard, Parts()], ids=["at once", "in parts"])
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_frame_has_exactly_the_size_of_the_index(decoder: object, more: int) -> None:
    """The digest vouches for the stored bytes, the index alone for what they become."""
    content = bytes(range(200))
    stored, data = memoryview(zstandard.compress(content)), memoryview(bytearray(200 + more))
    if more:
        with pytest.raises(FetchError, match=f"does not decompress to the {200 + more} bytes") as caught:
            _fetch.decompress(decoder, stored, data)
        assert not caught.value.retry
    else:
        _fetch.decompress(decoder, stored, data)
        assert bytes(data) == content


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
)


@given(JSON)
def test_the_scanner_reads_what_json_reads(document: object) -> None:
    """Reading JSON without the json module gives what the json module gives."""
    assert _index.loads(json.dumps(document).encode()) == document


@given(st.binary(max_size=40))
def test_what_is_not_json_is_a_value_error(data: bytes) -> None:
    """Damaged bytes end in a ValueError, whichever way they are damaged, exactly when json says so."""
    try:
        expected = json.loads(data.decode("utf-8"))
    except ValueError:
        with pytest.raises(ValueError):  # which one does not matter
            _index.loads(data)
    else:
        assert repr(_index.loads(data)) == repr(expected)


def test_what_goes_on_arriving_is_not_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only attempts that brought nothing count: a long fetch outlives any number of broken connections."""
    monkeypatch.setattr(_fetch, "pause", lambda attempt: None)
    frames = Frames([1000] * 20)
    ends = frames.index.frame_stored_start[1:]

    def break_after_a_frame(server: Server, connection: socket.socket, first: int, last: int) -> str:
        whole = server.answer(first, last)
        end = next(end for end in ends if end > first)
        connection.sendall(whole[: len(whole) - (last + 1 - end)])
        return "close"

    with serving(frames.body, break_after_a_frame) as server:
        work = fetcher(frames, server.url)
        work.run(everything(frames))
    assert frames.complete
    # The last frame's answer is whole.
    assert (work.stats.retries, len(server.requests)) == (19, 20)
    nothing = Frames([1000] * 20)
    hangs_up, gives_up = serving(nothing.body, lambda *_: "close"), f"{_fetch.ATTEMPTS} attempts"
    with hangs_up as server, pytest.raises(_fetch.PackError, match=gives_up):
        fetcher(nothing, server.url).run(everything(nothing))
    assert nothing.placed == {}


def test_a_buffer_takes_memory_only_where_it_was_written_to() -> None:
    """The first frame is small, and the first import waits for it, not for the memory of the largest."""

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096

    before = resident()
    slot = _fetch.Slot(64 * 1024 * 1024)
    slot.buffer[:4] = b"spam"
    assert resident() - before < 16 * 1024 * 1024
    assert bytes(slot.buffer[:4]) == b"spam" and len(slot.buffer) == 64 * 1024 * 1024
