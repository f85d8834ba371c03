"""Where packs are, deployed to AWS: layers are published once, and a bucket is needed for S3 alone."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lambdapack import deploy, limits
from lambdapack.deploy import aws
from lambdapack.deploy.aws import naming
from lambdapack.errors import ConfigurationError
from lambdapack.model import Files, FunctionAsset, FunctionSettings, Location
from lambdapack.pack import Pack, assets
from lambdapack.pack.assets import Asset
from tests.support import packing
from tests.support.aws_world import BUCKET, REGION

ACCESS_POINT = f"arn:aws:elasticfilesystem:{REGION}:123456789012:access-point/fsap-0123456789abcdef0"
OTHERS = f"arn:aws:lambda:{REGION}:123456789012:layer:lambdapack-of-others:1"


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """A pack, with an asset beside it."""
    folder = tmp_path_factory.mktemp("pack")
    (folder / "model.bin").write_bytes(bytes(range(256)) * 100)
    pack = packing.pack(folder, packing.SAMPLE, *packing.SAMPLE_TOUCHED)
    assets.build([Asset("model", folder / "model.bin")], pack.path.parent)
    return pack


class Deploying:
    """``deploy.deploy`` of one function, without a bucket unless one is given."""

    def __init__(self, pack: Pack, folder: Path, cache: Path) -> None:
        self.pack, self.cache, self.zip = pack, cache, folder / "function.zip"
        source = folder / "source"
        source.mkdir()
        (source / "app.py").write_text("import runtime_shim\n\n\ndef handler(event, context): ...\n")
        self.function = deploy.FunctionOptions("demo", "app.handler", source, packing.TARGET)

    def __call__(
        self, location: str | None = None, *, dry_run: bool = False, places: Any = None, **settings: Any
    ) -> aws.Deployment:
        function = replace(self.function, settings=FunctionSettings(**settings), **(places or {}))
        return deploy.deploy(
            function, self.pack, location, missing=(), region=REGION, dry_run=dry_run, output=self.zip,
            cache_dir=self.cache,
        ).deployment  # fmt: skip


@pytest.fixture
def deploying(pack: Pack, tmp_path: Path, lambdapack_cache: Path) -> Deploying:
    return Deploying(pack, tmp_path, lambdapack_cache)


def operations(done: aws.Deployment) -> list[str]:
    return [call.operation for call in done.calls]


def layers(clients: aws.Clients, qualifier: str = "live") -> list[str]:
    found = clients["lambda"].get_function_configuration(FunctionName="demo", Qualifier=qualifier)
    return [layer["Arn"] for layer in found.get("Layers", [])]


def test_a_pack_in_layers_needs_no_bucket(cloud: aws.Clients, deploying: Deploying) -> None:
    """The layer is published before the function that has it, the role may read nothing; again: no call."""
    in_layer = {"place": "layer"}
    dry = deploying(places=in_layer, dry_run=True)
    done = deploying(places=in_layer)
    assert operations(dry) == operations(done) == [
        "create_role", "put_role_policy", "create_log_group", "publish_layer_version", "create_function",
        "publish_version", "create_alias",
    ]  # fmt: skip
    assert (done.uploads, done.pack_id) == ((), deploying.pack.id)
    (arn,) = layers(cloud)
    assert naming.is_layer_of_ours(arn)
    policy = cloud["iam"].get_role_policy(RoleName=f"lambdapack-demo-{REGION}", PolicyName="lambdapack")
    assert [item["Sid"] for item in policy["PolicyDocument"]["Statement"]] == ["WriteItsLog"]
    assert deploying(places=in_layer).calls == ()
    assert cloud["s3"].list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0


def test_each_layer_is_published_once(
    cloud: aws.Clients, deploying: Deploying, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several layers are attached in their order; one that is there already is not sent again."""
    monkeypatch.setattr(limits, "LAYER_SIZE", deploying.pack.path.stat().st_size)
    done = deploying(places={"place": "layer"})
    published = [call for call in done.calls if call.operation == "publish_layer_version"]
    assert len(published) > 1
    names = [call.parameters["LayerName"] for call in published]
    assert [arn.split(":")[6] for arn in layers(cloud)] == names
    cloud["lambda"].delete_function(FunctionName="demo")
    assert "publish_layer_version" not in operations(deploying(places={"place": "layer"}))
    assert [arn.split(":")[6] for arn in layers(cloud)] == names


def test_layers_of_others_stay_and_ours_go(cloud: aws.Clients, deploying: Deploying) -> None:
    """Another place takes our layer off, and leaves the one that somebody else put there."""
    deploying(places={"place": "layer"})
    (ours,) = layers(cloud)
    other = cloud["lambda"].publish_layer_version(
        LayerName="lambdapack-of-others", Content={"ZipFile": deploying.zip.read_bytes()}
    )
    arn = other["LayerVersionArn"]
    assert arn == OTHERS
    cloud["lambda"].update_function_configuration(FunctionName="demo", Layers=[arn, ours])
    deploying(places={"place": "layer"})
    assert layers(cloud) == [arn, ours]
    deploying(places={"place": "zip"})
    assert layers(cloud) == [arn]
    back = aws.rollback("demo", clients=cloud)
    assert (back.pack_id, layers(cloud)) == (deploying.pack.id, [arn, ours])


def test_a_pack_in_the_zip_is_stored_as_it_is(cloud: aws.Clients, deploying: Deploying) -> None:
    """Compressing it again would only take time; and neither bucket nor layer is made."""
    done = deploying(places={"place": "zip"})
    assert "publish_layer_version" not in operations(done)
    with zipfile.ZipFile(deploying.zip) as archive:
        entry = archive.getinfo("runtime_shim/pack.tar.zst")
        assert entry.compress_type == zipfile.ZIP_STORED
        assert archive.read(entry) == deploying.pack.path.read_bytes()


def test_a_large_zip_without_a_bucket_is_refused(
    cloud: aws.Clients, deploying: Deploying, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one, it goes there; the pack does not."""
    monkeypatch.setattr(limits, "ZIP_DIRECT_UPLOAD", 100_000)
    with pytest.raises(ConfigurationError, match="no bucket to send it through") as caught:
        deploying(places={"place": "zip"})
    assert 'place = "layer"' in str(caught.value.hint)
    deploying(f"s3://{BUCKET}/team", places={"place": "zip"})
    (sent,) = cloud["s3"].list_objects_v2(Bucket=BUCKET)["Contents"]
    assert sent["Key"].startswith("team/functions/")


def test_an_asset_in_s3_is_found_again_by_a_rollback(cloud: aws.Clients, deploying: Deploying) -> None:
    """The version records where it is, although the pack that it would lie beside is in the zip."""
    places = {"place": "zip", "asset_places": {"model": "s3"}}
    done = deploying(f"s3://{BUCKET}/a team/of ours", places=places)
    assert done.uploads == ("the asset model",)
    (version,) = aws.observe("demo", cloud).versions
    (asset,) = assets.read(deploying.pack.path.parent)
    where = Location(BUCKET, f"a team/of ours/packs/{asset.id[:2]}/{asset.id}.tar.zst", REGION)
    assert (version.pack, version.pack_id, version.assets) == (None, deploying.pack.id, {"model": where})
    assert version.asset_ids == {"model": asset.id}
    deploying(f"s3://{BUCKET}/a team/of ours", places=places, memory_mb=512)
    cloud["s3"].delete_object(Bucket=BUCKET, Key=where.key)
    with pytest.raises(ConfigurationError, match="the asset model is not at"):
        aws.rollback("demo", clients=cloud)


@pytest.mark.parametrize("own", [Files("zip", ()), Location("b", "p/packs/aa/" + "a" * 64 + ".tar.zst", "r")])
@pytest.mark.parametrize("place", ["zip", "layer", "mount"])
def test_an_asset_among_the_files_is_recorded_with_its_id_alone(own: Any, place: Any) -> None:
    """Status shows it, and a rollback looks for nothing in S3."""
    asset = FunctionAsset("model", "b" * 64, Path(), Path(), Files(place, (("x", 0),)))
    found = naming.assets_of(naming.variables([asset], own), own if isinstance(own, Location) else None, "a")
    assert found == {"model": ("b" * 64, None)}


def test_a_mount_gives_the_function_file_system_network_and_permissions(
    cloud: aws.Clients, deploying: Deploying
) -> None:
    """The access point alone may be mounted; without a word about them, file system and network stay."""
    ec2 = cloud["ec2"]
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="g", Description="g", VpcId=vpc)["GroupId"]
    done = deploying(
        places={"place": "mount"}, mount="/mnt/packs", file_system=ACCESS_POINT, subnets=(subnet,),
        security_groups=(group,),
    )  # fmt: skip
    (created,) = [call for call in done.calls if call.operation == "create_function"]
    assert created.parameters["FileSystemConfigs"] == [{"Arn": ACCESS_POINT, "LocalMountPath": "/mnt/packs"}]
    assert created.parameters["VpcConfig"] == {"SubnetIds": [subnet], "SecurityGroupIds": [group]}
    policy = cloud["iam"].get_role_policy(RoleName=f"lambdapack-demo-{REGION}", PolicyName="lambdapack")
    statements = {item["Sid"]: item for item in policy["PolicyDocument"]["Statement"]}
    assert set(statements) == {"WriteItsLog", "MountElasticfilesystem", "BeInItsNetwork"}
    assert statements["MountElasticfilesystem"]["Condition"] == {
        "StringEquals": {"elasticfilesystem:AccessPointArn": [ACCESS_POINT]}
    }
    found = cloud["lambda"].get_function_configuration(FunctionName="demo")
    assert found["VpcConfig"]["SubnetIds"] == [subnet]
    deploying(places={"place": "zip"})
    after = cloud["lambda"].get_function_configuration(FunctionName="demo")
    assert after["VpcConfig"]["SubnetIds"] == [subnet]
    assert after.get("FileSystemConfigs") == found.get("FileSystemConfigs")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "none is mounted"),
        ({"mount": "/mnt/packs"}, "file_system names none"),
    ],
)
def test_a_mount_without_a_file_system_is_refused(
    cloud: aws.Clients, deploying: Deploying, settings: Any, said: str
) -> None:
    """Before anything is sent."""
    with pytest.raises(ConfigurationError, match=said):
        deploying(places={"place": "mount"}, **settings)


def test_a_file_system_without_its_path_is_refused(cloud: aws.Clients, deploying: Deploying) -> None:
    """Lambda wants both."""
    with pytest.raises(ConfigurationError, match="no mount"):
        deploying(places={"place": "zip"}, file_system=ACCESS_POINT)


def test_a_pack_that_moves_is_never_in_zip_and_layers_at_once(
    cloud: aws.Clients, deploying: Deploying
) -> None:
    """Twice the pack could be over Lambda's limit: into layers the zip goes first, back the layers do."""
    deploying(places={"place": "zip"})
    to_layer = operations(deploying(places={"place": "layer"}))
    to_zip = operations(deploying(places={"place": "zip"}, dry_run=True))
    code, settings = "update_function_code", "update_function_configuration"
    assert [call for call in to_layer if call.startswith("update_function")] == [code, settings]
    assert [call for call in to_zip if call.startswith("update_function")] == [settings, code]
