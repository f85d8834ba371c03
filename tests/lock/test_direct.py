"""lambdapack.lock: files and folders that are named themselves, fetched or built, and pinned."""

from __future__ import annotations

import base64
import hashlib
import os
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lambdapack.errors import ConfigurationError, LambdapackError
from lambdapack.install import LocalBuilder, unpack_wheels
from lambdapack.lock import Downloads, read_requirements, resolve
from lambdapack.lock.requirements import direct
from lambdapack.lock.sources import source_tree
from lambdapack.model import NO_OPTIONS, Lock
from lambdapack.progress import QUIET
from lambdapack.python import toolchain
from tests.support.locking import RUNNING, TARGET, package, versions
from tests.support.told import Told
from tests.support.wheelhouse import only_place, wheel


class Shop:
    """A folder of wheels, the local builder, and a cache."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        self.cache = cache
        self.told = Told()

    def lock(self, *asked: str, files: tuple[Path, ...] = (), **options: Any) -> Lock:
        with LocalBuilder().open(TARGET, cache_dir=self.cache) as workshop:
            return resolve(
                read_requirements(asked, files),
                TARGET,
                RUNNING,
                cache_dir=self.cache,
                wheelwright=workshop,
                progress=self.told,
                **options,
            )

    def error(self, *asked: str, **options: Any) -> LambdapackError:
        with pytest.raises(LambdapackError) as caught:
            self.lock(*asked, **options)
        return caught.value


@pytest.fixture
def shop(tmp_path: Path, lambdapack_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    toolchain.ensure(RUNNING, lambdapack_cache)
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "tools").symlink_to(lambdapack_cache / "tools")
    return Shop(only_place(tmp_path / "wheels", monkeypatch), cache)


def sha256(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


@pytest.mark.parametrize("form", ["{path}", "top @ {url}", "{url}#sha256={hash}", "-e {path}"])
def test_a_local_wheel_is_pinned_by_its_hash(shop: Shop, tmp_path: Path, form: str) -> None:
    """Whichever way it is named: its dependencies are resolved, and no path is in the lock."""
    (tmp_path / "here").mkdir()
    path = wheel(tmp_path / "here", "top", "3", needs=["under"])
    wheel(shop.folder, "top", "4")
    wheel(shop.folder, "under", "1")
    line = form.format(path=path, url=path.as_uri(), hash=sha256(path).partition(":")[2])
    (tmp_path / "r.txt").write_text(line + "\n")
    lock = shop.lock(files=(tmp_path / "r.txt",))
    assert versions(lock) == {"top": "3", "under": "1"}
    assert lock.pins[0].hashes == (sha256(path),)
    assert lock.requested == ("top",)
    assert str(tmp_path) not in lock.text


def test_a_folder_becomes_the_same_wheel_wherever_it_is(shop: Shop, tmp_path: Path) -> None:
    """Folder, times, umask and what earlier builds left do not show; the folder is not written to."""
    wheel(shop.folder, "helper", "1")
    wheel(shop.folder, "extra", "1")
    first, second = package(tmp_path / "a"), package(tmp_path / "some" / "where" / "else")
    (second / "build" / "lib").mkdir(parents=True)
    (second / "build" / "lib" / "stale.py").write_text("")
    (second / "__pycache__").mkdir()
    (second / "__pycache__" / "pure_thing.cpython-311.pyc").write_bytes(b"x")
    os.utime(second / "pure_thing.py", (1, 1))
    (second / "pure_thing.py").chmod(0o600)
    lock = shop.lock(f"{first}[more]")
    assert versions(lock) == {"extra": "1", "helper": "1", "pure-thing": "1.5"}
    assert lock.requested == ("pure-thing",)
    other = Shop(shop.folder, tmp_path / "cache2")
    other.cache.mkdir()
    (other.cache / "tools").symlink_to(shop.cache / "tools")
    assert other.lock(f"{second}[more]").text == lock.text
    assert not (second / "left-behind").exists()
    (second / "pure_thing.py").write_text("VALUE = 2\n")
    assert other.lock(str(second)).pins[1].hashes != lock.pins[2].hashes


def test_a_folder_that_did_not_change_is_not_built_again(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wheels are kept by the content of the folder and by what their build sees of the environment."""
    wheel(shop.folder, "helper", "1")
    folder = package(tmp_path / "a")
    before = shop.lock(str(folder))
    kept = next((shop.cache / "local-wheels").iterdir())
    inode = kept.stat().st_ino
    assert shop.lock(str(folder)) == before
    assert [one.stat().st_ino for one in (shop.cache / "local-wheels").iterdir()] == [inode]
    monkeypatch.setenv("CFLAGS", "-O1")
    assert shop.lock(str(folder)) == before
    assert len(list((shop.cache / "local-wheels").iterdir())) == 2


def test_an_sdist_is_built_and_its_hash_is_held(shop: Shop, tmp_path: Path) -> None:
    """A local sdist of pure Python is built here; a hash that is not its own refuses it."""
    wheel(shop.folder, "helper", "1")
    path = tmp_path / "pure_thing-1.5.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(package(tmp_path / "a"), "pure_thing-1.5")
    (tmp_path / "r.txt").write_text(f"pure-thing @ {path.as_uri()} --hash={sha256(path)}\n")
    assert versions(shop.lock(files=(tmp_path / "r.txt",))) == {"helper": "1", "pure-thing": "1.5"}
    (tmp_path / "r.txt").write_text(f"pure-thing @ {path.as_uri()} --hash=sha256:{'0' * 64}\n")
    assert "is not what was asked for" in shop.error(files=(tmp_path / "r.txt",)).message


def test_what_is_not_pure_python_needs_the_image(shop: Shop, tmp_path: Path) -> None:
    """The local builder refuses a wheel that is made for this machine, and names the builder that helps."""
    error = shop.error(str(package(tmp_path / "a", "cp311-cp311-linux_x86_64")))
    assert "not pure Python" in error.message
    assert "--builder docker" in str(error.hint)


def test_a_marker_that_does_not_hold_asks_for_nothing(shop: Shop, tmp_path: Path) -> None:
    """A file for another system is not even looked at."""
    wheel(shop.folder, "other", "1")
    lock = shop.lock(
        "other", f"gone @ {(tmp_path / 'gone-1-py3-none-any.whl').as_uri()} ; sys_platform == 'win32'"
    )
    assert versions(lock) == {"other": "1"}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: str(folder / "gone-1-py3-none-any.whl"), "there is no /"),
        (lambda folder: str(wheel(folder, "a", "1", tag="cp27-cp27m-win32")), "is not for python"),
        (lambda folder: f"other @ {wheel(folder, 'a', '1').as_uri()}", "other was asked for, and a-1-py3"),
        (str, "neither pyproject.toml nor setup.py"),
        (lambda folder: (folder / "x.txt").as_uri(), "there is no /"),
    ],
)
def test_what_cannot_be_installed_says_why(
    shop: Shop, tmp_path: Path, make: Callable[[Path], str], said: str
) -> None:
    """Each is a mistake in the input: exit status 2, and the reason."""
    (tmp_path / "here").mkdir()
    error = shop.error(make(tmp_path / "here"))
    assert isinstance(error, ConfigurationError)
    assert said in error.message


class Files:
    """A server that hands out files to one user, and counts."""

    def __init__(self, folder: Path, user: str) -> None:
        self.asked: list[str] = []
        self.answered: list[int] = []
        self.tagged = True
        expected = "Basic " + base64.b64encode(user.encode()).decode()
        files = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                files.asked.append(self.path)
                allowed = self.headers.get("Authorization") == expected
                path = folder / self.path.rpartition("/")[2]
                status = 401 if not allowed else 200 if path.is_file() else 404
                etag = f'"{hashlib.md5(path.read_bytes()).hexdigest()}"' if status == 200 else ""
                if etag and self.headers.get("If-None-Match") == etag:
                    status = 304
                files.answered.append(status)
                self.send_response(status)
                if etag and files.tagged:
                    self.send_header("ETag", etag)
                if status == 401:
                    self.send_header("WWW-Authenticate", 'Basic realm="files"')
                data = path.read_bytes() if status == 200 else b""
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                return None

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Files]:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_RETRIES", "0")
    (tmp_path / "served").mkdir()
    served = Files(tmp_path / "served", "someone:t0ken")
    threading.Thread(target=served.server.serve_forever, daemon=True).start()
    yield served
    served.server.shutdown()
    served.server.server_close()


def test_an_address_is_fetched_with_its_credentials_and_shows_none(
    shop: Shop, files: Files, tmp_path: Path
) -> None:
    """The file at an address is locked by its hash; with a known hash it is fetched once and kept."""
    path = wheel(tmp_path / "served", "top", "1")
    address = f"http://someone:t0ken@{files.address}/f/{path.name}"
    requirements = read_requirements([f"top @ {address}"], [])
    lock = shop.lock(f"top @ {address}")
    assert lock.pins[0].hashes == (sha256(path),)
    assert "t0ken" not in lock.text + repr(lock) + " ".join(requirements.shown)
    count = len(files.asked)
    assert shop.lock(f"top @ {address}#{sha256(path).replace(':', '=')}") == lock
    assert len(files.asked) == count


def test_an_address_without_a_hash_is_asked_each_time(shop: Shop, files: Files, tmp_path: Path) -> None:
    """What is fetched again is only what changed there, as far as the server can tell; a build asks once."""
    served = wheel(tmp_path / "served", "top", "1")
    address = f"http://someone:t0ken@{files.address}/f/{served.name}"

    def fetched() -> Path:
        downloads = Downloads(shop.cache, NO_OPTIONS, QUIET)
        wanted = direct.parse(address, (), tmp_path, "here")
        assert downloads.file(wanted) == downloads.file(wanted)
        assert downloads.file(wanted).read_bytes() == served.read_bytes()
        return downloads.file(wanted)

    assert fetched() == fetched()
    wheel(tmp_path / "served", "top", "1", files={"top.py": b"VALUE = 2\n"})
    fetched().write_bytes(b"damaged")
    fetched()
    files.tagged = False
    wheel(tmp_path / "served", "top", "1", files={"top.py": b"VALUE = 3\n"})
    assert fetched() == fetched()
    assert [status for status in files.answered if status != 401] == [200, 304, 200, 200, 200, 200]


def test_an_address_that_fails_shows_no_password(shop: Shop, files: Files) -> None:
    """Neither a refusal nor a missing file prints the user's part of the address."""
    for user, status in (("someone:wr0ng", "401"), ("someone:t0ken", "404")):
        error = shop.error(f"http://{user}@{files.address}/top-1-py3-none-any.whl")
        said = f"{error.message} {error.detail}"
        assert status in said
        assert user.partition(":")[2] not in said


def test_a_server_that_does_not_answer_is_a_network_failure(shop: Shop, files: Files) -> None:
    """Exit status 3: the same command may work later."""
    error = shop.error("http://127.0.0.1:9/top-1-py3-none-any.whl")
    assert error.exit_status == 3
    assert "could not be reached" in error.message


def test_the_users_hashes_choose_the_file(shop: Shop, tmp_path: Path) -> None:
    """Of several files that fit, one whose hash the user wrote is taken, even if another is better."""
    (tmp_path / "page").mkdir()
    plain = wheel(tmp_path / "page", "app", "1")
    best = wheel(tmp_path / "page", "app", "1", tag="cp{0}{1}-cp{0}{1}-linux_x86_64".format(*TARGET.version))
    page = tmp_path / "page" / "index.html"
    links = (f'<a href="{one.name}#{sha256(one).replace(":", "=")}">{one.name}</a>' for one in (plain, best))
    page.write_text("".join(links))
    (tmp_path / "r.txt").write_text(f"-f {page}\napp\n")
    assert shop.lock(files=(tmp_path / "r.txt",)).pins[0].hashes == (sha256(best),)
    (tmp_path / "r.txt").write_text(f"-f {page}\napp --hash={sha256(plain)}\n")
    assert shop.lock(files=(tmp_path / "r.txt",)).pins[0].hashes == (sha256(plain),)


def test_what_a_packages_metadata_names_by_its_address(shop: Shop, tmp_path: Path) -> None:
    """It is fetched or built as if the user had named it, and the lock says which it was: it may change."""
    (tmp_path / "away").mkdir()
    there = wheel(tmp_path / "away", "there", "3")
    wheel(shop.folder, "helper", "1")
    folder = package(tmp_path / "project")
    needs = (f"there @ {there.as_uri()}", f"pure-thing @ {folder.as_uri()}")
    wheel(shop.folder, "top", "1", needs=needs)
    lock = shop.lock("top")
    assert versions(lock) == {"helper": "1", "pure-thing": "1.5", "there": "3", "top": "1"}
    assert lock.pins[2].hashes == (sha256(there),)
    assert lock.addressed == ("pure-thing", "there")
    assert (unpack_wheels(lock, tmp_path / "tree").root / "pure_thing.py").is_file()


def test_builds_from_source_need_the_image(shop: Shop, tmp_path: Path) -> None:
    """--no-binary is refused by the local builder, with the builder that can."""
    wheel(shop.folder, "app", "1")
    (tmp_path / "r.txt").write_text("app\n--no-binary app\n")
    assert "--builder docker" in str(shop.error(files=(tmp_path / "r.txt",)).hint)


def test_a_lock_named_with_other_requirements_keeps_its_versions(shop: Shop, tmp_path: Path) -> None:
    """What a lock holds stays as it is, and the rest is resolved around it."""
    old = wheel(shop.folder, "shared", "1")
    wheel(shop.folder, "shared", "2")
    wheel(shop.folder, "more", "1", needs=["shared", "deep"])
    wheel(shop.folder, "deep", "1")
    (tmp_path / "pylock.toml").write_text(
        'lock-version = "1.0"\ncreated-by = "a test"\n[[packages]]\nname = "shared"\nversion = "1"\n'
        f'index = "https://pypi.org/simple"\n[[packages.wheels]]\nname = "{old.name}"\n'
        f'url = "https://example.org/{old.name}"\nhashes = {{ sha256 = "{sha256(old)[7:]}" }}\n'
    )
    lock = shop.lock("more", files=(tmp_path / "pylock.toml",))
    assert versions(lock) == {"deep": "1", "more": "1", "shared": "1"}


def test_a_pylock_with_files_of_its_own_needs_no_index(shop: Shop, tmp_path: Path) -> None:
    """Files beside the lock, a folder and an archive are taken by their paths."""
    wheel(shop.folder, "helper", "1")
    (tmp_path / "files").mkdir()
    path = wheel(tmp_path / "files", "top", "1")
    package(tmp_path / "lib")
    (tmp_path / "pylock.toml").write_text(
        'lock-version = "1.0"\ncreated-by = "a test"\n'
        f'[[packages]]\nname = "top"\nversion = "1"\n[[packages.wheels]]\npath = "files/{path.name}"\n'
        f'hashes = {{ sha256 = "{sha256(path)[7:]}" }}\n'
        '[[packages]]\nname = "pure-thing"\ndirectory = { path = "lib" }\n'
    )
    lock = shop.lock(files=(tmp_path / "pylock.toml",))
    assert versions(lock) == {"pure-thing": "1.5", "top": "1"}
    assert lock.pins[1].hashes == (sha256(path),)


def test_which_files_count_for_a_build(tmp_path: Path) -> None:
    """Caches, environments and earlier builds do not; a package that is called build does."""
    folder = package(tmp_path / "a")
    for name in (
        *("venv/pyvenv.cfg", "x.egg-info/PKG-INFO", "build/bdist.linux/x", "dist/a-1.whl", ".git/index"),
        *(".git/refs/heads/main", "src/build/__init__.py", "node_modules/x.js"),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    before = source_tree.digest(folder)
    counted = {name for name, _ in source_tree.files(folder)}
    assert {name for name in counted if not name.startswith(".git/")} == {
        *("pyproject.toml", "backend.py", "pure_thing.py", "src/build/__init__.py")
    }
    (folder / ".git/index").write_text("y")
    assert source_tree.digest(folder) == before
    (folder / ".git/refs/heads/main").write_text("y")
    assert source_tree.digest(folder) != before
