"""What an export says and writes, whatever the tool: values in, texts out, files of others left alone."""

from __future__ import annotations

import ast
import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lambdapack import limits
from lambdapack.deploy import FunctionOptions
from lambdapack.deploy.aws import naming
from lambdapack.deploy.export import TOOLS, Exported, Fragment, default_function, export
from lambdapack.deploy.export.tools import MARK, texts
from lambdapack.deploy.export.yaml import dump
from lambdapack.errors import ConfigurationError
from lambdapack.model import FunctionSettings, Location, Target
from lambdapack.pack import Pack, assets
from lambdapack.pack.assets import Asset
from tests.support import packing
from tests.support.command_line import Run, shown
from tests.support.other_tools.templates import read

BUCKET = "packs"
RICH = Fragment(
    "Function", Target("3.12", "arm64"), "ab" * 32, "s3", "some/where", layers=("layer.zip", "layer.2.zip"),
    environment={"STAGE": "a \"quoted\" ${text} %{x}"}, records={naming.PACK_VARIABLE: "pack"},
    objects=(Location(BUCKET, "x/packs/ab/id.tar.zst", "cn-north-1"),), tmp_mb=1024, memory_mb=2048,
    timeout=17, snap_start=True,
)  # fmt: skip


def locate(pack_id: str, prefix: str = "team") -> Location:
    return Location(BUCKET, f"{prefix}/packs/{pack_id[:2]}/{pack_id}.tar.zst", "eu-west-1")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """A small pack with an asset beside it."""
    folder = tmp_path_factory.mktemp("small")
    made = packing.pack(folder, packing.SAMPLE, *packing.SAMPLE_TOUCHED)
    (folder / "words.txt").write_text("some words")
    assets.build([Asset("words", folder / "words.txt", level=1)], made.path.parent)
    return made


Export = Callable[..., Exported]


@pytest.fixture
def exporting(built: Pack, tmp_path: Path, lambdapack_cache: Path) -> Export:
    """Exports the pack for a function of a project in ``tmp_path``."""
    (tmp_path / "app.py").write_text("import demo\ndef handler(event, context): return demo.ANSWER\n")

    def run(tool: str = "sam", place: str = "layer", function: str = "Function", **options: Any) -> Exported:
        described = FunctionOptions(
            function, "app.handler", tmp_path, packing.TARGET, place=place,  # type: ignore[arg-type]
            settings=options.pop("settings", FunctionSettings()),
            asset_places=options.pop("asset_places", {}),
        )  # fmt: skip
        options.setdefault("output", tmp_path / "lambdapack_export")
        options.setdefault("locate", locate)
        where = options.pop("locate")
        return export(
            tool, described, built, where, root=tmp_path, cache_dir=lambdapack_cache, **options
        )  # fmt: skip

    return run


@given(
    st.recursive(
        st.text() | st.integers() | st.booleans(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=12,
    )
)
def test_yaml_says_what_it_was_given(value: Any) -> None:
    """Every text stays that text: no number, boolean or comment is made of one."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return
    if any(ord(letter) in _NOT_IN_YAML for letter in json.dumps(value, ensure_ascii=False)):
        return
    assert yaml.safe_load(dump({"value": value})) == {"value": value}


# What YAML 1.1 takes for no character of a document, or for the end of a line.
_NOT_IN_YAML = {0x7F, *range(0x80, 0xA0), 0x2028, 0x2029, 0xFEFF, 0xFFFE, 0xFFFF, *range(0xD800, 0xE000)}


@pytest.mark.parametrize(
    "text", ["on", "No", "12:30", "1e3", "0x1f", "~", "a: b", "#x", "null", "", "-", "!t"]
)
def test_yaml_quotes_what_would_be_read_otherwise(text: str) -> None:
    """The texts that YAML is known to take for something else."""
    assert yaml.safe_load(dump({"key": [text, {text: text}]})) == {"key": [text, {text: text}]}


def test_sam_has_every_setting(tmp_path: Path) -> None:
    """Layers in order, settings, the alias, and a policy that names its objects by a parameter."""
    for name, text in texts("sam", RICH).items():
        (tmp_path / name).write_text(text)
    template, values = read(tmp_path / "sam.yaml"), read(tmp_path / "sam-parameters.yaml")
    function = template["Resources"]["Function"]["Properties"]
    assert function["Layers"] == [{"Ref": "LambdapackLayer"}, {"Ref": "LambdapackLayer2"}]
    second = template["Resources"]["LambdapackLayer2"]["Properties"]
    assert second["ContentUri"] == "some/where/layer.2.zip"
    assert (function["MemorySize"], function["Timeout"]) == (2048, 17)
    assert (function["EphemeralStorage"], function["Architectures"]) == ({"Size": 1024}, ["arm64"])
    assert function["SnapStart"] == {"ApplyOn": "PublishedVersions"}
    assert function["AutoPublishAlias"] == "live"
    assert (function["AutoPublishAliasAllProperties"], second["PublishLambdaVersion"]) == (True, True)
    variables = function["Environment"]["Variables"]
    assert variables == {"STAGE": 'a "quoted" ${text} %{x}', naming.PACK_VARIABLE: {"Ref": "LambdapackPack"}}
    statement = function["Policies"][0]["Statement"][0]
    assert (statement["Action"], statement["Resource"]) == (["s3:GetObject"], {"Ref": "LambdapackObjects"})
    assert values == {
        "LambdapackPack": "pack",
        "LambdapackObjects": "arn:aws-cn:s3:::packs/x/packs/ab/id.tar.zst",
    }
    assert all("Default" not in each for each in template["Parameters"].values())


def test_serverless_has_every_setting() -> None:
    """The same in the names that Serverless has for it."""
    document = yaml.safe_load(texts("serverless", RICH)["serverless.yml"])
    assert list(document["layers"]) == ["lambdapack", "lambdapack2"]
    function = document["function"]
    assert function["layers"] == [{"Ref": "LambdapackLambdaLayer"}, {"Ref": "Lambdapack2LambdaLayer"}]
    assert (function["memorySize"], function["timeout"], function["ephemeralStorageSize"]) == (2048, 17, 1024)
    assert (function["snapStart"], function["architecture"]) == (True, "arm64")
    assert document["statements"] == RICH.statements


def test_the_cdk_has_every_setting() -> None:
    """What is written is Python, with the arguments that the CDK's function takes."""
    text = texts("cdk", RICH)["__init__.py"]
    (construct,) = (node for node in ast.parse(text).body if isinstance(node, ast.ClassDef))
    assert construct.name == "Dependencies"
    keys = {node.value for node in ast.walk(construct) if isinstance(node, ast.Constant)}
    assert {"snap_start", "memory_size", "timeout", "ephemeral_storage_size", "layers", "layer.2.zip"} <= keys
    assert {2048, 17, 1024, 'a "quoted" ${text} %{x}', "ReadItsPack"} <= keys
    assert "ARM_64" in text


def test_terraform_has_every_setting() -> None:
    """A text of ours is no template of Terraform's; the slow tests read the whole with its own parser."""
    text = texts("terraform", RICH)["main.tf"]
    assert r'STAGE           = "a \"quoted\" $${text} %%{x}"' in text
    for name in ("memory_size", "timeout", "snap_start", "ephemeral_storage"):
        assert f'output "{name}"' in text
    assert "aws_lambda_layer_version.dependencies.arn, aws_lambda_layer_version.dependencies_2.arn" in text


def test_what_the_stack_has_stays_where_nothing_was_set() -> None:
    """Memory, timeout and /tmp are the stack's own; so is the handler, with a layer."""
    bare = replace(RICH, tmp_mb=None, memory_mb=None, timeout=None, snap_start=False)
    function = yaml.safe_load(texts("serverless", bare)["serverless.yml"])["function"]
    assert set(function) == {"runtime", "architecture", "layers", "environment"}


@pytest.mark.parametrize("tool", TOOLS)
def test_writing_again_changes_nothing(exporting: Export, tmp_path: Path, tool: str) -> None:
    """Not a byte, and no file is touched."""
    first = exporting(tool)
    assert set(first.changes.values()) == {"written"}
    folder = tmp_path / "lambdapack_export"
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert {path.name for path in before} == set(first.changes)
    assert set(exporting(tool).changes.values()) == {"unchanged"}
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_a_dry_run_writes_nothing(exporting: Export, tmp_path: Path) -> None:
    """And says what would be written."""
    assert exporting(dry_run=True).changes == exporting().changes
    assert exporting(dry_run=True).changes["layer.zip"] == "unchanged"


def test_nothing_at_all_is_there_after_a_dry_run(exporting: Export, tmp_path: Path) -> None:
    """Not even the folder."""
    exporting(dry_run=True)
    assert not (tmp_path / "lambdapack_export").exists()


@pytest.mark.parametrize("name", ["sam.yaml", "layer.zip"])
def test_a_file_of_somebody_else_stays(exporting: Export, tmp_path: Path, name: str) -> None:
    """It is named, and nothing beside it is written."""
    folder = tmp_path / "lambdapack_export"
    folder.mkdir()
    with zipfile.ZipFile(folder / name, "w") as theirs:
        theirs.writestr("python/theirs.py", "")
    before = (folder / name).read_bytes()
    with pytest.raises(ConfigurationError, match=name) as caught:
        exporting()
    assert "--output" in str(caught.value.hint)
    assert [path.name for path in folder.iterdir()] == [name]
    assert (folder / name).read_bytes() == before


def test_a_link_is_not_followed(exporting: Export, tmp_path: Path) -> None:
    """What it points to may be anybody's, even where it looks like ours."""
    folder = tmp_path / "lambdapack_export"
    folder.mkdir()
    (tmp_path / "other.yaml").write_text(f"# {MARK}\n")
    (folder / "sam.yaml").symlink_to("../other.yaml")
    with pytest.raises(ConfigurationError, match=r"sam\.yaml"):
        exporting()


def test_layers_that_are_no_longer_needed_go(
    exporting: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of ours alone; a smaller pack after a larger one leaves no layer behind that nothing names."""
    folder = tmp_path / "lambdapack_export"
    exporting()
    (folder / "layer.zip").rename(folder / "layer.2.zip")
    with zipfile.ZipFile(folder / "layer.theirs.zip", "w") as theirs:
        theirs.writestr("python/theirs.py", "")
    assert exporting().changes["layer.2.zip"] == "removed"
    assert sorted(path.name for path in folder.glob("*.zip")) == ["layer.theirs.zip", "layer.zip"]


@pytest.mark.parametrize(("place", "in_bucket"), [("layer", 0), ("s3", 2), ("zip", 0)])
def test_the_packs_are_recorded(exporting: Export, built: Pack, place: str, in_bucket: int) -> None:
    """What reads the environment of a deployed function knows the pack, the asset, and where each is."""
    made = exporting(place=place).fragment
    pack_id, where = naming.pack_of(made.variables[naming.PACK_VARIABLE]) or ("", None)
    assert (pack_id, where) == (built.id, locate(built.id) if in_bucket else None)
    ((name, (asset_id, there)),) = naming.assets_of(made.variables, where, pack_id).items()
    assert (name, there) == ("words", locate(asset_id) if in_bucket else None)
    assert len(made.arns) == in_bucket
    assert made.arns == tuple(sorted(f"arn:aws:s3:::{each.bucket}/{each.key}" for each in made.objects))


def test_an_asset_alone_may_be_in_s3(exporting: Export) -> None:
    """The role may read it, and it is recorded with its bucket."""
    made = exporting(asset_places={"words": "s3"}).fragment
    _, where = naming.pack_of(made.variables[naming.PACK_VARIABLE]) or ("", None)
    assert where is None
    ((_, (asset_id, there)),) = naming.assets_of(made.variables, where, made.pack_id).items()
    assert there == locate(asset_id)
    assert made.arns == (f"arn:aws:s3:::{BUCKET}/{locate(asset_id).key}",)


def test_a_zip_runs_the_handler_through_the_shim(exporting: Export, tmp_path: Path) -> None:
    """The code, which imports no shim, is in the zip as it is."""
    made = exporting(place="zip").fragment
    assert (made.code, made.handler, made.layers) == ("function.zip", "runtime_shim.handler", ())
    assert made.variables["LAMBDAPACK_HANDLER"] == "app.handler"
    with zipfile.ZipFile(tmp_path / "lambdapack_export/function.zip") as archive:
        assert archive.read("app.py") == (tmp_path / "app.py").read_bytes()
        assert "runtime_shim/pack.tar.zst" in archive.namelist()
    # Of the folder itself nothing is in the zip: another export finds the same code.
    assert exporting(place="zip").changes["function.zip"] == "unchanged"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"function": "with-dash"}, "letters and digits"),
        ({"function": "a b", "tool": "terraform"}, "cannot be called 'a b'"),
        ({"place": "mount", "settings": FunctionSettings(mount="/mnt/x")}, "mounted file system"),
        ({"asset_places": {"words": "zip"}}, "in the function's zip"),
        ({"place": "zip", "asset_places": {"words": "layer"}}, "another in a layer"),
        ({"place": "s3", "locate": lambda pack_id: locate(pack_id, "a,b")}, "a,b"),
        ({"place": "s3", "locate": lambda pack_id: locate(pack_id, "${x}")}, "mean something else"),
    ],
)
def test_what_a_tool_cannot_have_is_refused(
    exporting: Export, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    """With a hint, and before anything is written."""
    with pytest.raises(ConfigurationError) as caught:
        exporting(**options)
    assert said in str(caught.value)
    assert caught.value.hint
    assert not (tmp_path / "lambdapack_export").exists()


def test_a_function_has_a_name_that_the_tool_takes() -> None:
    """For SAM, what its samples would call it; elsewhere, its own."""
    assert default_function("sam", "my-hello_world") == "MyHelloWorldFunction"
    assert default_function("terraform", "my-hello_world") == "my-hello_world"


WORDS = '[assets]\nwords = "words.txt"\n'


def project(folder: Path, built: Pack, more: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "words.txt").write_text("some words")
    (folder / "lambdapack.toml").write_text(f'[function]\nname = "any"\n{more}')
    shutil.copytree(built.path.parent, folder / ".lambdapack/build")
    return folder


def test_the_command_says_what_it_wrote(run_lambdapack: Run, tmp_path: Path, built: Pack) -> None:
    """For a machine: the files, and the fragment with the configuration's own settings and no others."""
    folder = project(
        tmp_path / "any", built, 'place = "layer"\nmemory = 1024\nenvironment = { A = "b" }\n' + WORDS
    )
    said = shown(run_lambdapack("export", "cdk", "--json", cwd=folder))
    assert (said["document"], said["version"], said["tool"]) == ("lambdapack.export", 1, "cdk")
    assert said["files"] == {"layer.zip": "written", "__init__.py": "written"}
    fragment = said["fragment"]
    assert (fragment["memory"], fragment["timeout"], fragment["ephemeral_storage"]) == (1024, None, None)
    assert fragment["environment"]["A"] == "b"
    assert fragment["layers"] == ["lambdapack_export/layer.zip"]
    plain = run_lambdapack("export", "cdk", cwd=folder).stdout
    assert "layer.zip: unchanged" in plain
    assert "from lambdapack_export import Dependencies" in plain


@pytest.mark.slow
def test_a_pack_that_needs_more_tmp_says_so(
    run_lambdapack: Run, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The stack gets what a start needs; a setting that is too small is kept, and warned of."""
    files = {**packing.SAMPLE, "demo/large.bin": bytes(560 * limits.MIB)}
    large = packing.pack(tmp_path_factory.mktemp("large"), files, "demo/large.bin")
    folder = project(tmp_path / "any", large, 'place = "layer"\n')
    fragment = shown(run_lambdapack("export", "sam", "--dry-run", "--json", cwd=folder))["fragment"]
    assert 560 < fragment["ephemeral_storage"] <= 704
    (folder / "lambdapack.toml").write_text('[function]\nplace = "layer"\ntmp = 520\n')
    warned = run_lambdapack("export", "sam", "--dry-run", "--json", cwd=folder)
    assert shown(warned)["fragment"]["ephemeral_storage"] == 520
    assert f"set tmp to {fragment['ephemeral_storage']}" in warned.stderr


def test_wrong_usage_is_told(run_lambdapack: Run, tmp_path: Path, built: Pack) -> None:
    """Without a build, and without a bucket for a pack in S3."""
    assert "lambdapack build" in run_lambdapack("export", "sam", cwd=tmp_path, status=2).stderr
    folder = project(tmp_path / "any", built, WORDS)
    assert "--place layer" in run_lambdapack("export", "sam", cwd=folder, status=2).stderr
    assert "pulumi" in run_lambdapack("export", "pulumi", cwd=folder, status=2).stderr
