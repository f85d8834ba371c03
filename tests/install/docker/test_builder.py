"""The docker builder on a real engine: the same packs, sdists compiled, secrets kept, nothing left."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import pytest

from lambdapack.errors import ConfigurationError, ToolError
from lambdapack.install.docker import DockerBuilder, container, engine, images
from lambdapack.install.docker.container import LABEL
from lambdapack.install.docker.workers import ImageWorkers
from lambdapack.lock import read_requirements, resolve
from lambdapack.model.target import Target
from lambdapack.progress import QUIET
from lambdapack.python import interpreter, toolchain
from lambdapack.slim.loading import LOAD_WORKER
from tests.support import docker_world
from tests.support.command_line import Run
from tests.support.system_libraries import compile_c, libraries
from tests.support.wheelhouse import wheel

pytestmark = pytest.mark.slow

PYTHON = ".".join(map(str, sys.version_info[:2]))
TARGET = Target(PYTHON)
BUILT = "lambdapack-test/build:python" + PYTHON
SECRET = "s3cr3t+token/with=signs"
NO_CONFIGURATION = (("PIP_CONFIG_FILE", os.devnull),)
# A build backend of its own: needs a compiler and no other package.
BACKEND = """
import os, subprocess, sysconfig, zipfile

def build_wheel(folder, settings=None, metadata=None):
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    subprocess.run(["cc", *os.environ.get("CFLAGS", "").split(), "-O1", "-g0", "-shared", "-fPIC",
                    "-I", sysconfig.get_paths()["include"], "rough.c", "-o", "rough" + suffix, *LINK],
                   check=True)
    python = "cp" + sysconfig.get_config_var("py_version_nodot")
    tag = python + "-" + python + "-" + sysconfig.get_platform().replace("-", "_").replace(".", "_")
    name = "rough-1.0-" + tag + ".whl"
    info = "rough-1.0.dist-info/"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        wheel.write("rough" + suffix)
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: rough\\nVersion: 1.0\\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: false\\nTag: " + tag + "\\n")
        wheel.writestr(info + "RECORD", "rough" + suffix + ",,\\n" + info + "METADATA,,\\n" + info
                       + "WHEEL,,\\n" + info + "RECORD,,\\n")
    return name
"""
SOURCE = """
#include <Python.h>
%s
static PyObject *answer(PyObject *self, PyObject *none) { return PyLong_FromLong(42); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, ""}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "rough", "", -1, methods};
PyMODINIT_FUNC PyInit_rough(void) { return PyModule_Create(&module); }
"""
PROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def c_sdist(folder: Path, extra: str = "", link: Sequence[str] = ()) -> Path:
    """An sdist of ``rough``, whose one module is in C."""
    path = folder / "rough-1.0.tar.gz"
    files = {
        "PKG-INFO": "Metadata-Version: 2.1\nName: rough\nVersion: 1.0\n",
        "pyproject.toml": PROJECT,
        "backend.py": f"LINK = {list(link)!r}\n{BACKEND}",
        "rough.c": SOURCE % extra,
    }
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"rough-1.0/{name}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return path


@pytest.fixture(scope="module")
def world(lambdapack_cache: Path) -> Iterator[Any]:
    """An engine with an image built on the stand-in base, as ``lambdapack images build`` does.

    Where none answers and none can be started, which CI takes for a failure, the error is looked at instead.
    """
    if not docker_world.startable() and not os.environ.get("CI"):
        with pytest.raises(ToolError) as caught, engine.connect():
            pass
        assert "DOCKER_HOST" in str(caught.value)
        pytest.skip("no Docker engine answers, and only root can start one (apt install docker.io)")
    with docker_world.running_engine(), engine.connect() as client:
        base = docker_world.base_image(client, PYTHON)
        images.build(client, TARGET, on=base, tag=BUILT)
        toolchain.ensure(interpreter.find(PYTHON), lambdapack_cache)
        yield client
        client.images.remove(BUILT, force=True)


@pytest.fixture(autouse=True)
def _nothing_is_left(world: Any) -> Iterator[None]:
    yield
    assert containers(world) == []


def containers(client: Any) -> list[Any]:
    """Containers of builds; one that is on its way out gets a moment."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = client.api.containers(all=True, filters={"label": LABEL})
        if not found:
            return []
        time.sleep(0.2)
    return list(found)


def build(run: Run, folder: Path, output: str, *arguments: str, **options: Any) -> dict[str, Any]:
    """Build for the running Python, in the test's image unless told; returns what --json printed."""
    where = () if "--builder" in arguments else ("--builder", "docker", "--image", BUILT)
    done = run(
        "build", *arguments, *where, "--python", PYTHON, "--output", output, "--level", "3", "--json",
        cwd=folder, **options,
    )  # fmt: skip
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_wheels_alone_give_the_local_builders_pack(world: Any, run_lambdapack: Run, tmp_path: Path) -> None:
    """The same id from both builders, in two folders, with wheels from a folder that only the client has;
    both import what they slimmed, and take back the same rule."""
    house = tmp_path / "house"
    house.mkdir()
    wheel(house, "app", "1", needs=["part>=2"])
    lists = b"import os\nNAMES = os.listdir(os.path.dirname(__file__) + '/docs')\n"
    wheel(house, "part", "2", files={"part/__init__.py": lists, "part/docs/text": b"needed"})
    environment = (*NO_CONFIGURATION, ("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", str(house)))
    here = build(run_lambdapack, tmp_path, "a", "app", "--builder", "local", environment=environment)
    there = build(run_lambdapack, tmp_path, "b", "app", environment=environment)
    assert there["id"] == here["id"]
    assert there["lock"] == here["lock"]
    assert [line.split(" (")[0] for line in there["restored"]] == ["'docs' is not applied to part"]
    assert (there["restored"], there["imports"]) == (here["restored"], here["imports"])
    assert there["builder"]["name"] == "docker"
    assert there["builder"]["id"] == world.images.get(BUILT).id


def test_an_index_of_local_files_is_reached(world: Any, run_lambdapack: Run, tmp_path: Path) -> None:
    """A file: index that links to files beside it works, and what it does not name stays out of reach."""
    files, page = tmp_path / "files", tmp_path / "simple" / "rough"
    files.mkdir()
    page.mkdir(parents=True)
    path = c_sdist(files)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (page / "index.html").write_text(f'<a href="../../files/{path.name}#sha256={digest}">{path.name}</a>')
    environment = (*NO_CONFIGURATION, ("PIP_INDEX_URL", f"file://{tmp_path}/simple"))
    made = build(run_lambdapack, tmp_path, "out", "rough", environment=environment)
    assert digest in made["lock"]["text"]
    assert [one["name"] for one in made["distributions"]] == ["rough"]


def test_an_sdist_is_compiled_once_and_answers(world: Any, run_lambdapack: Run, tmp_path: Path) -> None:
    """C code is compiled in the image and called in the local cloud; a second build takes the kept wheel,
    and one that compiles again, in another folder, gives the same bytes."""
    c_sdist(tmp_path)
    environment = (*NO_CONFIGURATION, ("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", str(tmp_path)))
    (tmp_path / "app.py").write_text(
        "import runtime_shim\nimport rough\ndef handler(event, context): return rough.answer()\n"
    )
    (tmp_path / "lambdapack.toml").write_text(f'[build]\npython = "{PYTHON}"\n[function]\nsource = "."\n')
    first = build(run_lambdapack, tmp_path, ".lambdapack/build", "rough", environment=environment)
    again = build(run_lambdapack, tmp_path, "second", "rough", environment=environment)
    other = (*environment, ("LAMBDAPACK_CACHE", str(tmp_path / "cache")))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "tools").symlink_to(_tools(run_lambdapack))
    compiled = build(run_lambdapack, tmp_path, "third", "rough", environment=other)
    assert first["id"] == again["id"] == compiled["id"]
    run_lambdapack("deploy", cwd=tmp_path)
    invoked = json.loads(run_lambdapack("invoke", "--json", cwd=tmp_path).stdout)
    run_lambdapack("destroy", cwd=tmp_path, status=None)
    assert invoked["invocations"][0]["payload"] == 42


def _tools(run: Run) -> Path:
    document = json.loads(run("cache", "show", "--json", cwd=Path.cwd()).stdout)
    return Path(document["path"]) / "tools"


def test_three_real_sdists_with_c_code(world: Any, run_lambdapack: Run, tmp_path: Path) -> None:
    """Packages without a wheel for this Python are compiled with setuptools, isolated, and answer."""
    (tmp_path / "app.py").write_text(
        "import runtime_shim\nimport cdifflib, pycosat\nfrom crcmod import _crcfunext\n"
        "def handler(event, context):\n"
        "    ratio = cdifflib.CSequenceMatcher(None, 'abcd', 'bcde').ratio()\n"
        "    return [pycosat.solve([[1, -2], [2]]), ratio, hasattr(_crcfunext, '_crc32')]\n"
    )
    (tmp_path / "lambdapack.toml").write_text(f'[build]\npython = "{PYTHON}"\n[function]\nsource = "."\n')
    names = ("cdifflib", "crcmod", "pycosat")
    made = build(run_lambdapack, tmp_path, ".lambdapack/build", *names)
    assert {one["name"] for one in made["distributions"]} == set(names)
    run_lambdapack("deploy", cwd=tmp_path)
    invoked = json.loads(run_lambdapack("invoke", "--json", cwd=tmp_path).stdout)
    run_lambdapack("destroy", cwd=tmp_path, status=None)
    assert invoked["invocations"][0]["payload"] == [[1, 2], 0.75, True]


def test_the_libraries_of_an_image_are_listed(world: Any, run_lambdapack: Run, tmp_path: Path) -> None:
    """With path and package, against what Lambda is taken to have: what the stand-in lacks is named."""
    done = run_lambdapack(
        "images", "libraries", BUILT, "--python", PYTHON, "--json", cwd=tmp_path, status=None
    )
    document = json.loads(done.stdout)
    assert document["libraries"]["libc.so.6"]["path"].endswith("libc.so.6")
    assert "libc.so.6" not in document["wanting"]
    assert done.returncode == (1 if document["wanting"] else 0)
    assert all(name in done.stderr for name in document["wanting"])


def image_with(client: Any, tag: str, files: Mapping[str, Path | bytes]) -> str:
    """An image like the test's with more files in it; ``bytes`` are a link's target."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files.items():
            if isinstance(content, Path):
                archive.add(content, name)
            else:
                entry = tarfile.TarInfo(name)
                entry.type, entry.linkname = tarfile.SYMTYPE, content.decode()
                archive.addfile(entry)
    made = client.containers.create(BUILT, "true")
    try:
        made.put_archive("/", stream.getvalue())
        made.commit(tag.partition(":")[0], tag.partition(":")[2])
    finally:
        made.remove(force=True)
    return tag


def test_a_library_that_lambda_lacks_goes_along(world: Any, run_lambdapack: Run, tmp_path: Path) -> None:
    """What a compiled package links to on the image, and what that needs, is in the pack and is found by the
    function, on a machine that has neither; build.json says where it came from."""
    libraries(tmp_path / "lib")
    files: dict[str, Path | bytes] = {f"usr/lib/{one.name}": one for one in (tmp_path / "lib").iterdir()}
    image = image_with(world, "lambdapack-test/odd:1", {**files, "usr/lib/libodd.so": b"libodd.so.1"})
    c_sdist(tmp_path, "int odd(void); int (*use)(void) = odd;", ["-lodd"])
    (tmp_path / "app.py").write_text(
        "import runtime_shim\nimport rough\ndef handler(event, context): return rough.answer()\n"
    )
    (tmp_path / "lambdapack.toml").write_text(f'[build]\npython = "{PYTHON}"\n[function]\nsource = "."\n')
    made = build(
        run_lambdapack, tmp_path, ".lambdapack/build", "rough", "--builder", "docker", "--image", image,
        environment=(*NO_CONFIGURATION, ("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", str(tmp_path))),
    )  # fmt: skip
    assert {one["name"]: one["origin"] for one in made["libraries"]} == {
        "libeven.so.2": "/usr/lib/libeven.so.2",
        "libodd.so.1": "/usr/lib/libodd.so.1",
    }
    assert made["lacking"] == []
    run_lambdapack("deploy", cwd=tmp_path)
    invoked = json.loads(run_lambdapack("invoke", "--json", cwd=tmp_path).stdout)
    run_lambdapack("destroy", cwd=tmp_path, status=None)
    assert invoked["invocations"][0]["payload"] == 42
    world.images.remove(image, force=True)


def test_a_library_that_is_opened_by_name_goes_along(world: Any, run_lambdapack: Run, tmp_path: Path) -> None:
    """What a module opens by its name on the image, and what that needs, is in the pack and mapped before the
    module runs: nothing is lacking, plan fits, and the function works where neither library is."""
    libraries(tmp_path / "lib")
    image = image_with(
        world,
        "lambdapack-test/named:1",
        {f"usr/lib/{one.name}": one for one in (tmp_path / "lib").iterdir()},
    )
    wheel(tmp_path, "mine", "1", files={"mine.py": b"import ctypes\nodd = ctypes.CDLL('libodd.so.1').odd\n"})
    (tmp_path / "app.py").write_text(
        "import runtime_shim\nimport mine\ndef handler(event, context): return mine.odd()\n"
    )
    (tmp_path / "lambdapack.toml").write_text(f'[build]\npython = "{PYTHON}"\n[function]\nsource = "."\n')
    made = build(
        run_lambdapack, tmp_path, ".lambdapack/build", "mine", "--builder", "docker", "--image", image,
        environment=(*NO_CONFIGURATION, ("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", str(tmp_path))),
    )  # fmt: skip
    assert {one["name"]: one["needed_by"] for one in made["libraries"]} == {
        "libeven.so.2": ["lambdapack.libs/libodd.so.1"],
        "libodd.so.1": ["mine.py"],
    }
    assert made["lacking"] == []
    bill = json.loads((tmp_path / ".lambdapack" / "build" / made["sbom"]).read_text())
    edges = {one["ref"]: one.get("dependsOn", []) for one in bill["dependencies"]}
    (mine,) = (ref for ref in edges if ref.startswith("pkg:pypi/mine@"))
    assert "file:lambdapack.libs/libodd.so.1" in edges[mine]
    run_lambdapack("plan", cwd=tmp_path)
    run_lambdapack("deploy", cwd=tmp_path)
    invoked = json.loads(run_lambdapack("invoke", "--json", cwd=tmp_path).stdout)
    run_lambdapack("destroy", cwd=tmp_path, status=None)
    assert invoked["invocations"][0]["payload"] == 42
    world.images.remove(image, force=True)


def test_the_traced_handler_finds_its_assets(world: Any, run_lambdapack: Run, tmp_path: Path) -> None:
    """``runtime_shim.path`` gives a file and a folder in the image, byte for byte: what the handler imports
    because of what it read there is traced; the function then answers the same."""
    files = {"chosen.py": b"ANSWER = 42\n", "other.py": b""}
    wheel(tmp_path, "choices", "1", files=files)
    (tmp_path / "name.txt").write_text("chosen")
    (tmp_path / "model" / "deep").mkdir(parents=True)
    (tmp_path / "model" / "deep" / "weights").write_bytes(bytes(range(256)) * 5000)
    (tmp_path / "app.py").write_text(
        "import runtime_shim\nimport hashlib, importlib\n"
        "def handler(event, context):\n"
        "    with open(runtime_shim.path('name')) as file:\n"
        "        module = importlib.import_module(file.read())\n"
        "    with open(runtime_shim.path('model') + '/deep/weights', 'rb') as file:\n"
        "        digest = hashlib.sha256(file.read()).hexdigest()\n"
        "    assert digest == event['digest']\n"
        "    return module.ANSWER\n"
    )
    event = {"digest": hashlib.sha256(bytes(range(256)) * 5000).hexdigest()}
    (tmp_path / "event.json").write_text(json.dumps(event))
    (tmp_path / "lambdapack.toml").write_text(
        f'[build]\npython = "{PYTHON}"\n[trace]\nhandler = "app.handler"\nevent = "event.json"\n'
        '[assets]\nname = "name.txt"\nmodel = "model"\n'
    )
    made = build(
        run_lambdapack, tmp_path, ".lambdapack/build", "choices",
        environment=(*NO_CONFIGURATION, ("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", str(tmp_path))),
    )  # fmt: skip
    assert made["trace"]["how"] == "traced"
    traced = " ".join(made["trace"]["files"])
    assert "chosen" in traced
    assert "other" not in traced
    run_lambdapack("deploy", cwd=tmp_path)
    invoked = json.loads(run_lambdapack("invoke", "--json", cwd=tmp_path).stdout)
    run_lambdapack("destroy", cwd=tmp_path, status=None)
    assert invoked["invocations"][0]["payload"] == 42


def test_a_pack_is_proved_in_its_very_image(world: Any, run_lambdapack: Run, tmp_path: Path) -> None:
    """An sdist is compiled again from scratch in the image that the pack was built in: by the digest that its
    registry knows it by, else by its id; another image of the same name by then changes nothing."""
    c_sdist(tmp_path)
    environment = (*NO_CONFIGURATION, ("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", str(tmp_path)))
    image = image_with(world, "lambdapack-test/proved:1", {"etc/first": b"one"})
    named = ("rough", "--builder", "docker", "--image", image)
    made = build(run_lambdapack, tmp_path, "out", *named, environment=environment)
    assert made["builder"]["digest"] == ""
    first = made["builder"]["id"]
    with registry(world, image) as known:
        world.images.pull(known)
        by_digest = ("rough", "--builder", "docker", "--image", known)
        other = build(run_lambdapack, tmp_path, "digest", *by_digest, environment=environment)
    assert other["builder"]["digest"] == known
    assert other["id"] == made["id"]
    image_with(world, image, {"etc/second": b"two"})
    assert world.images.get(image).id != first
    # With an index: what compiles is fetched anew, too.
    proof = (*NO_CONFIGURATION, ("PIP_FIND_LINKS", str(tmp_path)))
    for folder in ("out", "digest"):
        done = run_lambdapack("verify", folder, "--rebuild", cwd=tmp_path, environment=proof)
        assert "every byte is the same" in done.stdout
        assert first[7:19] in done.stderr
    for name in (image, known):
        world.images.remove(name, force=True)


@contextmanager
def registry(client: Any, image: str) -> Iterator[str]:
    """A registry on the loopback address with that one image; what it is called there, with its digest."""
    with TemporaryDirectory(prefix="lambdapack-registry-") as folder:
        saved = Path(folder, "image.tar")
        with saved.open("wb") as file:
            for piece in client.images.get(image).save():
                file.write(piece)
        with tarfile.open(saved) as archive:
            archive.extractall(folder, filter="data")
        digest, blobs = manifest(Path(folder))

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = blobs.get(self.path.rpartition("/")[2])
                known = self.path == "/v2/" or found is not None
                self.send_response(200 if known else 404)
                self.send_header("Content-Length", str(found.stat().st_size if found else 0))
                if "/manifests/" in self.path:
                    self.send_header("Content-Type", MANIFEST)
                    self.send_header("Docker-Content-Digest", digest)
                self.end_headers()
                if found and self.command == "GET":
                    with found.open("rb") as file:
                        shutil.copyfileobj(file, self.wfile)

            do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

            def log_message(self, *arguments: Any) -> None:
                """Keep quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}/proved@{digest}"
        finally:
            server.shutdown()
            server.server_close()


MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def manifest(folder: Path) -> tuple[str, dict[str, Path]]:
    """The digest of a manifest for the image that was unpacked there, and all that it names, by digest."""
    (saved,) = json.loads((folder / "manifest.json").read_text())
    blobs = {}

    def known(path: Path) -> dict[str, Any]:
        with path.open("rb") as file:
            digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
        blobs[digest] = path
        return {"digest": digest, "size": path.stat().st_size}

    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            **known(folder / saved["Config"]),
        },
        "layers": [
            {"mediaType": "application/vnd.docker.image.rootfs.diff.tar", **known(folder / layer)}
            for layer in saved["Layers"]
        ],
    }
    path = folder / "made.json"
    path.write_text(json.dumps(document))
    return known(path)["digest"], blobs


def test_lightgbm_finds_libgomp_in_its_pack(world: Any, run_lambdapack: Run, tmp_path: Path) -> None:
    """Its wheel lacks libgomp, and so does Lambda: the image's goes along, and is the one that is mapped."""
    (tmp_path / "app.py").write_text(
        "import runtime_shim\nimport lightgbm, numpy\n"
        "def handler(event, context):\n"
        "    data = lightgbm.Dataset(numpy.arange(100.0).reshape(-1, 1), numpy.arange(100) > 50)\n"
        "    options = {'objective': 'binary', 'verbose': -1, 'min_data_in_leaf': 5}\n"
        "    model = lightgbm.train(options, data, 20)\n"
        "    with open('/proc/self/maps') as maps:\n"
        "        mapped = {line.split()[-1] for line in maps if 'libgomp.so.1' in line}\n"
        "    return [(model.predict([[10.0], [90.0]]) > 0.5).tolist(), sorted(mapped)]\n"
    )
    (tmp_path / "lambdapack.toml").write_text(f'[build]\npython = "{PYTHON}"\n[function]\nsource = "."\n')
    # An older release would need scikit-learn, which has a libgomp of its own and takes its time.
    made = build(run_lambdapack, tmp_path, ".lambdapack/build", "lightgbm", "--glibc", "2.28")
    assert [one["name"] for one in made["libraries"]] == ["libgomp.so.1"]
    assert made["lacking"] == []
    bill = json.loads((tmp_path / ".lambdapack" / "build" / made["sbom"]).read_text())
    edges = {one["ref"]: one.get("dependsOn", []) for one in bill["dependencies"]}
    (lightgbm,) = (ref for ref in edges if ref.startswith("pkg:pypi/lightgbm@"))
    assert "file:lambdapack.libs/libgomp.so.1" in edges[lightgbm]
    run_lambdapack("plan", cwd=tmp_path)
    run_lambdapack("deploy", cwd=tmp_path)
    invoked = json.loads(run_lambdapack("invoke", "--json", cwd=tmp_path).stdout)
    run_lambdapack("destroy", cwd=tmp_path, status=None)
    answer, (mapped,) = invoked["invocations"][0]["payload"]
    assert answer == [False, True]
    assert mapped.endswith("/lambdapack.libs/libgomp.so.1")


def deb(folder: Path, name: str, files: Mapping[str, bytes]) -> None:
    """A package in ``folder``, made by dpkg-deb, with an index beside it: what apt takes for a repository."""
    root = folder / "root"
    (root / "DEBIAN").mkdir(parents=True)
    fields = f"Package: {name}\nVersion: 1.0\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: d\n"
    (root / "DEBIAN" / "control").write_text(fields)
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    path = folder / f"{name}.deb"
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", root, path], check=True, capture_output=True)
    data = path.read_bytes()
    index = (
        f"{fields}Filename: ./{path.name}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"
    )
    (folder / "Packages").write_text(index)


def apt_image(client: Any, tag: str, repository: Path) -> str:
    """An image whose package manager works, with ``repository`` as all that it knows."""
    (repository / "sources.list").write_text("deb [trusted=yes] file:/repository ./\n")
    (repository / "empty").write_text("")
    files: dict[str, Path | bytes] = {
        "usr/bin/ldconfig": Path("/sbin/ldconfig"),
        "usr/bin/start-stop-daemon": Path("/sbin/start-stop-daemon"),
        "usr/lib/apt": Path("/usr/lib/apt"),
        "usr/share/dpkg": Path("/usr/share/dpkg"),
        "etc/dpkg": Path("/etc/dpkg"),
        "etc/apt/sources.list": repository / "sources.list",
        "var/lib/dpkg/status": repository / "empty",
        "var/lib/dpkg/info/format": Path("/var/lib/dpkg/info/format"),
        "var/lib/dpkg/updates/none": repository / "empty",
        "var/lib/apt/lists/partial/none": repository / "empty",
        "var/cache/apt/archives/partial/none": repository / "empty",
        "var/log/apt/none": repository / "empty",
        "etc/apt/apt.conf.d/none": repository / "empty",
        "etc/apt/preferences.d/none": repository / "empty",
        "repository": repository,
    }
    return image_with(client, tag, files)


def test_system_packages_are_installed_once(world: Any, run_lambdapack: Run, tmp_path: Path) -> None:
    """A build that lacks a header names it; with the package that has it, from the image's own package
    manager, it works, and a second build installs nothing. An unknown package is an error by name."""
    repository = tmp_path / "repository"
    repository.mkdir()
    deb(repository, "libodd-dev", {"usr/include/odd-thing.h": b"#define ODD 1\n"})
    image = apt_image(world, "lambdapack-test/apt:1", repository)
    c_sdist(tmp_path, "#include <odd-thing.h>")
    environment = (*NO_CONFIGURATION, ("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", str(tmp_path)))
    common = ("rough", "--image", image, "--python", PYTHON, "--level", "3")
    before = {one.id for one in world.images.list()}
    lacking = run_lambdapack("build", *common, "-o", "a", cwd=tmp_path, status=3, environment=environment)
    assert "the header odd-thing.h" in lacking.stderr
    assert "--system-package" in lacking.stderr
    wanted = ("--system-package", "libodd-dev")
    done = run_lambdapack("build", *common, *wanted, "-o", "b", cwd=tmp_path, environment=environment)
    assert "installing libodd-dev" in done.stderr
    again = run_lambdapack("build", *common, *wanted, "-o", "c", cwd=tmp_path, environment=environment)
    assert "installing" not in again.stderr
    assert [path.name for path in sorted((tmp_path / "b").glob("*.zst"))] == [
        path.name for path in sorted((tmp_path / "c").glob("*.zst"))
    ]
    unknown = run_lambdapack(
        "build", *common, "--system-package", "no-such-thing", "-o", "d", cwd=tmp_path, status=3,
        environment=environment,
    )  # fmt: skip
    assert "no-such-thing" in unknown.stderr
    for one in world.images.list():
        if one.id not in before:
            world.images.remove(one.id, force=True)
    world.images.remove(image, force=True)


def test_an_image_without_a_package_manager_says_so(world: Any) -> None:
    """Nothing to install with: the message says which programs were looked for, and the way out."""
    bare = image_with(world, "lambdapack-test/bare:1", {"usr/bin/apt-get": b"/nowhere"})
    found = images.find(world, TARGET, bare)
    with pytest.raises(ToolError, match="none of dnf") as caught:
        images.with_packages(world, found, ["libpq-devel"], {})
    assert "--image" in str(caught.value.hint)
    with pytest.raises(ConfigurationError, match="not the name"):
        images.with_packages(world, found, ["x; rm -rf /"], {})
    world.images.remove(bare, force=True)


def test_what_a_build_lacks_is_named(world: Any, run_lambdapack: Run, tmp_path: Path) -> None:
    """A header that the image does not have: which one, for what, and that an image with it helps."""
    c_sdist(tmp_path, "#include <no/such/header.h>")
    done = run_lambdapack(
        "build", "rough", "--builder", "docker", "--image", BUILT, "--python", PYTHON, "--output", "out",
        cwd=tmp_path, status=3,
        environment=(*NO_CONFIGURATION, ("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", str(tmp_path))),
    )  # fmt: skip
    assert "building rough from its sdist" in done.stderr
    assert "the header no/such/header.h" in done.stderr
    assert "--image" in done.stderr
    assert "Traceback" not in done.stderr


def test_doctor_says_what_docker_could_do(world: Any, run_lambdapack: Run, tmp_path: Path) -> None:
    """With an engine, a Python that is not on this machine is not missing; the image is named."""
    (tmp_path / "lambdapack.toml").write_text('[build]\npython = "3.14"\n')
    (tmp_path / "empty").mkdir()
    environment = (("HOME", str(tmp_path)), ("PYENV_ROOT", str(tmp_path / "empty")), ("PATH", "/nowhere"))
    done = run_lambdapack("doctor", "--json", cwd=tmp_path, environment=environment)
    checks = {one["name"]: one for one in json.loads(done.stdout)["checks"]}
    assert checks["docker"]["state"] == "ok"
    assert checks["interpreters"]["state"] == "optional"
    assert "--builder docker" in checks["interpreters"]["found"]
    assert "build-python3.14" in checks["build image"]["found"]


def test_an_image_that_cannot_be_had(world: Any, run_lambdapack: Run, tmp_path: Path) -> None:
    """It is named, with the reason and the ways out, and the exit status is 3."""
    done = run_lambdapack(
        "build", "six", "--builder", "docker", "--image", "lambdapack-test/never:made", "--python", PYTHON,
        "--output", "out", cwd=tmp_path, status=3,
    )  # fmt: skip
    assert "lambdapack-test/never:made" in done.stderr
    assert "images build" in done.stderr


def test_a_base_without_the_python_is_refused(world: Any) -> None:
    """An image is checked when it is built, not in the middle of somebody's build."""
    other = "3.14" if PYTHON != "3.14" else "3.12"
    with pytest.raises(ToolError, match="building the image") as caught:
        images.build(world, Target(other), on=docker_world.BASE.format(PYTHON), tag="lambdapack-test/no")
    assert "not found" in str(caught.value.detail)


def test_an_image_for_another_architecture_is_refused(world: Any) -> None:
    """The image's architecture is compared with the target's before anything runs."""
    with pytest.raises(ToolError, match=r"is for a\w\w64"):
        images.find(world, Target(PYTHON, _other_arch()), BUILT)


def _other_arch() -> str:
    return "x86_64" if os.uname().machine == "aarch64" else "arm64"


def test_time_is_limited(world: Any, lambdapack_cache: Path) -> None:
    """A build that outlives its limit is ended by the container itself, and the message says the limit."""
    limits = docker_limits(4)
    with pytest.raises(ToolError, match="longer than the 4 s"):
        builder = DockerBuilder(BUILT, limits)
        with builder.open(TARGET, cache_dir=lambdapack_cache) as shop:
            time.sleep(5)
            wanted = read_requirements(["six"], [])
            resolve(wanted, TARGET, shop.interpreter, cache_dir=lambdapack_cache, place=shop.place)


def docker_limits(seconds: float, memory_mb: int | None = None) -> Any:
    """Limits of so many seconds and megabytes."""
    from lambdapack.install import BuildLimits  # noqa: PLC0415

    return BuildLimits(seconds=seconds, memory_mb=memory_mb)


def test_stripped_libraries_are_loaded_in_the_image(world: Any, tmp_path: Path) -> None:
    """One that loads, one that only its original lets load, and one of which neither does."""
    original, stripped = tmp_path / "original", tmp_path / "stripped"
    shared = ("-shared", "-fPIC")
    for name in ("fine.so", "sub/broken.so"):
        compile_c(
            '#include <stdlib.h>\nint one(void) { return atoi(getenv("X")); }', original / name, *shared
        )
    compile_c("int no_such(void); int one(void) { return no_such(); }", original / "never.so", *shared,
              "-Wl,-z,now")  # fmt: skip
    shutil.copytree(original, stripped)
    broken = stripped / "sub" / "broken.so"
    assert b"libc.so.6" in broken.read_bytes()
    broken.write_bytes(broken.read_bytes().replace(b"libc.so.6", b"libX.so.6"))
    paths = ["fine.so", "never.so", "sub/broken.so"]
    image = images.find(world, TARGET, BUILT)
    with container.start(world, image, TARGET, docker_limits(120), {}) as running:
        failed = ImageWorkers(running).load(original, stripped, paths, LOAD_WORKER, QUIET)
    assert list(failed) == ["sub/broken.so"]
    assert "libX.so.6" in failed["sub/broken.so"]


def test_memory_is_limited(world: Any) -> None:
    """What a build takes beyond its limit ends it, and the message names the setting."""
    image = images.find(world, TARGET, BUILT)
    with (
        container.start(world, image, TARGET, docker_limits(60, 64), {}) as running,
        pytest.raises(ToolError, match="memory runs out") as caught,
    ):
        running.run(
            [running.relay.python, "-c", "print(len(b'x' * 2**29))"], environment={}, doing="using memory",
        )  # fmt: skip
    assert "image_memory" in str(caught.value.hint)


def test_a_remote_engine_needs_nothing_of_this_machine(
    world: Any, run_lambdapack: Run, tmp_path: Path
) -> None:
    """Over TCP, with a folder of wheels that only the client has: the same pack, and nothing is mounted."""
    house = tmp_path / "house"
    house.mkdir()
    wheel(house, "app", "1")
    offline = (*NO_CONFIGURATION, ("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", str(house)))
    socket_path = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
    with docker_world.over_tcp(socket_path) as address:
        there = build(
            run_lambdapack,
            tmp_path,
            "a",
            "app",
            "--no-cache",
            environment=(*offline, ("DOCKER_HOST", address)),
        )
    here = build(run_lambdapack, tmp_path, "b", "app", "--builder", "local", environment=offline)
    assert there["id"] == here["id"]
    assert there["builder"]["name"] == "docker"
    image = images.find(world, TARGET, BUILT)
    with container.start(world, image, TARGET, docker_limits(60), {}) as running:
        told = world.api.inspect_container(running.id)
        assert [one["Type"] for one in told["Mounts"]] in ([], ["tmpfs"])
        assert not told["HostConfig"]["Binds"]


def test_spacy_is_the_same_twice_and_answers(world: Any, run_lambdapack: Run, tmp_path: Path) -> None:
    """A heavy package, built in the image in two folders with two caches: one id; and it works."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "app.py").write_text(
        "import runtime_shim\nimport spacy\nnlp = spacy.blank('en')\n"
        "def handler(event, context): return [token.text for token in nlp(event['text'])]\n"
    )
    (project / "lambdapack.toml").write_text(f'[build]\npython = "{PYTHON}"\n[function]\nsource = "."\n')
    first = build(run_lambdapack, project, ".lambdapack/build", "spacy")
    other, cache = tmp_path / "another" / "folder", tmp_path / "cache"
    other.mkdir(parents=True)
    cache.mkdir()
    (cache / "tools").symlink_to(_tools(run_lambdapack))
    again = build(run_lambdapack, other, "out", "spacy", environment=[("LAMBDAPACK_CACHE", str(cache))])
    assert again["id"] == first["id"]
    assert not again["reused"]
    run_lambdapack("deploy", cwd=project)
    asked = ("--payload", '{"text": "Hello, world"}', "--json")
    invoked = json.loads(run_lambdapack("invoke", *asked, cwd=project).stdout)
    run_lambdapack("destroy", cwd=project, status=None)
    assert invoked["invocations"][0]["payload"] == ["Hello", ",", "world"]


class SecretIndex:
    """An index on the loopback address that wants a token, and looks at the engine while it is asked.

    Args:
        client: Of the engine.
        folder: With the files of the packages.
    """

    def __init__(self, client: Any, folder: Path) -> None:
        self.inspected: list[str] = []
        self.asked = threading.Event()
        self.go = threading.Event()
        self.go.set()
        index = self
        user = base64.b64encode(f"user:{SECRET}".encode()).decode()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.headers.get("Authorization") != f"Basic {user}":
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="index"')
                    self.end_headers()
                    return
                index.look(client)
                with suppress(ConnectionError):
                    self.answer()

            def answer(self) -> None:
                name = self.path.rstrip("/").rpartition("/")[2]
                path = folder / name
                body = path.read_bytes() if path.is_file() else index.page(folder, name)
                self.send_response(200)
                self.send_header("Content-Type", "text/html" if not path.is_file() else "application/gzip")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                return None

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://user:{quote(SECRET, safe='')}@127.0.0.1:{self.server.server_port}/simple"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def page(self, folder: Path, name: str) -> bytes:
        """Links to the files of package ``name``."""
        found = [path.name for path in folder.glob(f"{name}-*")]
        return "".join(f'<a href="/files/{one}">{one}</a>' for one in found).encode()

    def look(self, client: Any) -> None:
        """Keep what the engine says of the containers of builds, and what is in them."""
        self.asked.set()
        self.go.wait(60)
        for one in client.api.containers(filters={"label": LABEL}):
            ident = one["Id"]
            self.inspected.append(json.dumps(client.api.inspect_container(ident)))
            self.inspected.append(json.dumps(client.api.diff(ident)))
            for run in client.api.inspect_container(ident)["ExecIDs"] or ():
                self.inspected.append(json.dumps(client.api.exec_inspect(run)))
            chunks, _ = client.api.get_archive(ident, "/lambdapack")
            self.inspected.append(b"".join(chunks).decode("latin-1"))


@pytest.fixture
def index(world: Any, tmp_path: Path) -> Iterator[SecretIndex]:
    folder = tmp_path / "served"
    folder.mkdir()
    c_sdist(folder)
    made = SecretIndex(world, folder)
    yield made
    made.go.set()
    made.server.shutdown()
    made.server.server_close()


def test_a_secret_is_found_nowhere(
    world: Any, index: SecretIndex, run_lambdapack: Run, tmp_path: Path
) -> None:
    """A token in an index's address opens the index, and is in no configuration, file, image, log or pack."""
    before = {one.id for one in world.images.list(all=True)}
    done = run_lambdapack(
        "build", "rough", "--builder", "docker", "--image", BUILT, "--python", PYTHON, "--output", "out",
        cwd=tmp_path, environment=(*NO_CONFIGURATION, ("PIP_INDEX_URL", index.url)),
    )  # fmt: skip
    assert {one.id for one in world.images.list(all=True)} == before
    told = [done.stdout, done.stderr, *index.inspected]
    told += [json.dumps(world.api.history(BUILT)), json.dumps(world.api.inspect_image(BUILT))]
    told += [path.read_bytes().decode("latin-1") for path in (tmp_path / "out").iterdir()]
    told += _unpacked(tmp_path / "out")
    assert len(index.inspected) > 3
    assert any(LABEL in text for text in index.inspected)
    for text in told:
        for form in (SECRET, quote(SECRET, safe=""), SECRET[:12]):
            assert form not in text


def _unpacked(folder: Path) -> list[str]:
    import zstandard  # noqa: PLC0415

    path = next(folder.glob("*.tar.zst"))
    with path.open("rb") as file:
        reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
        return [reader.read().decode("latin-1")]


def test_a_refused_secret_is_not_shown(
    world: Any, index: SecretIndex, run_lambdapack: Run, tmp_path: Path
) -> None:
    """An index that turns a wrong token away: the message does not repeat it."""
    wrong = index.url.replace("user:", "user:wr0ng")
    done = run_lambdapack(
        "build", "rough", "--builder", "docker", "--image", BUILT, "--python", PYTHON, "--output", "out",
        cwd=tmp_path, status=None, environment=(*NO_CONFIGURATION, ("PIP_INDEX_URL", wrong)),
    )  # fmt: skip
    assert done.returncode != 0
    assert "wr0ng" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_build_leaves_no_container(
    world: Any, index: SecretIndex, lambdapack_cache: Path, tmp_path: Path, how: signal.Signals
) -> None:
    """Ctrl-C removes the container, and so does an end that leaves no time to."""
    index.go.clear()
    process = subprocess.Popen(
        [sys.executable, "-m", "lambdapack", "build", "rough", "--builder", "docker", "--image", BUILT,
         "--python", PYTHON, "--output", "out"],
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env={**os.environ, "LAMBDAPACK_CACHE": str(lambdapack_cache), "PIP_INDEX_URL": index.url,
             "TMPDIR": str(tmp_path),
             **dict(NO_CONFIGURATION)},
    )  # fmt: skip
    try:
        assert index.asked.wait(120)
        assert len(world.api.containers(filters={"label": LABEL})) == 1
        process.send_signal(how)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert containers(world) == []
    assert b"Traceback" not in said
    assert process.returncode == (130 if how is signal.SIGINT else -signal.SIGKILL)
    left = list((tmp_path / "out").iterdir()) if (tmp_path / "out").exists() else []
    assert left == [] if how is signal.SIGINT else not [one for one in left if one.suffix == ".zst"]
