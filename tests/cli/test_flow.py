"""A small project through every command, as a user types them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lambdapack.report.units import megabytes
from tests.support.aws_world import empty_aws
from tests.support.command_line import Run, shown

CONFIGURATION = """\
[build]
requirements = ["six==1.17.0"]
[trace]
handler = "app.handler"
event = "event.json"
[function]
name = "tiny"
"""
APP = """\
import runtime_shim
import six

def handler(event, context):
    if event.get("fail"):
        raise ValueError("as asked")
    return {"six": six.__version__, "file": six.__file__, "event": event}
"""


def small_project(folder: Path, run_lambdapack: Run) -> Path:
    """Write the project into ``folder`` and build it."""
    (folder / "lambdapack.toml").write_text(CONFIGURATION)
    (folder / "app.py").write_text(APP)
    (folder / "event.json").write_text('{"n": 1}')
    run_lambdapack("build", cwd=folder)
    return folder


@pytest.fixture(scope="session")
def built(run_lambdapack: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, built once."""
    return small_project(tmp_path_factory.mktemp("tiny"), run_lambdapack)


def _pack(folder: Path) -> Path:
    return next((folder / ".lambdapack" / "build").glob("*.tar.zst"))


def test_the_build_folder_holds_the_four_files(tiny: Path) -> None:
    """ID.tar.zst, ID.index.json, ID.cdx.json and build.json, and nothing else."""
    report = json.loads((tiny / ".lambdapack/build/build.json").read_text())
    assert report["document"] == "lambdapack.build"
    assert report["version"] == 1
    assert [one["name"] for one in report["distributions"]] == ["six"]
    names = sorted(path.name for path in (tiny / ".lambdapack/build").iterdir())
    kinds = ("tar.zst", "index.json", "cdx.json")
    assert names == sorted(["build.json", *(f"{report['id']}.{kind}" for kind in kinds)])


def test_the_same_inputs_are_reused_in_another_folder_too(run_lambdapack: Run, tiny: Path) -> None:
    """A moved project keeps its build: no path is among the inputs."""
    assert shown(run_lambdapack("build", "--json", cwd=tiny))["reused"]


def test_a_changed_handler_or_option_or_a_damaged_pack_is_built_again(
    run_lambdapack: Run, tiny: Path
) -> None:
    """Only a build of these very inputs whose pack is sound is reused; what replaces it cleans up."""
    before = _pack(tiny)
    with before.open("r+b") as file:
        file.seek(10)
        file.write(b"damaged")
    assert not shown(run_lambdapack("build", "--no-cache", "--json", cwd=tiny))["reused"]
    run_lambdapack("verify", cwd=tiny)
    (tiny / "app.py").write_text(APP + "\nimport six.moves.urllib.parse\n")
    assert not shown(run_lambdapack("build", "--json", cwd=tiny))["reused"]
    document = shown(run_lambdapack("build", "--no-sources", "--level", "3", "--json", cwd=tiny))
    assert not document["reused"]
    assert document["id"] != before.name.removesuffix(".tar.zst")
    assert [path.name for path in (tiny / ".lambdapack/build").glob("*.tar.zst")] == [
        f"{document['id']}.tar.zst"
    ]


def test_inspect_lists_files_and_bands(run_lambdapack: Run, tiny: Path) -> None:
    """For people and for machines, with every file in pack order."""
    document = shown(run_lambdapack("inspect", "--json", cwd=tiny))
    bill = json.loads(Path(document["sbom"]).read_text())
    assert [one["purl"] for one in bill["components"]] == ["pkg:pypi/six@1.17.0"]
    assert document["target"].startswith("python3.")
    listed = run_lambdapack("inspect", _pack(tiny), "--files", cwd=tiny).stdout.splitlines()
    assert listed[0].split() == ["id", document["id"]]
    frames, hot, eager = document["frames"], document["hot"], document["eager"]
    assert 0 < hot <= eager < len(frames), "six's bytecode is hot, its source is fetched on demand"
    for band, part in (
        ("hot", frames[:hot]),
        ("before the first invocation", frames[hot:eager]),
        ("on demand", frames[eager:]),
    ):
        stored, size = (sum(frame[key] for frame in part) for key in ("stored", "size"))
        assert f"{band} {len(part)} {megabytes(stored)} {megabytes(size)}" in [
            " ".join(line.split()) for line in listed
        ]
    files = [line.split() for line in listed[-len(document["files"]) :]]
    assert [(kind, int(size.replace(",", "")), path) for kind, size, _, path in files] == [
        (file["class"], file["size"], file["path"]) for file in document["files"]
    ]
    assert files[0][3].startswith("__pycache__/six."), "what the trace touched first comes first"
    assert files[-1][0::3] == ["source", "six.py"]


def test_a_damaged_pack_is_status_1_everywhere(run_lambdapack: Run, tiny: Path) -> None:
    """verify lists what is wrong; every command refuses a truncated pack by name and reason."""
    path = _pack(tiny)
    data = path.read_bytes()
    path.write_bytes(data[:10] + b"x" * 10 + data[20:])
    assert "frame 0" in run_lambdapack("verify", cwd=tiny, status=1).stderr
    path.write_bytes(data[:-100])
    for command in ("inspect", "deploy", "verify", "plan"):
        said = run_lambdapack(command, cwd=tiny, status=1).stderr
        assert f"{path.name} is not a sound pack: the file does not end in a seek table" in said
        assert "lambdapack build" in said
    assert "nothing" in run_lambdapack("status", cwd=tiny).stdout


def test_package_writes_the_zip_and_its_address(run_lambdapack: Run, tiny: Path) -> None:
    """The contract's own command line: handler, shim and location are in the zip."""
    arguments = (
        "--handler",
        "app.handler",
        "--pack",
        ".lambdapack/build",
        "--location",
        "s3://bucket/prefix",
    )
    run_lambdapack("package", ".", *arguments, "--output", "function.zip", cwd=tiny)
    with zipfile.ZipFile(tiny / "function.zip") as archive:
        names = archive.namelist()
        location = json.loads(archive.read("runtime_shim/location.json"))
    assert "app.py" in names
    assert "runtime_shim/__init__.py" in names
    assert not any(name.startswith(".lambdapack") for name in names)
    assert location["bucket"] == "bucket"
    assert location["key"].startswith("prefix/packs/")


def test_package_refuses_a_handler_that_is_not_there(run_lambdapack: Run, tiny: Path) -> None:
    """A wrong handler is found before anything is deployed."""
    assert "nothing" in run_lambdapack("package", "--handler", "app.nothing", cwd=tiny, status=2).stderr
    assert "absent" in run_lambdapack("deploy", "--handler", "absent.handler", cwd=tiny, status=2).stderr


def test_push_to_a_folder_twice_sends_once(run_lambdapack: Run, tiny: Path) -> None:
    """A pack that is in the store is not sent again."""
    first = shown(run_lambdapack("push", ".lambdapack/build", "packs", "--json", cwd=tiny))
    again = shown(run_lambdapack("push", ".lambdapack/build", "packs", "--json", cwd=tiny))
    assert (first["sent"], again["sent"]) == (True, False)


def test_plan_holds_the_budget(run_lambdapack: Run, tiny: Path) -> None:
    """A budget that is broken is status 1, with the measurement; one that holds is status 0."""
    run_lambdapack("plan", cwd=tiny)
    with (tiny / "lambdapack.toml").open("a") as file:
        file.write("[budget]\npack = 0.001\n")
    done = run_lambdapack("plan", "--json", cwd=tiny, status=1)
    broken = [check["name"] for check in shown(done)["checks"] if not check["ok"]]
    assert broken == ["budget.pack"]
    assert "over 1.0 kB" in done.stderr


def test_plan_says_what_a_stated_traffic_costs(run_lambdapack: Run, tiny: Path) -> None:
    """Three kinds of start side by side; without the table one line names the table."""
    plain = run_lambdapack("plan", cwd=tiny)
    assert "[traffic] table" in plain.stdout and "a million invocations" not in plain.stdout
    assert shown(run_lambdapack("plan", "--json", cwd=tiny))["costs"] is None
    with (tiny / "lambdapack.toml").open("a") as file:
        file.write(
            '[store]\nregion = "eu-central-1"\n[traffic]\ninvocations = 10_000\nduration = 150\ncold = 0.02\n'
        )
    found = shown(run_lambdapack("plan", "--json", cwd=tiny))["costs"]
    assert (found["region"], found["traffic"]["cold"]) == ("eu-central-1", 0.02)
    text = " ".join(run_lambdapack("plan", cwd=tiny).stdout.split())
    assert "a million invocations" in text and "[traffic] table" not in text
    for option in found["options"]:
        said = f"{option['kind']} ${option['month']:,.2f}"
        assert said in text or (option["refused"] and f"not to be had: {option['refused']}" in text)


def test_plan_refuses_the_settings_that_a_deployment_refuses(run_lambdapack: Run, tiny: Path) -> None:
    """What Lambda refuses whatever the sizes are is status 1, in the words of ``deploy``."""
    with (tiny / "lambdapack.toml").open("a") as file:
        file.write("tmp = 1024\nsnap-start = true\n")
    done = run_lambdapack("plan", "--json", cwd=tiny, status=1)
    (broken,) = [check for check in shown(done)["checks"] if not check["ok"]]
    assert (broken["name"], broken["kind"]) == ("settings", "limit")
    assert broken["note"] in done.stderr
    assert broken["note"] in run_lambdapack("deploy", cwd=tiny, status=2).stderr
    assert "snap-start takes at most 512 MB of tmp, and the function has 1024 MB" in broken["note"]


def test_deploy_invoke_status_destroy(run_lambdapack: Run, tiny: Path) -> None:
    """Cold then warm in one command; a handler's error is status 1; nothing is left after destroy."""
    document = shown(run_lambdapack("deploy", "--dry-run", "--json", cwd=tiny))
    assert document["dry_run"]
    assert "nothing" in run_lambdapack("status", cwd=tiny).stdout
    run_lambdapack("deploy", cwd=tiny)
    document = shown(run_lambdapack("invoke", "tiny", "--count", "2", "--json", cwd=tiny))
    assert [one["cold"] for one in document["invocations"]] == [True, False]
    answer = document["invocations"][0]["payload"]
    assert (answer["six"], answer["event"]) == ("1.17.0", {"n": 1})
    assert answer["file"].startswith("/tmp/lambdapack/")
    assert run_lambdapack("invoke", "--quiet", "--payload", "{}", cwd=tiny).stdout.count("\n") == 1
    failed = run_lambdapack("invoke", "--payload", '{"fail": true}', cwd=tiny, status=1)
    assert json.loads(failed.stdout)["errorMessage"] == "as asked"
    assert [one["name"] for one in shown(run_lambdapack("status", "--json", cwd=tiny))["functions"]] == [
        "tiny"
    ]
    run_lambdapack("destroy", cwd=tiny)
    assert shown(run_lambdapack("status", "--json", cwd=tiny))["functions"] == []


def test_profile_adds_up_and_names_who_imports_what_is_never_called(run_lambdapack: Run, tiny: Path) -> None:
    """One document for machines, tables for people, the number of milliseconds alone with --quiet."""
    (tiny / "app.py").write_text("import runtime_shim, spare\n" + APP)
    (tiny / "spare.py").write_text("def never(): pass\n")
    run_lambdapack("deploy", cwd=tiny)
    slow = ("--bandwidth", "1", "--latency", "50")
    document = shown(run_lambdapack("profile", "--json", "--memory", "256", *slow, cwd=tiny))
    assert (document["document"], document["version"]) == ("lambdapack.profile", 1)
    assert (document["function"], document["memory_mb"]) == ("tiny", 256)
    imports = {one["name"]: one for one in document["imports"]}
    assert imports["six"]["waited_bytes"] > 0 and imports["six"]["origin"] == "pack"
    assert document["imports"][imports["six"]["parent"]]["name"] == "app"
    init = document["phases"][0]
    parts = [one["self_ms"] for one in document["imports"] + document["waits"] if one["phase"] == "init"]
    assert round(sum(parts) + init["other_ms"] + document["before_ms"], 3) == document["init_ms"]
    (spare,) = [group for group in document["never_called"] if group["name"] == "spare"]
    assert spare["importers"] == ["app"] and spare["self_ms"] == imports["spare"]["self_ms"]
    said = run_lambdapack("profile", "--top", "200", cwd=tiny).stdout
    assert "imports from the pack" in said and "of 1769 MB" in said
    listed = said.partition("imported, never called")[2]
    assert [line.split()[-1] for line in listed.splitlines() if line.startswith("spare ")] == ["app"]
    assert float(run_lambdapack("profile", "--quiet", cwd=tiny).stdout) > 0
    failed = run_lambdapack("profile", "--payload", "{}", "--payload", '{"fail": true}', cwd=tiny, status=1)
    assert "profiling tiny: invocation 2 failed" in failed.stderr and "as asked" in failed.stderr
    assert "there is no function 'other'" in run_lambdapack("profile", "other", cwd=tiny, status=2).stderr


def test_a_running_local_cloud_keeps_environments_warm(
    run_lambdapack: Run, tiny: Path, lambdapack_cache: Path
) -> None:
    """With `lambdapack local` running, the second command's invocation is warm."""
    run_lambdapack("deploy", cwd=tiny)
    server = subprocess.Popen(
        [sys.executable, "-m", "lambdapack", "local", "--quiet"],
        cwd=tiny,
        env={**os.environ, "LAMBDAPACK_CACHE": str(lambdapack_cache)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        assert server.stdout.readline().startswith("127.0.0.1:")
        colds = [
            shown(run_lambdapack("invoke", "--json", cwd=tiny))["invocations"][0]["cold"] for _ in range(2)
        ]
        assert colds == [True, False]
    finally:
        server.terminate()
        assert server.wait(timeout=30) == 0


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str]]]:
    """moto's server; yields the environment that points AWS's tools at it."""
    with empty_aws() as url:
        yield [
            ("AWS_ENDPOINT_URL", url),
            ("AWS_ACCESS_KEY_ID", "testing"),
            ("AWS_SECRET_ACCESS_KEY", "testing"),
            ("AWS_DEFAULT_REGION", "eu-central-1"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ]


def test_deploy_to_aws(run_lambdapack: Run, tiny: Path, aws: list[tuple[str, str]]) -> None:
    """Dry run, deployment, a second one that changes nothing, status and destroy, against moto."""
    import boto3  # noqa: PLC0415 - slow

    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    s3 = boto3.client("s3", endpoint_url=aws[0][1], region_name="eu-central-1", **keys)
    s3.create_bucket(Bucket="packs", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    to_aws = ("--cloud", "aws", "--location", "s3://packs/prefix", "--json")
    dry = shown(run_lambdapack("deploy", *to_aws, "--dry-run", cwd=tiny, environment=aws))
    assert (dry["cloud"], dry["dry_run"], dry["arn"], dry["function_version"]) == ("aws", True, None, None)
    assert s3.list_objects_v2(Bucket="packs")["KeyCount"] == 0
    done = shown(run_lambdapack("deploy", *to_aws, cwd=tiny, environment=aws))
    assert [call["operation"] for call in done["calls"]] == [
        "create_role", "put_role_policy", "create_log_group", "create_function", "publish_version",
        "create_alias",
    ]  # fmt: skip
    assert {**done, "arn": None, "function_version": None, "dry_run": True} == dry
    assert done["function_version"] == "1"
    assert done["arn"].endswith(":tiny:live")
    again = shown(run_lambdapack("deploy", *to_aws, cwd=tiny, environment=aws))
    assert again["calls"] == []
    status = shown(run_lambdapack("status", "--cloud", "aws", "--json", cwd=tiny, environment=aws))
    (version,) = status["versions"]
    known = {"number": "1", "pack": done["pack"], "place": "s3", "assets": {}, "snapshot": False}
    assert known | {"weight": 1.0, "missing": False} == {
        key: version[key] for key in (*known, "weight", "missing")
    }
    assert version["bytes"] == _pack(tiny).stat().st_size
    run_lambdapack("destroy", "--cloud", "aws", cwd=tiny, environment=aws)
    status = shown(run_lambdapack("status", "--cloud", "aws", "--json", cwd=tiny, environment=aws))
    assert not status["deployed"]


def test_settings_and_secrets_reach_aws_and_no_file(
    run_lambdapack: Run, tiny: Path, aws: list[tuple[str, str]]
) -> None:
    """Variables of a file and a secret are in the function; in no output, not in build.json or the zip."""
    import boto3  # noqa: PLC0415 - slow

    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    where: dict[str, str] = {"endpoint_url": aws[0][1], "region_name": "eu-central-1"}
    boto3.client("ssm", **where, **keys).put_parameter(Name="token", Value="hush-1", Type="SecureString")
    (tiny / "deploy.env").write_text("# ours\nPASSWORD='hush-2'\n")
    with (tiny / "lambdapack.toml").open("a") as file:
        file.write(
            'place = "zip"\nenvironment-file = "deploy.env"\ntags = {team = "a"}\n'
            "reserved-concurrency = 3\n"
            'callers = [{principal = "s3.amazonaws.com", source-arn = "arn:aws:s3:::uploads"}]\n'
            'secrets = {TOKEN = "ssm:token"}\n'
        )
    run_lambdapack("build", cwd=tiny)
    done = run_lambdapack("deploy", "--cloud", "aws", "--json", cwd=tiny, environment=aws)
    assert "TOKEN: in the environment of tiny" in done.stderr
    operations = [call["operation"] for call in shown(done)["calls"]]
    assert operations[-4:] == [
        "put_function_concurrency",
        "publish_version",
        "create_alias",
        "add_permission",
    ]
    client = boto3.client("lambda", **where, **keys)
    found = client.get_function(FunctionName="tiny")
    variables = found["Configuration"]["Environment"]["Variables"]
    assert variables == {"TOKEN": "hush-1", "PASSWORD": "hush-2"}
    assert (found["Tags"], found["Concurrency"]) == ({"team": "a"}, {"ReservedConcurrentExecutions": 3})
    assert "arn:aws:s3:::uploads" in client.get_policy(FunctionName="tiny", Qualifier="live")["Policy"]
    again = run_lambdapack("deploy", "--cloud", "aws", "--json", cwd=tiny, environment=aws)
    assert shown(again)["calls"] == []
    assert "hush" not in done.stdout + done.stderr + again.stdout + again.stderr
    assert "hush" not in (tiny / ".lambdapack/build/build.json").read_text()
    with zipfile.ZipFile(tiny / ".lambdapack/tiny.zip") as archive:
        assert "app.py" in archive.namelist() and "deploy.env" not in archive.namelist()
    (tiny / "deploy.env").unlink()
    gone = run_lambdapack("deploy", "--cloud", "aws", cwd=tiny, environment=aws, status=2)
    assert "cannot read" in gone.stderr and "deploy.env" in gone.stderr


def test_aws_needs_a_location_and_credentials(run_lambdapack: Run, tiny: Path, tmp_path: Path) -> None:
    """Without a bucket it is the configuration's fault, without credentials the machine's."""
    assert "[store]" in run_lambdapack("deploy", "--cloud", "aws", cwd=tiny, status=2).stderr
    bare = [
        ("HOME", str(tmp_path)),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_DEFAULT_REGION", "eu-west-1"),
    ]
    keys = [name for name in os.environ if name.startswith("AWS_")]
    done = run_lambdapack(
        "push", ".lambdapack/build", "s3://bucket", cwd=tiny, status=3, environment=bare, unset=keys
    )
    assert "credentials" in done.stderr


@pytest.mark.parametrize("place", ["zip", "layer", "mount"])
def test_a_pack_in_another_place_goes_through_every_command(
    run_lambdapack: Run, tiny: Path, place: str
) -> None:
    """The plan weighs it, a deployment answers without S3, status and verify know where the pack is."""
    with (tiny / "lambdapack.toml").open("a") as file:
        file.write(f'place = "{place}"\nmount = "/mnt/packs"\n')
    planned = shown(run_lambdapack("plan", "--json", cwd=tiny))
    assert planned["place"] == place
    assert [option["place"] for option in planned["places"]] == ["s3", "zip", "layer", "mount"]
    assert all(option["fits"] for option in planned["places"])
    deployed = shown(run_lambdapack("deploy", "--json", cwd=tiny))
    assert len(deployed["layers"]) == (place == "layer")
    assert ("kB layer, pack " in run_lambdapack("deploy", cwd=tiny).stdout) == (place == "layer")
    answer = shown(run_lambdapack("invoke", "--json", cwd=tiny))["invocations"][0]
    assert answer["payload"]["six"] == "1.17.0"
    assert answer["stats"]["bytes"] > 0
    assert f"in its {place}" in run_lambdapack("status", cwd=tiny).stdout
    path = tiny / ".lambdapack/tiny.zip"
    (pack,) = shown(run_lambdapack("verify", path, "--json", cwd=tiny))["packs"]
    assert (pack["pack"], pack["checked"]) == (deployed["pack"], place != "mount")
    run_lambdapack("destroy", cwd=tiny)
    kept = [
        path for place in ("s3", "mounts") for path in (tiny / ".lambdapack/local" / place).rglob("*.zst")
    ]
    assert kept == []


def test_verify_finds_what_is_wrong_in_a_zip_and_its_layers(run_lambdapack: Run, tiny: Path) -> None:
    """A layer that is missing, and bytes that are not the pack's, are named with status 1."""
    run_lambdapack("package", "--place", "layer", cwd=tiny)
    layer = tiny / "function.layer1.zip"
    with zipfile.ZipFile(layer) as archive:
        ((name, content),) = [(name, archive.read(name)) for name in archive.namelist()]
    assert "sound" in run_lambdapack("verify", "function.zip", cwd=tiny).stdout
    with zipfile.ZipFile(layer, "w") as archive:
        archive.writestr(name, content[:10] + b"changed" + content[17:])
    assert "frame 0" in run_lambdapack("verify", "function.zip", cwd=tiny, status=1).stderr
    layer.unlink()
    said = run_lambdapack("verify", "function.zip", cwd=tiny, status=1).stderr
    assert f"/opt/{name} is not in function.zip, nor in a layer beside it" in said
    said = run_lambdapack("verify", "function.zip", "--rebuild", cwd=tiny, status=2).stderr
    assert "takes a build's pack" in said
    (tiny / "other.zip").write_bytes(layer.name.encode())
    assert "not a function's zip" in run_lambdapack("verify", "other.zip", cwd=tiny, status=2).stderr


def test_layer_writes_what_an_unchanged_function_needs(run_lambdapack: Run, tiny: Path) -> None:
    """Shim, wrapper and pack in one zip, and the variable to set; verify knows it."""
    document = shown(run_lambdapack("layer", "--json", cwd=tiny))
    assert document["environment"] == {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/lambdapack-wrapper"}
    (layer,) = document["layers"]
    with zipfile.ZipFile(tiny / layer["path"]) as archive:
        names = set(archive.namelist())
        assert archive.getinfo("lambdapack-wrapper").external_attr >> 16 & 0o111
    assert {f"lambdapack/{document['pack']}.1", "python/runtime_shim/__init__.py"} <= names
    assert "sound" in run_lambdapack("verify", "layer.zip", cwd=tiny).stdout
    assert "[store]" in run_lambdapack("layer", "--place", "s3", cwd=tiny, status=2).stderr


def test_layers_go_to_aws_without_a_bucket(
    run_lambdapack: Run, tiny: Path, aws: list[tuple[str, str]]
) -> None:
    """No location is asked for; status and rollback know the place; the next place takes the layer off."""
    to_aws = ("deploy", "--cloud", "aws", "--json")
    done = shown(run_lambdapack(*to_aws, "--place", "layer", cwd=tiny, environment=aws))
    assert "publish_layer_version" in [call["operation"] for call in done["calls"]]
    run_lambdapack(*to_aws, "--place", "zip", cwd=tiny, environment=aws)
    status = shown(run_lambdapack("status", "--cloud", "aws", "--json", cwd=tiny, environment=aws))
    assert [version["place"] for version in status["versions"]] == ["layer", "zip"]
    back = shown(run_lambdapack("rollback", "--json", cwd=tiny, environment=aws))
    assert (back["function_version"], back["pack"]) == ("1", done["pack"])
    said = run_lambdapack("status", "--cloud", "aws", cwd=tiny, environment=aws).stdout
    assert "in its layer  <- live" in said
