"""What CodeBuild is asked for: a machine of the target's kind, and no secret in sight."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import botocore.session
import pytest
from botocore.validate import ParamValidator

from lambdapack.deploy.aws import BuildPlace
from lambdapack.errors import ConfigurationError
from lambdapack.install import BuildLimits
from lambdapack.model import Target
from lambdapack.pipeline import BuildOptions
from lambdapack.pipeline.remote import request
from lambdapack.python.pip_settings import PipSettings, Setting

PLACE = BuildPlace("bucket", "ours")
OPTIONS = BuildOptions(("six",), (), Target("3.12"), Path("out"), builder="codebuild")


def asked(options: BuildOptions) -> dict[str, object]:
    """The request, which CodeBuild's service model takes."""
    made = request.request(
        options, PLACE, "ours/builds/sources/0.zip", {"PIP_INDEX_URL": "https://i/"}, "token"
    )
    shape = (
        botocore.session.get_session()
        .get_service_model("codebuild")
        .operation_model("StartBuild")
        .input_shape
    )
    assert ParamValidator().validate(made, shape).generate_report() == ""
    return made


@pytest.mark.parametrize(
    ("arch", "kind", "image"),
    [
        ("x86_64", "LINUX_CONTAINER", "public.ecr.aws/sam/build-python3.12:latest-x86_64"),
        ("arm64", "ARM_CONTAINER", "public.ecr.aws/sam/build-python3.12:latest-arm64"),
    ],
)
def test_the_machine_is_of_the_targets_kind(arch: str, kind: str, image: str) -> None:
    """AWS's build image of the target, on a processor of the target's."""
    made = asked(replace(OPTIONS, target=Target("3.12", arch)))
    assert (made["environmentTypeOverride"], made["imageOverride"]) == (kind, image)
    assert made["imagePullCredentialsTypeOverride"] == "SERVICE_ROLE"
    assert made["sourceLocationOverride"] == "bucket/ours/builds/sources/0.zip"
    assert {"name": "LAMBDAPACK_PYTHON", "value": "3.12", "type": "PLAINTEXT"} in made[
        "environmentVariablesOverride"
    ]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("memory", "size"),
    [
        (None, "MEDIUM"),
        (512, "SMALL"),
        (4096, "SMALL"),
        (4097, "MEDIUM"),
        (30_000, "XLARGE"),
        (10**6, "2XLARGE"),
    ],
)
def test_memory_chooses_the_machine(memory: int | None, size: str) -> None:
    """The smallest that has as much."""
    made = asked(replace(OPTIONS, limits=BuildLimits(3600, memory)))
    assert made["computeTypeOverride"] == f"BUILD_GENERAL1_{size}"


@pytest.mark.parametrize(("seconds", "minutes"), [(1, 5), (3600, 60), (3601, 61), (10**9, 2160)])
def test_the_bound_is_codebuilds(seconds: float, minutes: int) -> None:
    """Seconds become whole minutes, within what CodeBuild takes."""
    assert asked(replace(OPTIONS, limits=BuildLimits(seconds)))["timeoutInMinutesOverride"] == minutes


def test_what_cannot_be_built_there_is_refused() -> None:
    """System packages, and a Python that lambdapack does not run on, each with what helps."""
    with pytest.raises(ConfigurationError, match=r"cannot install system packages \(libpq\)"):
        request.check(replace(OPTIONS, packages=("libpq",)))
    with pytest.raises(ConfigurationError, match=r"needs Python 3\.10 or newer"):
        request.check(replace(OPTIONS, target=Target("3.9")))
    request.check(OPTIONS)


def test_the_buildspec_is_json_and_runs_nothing_of_the_project_before_its_time() -> None:
    """Every command is lambdapack's own Python, which finds nothing in the current folder."""
    spec = json.loads(request.BUILDSPEC)
    make, *others = [command for phase in spec["phases"].values() for command in phase["commands"]]
    assert make.endswith('"python$LAMBDAPACK_PYTHON" -m venv /tmp/lambdapack')
    assert others and all(command.startswith("/tmp/lambdapack/bin/python -I -m ") for command in others)


def settings(**values: str) -> PipSettings:
    return PipSettings(
        tuple(Setting("global", key.replace("_", "-"), value) for key, value in values.items())
    )


def test_indexes_are_told_unless_they_hold_a_secret() -> None:
    """Addresses of the network go along. One with a password, or of this machine, stays here and is told;
    where versions and hashes are not settled, the one with a password ends the build before it begins."""
    plain = settings(index_url="https://mirror/simple", extra_index_url="https://a/ https://b/")
    assert request.pip_variables(plain, OPTIONS.target, locked=False) == (
        {"PIP_INDEX_URL": "https://mirror/simple", "PIP_EXTRA_INDEX_URL": "https://a/ https://b/"}, [],
    )  # fmt: skip
    secret = settings(index_url="https://me:hush@mirror/simple")
    variables, said = request.pip_variables(secret, OPTIONS.target, locked=True)
    assert variables == {}
    assert "https://mirror/simple" in said[0] and "hush" not in said[0]
    with pytest.raises(ConfigurationError, match="needs a password") as caught:
        request.pip_variables(secret, OPTIONS.target, locked=False)
    assert "hush" not in str(caught.value)
    local = settings(extra_index_url="file:///srv/simple https://b/")
    variables, said = request.pip_variables(local, OPTIONS.target, locked=False)
    assert variables == {"PIP_EXTRA_INDEX_URL": "https://b/"}
    assert "file:///srv/simple" in said[0]
