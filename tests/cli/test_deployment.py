"""Options stand above the configuration, and the configuration above the defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from lambdapack.cli.deployment import function_options, location_for, region_of
from lambdapack.cli.session import Session
from lambdapack.config import Config
from lambdapack.deploy import LOCAL_LOCATION
from lambdapack.errors import ConfigurationError
from lambdapack.model import FunctionSettings

ROLES = [f"arn:aws:iam::123456789012:role/{name}" for name in ("configured", "given")]
CONFIGURATION = f"""\
[function]
name = "configured"
handler = "configured.handler"
source = "src"
memory = 300
tmp = 700
timeout = 40
role = "{ROLES[0]}"
environment = {{ STAGE = "test" }}
log_retention = 7
ignore = ["*.md"]
[store]
location = "s3://configured/prefix"
region = "eu-west-1"
[assets]
model = "models/m"
"""


@pytest.fixture
def session(tmp_path: Path) -> Session:
    (tmp_path / "lambdapack.toml").write_text(CONFIGURATION)
    return Session.open(tmp_path / "lambdapack.toml", quiet=True)


def test_the_configuration_is_taken(session: Session) -> None:
    """Every setting of the [function] table, with its paths below the file's folder."""
    function = function_options(session, "python3.12/arm64", {"memory": None, "name": None})
    assert (function.name, function.handler) == ("configured", "configured.handler")
    assert (function.source, function.ignore) == (session.root / "src", ("*.md",))
    assert str(function.target) == "python3.12/arm64"
    assert function.settings == FunctionSettings(300, 700, 40, {"STAGE": "test"}, ROLES[0], 7)
    assert function.assets == {"model": session.root / "models/m"}


def test_options_stand_above_the_configuration(session: Session) -> None:
    """Each option replaces its own setting; the others stay."""
    given = {"name": "given", "handler": "given.run", "source": Path("code"), "memory": 1024, "tmp": 800,
             "timeout": 50, "role": ROLES[1]}  # fmt: skip
    function = function_options(session, "python3.12/arm64", given)
    assert (function.name, function.handler, function.source) == ("given", "given.run", Path("code"))
    assert function.settings == FunctionSettings(1024, 800, 50, {"STAGE": "test"}, ROLES[1], 7)


def test_defaults_without_a_file(tmp_path: Path) -> None:
    """The folder names the function, and whichever assets were built belong to it."""
    session = Session(Config(), None, tmp_path / "my app", as_json=False, quiet=True)
    function = function_options(session, "python3.12/x86_64", {})
    assert (function.name, function.handler, function.source) == ("my-app", "app.handler", session.root)
    assert (function.settings, function.assets) == (FunctionSettings(), None)


def test_a_location_is_needed_for_aws_alone(session: Session, tmp_path: Path) -> None:
    """The embedded cloud has a bucket of its own for projects that name none."""
    bare = Session(Config(), None, tmp_path, as_json=False, quiet=True)
    assert location_for(session, None, "aws") == "s3://configured/prefix"
    assert location_for(session, "s3://given", "aws") == "s3://given"
    assert location_for(bare, None, "local") == LOCAL_LOCATION
    with pytest.raises(ConfigurationError, match="no location for the pack"):
        location_for(bare, None, "aws")


def test_a_region_comes_from_the_nearest_place(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The option, the configuration, AWS_REGION, AWS_DEFAULT_REGION, us-east-1."""
    bare = Session(Config(), None, tmp_path, as_json=False, quiet=True)
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    assert region_of(bare, None) == "us-east-1"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    assert region_of(bare, None) == "eu-north-1"
    monkeypatch.setenv("AWS_REGION", "eu-south-1")
    assert region_of(bare, None) == "eu-south-1"
    assert region_of(session, None) == "eu-west-1"
    assert region_of(session, "ap-east-1") == "ap-east-1"
