"""A function with assets through every command, as a user types them."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.support.aws_world import empty_aws
from tests.support.command_line import Run, shown

CONFIGURATION = """\
[build]
requirements = ["six==1.17.0"]
[trace]
handler = "app.handler"
[function]
name = "tiny"
[assets]
words = "words.txt"
model = { path = "model", ignore = ["*.md"], level = 3 }
late = { path = "late.bin", fetch = "use" }
"""
APP = """\
import hashlib
import os
import runtime_shim
import six

def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()

def handler(event, context):
    model = runtime_shim.path("model")
    return {
        "six": six.__version__, "words": digest(runtime_shim.path("words")), "at": model,
        "files": sorted(os.listdir(model)), "model": digest(os.path.join(model, "weights.bin")),
        "late": digest(runtime_shim.path("late")) if event.get("late") else None,
    }
"""
MODEL = Random(7).randbytes(6_000_000)


@pytest.fixture(scope="session")
def built(run_lambdapack: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, built once; its traced handler reads the assets."""
    folder = tmp_path_factory.mktemp("assets")
    (folder / "lambdapack.toml").write_text(CONFIGURATION)
    (folder / "app.py").write_text(APP)
    (folder / "words.txt").write_text("some words\n" * 1000)
    (folder / "late.bin").write_bytes(b"late" * 1000)
    (folder / "model").mkdir()
    (folder / "model/weights.bin").write_bytes(MODEL)
    (folder / "model/README.md").write_text("not needed")
    run_lambdapack("build", cwd=folder)
    return folder


def _built(folder: Path) -> dict[str, dict[str, Any]]:
    document = json.loads((folder / ".lambdapack/build/assets.json").read_text())
    return {one["name"]: one for one in document["assets"]}


def test_the_local_cloud_serves_a_file_and_a_folder(run_lambdapack: Run, tiny: Path) -> None:
    """Build, deploy, invoke: what path() gives is the asset, below the shim's root; warm it costs nothing."""
    run_lambdapack("deploy", cwd=tiny)
    document = shown(run_lambdapack("invoke", "--count", "2", "--json", "--payload", '{"late": 1}', cwd=tiny))
    cold, warm = (one["payload"] for one in document["invocations"])
    assert cold == warm
    assert cold["files"] == ["weights.bin"]
    assert cold["at"].startswith("/tmp/lambdapack/assets/")
    assert cold["model"] == hashlib.sha256(MODEL).hexdigest()
    assert cold["late"] == hashlib.sha256(b"late" * 1000).hexdigest()


def test_changed_code_changes_no_asset(run_lambdapack: Run, tiny: Path) -> None:
    """After a change of the handler its zip differs; the assets are neither built nor copied again."""
    run_lambdapack("deploy", cwd=tiny)
    before = _built(tiny)
    objects = {path: path.stat().st_mtime_ns for path in (tiny / ".lambdapack/local/s3").rglob("*.tar.zst")}
    assert len(objects) == 4
    (tiny / "app.py").write_text(APP + "\n# changed\n")
    run_lambdapack("build", cwd=tiny)
    assert _built(tiny) == before
    run_lambdapack("deploy", cwd=tiny)
    names = {one["id"] for one in before.values()}
    assert {
        path: path.stat().st_mtime_ns
        for path in (tiny / ".lambdapack/local/s3").rglob("*.tar.zst")
        if path.name.removesuffix(".tar.zst") in names
    }.items() <= objects.items()
    assert shown(run_lambdapack("invoke", "--json", cwd=tiny))["invocations"][0]["payload"]["six"] == "1.17.0"


def test_the_zip_has_the_indexes_and_not_the_files(run_lambdapack: Run, tiny: Path) -> None:
    """An asset below the handler's folder is left out of the zip: its pack has it."""
    run_lambdapack("package", "--location", "s3://bucket/prefix", "-o", "f.zip", cwd=tiny)
    with zipfile.ZipFile(tiny / "f.zip") as archive:
        names = set(archive.namelist())
        location = json.loads(archive.read("runtime_shim/location.json"))
        model = json.loads(archive.read("runtime_shim/assets/model/location.json"))
        words = json.loads(archive.read("runtime_shim/assets/words/location.json"))
    assert not {"words.txt", "late.bin", "model/weights.bin", "model/README.md"} & names
    assert "runtime_shim/assets/late/index.json" in names
    assert location["assets"] == ["words", "model"]
    assert model["key"] == f"prefix/packs/{model['id'][:2]}/{model['id']}.tar.zst"
    assert (model["id"], model["file"], words["file"]) == (_built(tiny)["model"]["id"], "", "words.txt")


def test_an_asset_that_was_not_built_is_refused(run_lambdapack: Run, tiny: Path) -> None:
    """deploy, plan and package do not deploy another configuration's assets; build mends it."""
    path = tiny / "lambdapack.toml"
    path.write_text(path.read_text().replace("late =", "later ="))
    for command in ("deploy", "plan", "package"):
        said = run_lambdapack(command, cwd=tiny, status=2).stderr
        assert "late, later" in said
        assert "lambdapack build" in said
    app = tiny / "app.py"
    app.write_text(APP.replace('"late")', '"later")'))
    run_lambdapack("build", cwd=tiny)
    run_lambdapack("plan", cwd=tiny)


def test_a_missing_asset_is_a_mistake_of_the_configuration(run_lambdapack: Run, tiny: Path) -> None:
    """The message names the asset and the path that was looked for."""
    (tiny / "words.txt").unlink()
    said = run_lambdapack("build", cwd=tiny, status=2).stderr
    assert f"asset words: there is no file or folder {tiny}/words.txt" in said


def test_plan_counts_the_assets(run_lambdapack: Run, tiny: Path) -> None:
    """Their bytes are in /tmp, on the link, in memory and in the budget; a broken one is status 1."""
    document = shown(run_lambdapack("plan", "--json", cwd=tiny))
    checks = {check["name"]: check for check in document["checks"]}
    assert checks["tmp"]["measured"] > len(MODEL)
    assert len(MODEL) < checks["memory.assets"]["measured"] < len(MODEL) + 20_000
    assert checks["init.assets"]["measured"] > len(MODEL) / 75e6
    assert [one["name"] for one in document["assets"]] == ["words", "model", "late"]
    with (tiny / "lambdapack.toml").open("a") as file:
        file.write("[budget]\nassets = 5\n")
    done = run_lambdapack("plan", cwd=tiny, status=1)
    assert "budget.assets is 6.0 MB, over 5.0 MB" in done.stderr
    assert "the asset model (6.0 MB) is the most" in done.stderr
    assert "model" in done.stdout


def test_verify_and_inspect_know_them(run_lambdapack: Run, tiny: Path) -> None:
    """A damaged asset is status 1; each is listed with its pack."""
    found = shown(run_lambdapack("verify", "--json", cwd=tiny))
    assert [(one["asset"], one["sound"]) for one in found["assets"]] == [
        ("words", True), ("model", True), ("late", True),
    ]  # fmt: skip
    listed = shown(run_lambdapack("inspect", "--json", cwd=tiny))
    assert {one["name"]: one["id"] for one in listed["assets"]} == {
        name: one["id"] for name, one in _built(tiny).items()
    }
    assert "model" in run_lambdapack("inspect", cwd=tiny).stdout
    path = tiny / ".lambdapack/build" / _built(tiny)["model"]["pack"]
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)
    assert f"{path} is not sound" in run_lambdapack("verify", cwd=tiny, status=1).stderr


def test_a_function_may_have_assets_alone(run_lambdapack: Run, tmp_path: Path) -> None:
    """No requirement at all: it is built, planned, deployed and answers; its empty pack is never fetched."""
    (tmp_path / "lambdapack.toml").write_text('[function]\nname = "alone"\n[assets]\nwords = "words.txt"\n')
    (tmp_path / "words.txt").write_text("two words")
    (tmp_path / "app.py").write_text(
        "import runtime_shim\n"
        "def handler(event, context):\n"
        "    with open(runtime_shim.path('words')) as file:\n"
        "        return [file.read(), runtime_shim.stats()['requests']]\n"
    )
    built = shown(run_lambdapack("build", "--json", cwd=tmp_path))
    assert built["distributions"] == []
    assert [one["name"] for one in built["assets"]] == ["words"]
    assert shown(run_lambdapack("plan", "--json", cwd=tmp_path))["ok"]
    run_lambdapack("deploy", cwd=tmp_path)
    invoked = shown(run_lambdapack("invoke", "--json", cwd=tmp_path))
    assert invoked["invocations"][0]["payload"] == ["two words", 0]
    (tmp_path / "lambdapack.toml").write_text('[function]\nname = "alone"\n')
    assert "no requirements were given" in run_lambdapack("build", cwd=tmp_path, status=2).stderr


def test_status_and_destroy_know_them(run_lambdapack: Run, tiny: Path) -> None:
    """What is deployed says its assets; destroying the last function that has them removes their packs."""
    run_lambdapack("deploy", cwd=tiny)
    run_lambdapack("deploy", "second", cwd=tiny)
    functions = shown(run_lambdapack("status", "--json", cwd=tiny))["functions"]
    assert [one["assets"]["model"]["id"] for one in functions] == [_built(tiny)["model"]["id"]] * 2
    assert "asset model " in run_lambdapack("status", cwd=tiny).stdout
    run_lambdapack("destroy", cwd=tiny)
    assert len(list((tiny / ".lambdapack/local/s3").rglob("*.tar.zst"))) == 4
    run_lambdapack("destroy", "second", cwd=tiny)
    assert list((tiny / ".lambdapack/local/s3").rglob("*.tar.zst")) == []


def test_too_little_tmp_is_told_with_the_setting(run_lambdapack: Run, tiny: Path) -> None:
    """In the local cloud, whose /tmp is as small as it was set: the asset's name and what helps."""
    (tiny / "model/weights.bin").write_bytes(bytes(700_000_000))
    run_lambdapack("build", cwd=tiny)
    assert "set tmp to" in run_lambdapack("plan", cwd=tiny, status=1).stderr
    run_lambdapack("deploy", cwd=tiny)
    said = run_lambdapack("invoke", cwd=tiny, status=1)
    assert "the asset model (with what else is on its way) needs 70" in said.stdout + said.stderr
    assert "lambdapack deploy --tmp" in said.stdout + said.stderr


@pytest.fixture
def cloud() -> Iterator[tuple[list[tuple[str, str]], Any]]:
    """moto's server: the environment that points at it, and a client of its S3 with a versioned bucket."""
    import boto3  # noqa: PLC0415 - slow

    with empty_aws() as url:
        environment = {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        s3 = boto3.client("s3", endpoint_url=url, region_name="eu-central-1", **keys)
        s3.create_bucket(Bucket="packs", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        s3.put_bucket_versioning(Bucket="packs", VersioningConfiguration={"Status": "Enabled"})
        yield list(environment.items()), s3


def _puts(s3: Any) -> dict[str, int]:
    """How often each pack was written: a bucket with versions keeps every one."""
    counts: dict[str, int] = {}
    for one in s3.list_object_versions(Bucket="packs", Prefix="prefix/packs/").get("Versions", []):
        counts[one["Key"]] = counts.get(one["Key"], 0) + 1
    return counts


def test_deploy_to_aws_uploads_each_asset_once(run_lambdapack: Run, tiny: Path, cloud: Any) -> None:
    """Changed code is a new zip and no upload of an asset; a dry run says what would be uploaded."""
    environment, s3 = cloud
    to_aws = ("deploy", "--cloud", "aws", "--location", "s3://packs/prefix")
    said = run_lambdapack(*to_aws, "--dry-run", cwd=tiny, environment=environment).stdout
    assert "would upload the pack, the asset words, the asset model, the asset late to s3://packs" in said
    done = shown(run_lambdapack(*to_aws, "--json", cwd=tiny, environment=environment))
    first = _puts(s3)
    assert set(first.values()) == {1}
    assert len(first) == 4
    (tiny / "app.py").write_text(APP + "\n# changed\n")
    again = shown(run_lambdapack(*to_aws, "--json", cwd=tiny, environment=environment))
    assert again["function_version"] == "2"
    assert _puts(s3) == first
    status = shown(run_lambdapack("status", "--cloud", "aws", "--json", cwd=tiny, environment=environment))
    assert [one["assets"] for one in status["versions"]] == [done["assets"]] * 2
    pushed = run_lambdapack("push", ".lambdapack/build", "s3://packs/prefix", "--json", cwd=tiny,
                            environment=environment)  # fmt: skip
    assert [one["sent"] for one in shown(pushed)["assets"]] == [False] * 3
