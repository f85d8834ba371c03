"""Every command, killed at any moment and run again, leaves what an undisturbed run leaves."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from lambdapack.deploy import aws, decoder
from lambdapack.local.environment import runtime
from lambdapack.model.target import Target
from lambdapack.python import interpreter, toolchain
from tests.support.aws_world import empty_aws
from tests.support.killing import Moment, Runner, link, moments, orphans, picture, quiet, timed, unlike
from tests.support.wheelhouse import wheel

FEW, MANY = 3, int(os.environ.get("LAMBDAPACK_KILLS", "20"))
"""How many moments are tried of a command: each costs two runs of it. ``make test-slow`` and CI try fewer."""
SEED = 8
MANY_SECONDS = 600 + 30 * MANY
TARGET = Target(".".join(map(str, sys.version_info[:2])))
CONFIGURATION = """\
[build]
requirements = ["app-of-ours"]
builder = "local"
[trace]
handler = "app.handler"
[function]
name = "tiny"
[assets.words]
path = "words.txt"
"""
APP = """\
import runtime_shim
import app_of_ours

def handler(event, context):
    return app_of_ours.VERSION
"""


@dataclass(frozen=True)
class Scene:
    """A world before a command, and how to run that there.

    Attributes:
        template: The folder as it is before.
        runner: Runs in a copy of it, always at the same place.
        words: The command.
        refused: What the second run may say instead of doing again what the killed one had done.
    """

    template: Path
    runner: Runner
    words: Sequence[str]
    refused: str = ""

    def begin(self) -> None:
        """Put the world back to what it was before the command."""
        shutil.rmtree(self.runner.folder, ignore_errors=True)
        shutil.copytree(self.template, self.runner.folder, symlinks=True, copy_function=link)

    def left(self) -> dict[str, str]:
        """What there is now."""
        return picture(self.runner.folder, _normal)


@dataclass(frozen=True)
class AwsScene(Scene):
    """A scene with an AWS.

    Attributes:
        endpoint: Its address; it is emptied at the beginning.
        before: Commands that went before.
    """

    endpoint: str = ""
    before: Sequence[Sequence[str]] = ()

    def begin(self) -> None:
        """Put folder and AWS back to what they were before the command."""
        super().begin()
        urllib.request.urlopen(urllib.request.Request(f"{self.endpoint}/moto-api/reset", method="POST"))
        self._clients()["s3"].create_bucket(Bucket="packs")
        for words in self.before:
            ended = self.runner.run(*words)
            assert ended.status == 0, ended.output

    def left(self) -> dict[str, str]:
        """What there is now, on the disk and in AWS."""
        return {**super().left(), **self._in_aws()}

    def _in_aws(self) -> dict[str, str]:
        clients = self._clients()
        s3 = clients["s3"]
        found = {
            f"s3 {one['Key']}": one["ETag"] for one in s3.list_objects_v2(Bucket="packs").get("Contents", [])
        }
        uploads = s3.list_multipart_uploads(Bucket="packs").get("Uploads", [])
        found |= {f"upload {one['Key']}": "" for one in uploads}
        state = aws.observe("tiny", clients)
        # The alias's revision is another one after each change, whatever is changed.
        live = None if state.live is None else replace(state.live, revision="")
        return found | {"observed": repr(replace(state, live=live))}

    def _clients(self) -> aws.Clients:
        keys = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "secret"}
        return aws.Clients("us-east-1", arguments={"endpoint_url": self.endpoint, **keys})


@pytest.fixture(scope="module")
def equipped(lambdapack_cache: Path) -> Path:
    """A cache with pip-tools and the decoder, which come from an index."""
    found = interpreter.find(TARGET.python)
    assert found is not None
    toolchain.ensure(found, lambdapack_cache)
    decoder.extension(TARGET, lambdapack_cache)
    runtime.install(TARGET, lambdapack_cache)
    return lambdapack_cache


@pytest.fixture(scope="module")
def unbuilt(tmp_path_factory: pytest.TempPathFactory, equipped: Path) -> Path:
    """A small project, its wheels, and a cache with nothing but tools."""
    folder = tmp_path_factory.mktemp("kills") / "template"
    for name in ("project/other", "wheels", "cache", "tmp"):
        (folder / name).mkdir(parents=True)
    for name in ("tools", "decoder", "runtime"):
        shutil.copytree(equipped / name, folder / "cache" / name, symlinks=True, copy_function=link)
    wheel(folder / "wheels", "app-of-ours", "1", needs=("helper",), files=_package("app_of_ours"))
    wheel(folder / "wheels", "helper", "2", files=_package("helper"))
    (folder / "project" / "lambdapack.toml").write_text(CONFIGURATION)
    (folder / "project" / "app.py").write_text(APP)
    (folder / "project" / "other" / "app.py").write_text(APP + "# another one\n")
    (folder / "project" / "words.txt").write_text("one two three\n" * 1000)
    return folder


def _package(name: str) -> dict[str, bytes]:
    files = {f"{name}/part{number}.py": b"X = %d\n" % number * 50 for number in range(8)}
    more = {f"{name}/tests/test_it.py": b"", f"{name}/data.bin": bytes(range(256)) * 40}
    return {f"{name}/__init__.py": b"VERSION = '1'\nfrom . import part1\n", **files, **more}


def _runner(template: Path, folder: Path) -> Runner:
    return Runner(
        folder / "world",
        folder / "hooks",
        {
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(template / "wheels"),
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
        },
    )


@pytest.fixture(scope="module")
def built(unbuilt: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project after a build."""
    folder = tmp_path_factory.mktemp("built")
    scene = Scene(unbuilt, _runner(unbuilt, folder), ("build",))
    scene.begin()
    ended = scene.runner.run("build")
    assert ended.status == 0, ended.output
    return scene.runner.folder


def _normal(path: str, data: bytes) -> bytes:
    """What has to be the same in a file of the world: its bytes, unless they hold the clock's time."""
    if path.endswith("build.json") and "/packs/" not in path:
        document = json.loads(data)
        for name in ("seconds", "reuse"):
            document.pop(name)
        return json.dumps(document).encode()
    if re.search(r"/(locks|packs)/", path) or path.endswith(("/.stamps.json", ".lock")):
        return b""
    return data


def attempt(scene: Scene, moment: Moment, wanted: dict[str, str]) -> list[str]:
    """What is wrong after the command was killed at ``moment`` and run again."""
    scene.begin()
    killed = scene.runner.run(*scene.words, moment=moment)
    at = f"killed at {moment}, before `{killed.events[-1] if killed.events else 'anything'}`"
    # Where only the command was killed, its children may still be at work beside the next run; what they
    # leave the run after that removes.
    for _ in range(1 if moment.group else 2):
        ended = scene.runner.run(*scene.words)
        if ended.status and not (scene.refused and scene.refused in ended.output):
            return [f"{at}: the next run ended with {ended.status}: {ended.output}"]
        if not quiet(scene.runner.folder):
            return [f"{at}: still running: {orphans(scene.runner.folder)}"]
    return [f"{at}: {line}" for line in unlike(wanted, scene.left())]


def check(scene: Scene, tried: int) -> None:
    """Kill the command of a scene at so many moments."""
    scene.begin()
    ended, seconds = timed(lambda: scene.runner.run(*scene.words))
    assert ended.status == 0, ended.output
    wanted = scene.left()
    wrong = []
    for moment in moments(len(ended.events), tried, seconds, SEED):
        wrong += attempt(scene, moment, wanted)
    assert not wrong, "\n".join(wrong)


@pytest.fixture(scope="module")
def deployed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, deployed to the embedded cloud."""
    folder = tmp_path_factory.mktemp("deployed")
    scene = Scene(built, _runner(built, folder), ("deploy",))
    scene.begin()
    ended = scene.runner.run("deploy")
    assert ended.status == 0, ended.output
    return scene.runner.folder


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """An AWS."""
    with empty_aws() as url:
        yield url


_ON_DISK = {
    "build": ("unbuilt", ("build",), ""),
    "build-cached": ("built", ("build", "--output", "elsewhere"), ""),
    "build-other": ("built", ("build", "--level", "3"), ""),
    "package": ("built", ("package", ".", "--location", "s3://bucket/prefix"), ""),
    "push": ("built", ("push", ".lambdapack/build", "../store"), ""),
    "verify-rebuild": ("built", ("verify", "--rebuild"), ""),
    "init": ("unbuilt", ("init", "hello"), ""),
    "prune-all": ("built", ("cache", "prune", "--all"), ""),
    "prune-size": ("built", ("cache", "prune", "--max-size", "0MB"), ""),
    "deploy": ("built", ("deploy",), ""),
    "deploy-next": ("deployed", ("deploy", "--source", "other", "--memory", "512"), ""),
    "destroy": ("deployed", ("destroy",), "there is no function"),
}
_QUICK = ("build", "package", "init", "prune-all", "destroy")
"""Those that the fast tests kill, one of each kind."""
_LOCATION = "s3://packs/team"
_TO_AWS = ("--cloud", "aws", "--location", _LOCATION)
_IN_AWS: dict[str, tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]] = {
    "push": ((), ("push", ".lambdapack/build", _LOCATION)),
    "deploy": ((), ("deploy", *_TO_AWS)),
    "deploy-other": ((("deploy", *_TO_AWS),), ("deploy", *_TO_AWS, "--memory", "512", "--source", "other")),
    "rollback": (
        (("deploy", *_TO_AWS), ("deploy", *_TO_AWS, "--memory", "512")),
        ("rollback", "--to", "1"),
    ),
    "destroy": ((("deploy", *_TO_AWS),), ("destroy", "--cloud", "aws")),
}


@pytest.fixture
def on_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Scene]:
    """The scene of a command that changes nothing but disks."""

    def scene(name: str) -> Scene:
        before, words, refused = _ON_DISK[name]
        template = request.getfixturevalue(before)
        return Scene(template, _runner(template, tmp_path), words, refused)

    return scene


@pytest.fixture
def in_aws(built: Path, endpoint: str, tmp_path: Path) -> Callable[[str], Scene]:
    """The scene of a command that changes something in AWS."""

    def scene(name: str) -> Scene:
        before, words = _IN_AWS[name]
        runner = _runner(built, tmp_path)
        runner.environment = {**runner.environment, "AWS_ENDPOINT_URL": endpoint}
        return AwsScene(built, runner, words, endpoint=endpoint, before=before)

    return scene


@pytest.mark.parametrize("name", _QUICK)
def test_a_command_killed_at_a_few_moments(on_disk: Callable[[str], Scene], name: str) -> None:
    """Run again, it leaves the files of an undisturbed run, and no other."""
    check(on_disk(name), FEW)


@pytest.mark.parametrize("name", ["deploy-other"])
def test_a_command_to_aws_killed_at_a_few_moments(in_aws: Callable[[str], Scene], name: str) -> None:
    """Run again, it leaves in AWS and on the disk what an undisturbed run leaves, and nothing else."""
    check(in_aws(name), FEW)


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("build-other", r"os\.remove \S+/build/[0-9a-f]{64}\.tar\.zst"),
        ("prune-all", r"os\.rmdir"),
        ("destroy", r"os\.remove \S+\.tar\.zst"),
        ("init", r"os\.rename \S+/hello/"),
        ("deploy", r"open \S+/local/code/\S+\.py"),
        ("deploy", r"os\.rename \S+/local/code/"),
        ("deploy", r"open \S+/local/functions/"),
        ("deploy-next", r"os\.rename \S+/local/functions/"),
    ],
    ids=[
        "replacing",
        "removing",
        "destroying",
        "writing",
        "unpacking",
        "unpacked",
        "before it says so",
        "before the next version is live",
    ],
)
def test_a_command_killed_where_it_hurts(on_disk: Callable[[str], Scene], name: str, event: str) -> None:
    """What is to be done after something took effect is done, though the command was killed between."""
    scene = on_disk(name)
    scene.begin()
    ended = scene.runner.run(*scene.words)
    assert ended.status == 0, ended.output
    wanted = scene.left()
    at = next(number for number, line in enumerate(ended.events, 1) if re.match(event, line))
    assert attempt(scene, Moment(at), wanted) == []


@pytest.mark.slow
@pytest.mark.timeout(MANY_SECONDS)
@pytest.mark.parametrize("name", _ON_DISK)
def test_a_command_killed_at_many_moments(on_disk: Callable[[str], Scene], name: str) -> None:
    """As with a few."""
    check(on_disk(name), MANY)


@pytest.mark.slow
@pytest.mark.timeout(MANY_SECONDS)
@pytest.mark.parametrize("name", _IN_AWS)
def test_a_command_to_aws_killed_at_many_moments(in_aws: Callable[[str], Scene], name: str) -> None:
    """As with a few."""
    check(in_aws(name), MANY)
