"""An account in which CodeBuild plays builds, for the tests of the remote builder."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.support.aws_world import BUCKET, REGION
from tests.support.codebuild_player import Open, Player, playing, this_machine

LOCATION = f"s3://{BUCKET}/ours"


@dataclass
class World:
    """AWS as the tests see it.

    Attributes:
        player: Plays the builds.
        moto: The address of what has everything else.
        environment: What a command needs to reach both.
    """

    player: Player
    moto: str
    environment: dict[str, str]

    @property
    def keys(self) -> list[str]:
        """What is in the bucket."""
        answer = self.player.client("s3").list_objects_v2(Bucket=BUCKET)
        return sorted(one["Key"] for one in answer.get("Contents", ()))


@pytest.fixture(scope="session")
def moto_address() -> Iterator[str]:
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(moto_address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., World]]:
    """Opens an empty account, whose builds run on the hosts that are given for the account's address."""
    urllib.request.urlopen(urllib.request.Request(f"{moto_address}/moto-api/reset", method="POST")).close()
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    with ExitStack() as stack:

        def start(open_on: Callable[[str], Open] = lambda _: this_machine) -> World:
            player, address = stack.enter_context(playing(moto_address, REGION, open_on(moto_address)))
            environment = {
                "AWS_ENDPOINT_URL": moto_address,
                "AWS_ENDPOINT_URL_CODEBUILD": address,
                "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
                "AWS_SECRET_ACCESS_KEY": "secret",
                "AWS_REGION": REGION,
            }
            for name, value in environment.items():
                monkeypatch.setenv(name, value)
            boto3.client("s3", region_name=REGION).create_bucket(
                Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
            )
            return World(player, moto_address, environment)

        yield start
