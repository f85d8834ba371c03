"""Versions in the local cloud: numbered, immutable, with their packs, whatever is killed meanwhile."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lambdapack.errors import ConfigurationError, ToolError
from lambdapack.local import LocalCloud
from lambdapack.local.functions import Functions
from lambdapack.local.versions import AliasMovedError, Versions
from lambdapack.model import FunctionSpec, Location, Routing
from tests.support import signing
from tests.support.killing import picture, unlike
from tests.support.local_cloud import answer, call, make_spec

HASHES = """
import hashlib, http.client, json, os
def handler(event, context):
    e = os.environ
    host, path = e["AWS_ENDPOINT_URL_S3"].split("/")[2], PATH
    keys = e["AWS_ACCESS_KEY_ID"], e["AWS_SECRET_ACCESS_KEY"], e["AWS_SESSION_TOKEN"]
    now = datetime.now(timezone.utc)
    connection = http.client.HTTPConnection(host)
    headers = sign("GET", path, {"host": host}, keys, region=e["AWS_REGION"], now=now)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    return [context.function_version, response.status, hashlib.sha256(response.read()).hexdigest()]
"""


@pytest.fixture
def cloud(tmp_path: Path, lambdapack_cache: Path) -> Iterator[LocalCloud]:
    with LocalCloud(tmp_path / "state", cache_dir=lambdapack_cache) as cloud:
        yield cloud


@pytest.fixture
def functions(tmp_path: Path) -> Functions:
    return Functions(tmp_path / "state")


def spec_of(folder: Path, number: int, name: str = "function") -> FunctionSpec:
    """A function that differs from others by its number, in code and pack; the same each time."""
    key = f"p/packs/{number:02}/{number:064}.tar.zst"
    spec = make_spec(
        folder, name, f"def handler(event, context): return {number}\n",
        location=Location("bucket", key, "us-east-1"),
    )  # fmt: skip
    kept = folder / f"{name}-{number}.zip"
    if not kept.exists():
        spec.zip_path.rename(kept)
    return replace(spec, zip_path=kept, pack_id=f"{number:064}")


def pack_of(folder: Path, number: int) -> Path:
    path = folder / f"pack{number}"
    path.write_bytes(random.Random(number).randbytes(50_000))
    return path


def put(functions: Functions, folder: Path, number: int, *, live: bool = True, name: str = "function") -> str:
    return functions.put(spec_of(folder, number, name), pack_of(folder, number), live=live)


def packs(functions: Functions) -> list[int]:
    """The numbers of the packs that are there."""
    return sorted(int(path.name.partition(".")[0]) for path in functions.objects.rglob("*.tar.zst"))


def test_each_other_deployment_is_a_version(functions: Functions, tmp_path: Path) -> None:
    """What differs gets the next number, what is a version already gets none; the alias goes where asked."""
    assert [put(functions, tmp_path, number) for number in (1, 1, 2, 2)] == ["1", "1", "2", "2"]
    assert functions.get("function").numbers == ["1", "2"]
    assert put(functions, tmp_path, 1) == "1", "the earlier state again is the earlier version"
    alias = functions.get("function").alias
    assert alias is not None and alias.routing == Routing("1")
    other = replace(spec_of(tmp_path, 1), settings=replace(spec_of(tmp_path, 1).settings, memory_mb=1024))
    assert functions.put(other, pack_of(tmp_path, 1), live=False) == "3"
    assert functions.get("function").alias == alias, "publishing moves nothing"
    assert functions.get("function").get("1").settings.memory_mb == 512, "a version does not change"


def test_a_number_is_given_once(functions: Functions, tmp_path: Path) -> None:
    """A version that was removed leaves a gap, and its pack goes unless another version reads it."""
    for number in (1, 2, 3):
        put(functions, tmp_path, number)
    put(functions, tmp_path, 2, name="other")
    functions.remove_versions("function", ["1", "2"])
    assert functions.get("function").numbers == ["3"]
    assert packs(functions) == [2, 3]
    assert put(functions, tmp_path, 1) == "4"
    with pytest.raises(ConfigurationError, match="sends calls there"):
        functions.remove_versions("function", ["4"])
    functions.remove("other")
    put(functions, tmp_path, 5, live=False, name="other")
    with pytest.raises(ConfigurationError, match="no version would be left"):
        functions.remove_versions("other", ["1"])
    assert packs(functions) == [1, 3, 5]


def test_remove_and_forget_keep_what_a_version_needs(functions: Functions, tmp_path: Path) -> None:
    """Unpacked code and packs of every version stay, live or not; a removed function's go."""
    put(functions, tmp_path, 1)
    put(functions, tmp_path, 2)
    put(functions, tmp_path, 3, name="other")
    put(functions, tmp_path, 1, name="other")
    functions.forget_unused()
    for versions in functions.all():
        for function in versions.functions:
            assert functions.code(function).is_dir() and not functions.missing_packs(function)
    functions.remove("other")
    assert packs(functions) == [1, 2], "an older version of another function has the same pack"
    functions.forget_unused()
    assert len(list((functions.state / "code").iterdir())) == 2


def test_the_alias_changes_only_as_it_was_seen(functions: Functions, tmp_path: Path) -> None:
    """Routing and note change in one step; who has seen an older revision changes nothing and hears so."""
    put(functions, tmp_path, 1, live=False)
    put(functions, tmp_path, 2, live=False)
    first = functions.route("function", Routing("1"), "", seen=None)
    with pytest.raises(AliasMovedError):
        functions.route("function", Routing("2"), "", seen=None)
    second = functions.route("function", Routing("1", "2", 0.1), "step 1", seen=first.revision)
    with pytest.raises(AliasMovedError):
        functions.route("function", Routing("2"), "", seen=first.revision)
    assert functions.get("function").alias == second
    for routing, note in ((Routing("3"), ""), (Routing("1", "1", 0.1), ""), (Routing("1"), "x" * 257)):
        with pytest.raises(ToolError):
            functions.route("function", routing, note, seen=second.revision)
    assert functions.get("function").alias == second


def test_a_state_of_the_old_format_is_read(functions: Functions, tmp_path: Path) -> None:
    """A file with one function, as earlier lambdapacks wrote it, is version 1 and live."""
    put(functions, tmp_path, 1)
    path = functions.state / "functions/function.json"
    (document,) = json.loads(path.read_bytes())["versions"]
    del document["version"]
    path.write_text(json.dumps({"format": 1, **document}))
    versions = functions.get("function")
    assert versions.numbers == ["1"] and versions.get().code == document["code"]
    assert put(functions, tmp_path, 1) == "1"
    assert put(functions, tmp_path, 2) == "2"
    assert functions.get("function").numbers == ["1", "2"]


def test_documents_that_are_no_functions_are_named(functions: Functions, tmp_path: Path) -> None:
    """A broken file is an error with the file's path, not a traceback."""
    put(functions, tmp_path, 1)
    for text in ("", "[]", '{"versions": 3}', '{"versions": [], "alias": {}, "name": "x"}'):
        (functions.state / "functions/function.json").write_text(text)
        with pytest.raises(ConfigurationError, match=r"function\.json"):
            functions.get("function")


def killed_at(moment: int, act: Callable[[], object]) -> int:
    """Run ``act`` in a child that is killed before its Nth change of the disk; the child's wait status."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    try:
        seen, changes = 0, {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "os.truncate"}

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal seen
            flags = arguments[2] if event == "open" else 0
            if event in changes or (
                isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            ):
                seen += 1
                if seen == moment:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        act()
    finally:
        os._exit(0)


@pytest.mark.parametrize("what", ["first", "next", "remove", "remove versions", "route"])
def test_a_command_killed_at_each_step_is_completed_by_the_next(tmp_path: Path, what: str) -> None:
    """Every step: meanwhile the alias sends calls to a whole version; run again, all is as if undisturbed."""
    template = tmp_path / "files"
    template.mkdir()

    def begin(folder: Path) -> Functions:
        functions = Functions(folder)
        if what != "first":
            put(functions, template, 1)
        if what.startswith("remove"):
            put(functions, template, 2)
            put(functions, template, 3)
        if what == "route":
            put(functions, template, 2, live=False)
        return functions

    def act(functions: Functions) -> None:
        if what in ("first", "next"):
            put(functions, template, 2)
        elif what == "route":
            alias = functions.get("function").alias
            if alias and alias.routing == Routing("1"):
                functions.route("function", Routing("1", "2", 0.5), "half", seen=alias.revision)
        elif what == "remove":
            functions.remove("function")
        else:
            kept = set(functions.get("function").numbers)
            functions.remove_versions("function", sorted({"1", "2"} & kept))

    undisturbed = begin(tmp_path / "undisturbed")
    act(undisturbed)
    wanted, moment, status = picture(undisturbed.state), 0, signal.SIGKILL.value
    while status:
        moment += 1
        functions = begin(tmp_path / f"state{moment}")
        status = killed_at(moment, lambda functions=functions: act(functions))  # type: ignore[misc]
        for versions in functions.all():
            for function in versions.functions:
                assert functions.code(function).is_dir() and not functions.missing_packs(function), moment
        if what == "remove" and not functions.all():
            with pytest.raises(ConfigurationError, match="no function"):
                act(functions)
        else:
            act(functions)
        assert unlike(wanted, picture(functions.state)) == [], f"killed at {moment}"
    assert moment > 5


def test_going_back_takes_the_pack_along(cloud: LocalCloud, tmp_path: Path) -> None:
    """v1, v2 with another pack, back: v1 runs again, and reads v1's pack, byte for byte."""
    wanted = {}
    for number in (1, 2):
        spec = spec_of(tmp_path, number)
        assert isinstance(spec.location, Location)
        path = f"/{spec.location.bucket}/{spec.location.key}"
        signer = Path(signing.__file__).read_text(encoding="utf-8")
        source = f"{signer}\nPATH = {path!r}\n{HASHES}"
        zipped = make_spec(tmp_path, "function", source).zip_path.rename(spec.zip_path)
        pack = pack_of(tmp_path, number)
        wanted[number] = [str(number), 200, hashlib.sha256(pack.read_bytes()).hexdigest()]
        assert cloud.deploy(replace(spec, zip_path=zipped), pack) == str(number)
        pack.unlink()
        assert answer(call(cloud)) == wanted[number]
    assert cloud.rollback("function", dry_run=True).version == "1"
    assert answer(call(cloud)) == wanted[2]
    assert cloud.rollback("function").version == "1"
    back = call(cloud)
    assert answer(back) == wanted[1] and back.version == "1"
    assert answer(cloud.invoke("function", b"{}", qualifier="2")) == wanted[2]
    with pytest.raises(ConfigurationError, match="no version was published before version 1"):
        cloud.rollback("function")
    assert cloud.rollback("function", "2").version == "2"
    (cloud.state / "s3/bucket/p/packs/01" / f"{1:064}.tar.zst").unlink()
    with pytest.raises(ConfigurationError, match="a pack of version 1 is not at"):
        cloud.rollback("function")
    assert answer(call(cloud)) == wanted[2]


def test_rolling_back_ends_a_shift(functions: Functions, tmp_path: Path) -> None:
    """While two versions have calls, the one to go back to is the one that they shift from."""
    for number in (1, 2, 3):
        put(functions, tmp_path, number)
    versions = functions.get("function")
    for routing, earlier in (
        (Routing("1", "3", 0.1), "1"), (Routing("3", "1", 0.1), "3"), (Routing("3"), "2"),
        (Routing("2", "3", 0.0), "2"),
    ):  # fmt: skip
        assert versions.routed(routing).earlier(None).version == earlier
    assert versions.routed(Routing("1")).earlier("3").version == "3"
    with pytest.raises(ConfigurationError, match="no alias live yet"):
        Versions("function", versions.functions).earlier(None)
