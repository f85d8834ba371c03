"""What the docker builder does without an engine: errors in plain words, pip's settings, local folders."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packageurl import PackageURL

from lambdapack.errors import ToolError
from lambdapack.install.docker import engine, images, libraries_worker, settings
from lambdapack.install.docker.relay import Relay
from lambdapack.model import PipOptions
from lambdapack.model.target import Target
from tests.support.command_line import Run

WORKER = Path(images.__file__).with_name("relay_worker.py")
_STDOUT = struct.Struct(">BxxxL")


class Wire:
    """The container's first process without a container: it speaks as through an engine."""

    def __init__(self, secrets: Path) -> None:
        command = [sys.executable, "-I", str(WORKER), str(secrets), "60"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.ours, self.theirs = socket.socketpair()
        threading.Thread(target=self._out, daemon=True).start()
        threading.Thread(target=self._in, daemon=True).start()

    def _out(self) -> None:
        assert self.process.stdout is not None
        while data := os.read(self.process.stdout.fileno(), 1000):
            self.theirs.sendall(_STDOUT.pack(1, len(data)) + data)
        self.theirs.close()

    def _in(self) -> None:
        assert self.process.stdin is not None
        # The end of a test closes either side first.
        with suppress(OSError):
            while data := self.theirs.recv(1000):
                self.process.stdin.write(data)
                self.process.stdin.flush()
            self.process.stdin.close()


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """An index, the files that it links to, a heap of files, and what nobody named."""
    found = {name: tmp_path / name for name in ("index", "files", "heap", "other", "secrets")}
    for path in found.values():
        path.mkdir()
    (found["index"] / "app").mkdir()
    (found["index"] / "app" / "index.html").write_text(
        f'<a href="../../files/app-1.tar.gz#sha256=00">a</a> <a href="file://{tmp_path}/files/app-2.whl">b</a>'
    )
    for name in ("app-1.tar.gz", "app-2.whl", "unlinked-1.tar.gz"):
        (found["files"] / name).write_bytes(bytes(range(256)) * 40)
    (found["heap"] / "one & two-1.whl").write_bytes(b"wheel")
    (found["heap"] / "notes.txt").write_bytes(b"notes")
    (found["other"] / "private.whl").write_bytes(b"private")
    return found


@pytest.fixture
def relay(folders: dict[str, Path]) -> Iterator[Relay]:
    wire = Wire(folders["secrets"])
    made = Relay(wire.ours, {folders["index"]: True, folders["heap"]: False}, str(folders["secrets"]))
    assert made.begin()
    yield made
    made.close()
    wire.process.kill()
    wire.process.wait()


def get(url: str, **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, b""


def test_an_index_and_what_it_links_to_are_served(relay: Relay, folders: dict[str, Path]) -> None:
    """Relative and file: links of a page both work, in whole and in part; nothing else of that folder."""
    base = relay.url(folders["files"])
    assert get(f"{base}/app-1.tar.gz")[0] == 404
    status, page = get(relay.url(folders["index"]) + "/app/")
    assert status == 200
    assert f'href="{base}/app-2.whl"'.encode() in page
    for name in ("app-1.tar.gz", "app-2.whl"):
        assert get(f"{base}/{name}") == (200, bytes(range(256)) * 40)
    assert get(f"{base}/app-2.whl", Range="bytes=-3") == (206, bytes((253, 254, 255)))
    assert get(f"{base}/app-2.whl", Range="bytes=5-6") == (206, bytes((5, 6)))
    assert get(f"{base}/app-2.whl", Range="bytes=99999-")[0] == 416
    assert get(f"{base}/unlinked-1.tar.gz")[0] == 404


def test_a_heap_of_files_is_listed(relay: Relay, folders: dict[str, Path]) -> None:
    """A folder of wheels is a page of links to them, whatever their names."""
    status, page = get(relay.url(folders["heap"]) + "/")
    assert status == 200
    assert b"one%20%26%20two-1.whl" in page
    assert b"notes" not in page
    assert get(relay.url(folders["heap"] / "one & two-1.whl")) == (200, b"wheel")


def test_nothing_else_is_served(relay: Relay, folders: dict[str, Path]) -> None:
    """Neither without the token, nor a folder that was not named, nor by way of one that was."""
    assert get(relay.url(folders["other"] / "private.whl"))[0] == 404
    assert get(relay.url(folders["heap"]) + "/../other/private.whl")[0] == 404
    assert get(relay.url(folders["heap"]) + "/%2e%2e/other/private.whl")[0] == 404
    (folders["heap"] / "link.whl").symlink_to(folders["other"] / "private.whl")
    assert get(relay.url(folders["heap"]) + "/link.whl")[0] == 404
    address = relay.url(folders["heap"] / "one & two-1.whl")
    token = address.split("/")[3]
    assert get(address.replace(token, "0" * len(token)))[0] == 404


def test_a_secret_is_kept_for_its_owner_alone(relay: Relay, folders: dict[str, Path]) -> None:
    """What is handed in is written whole, readable by the owner, over what was there."""
    for content in (b"x" * 300_000, b"token"):
        path = Path(relay.keep("pip.conf", content))
        assert path.read_bytes() == content
        assert path.stat().st_mode & 0o777 == 0o600


def test_pips_settings_are_handed_in(
    relay: Relay, folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that settings name go along, local folders become the relay's, secrets are known as such."""
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("app<3\n")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine example.com password hush\n")
    configuration = tmp_path / "pip.conf"
    configuration.write_text(
        f"[global]\nindex-url = https://me:hush%%40home@example.com/simple\nfind-links = {folders['heap']}\n"
        f"constraint = {constraints}\ntimeout = 7\n[install]\ntarget = /nowhere\n"
    )
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(configuration))
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"file://{folders['index']}")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:1")
    told = settings.read()
    assert told.folders == {folders["heap"]: False, folders["index"]: True}
    assert "hush%%40home" in told.secrets() or "hush%40home" in told.secrets()
    environment = told.hand_in(relay, {"A": "b"})
    assert environment["A"] == "b"
    assert environment["HTTPS_PROXY"] == "http://proxy:1"
    assert Path(environment["NETRC"]).read_text() == netrc.read_text()
    written = Path(environment["PIP_CONFIG_FILE"]).read_text()
    assert relay.url(folders["heap"]) in written
    assert relay.url(folders["index"]) in written
    assert "timeout = 7" in written
    assert "/nowhere" not in written
    kept = next(line.split(" = ")[1] for line in written.splitlines() if line.startswith("constraint"))
    assert Path(kept).read_text() == "app<3\n"


KEYRING = """#!/bin/sh
# As the keyring program answers: only for what it knows, with a status of 1 for all else.
[ "$1 $2 $3" = "get https://example.com/simple me" ] && echo 'hush@home:1' && exit 0
[ "$1 $2 $3" = "get other.example.com us" ] && echo 'by-host' && exit 0
exit 1
"""


@pytest.mark.parametrize("provider", ["", "subprocess", "disabled"])
def test_the_keyring_is_asked_on_this_side(
    relay: Relay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provider: str
) -> None:
    """Addresses with a user alone get the password by address or host, as a secret; not where it is off."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "keyring").write_text(KEYRING)
    (programs / "keyring").chmod(0o755)
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "https://me@example.com/simple")
    if provider:
        monkeypatch.setenv("PIP_KEYRING_PROVIDER", provider)
    options = PipOptions(
        (
            ("extra-index-url", "https://us@other.example.com/x"),
            ("extra-index-url", "https://plain.example"),
        )
    )
    told = settings.read(options)
    written = Path(told.hand_in(relay, {})["PIP_CONFIG_FILE"]).read_text()
    meant = told.options(relay, options)
    if provider == "disabled":
        assert "https://me@example.com/simple" in written
        assert meant == options
        return
    assert "https://me:hush%40home%3A1@example.com/simple" in written
    assert meant.pairs[0][1] == "https://us:by-host@other.example.com/x"
    assert meant.pairs[1][1] == "https://plain.example"
    assert {"hush@home:1", "hush%40home%3A1", "by-host"} <= set(told.secrets(options))


@given(st.text("abc/:%+", min_size=3, max_size=20), st.text("xyz ", max_size=20))
def test_masked_text_has_no_secret(secret: str, around: str) -> None:
    """However often a secret is there, and whatever is around it, it is not shown."""
    assert secret not in settings.masked(f"{around}{secret}{around}{secret}", [secret])


def test_every_target_has_an_image_and_a_dockerfile() -> None:
    """Names say Python and architecture, and the Dockerfile of each family is part of the package."""
    for python in ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14"):
        target = Target(python)
        assert python in images.name(target)
        assert python in images.base(target)
        text = images.context(images.dockerfile(target)).read().decode()
        assert "ARG BASE" in text
        for manager in ("yum", "dnf", "apt-get", "apk", "curl"):
            assert manager not in text


@pytest.mark.parametrize(
    ("address", "said"),
    [("unix:///no/such/docker.sock", "no Docker engine answers"), ("tcp://127.0.0.1:1", "no Docker engine")],
)
def test_no_engine(run_lambdapack: Run, tmp_path: Path, address: str, said: str) -> None:
    """Without an engine the message says where one was looked for and what helps, with exit status 3."""
    done = run_lambdapack(
        "build", "six", "--builder", "docker", "--output", "out", cwd=tmp_path, status=3,
        environment=[("DOCKER_HOST", address)],
    )  # fmt: skip
    assert said in done.stderr
    assert address in done.stderr
    assert "DOCKER_HOST" in done.stderr
    assert "Traceback" not in done.stderr
    listed = run_lambdapack("images", "list", cwd=tmp_path, status=3, environment=[("DOCKER_HOST", address)])
    assert said in listed.stderr


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("PermissionError(13, 'Permission denied')", "may not use", "usermod"),
        ("write /x: no space left on device", "disk is full", "docker system"),
        ("something else", "refused", None),
    ],
)
def test_the_engines_errors_are_told_apart(text: str, said: str, hint: str | None) -> None:
    """Each way in which an engine refuses has its own message and a hint that helps."""
    import docker.errors  # noqa: PLC0415

    with pytest.raises(ToolError) as caught, engine.engine_errors("building"):
        raise docker.errors.APIError(text)
    assert said in caught.value.message
    assert "building" in caught.value.message
    assert (hint or "") in str(caught.value.hint)


def test_jobs_never_name_secrets_on_a_command_line(tmp_path: Path) -> None:
    """The launcher takes command and environment from a file and becomes the command."""
    job = {
        "command": [sys.executable, "-c", "import os, sys; print(os.environ['TOKEN'], sys.stdin.read())"],
        "environment": {"TOKEN": "hush"},
        "input": str(tmp_path / "input"),
        "folder": str(tmp_path),
    }
    (tmp_path / "input").write_text("typed")
    (tmp_path / "job.json").write_text(json.dumps(job))
    launcher = WORKER.with_name("launch_worker.py")
    done = subprocess.run(
        [sys.executable, "-I", launcher, tmp_path / "job.json"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "hush typed"


def test_a_container_that_says_nothing(tmp_path: Path) -> None:
    """An end without a word is noticed, and what it complained of is kept."""
    ours, theirs = socket.socketpair()
    text = b"python3.11: not found\n"
    theirs.sendall(_STDOUT.pack(2, len(text)) + text)
    theirs.close()
    made = Relay(ours, {}, str(tmp_path))
    assert made.begin() is False
    assert "not found" in made.complaint


@pytest.mark.parametrize(
    ("programs", "said", "url"),
    [
        (
            {"rpm": "echo 'libgomp 11.5.0-5.amzn2023.0.5 x86_64 (none)'"},
            "libgomp-11.5.0-5.amzn2023.0.5",
            "pkg:rpm/amzn/libgomp@11.5.0-5.amzn2023.0.5?arch=x86_64&distro=amzn-2023",
        ),
        (
            {"rpm": "echo libx 2-1 noarch 7"},
            "libx-2-1",
            "pkg:rpm/amzn/libx@2-1?arch=noarch&distro=amzn-2023&epoch=7",
        ),
        (
            {"dpkg-query": "case $1 in -S) echo libgomp1:amd64: /x;; *) echo 12.2-1+b amd64;; esac"},
            "libgomp1-12.2-1+b",
            "pkg:deb/amzn/libgomp1@12.2-1%2Bb?arch=amd64&distro=amzn-2023",
        ),
        ({}, "", ""),
    ],
)
def test_the_package_of_a_library(
    programs: dict[str, str], said: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the image's own package manager has it, in words and as a package URL; nothing where none knows."""
    for name, script in programs.items():
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    release = tmp_path / "os-release"
    release.write_text('NAME="Amazon Linux"\nID="amzn"\nVERSION_ID="2023"\n')
    assert libraries_worker.package("/lib64/libx.so.1", str(release)) == (said, url)
    if url:
        assert PackageURL.from_string(url).to_string() == url
