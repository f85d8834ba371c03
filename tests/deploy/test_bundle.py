"""The function's zip: what is in it, that its bytes repeat, and what is refused."""

from __future__ import annotations

import hashlib
import json
import marshal
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
import zstandard

from lambdapack import elf
from lambdapack.deploy.bundle import Bundle, make_zip
from lambdapack.deploy.function import Dependencies, FunctionOptions
from lambdapack.errors import CheckError, ConfigurationError
from lambdapack.model import FunctionAsset, FunctionSettings, Location
from lambdapack.model.target import Target
from lambdapack.progress import QUIET, Progress
from lambdapack.python import interpreter
from lambdapack.python.interpreter import Interpreter
from runtime_shim._index import DATA, METADATA, SOURCE, Index, encode
from tests.support.told import Told

HERE = Target("{}.{}".format(*sys.version_info[:2]))
APP = "import runtime_shim\n\n\ndef handler(event, context):\n    return event\n"


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write(tmp_path / "source", {"app.py": APP})


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def write_index(
    folder: Path,
    target: Target = HERE,
    paths: Sequence[str] = ("numpy/__init__.py", "six.py", "x.dist-info/METADATA"),
) -> tuple[Path, str]:
    letters = {".py": SOURCE, ".txt": DATA}
    data = encode(
        Index(
            target=str(target), lock="0" * 64, tool="test", glibc="", hot=1, eager=1, frame_stored=[10],
            frame_size=[3072], frame_sha256=["0" * 64],
            paths=list(paths), classes="".join(letters.get(Path(path).suffix, METADATA) for path in paths),
            sizes=[3, 3, 3], offsets=[512, 1024, 1536], executable=[], needs={}, native={},
        )
    )  # fmt: skip
    pack_id = hashlib.sha256(data).hexdigest()
    path = folder / f"{pack_id}.index.json"
    path.write_bytes(data)
    return path, pack_id


def where(pack_id: str) -> Location:
    return Location("bucket", f"p/packs/{pack_id[:2]}/{pack_id}.tar.zst", "eu-west-1")


def bundle(
    source: Path,
    cache: Path,
    *,
    pack: tuple[Path, str] | None = None,
    location: Location | None = None,
    reads: tuple[FunctionAsset, ...] = (),
    environment: Mapping[str, str] | None = None,
    snap_start: bool = False,
    snapshot: Literal["needed", "all"] = "needed",
    output: Path | None = None,
    interpreter: Interpreter | None = None,
    progress: Progress = QUIET,
    **function: Any,
) -> Bundle:
    """A zip of ``source``; ``pack`` is an index file and the id that it should have, ``reads`` its assets."""
    values = {"handler": "app.handler", "target": HERE, **function}
    settings = FunctionSettings(environment=environment or {}, snap_start=snap_start, snapshot=snapshot)
    return make_zip(
        FunctionOptions("demo", source=source, settings=settings, **values),
        None if pack is None else Dependencies(pack[1], pack[0], location, reads),
        interpreter=interpreter,
        output=output or source.parent / "function.zip",
        cache_dir=cache,
        progress=progress,
    )


def names(made: Bundle) -> set[str]:
    with zipfile.ZipFile(made.path) as archive:
        return set(archive.namelist())


def test_zip_has_code_shim_decoder_index_and_location(source: Path, cache: Path, tmp_path: Path) -> None:
    """All that a cold start needs is in the zip, the index byte for byte."""
    index, pack_id = write_index(tmp_path)
    made = bundle(
        source,
        cache,
        pack=(index, pack_id),
        location=where(pack_id),
        interpreter=interpreter.find(HERE.python),
    )
    tag = HERE.cache_tag
    assert names(made) >= {
        "app.py", f"__pycache__/app.{tag}.pyc", "runtime_shim/__init__.py",
        f"runtime_shim/__pycache__/__init__.{tag}.pyc", "runtime_shim/index.json",
        "runtime_shim/location.json",
        "runtime_shim/backend_c.so",
    }  # fmt: skip
    with zipfile.ZipFile(made.path) as archive:
        assert archive.read("runtime_shim/index.json") == index.read_bytes()
        assert json.loads(archive.read("runtime_shim/location.json")) == {
            "id": pack_id, "bucket": "bucket", "key": where(pack_id).key, "region": "eu-west-1",
        }  # fmt: skip
        assert made.unzipped == sum(info.file_size for info in archive.infolist())
    assert made.size == made.path.stat().st_size


def test_decoder_in_the_zip_decodes(source: Path, cache: Path, tmp_path: Path) -> None:
    """The extension works alone, stripped, outside its package; and it is small."""
    index, pack_id = write_index(tmp_path)
    made = bundle(source, cache, pack=(index, pack_id))
    with zipfile.ZipFile(made.path) as archive:
        decoder = Path(archive.extract("runtime_shim/backend_c.so", tmp_path / "out"))
    assert decoder.stat().st_size < 2_000_000
    frame = tmp_path / "frame.zst"
    frame.write_bytes(zstandard.compress(b"spam" * 1000))
    code = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('zstandard.backend_c', {str(decoder)!r})\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        f"data = open({str(frame)!r}, 'rb').read()\n"
        "assert module.ZstdDecompressor().decompress(data) == b'spam' * 1000\n"
        "print('zstandard' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "False"), done.stderr


def test_decoder_is_the_targets(source: Path, cache: Path, tmp_path: Path) -> None:
    """A zip for arm64 made on x86-64 holds an arm64 decoder, for a C library that its runtime has."""
    target = Target("3.12", "arm64")
    index, pack_id = write_index(tmp_path, target)
    made = bundle(source, cache, pack=(index, pack_id), target=target)
    with zipfile.ZipFile(made.path) as archive:
        found = elf.read(Path(archive.extract("runtime_shim/backend_c.so", tmp_path / "out")))
    assert found.machine == "aarch64"
    assert (found.glibc or (0, 0)) <= target.glibc


def test_decoder_is_fetched_once(
    source: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second zip needs no package index."""
    index, pack_id = write_index(tmp_path)
    first = bundle(source, cache, pack=(index, pack_id)).path.read_bytes()
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert bundle(source, cache, pack=(index, pack_id)).path.read_bytes() == first


def test_same_bytes_whatever_the_folder_the_times_and_the_umask(cache: Path, tmp_path: Path) -> None:
    """The zip depends on contents alone, so that an unchanged function is not deployed again."""
    python = interpreter.find(HERE.python)
    digests = set()
    for number, umask in enumerate((0o022, 0o077)):
        before = os.umask(umask)
        try:
            folder = write(tmp_path / f"folder{number}", {"app.py": APP, "b/c.txt": "x", "a.txt": "y"})
            os.utime(folder / "a.txt", (number, number))
            index, pack_id = write_index(tmp_path)
            made = bundle(
                folder, cache, pack=(index, pack_id), location=where(pack_id), interpreter=python,
                output=tmp_path / f"out{number}.zip",
            )  # fmt: skip
        finally:
            os.umask(before)
        digests.add(hashlib.sha256(made.path.read_bytes()).hexdigest())
    assert len(digests) == 1


def test_entries_are_sorted_of_1980_and_0644_or_0755(source: Path, cache: Path) -> None:
    """Lambda runs as another user: every file is readable, and what was executable stays so."""
    write(source, {"bin/tool": "#!/bin/sh\n"})
    (source / "bin/tool").chmod(0o700)
    (source / "app.py").chmod(0o600)
    with zipfile.ZipFile(bundle(source, cache).path) as archive:
        entries = archive.infolist()
    assert [entry.filename for entry in entries] == sorted(entry.filename for entry in entries)
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    modes = {entry.filename: oct(entry.external_attr >> 16 & 0o777) for entry in entries}
    assert (modes["bin/tool"], modes["app.py"]) == ("0o755", "0o644")


def test_without_a_pack_there_is_a_shim_that_does_nothing(source: Path, cache: Path) -> None:
    """No pack: 'import runtime_shim' still works, and nothing is fetched."""
    found = names(bundle(source, cache))
    assert "runtime_shim/__init__.py" in found
    assert not found & {"runtime_shim/index.json", "runtime_shim/location.json", "runtime_shim/backend_c.so"}


def test_bytecode_is_unchecked_and_names_no_folder_of_this_machine(source: Path, cache: Path) -> None:
    """The handler's bytecode is PEP 552's unchecked-hash kind, with a relative file name."""
    made = bundle(source, cache, interpreter=interpreter.find(HERE.python))
    with zipfile.ZipFile(made.path) as archive:
        data = archive.read(f"__pycache__/app.{HERE.cache_tag}.pyc")
    assert data[4:8] == b"\x01\x00\x00\x00"
    assert marshal.loads(data[16:]).co_filename == "app.py"


def test_what_never_belongs_in_a_function_is_left_out(source: Path, cache: Path) -> None:
    """Repositories, environments, caches, earlier zips, credentials: by default; '!' takes one back."""
    write(source, {
        ".git/config": "", ".venv/x.py": "", "env/pyvenv.cfg": "", "env/lib/y.py": "",
        "__pycache__/app.pyc": "",
        ".lambdapack/build/x": "", "dist/a.whl": "", ".pytest_cache/x": "", "lambdapack.toml": "",
        "old.zip": "",
        ".env": "SECRET=1", "data/model.zip": "", "data/keep.txt": "",
    })  # fmt: skip
    own = {name for name in names(bundle(source, cache)) if not name.startswith("runtime_shim/")}
    assert own == {"app.py", "data/keep.txt"}
    again = bundle(source, cache, ignore=["!data/*.zip", "keep.*"])
    own = {name for name in names(again) if not name.startswith("runtime_shim/")}
    assert own == {"app.py", "data/model.zip"}


def test_the_zip_does_not_hold_itself(source: Path, cache: Path) -> None:
    """Written into the handler's folder under any name, it is not in the next one."""
    output = source / "function.archive"
    first = bundle(source, cache, output=output).path.read_bytes()
    assert bundle(source, cache, output=output).path.read_bytes() == first


@pytest.mark.parametrize(
    ("handler", "words", "hint"),
    [
        ("app.nothing", "app.py has no 'nothing'", "there are: app.handler, app.other"),
        ("nowhere.handler", "no module 'nowhere'", "there are: app.handler, app.other, pkg.deep.run"),
        ("handler", "not of the form module.function", "app.handler"),
        ("app.", "not of the form module.function", "app.handler"),
    ],
)
def test_handler_that_does_not_exist_lists_those_that_do(
    source: Path, cache: Path, handler: str, words: str, hint: str
) -> None:
    """A wrong handler is found before anything is deployed, and the right ones are named."""
    write(source, {
        "app.py": APP + "\n\nasync def other(event, context): ...\n\n\ndef _private(): ...\n",
        "pkg/deep.py": "def run(event, context): ...\n",
    })  # fmt: skip
    with pytest.raises(ConfigurationError) as caught:
        bundle(source, cache, handler=handler)
    assert words in caught.value.message
    assert hint in (caught.value.hint or "")
    assert not (source.parent / "function.zip").exists()


@pytest.mark.parametrize(
    ("files", "handler"),
    [
        ({"app.py": "handler = lambda event, context: event\n"}, "app.handler"),
        ({"app.py": "from other import handler\n"}, "app.handler"),
        ({"app.py": "from other import *\n"}, "app.handler"),
        ({"app.py": "if True:\n    def handler(e, c): ...\nelse:\n    handler = None\n"}, "app.handler"),
        ({"app.py": "try:\n    import x\nexcept ImportError:\n    handler = 1\n"}, "app.handler"),
        ({"app.py": "a, (handler, b) = make()\n"}, "app.handler"),
        ({"app.py": "app = Mangum()\napp: object = app\n"}, "app.app"),
        ({"pkg/__init__.py": "def handler(e, c): ...\n"}, "pkg.handler"),
        ({"pkg/sub/app.py": "class handler: ...\n"}, "pkg.sub.app.handler"),
        ({"pkg/sub/app.py": "def handler(e, c): ...\n"}, "pkg/sub/app.handler"),
    ],
)
def test_whatever_python_would_find_is_a_handler(
    tmp_path: Path, cache: Path, files: dict[str, str], handler: str
) -> None:
    """A def, class, assignment or import at the top level, in a module, a package or a folder."""
    bundle(write(tmp_path / "source", files), cache, handler=handler)


def test_handler_that_is_not_python_says_where(source: Path, cache: Path) -> None:
    """A syntax error is reported by file and line."""
    write(source, {"app.py": "def handler(:\n"})
    with pytest.raises(ConfigurationError, match=r"app\.py, line 1 is not Python"):
        bundle(source, cache)


@pytest.mark.parametrize(
    "text",
    [
        "import runtime_shim\nlazy import numpy\nlazy from six import moves\n",
        "import runtime_shim\ntype Newer = int\nimport numpy\n",
    ],
)
def test_a_handler_may_use_a_newer_grammar_than_ours(tmp_path: Path, cache: Path, text: str) -> None:
    """Lazy imports, and whatever else the target's Python reads and the one that runs lambdapack does not."""
    told, target = Told(), Target("3.15", HERE.arch)
    source = write(tmp_path / "source", {"app.py": f"{text}def handler(e, c): ...\n"})
    index, pack_id = write_index(tmp_path, target)
    made = bundle(source, cache, pack=(index, pack_id), target=target, progress=told)
    assert told.warnings == []
    # There is no wheel of zstandard: the shim takes the standard library's decoder.
    assert "runtime_shim/backend_c.so" not in names(made) and "runtime_shim/_zstd.py" in names(made)


def test_a_lazy_import_of_the_shim_is_warned_of(tmp_path: Path, cache: Path) -> None:
    """Where a variable makes all imports lazy, the statement does not run; the shim's own handler does."""
    target, lazy = Target("3.15", HERE.arch), {"PYTHON_LAZY_IMPORTS": "all"}
    source = write(tmp_path / "source", {"app.py": "import runtime_shim\ndef handler(e, c): ...\n"})
    pack, told = write_index(tmp_path, target), Told()
    bundle(source, cache, pack=pack, target=target, environment=lazy, progress=told)
    (warning,) = told.warnings
    assert "set the handler to runtime_shim.handler and LAMBDAPACK_HANDLER=app.handler" in warning
    more, told = {**lazy, "LAMBDAPACK_HANDLER": "app.handler"}, Told()
    wrapped = {"handler": "runtime_shim.handler", "environment": more, "progress": told}
    bundle(source, cache, pack=pack, target=target, **wrapped)
    assert told.warnings == []


def test_wrapped_handler_is_checked_through_its_variable(source: Path, cache: Path) -> None:
    """runtime_shim.handler needs LAMBDAPACK_HANDLER, and what that names must exist too."""
    wrapped = {"handler": "runtime_shim.handler"}
    bundle(source, cache, **wrapped, environment={"LAMBDAPACK_HANDLER": "app.handler"})
    with pytest.raises(ConfigurationError, match="LAMBDAPACK_HANDLER is not set"):
        bundle(source, cache, **wrapped)
    with pytest.raises(ConfigurationError, match=r"app\.py has no 'nothing'"):
        bundle(source, cache, **wrapped, environment={"LAMBDAPACK_HANDLER": "app.nothing"})


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"app.py": "import numpy\nimport runtime_shim\ndef handler(e, c): ...\n"}, "imports numpy before"),
        ({"app.py": "def handler(e, c):\n    import numpy\n"}, "never imports runtime_shim"),
        ({"app.py": "import helper\nimport runtime_shim\ndef handler(e, c): ...\n",
          "helper.py": "import numpy.x\n"}, "imports numpy before"),
        ({"app.py": "import os, six\nfrom runtime_shim import stats\ndef handler(e, c): ...\n"},
         "imports six before"),
    ],
)  # fmt: skip
def test_importing_the_pack_before_the_shim_is_warned_of(
    tmp_path: Path, cache: Path, files: dict[str, str], words: str
) -> None:
    """The pack is there once runtime_shim was imported: what comes before would fail in Lambda."""
    index, pack_id = write_index(tmp_path)
    told = Told()
    bundle(write(tmp_path / "source", files), cache, pack=(index, pack_id), progress=told)
    assert len(told.warnings) == 1
    assert words in told.warnings[0]
    assert "LAMBDAPACK_HANDLER=app.handler" in told.warnings[0]


@pytest.mark.parametrize(
    "files",
    [
        {"app.py": "import runtime_shim\nimport numpy\ndef handler(e, c): ...\n"},
        {
            "app.py": "import first\nimport numpy\ndef handler(e, c): ...\n",
            "first.py": "import runtime_shim\n",
        },
        {
            "app.py": "import json\nfrom . import first\nimport numpy\ndef handler(e, c): ...\n",
            "first.py": "import runtime_shim\n",
        },
        {"app.py": "def helper():\n    import numpy\nimport runtime_shim\ndef handler(e, c): ...\n"},
    ],
)
def test_the_shim_first_is_not_warned_of(tmp_path: Path, cache: Path, files: dict[str, str]) -> None:
    """The shim may come in through another module of the handler's folder; functions run later."""
    index, pack_id = write_index(tmp_path)
    told = Told()
    bundle(write(tmp_path / "source", files), cache, pack=(index, pack_id), progress=told)
    assert told.warnings == []


def test_a_module_that_the_pack_has_too_is_warned_of(source: Path, cache: Path, tmp_path: Path) -> None:
    """Two copies of a package: the handler's folder comes first on sys.path."""
    write(source, {"six.py": ""})
    index, pack_id = write_index(tmp_path)
    told = Told()
    bundle(source, cache, pack=(index, pack_id), progress=told)
    assert told.warnings == ["six is both in the handler's folder and in the pack: the handler's folder wins"]


@pytest.mark.parametrize(
    "name", ["runtime_shim.py", "runtime_shim/__init__.py", "runtime_shim.cpython-311-x.so"]
)
def test_a_file_that_would_hide_the_shim_is_refused(source: Path, cache: Path, name: str) -> None:
    """A runtime_shim of the user's own would be imported instead."""
    write(source, {name: ""})
    with pytest.raises(ConfigurationError, match="would hide the shim"):
        bundle(source, cache)


def test_pack_for_another_target_is_refused(source: Path, cache: Path, tmp_path: Path) -> None:
    """A pack's bytecode and extensions are for one Python on one processor."""
    index, pack_id = write_index(tmp_path, Target("3.13", "arm64"))
    with pytest.raises(ConfigurationError, match=r"the pack is for python3\.13/arm64 and the function for"):
        bundle(source, cache, pack=(index, pack_id))


def test_index_that_is_not_the_packs_is_refused(source: Path, cache: Path, tmp_path: Path) -> None:
    """The id vouches for the index: a changed byte is found, and so is a truncated file."""
    index, pack_id = write_index(tmp_path)
    index.write_bytes(index.read_bytes() + b" ")
    with pytest.raises(CheckError, match="is not the index of pack"):
        bundle(source, cache, pack=(index, pack_id))
    index.write_bytes(b"{")
    with pytest.raises(CheckError, match="not JSON"):
        bundle(source, cache, pack=(index, hashlib.sha256(b"{").hexdigest()))


def test_location_of_another_pack_is_refused(source: Path, cache: Path, tmp_path: Path) -> None:
    """The key names the pack, so a mix-up is found here and not at the first cold start."""
    index, pack_id = write_index(tmp_path)
    with pytest.raises(ConfigurationError, match="is not where pack"):
        bundle(source, cache, pack=(index, pack_id), location=where("f" * 64))


def make_asset(folder: Path, name: str, fetch: Literal["start", "use"], file: str = "") -> FunctionAsset:
    """An asset whose index is a text; the zip takes it as it is."""
    index = folder / f"{name}.index.json"
    index.write_text(f"index of {name}")
    pack_id = hashlib.sha256(index.read_bytes()).hexdigest()
    return FunctionAsset(name, pack_id, folder / "pack", index, where(pack_id), file, fetch)


def test_assets_come_with_their_index_and_address(source: Path, cache: Path, tmp_path: Path) -> None:
    """The pack's address names the assets to begin with, in order; each asset has a folder of its own."""
    index, pack_id = write_index(tmp_path)
    late = make_asset(tmp_path, "late", "use", "late.bin")
    words = make_asset(tmp_path, "words", "start")
    model = make_asset(tmp_path, "model", "start", "m.bin")
    write(source, {"models/m.bin": "weights", "models/readme.txt": "x"})
    made = bundle(
        source, cache, pack=(index, pack_id), location=where(pack_id), reads=(late, words, model),
        assets={"model": source / "models/m.bin"},
    )  # fmt: skip
    with zipfile.ZipFile(made.path) as archive:
        texts = {name: archive.read(name) for name in archive.namelist()}
    own = json.dumps(
        {"id": pack_id, "bucket": "bucket", "key": where(pack_id).key, "region": "eu-west-1",
         "assets": ["words", "model"]},
        sort_keys=True, separators=(",", ":"),
    )  # fmt: skip
    assert texts["runtime_shim/location.json"].decode() == own
    for asset in (late, words, model):
        folder = f"runtime_shim/assets/{asset.name}"
        assert texts[f"{folder}/index.json"] == asset.index.read_bytes()
        address = json.loads(texts[f"{folder}/location.json"])
        assert (address["id"], address["key"]) == (asset.pack_id, where(asset.pack_id).key)
        assert address["file"] == asset.file
    assert "models/readme.txt" in texts
    assert "models/m.bin" not in texts, "an asset is packed apart"


@pytest.mark.parametrize(
    ("snap_start", "snapshot", "said"), [(True, "all", "all"), (True, "needed", None), (False, "all", None)]
)
def test_the_zip_says_what_belongs_into_a_snapshot(
    source: Path,
    cache: Path,
    tmp_path: Path,
    *,
    snap_start: bool,
    snapshot: Literal["needed", "all"],
    said: str | None,
) -> None:
    """Only where a snapshot of everything is taken; any other function's zip has the bytes that it had."""
    pack = write_index(tmp_path)
    made = bundle(source, cache, pack=pack, location=where(pack[1]), snap_start=snap_start, snapshot=snapshot)
    with zipfile.ZipFile(made.path) as archive:
        address = json.loads(archive.read("runtime_shim/location.json"))
    assert address.get("snapshot") == said
    assert ("snapshot" in address) == (said is not None)


def test_an_assets_index_that_is_not_its_packs_is_refused(source: Path, cache: Path, tmp_path: Path) -> None:
    """As for the pack itself: the id vouches for the index."""
    index, pack_id = write_index(tmp_path)
    model = make_asset(tmp_path, "model", "start")
    model.index.write_text("another")
    with pytest.raises(CheckError, match=f"is not the index of pack {model.pack_id}"):
        bundle(source, cache, pack=(index, pack_id), reads=(model,))


def test_data_in_the_pack_is_no_module(source: Path, cache: Path, tmp_path: Path) -> None:
    """A module of the handler's folder may be called as a folder of data in the pack is."""
    write(source, {"x.py": "", "docs.py": ""})
    index, pack_id = write_index(tmp_path, paths=["docs/a.txt", "numpy/__init__.py", "x.dist-info/METADATA"])
    told = Told()
    bundle(source, cache, pack=(index, pack_id), progress=told)
    assert not [warning for warning in told.warnings if "docs is both" in warning]


def test_more_than_lambda_takes_is_refused(
    source: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over the unzipped limit: the measured size, the limit, and the largest file; no zip is left."""
    write(source, {"data/large.bin": "x" * 3_000_000})
    monkeypatch.setattr("lambdapack.limits.UNZIPPED", 2_000_000)
    with pytest.raises(
        CheckError, match=r"over Lambda's 1\.9 MiB; the largest is data/large\.bin with 2\.9 MiB"
    ):
        bundle(source, cache)
    assert list(source.parent.glob("*.zip")) == []


def test_over_the_direct_upload_is_said(source: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A zip over 50 MiB works, through S3."""
    monkeypatch.setattr("lambdapack.limits.ZIP_DIRECT_UPLOAD", 1000)
    told = Told()
    bundle(source, cache, progress=told)
    assert "goes through S3" in told.warnings[0]


def test_links_are_followed_but_not_in_circles(source: Path, cache: Path, tmp_path: Path) -> None:
    """A link's target is what ships; a circle or a dead end is an error that names it."""
    shared = write(tmp_path / "shared", {"lib/common.py": "x = 1\n"})
    (source / "lib").symlink_to(shared / "lib")
    assert "lib/common.py" in names(bundle(source, cache))
    (source / "again").symlink_to(source)
    with pytest.raises(ConfigurationError, match="again is a link to a folder above it"):
        bundle(source, cache)
    (source / "again").unlink()
    (source / "dead").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigurationError, match="dead is a link that leads nowhere"):
        bundle(source, cache)


def test_missing_folder_is_a_configuration_error(tmp_path: Path, cache: Path) -> None:
    """A source folder that is not there, or is a file."""
    with pytest.raises(ConfigurationError, match="does not exist"):
        bundle(tmp_path / "nowhere", cache)
    with pytest.raises(ConfigurationError, match="is not a folder"):
        bundle(write(tmp_path, {"file": ""}) / "file", cache)


def test_failed_package_keeps_the_earlier_zip(source: Path, cache: Path) -> None:
    """The zip is replaced at once when it is complete, never half."""
    before = bundle(source, cache).path.read_bytes()
    write(source, {"app.py": "broken("})
    with pytest.raises(ConfigurationError):
        bundle(source, cache)
    assert (source.parent / "function.zip").read_bytes() == before
    assert sorted(path.name for path in source.parent.iterdir()) == ["function.zip", "source"]
