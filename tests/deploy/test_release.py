"""From a build's folder to a function in AWS: what a dry run says, what is refused before any upload."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zstandard

from lambdapack import deploy
from lambdapack.deploy import aws
from lambdapack.errors import CheckError, ConfigurationError
from lambdapack.install import syslibs
from lambdapack.model import FunctionSettings
from lambdapack.model.target import Target
from lambdapack.pack import Pack
from tests.support import packing
from tests.support.aws_world import BUCKET, REGION
from tests.support.told import Told

WHERE = f"s3://{BUCKET}/team"
LIBRARY = syslibs.LibraryRisk(
    name="libodd.so.1", users=("demo/native.so",), fatal=True, message="no libodd.so.1", hint="build it in"
)


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    """A pack with a shared object, which asks for some glibc."""
    shared = next(Path(zstandard.__file__).parent.glob("backend_c.*.so")).read_bytes()
    return packing.pack(tmp_path, {**packing.SAMPLE, "demo/native.so": shared}, *packing.SAMPLE_TOUCHED)


@pytest.fixture
def function(tmp_path: Path) -> deploy.FunctionOptions:
    source = tmp_path / "source"
    source.mkdir()
    (source / "app.py").write_text("import runtime_shim\n\n\ndef handler(event, context): ...\n")
    return deploy.FunctionOptions("demo", "app.handler", source, packing.TARGET)


class Deploying:
    """``deploy.deploy`` of one function, with what does not matter here."""

    def __init__(self, function: deploy.FunctionOptions, pack: Pack, folder: Path, cache: Path) -> None:
        self.function, self.pack = function, pack
        self.zip = folder / "function.zip"
        self.told = Told()
        self._cache = cache

    def __call__(
        self, *, missing: tuple[syslibs.LibraryRisk, ...] = (), dry_run: bool = False, **settings: Any
    ) -> aws.Deployment:
        function = replace(self.function, settings=FunctionSettings(**settings))
        return deploy.deploy(
            function, self.pack, WHERE, missing=missing, region=REGION, dry_run=dry_run, output=self.zip,
            cache_dir=self._cache, progress=self.told,
        ).deployment  # fmt: skip


@pytest.fixture
def deploying(
    function: deploy.FunctionOptions, pack: Pack, tmp_path: Path, lambdapack_cache: Path
) -> Deploying:
    return Deploying(function, pack, tmp_path, lambdapack_cache)


def objects(clients: aws.Clients) -> list[str]:
    return [item["Key"] for item in clients["s3"].list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def test_a_dry_run_says_what_the_deployment_then_does(cloud: aws.Clients, deploying: Deploying) -> None:
    """The same uploads and calls, before the first push too; the dry run leaves AWS as it was."""
    dry = deploying(dry_run=True)
    assert dry.uploads == ("the pack",)
    assert (dry.arn, dry.version) == (None, None)
    assert objects(cloud) == []
    assert aws.observe("demo", cloud).function is None
    done = deploying()
    pack_id = deploying.pack.id
    assert (done.uploads, done.calls) == (dry.uploads, dry.calls)
    assert objects(cloud) == [f"team/leases/{pack_id}", f"team/packs/{pack_id[:2]}/{pack_id}.tar.zst"]
    assert (done.version, done.pack_id) == ("1", pack_id)
    again = deploying()
    assert (again.uploads, again.calls, again.arn) == ((), (), done.arn)
    assert [call.operation for call in deploying(memory_mb=512, dry_run=True).calls] == [
        "update_function_configuration", "publish_version", "update_alias",
    ]  # fmt: skip
    assert aws.observe("demo", cloud).alias == "1"


@pytest.mark.parametrize("dry_run", [True, False])
def test_what_aws_would_refuse_is_refused_before_anything_is_sent(
    cloud: aws.Clients, deploying: Deploying, dry_run: bool
) -> None:
    """A setting that Lambda does not take: no pack of gigabytes is uploaded first."""
    with pytest.raises(ConfigurationError, match=r"'A-B' is not a name .*AWS_REGION is Lambda's own"):
        deploying(environment={"AWS_REGION": "x", "A-B": "y"}, dry_run=dry_run)
    assert objects(cloud) == []


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_pack_for_a_newer_c_library_is_refused_before_anything_is_sent(
    cloud: aws.Clients, deploying: Deploying, dry_run: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in a dry run before the first push."""
    deploying(dry_run=True)  # fetches the decoder, which asks for some glibc too
    monkeypatch.setattr(Target, "glibc", (2, 2))
    with pytest.raises(CheckError, match=r"asks for glibc .*demo/native\.so"):
        deploying(dry_run=dry_run)
    assert objects(cloud) == []


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_function_that_lacks_a_library_is_refused_first(
    cloud: aws.Clients, deploying: Deploying, dry_run: bool
) -> None:
    """Before the zip is written; a library that the function can do without is a warning."""
    with pytest.raises(CheckError, match=r"deploying demo: .*\n.*no libodd"):
        deploying(missing=(LIBRARY,), dry_run=dry_run)
    assert not deploying.zip.exists()
    assert objects(cloud) == []
    deploying(missing=(replace(LIBRARY, fatal=False),), dry_run=dry_run)
    assert deploying.told.warnings == [
        "neither the pack nor Lambda has libodd.so.1 (demo/native.so needs it): `lambdapack plan` says more"
    ]


def test_packaging_without_a_location_leaves_the_address_out(
    function: deploy.FunctionOptions, pack: Pack, tmp_path: Path, lambdapack_cache: Path
) -> None:
    """The release then has no place for its pack, and AWS would refuse it."""
    release = deploy.package(
        function, pack, lambda _: None, output=tmp_path / "function.zip", cache_dir=lambdapack_cache
    )
    assert (release.spec.location, release.spec.pack_id) == (None, pack.id)
    with pytest.raises(ConfigurationError, match=f"pack {pack.id} has no place in S3"):
        aws.deploy(release.spec, clients=aws.Clients())
