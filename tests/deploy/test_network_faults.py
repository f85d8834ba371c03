"""Faults of the network and of AWS, at every call of every command that changes something.

The proxy fails the n-th request. Each command then ends right or with an error of lambdapack's own, within
the bound that it says; and running it again comes to the state of an undisturbed run.
"""

from __future__ import annotations

import itertools
import os
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore.endpoint
import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from lambdapack import store
from lambdapack.deploy import aws, gc
from lambdapack.errors import LambdapackError
from lambdapack.limits import MIB
from lambdapack.store import bucket, leases, patience, s3
from lambdapack.store.patience import Patience
from tests.deploy.test_aws import make_spec
from tests.support.aws_world import BUCKET, REGION
from tests.support.flaky_proxy import Fault, Proxy, in_front_of

URL = f"s3://{BUCKET}/team"
NEW = "bucket-to-be-made"
ATTEMPTS = 3


class World:
    """A project with an account behind a proxy; ``commands`` are what a user runs there."""

    def __init__(self, folder: Path, proxy: Proxy, endpoint: str) -> None:
        self.folder, self.proxy, self._endpoint = folder, proxy, endpoint
        self.commands: Mapping[str, Callable[[], object]] = {
            "push": self.push, "deploy": self.deploy, "deploy anew": self.deploy_anew,
            "rollback": self.rollback, "gc": self.collect, "bucket create": self.make_bucket,
        }  # fmt: skip

    def begin(self, command: str) -> None:
        """An account as the command finds it."""
        self.proxy.plan()
        urllib.request.urlopen(urllib.request.Request(f"{self._endpoint}/moto-api/reset", method="POST"))
        clients = aws.Clients(REGION)
        clients["s3"].create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        self.pack = self.folder / "pack.tar.zst"
        self.pack.write_bytes(b"p" * (9 * MIB if command == "push" else 4))
        self.specs = [make_spec(self.folder, salt=salt) for salt in "ab"]
        if command in ("deploy anew", "rollback", "gc"):
            self.deploy()
        if command in ("rollback", "gc"):
            self.deploy_anew()
        if command == "gc":
            make_spec(self.folder, clients, salt="c")
            for key in s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[BUCKET].keys.values():
                key.last_modified = key.last_modified - timedelta(days=30)

    def push(self) -> object:
        return store.open_store(URL, region=REGION).push(self.pack, "c0" * 32)

    def deploy(self, which: int = 0) -> object:
        kept = store.open_store(URL, region=REGION)
        return aws.deploy(self.specs[which], pack=self.pack, store=kept, clients=aws.Clients(REGION))

    def deploy_anew(self) -> object:
        return self.deploy(1)

    def rollback(self) -> object:
        return aws.rollback("demo", "1", clients=aws.Clients(REGION))

    def collect(self) -> object:
        scope = gc.Scope([store.open_prunable(URL, region=REGION)], {REGION: aws.Clients(REGION)})
        rules = gc.Rules(grace=-5, keep=1, names=frozenset({"demo"}))
        return gc.collect(gc.plan(gc.look(scope, rules), rules), scope, rules)

    def make_bucket(self) -> object:
        client = store.open_bucket(f"s3://{NEW}/team", region=REGION)
        client.apply(bucket.plan(bucket.BucketWish(NEW, "team", REGION), client.observe()))
        return client

    def state(self) -> dict[str, Any]:
        """What a user would see, once the faults are over."""
        self.proxy.plan()
        clients = aws.Clients(REGION)
        client = clients["s3"]
        buckets = sorted(one["Name"] for one in client.list_buckets()["Buckets"])
        seen = aws.observe("demo", clients)
        live = seen.version(seen.alias) if seen.alias else None
        keys = [one["Key"] for one in client.list_objects_v2(Bucket=BUCKET).get("Contents", [])]
        made = store.open_bucket(f"s3://{NEW}/team", region=REGION).observe() if NEW in buckets else None
        return {
            "buckets": buckets,
            # The mark of a collection that could not take its mark away is dead after some minutes.
            "keys": [key for key in keys if "/gc/" not in key],
            "uploads": client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []),
            "live": live.description if live else None,
            "versions": sorted({version.description for version in seen.versions}),
            "role": seen.role.policies if seen.role else None,
            "logs": seen.log_group,
            "made": made,
        }


def made_once(make: Callable[..., Any]) -> Callable[..., Any]:
    """Clients are kept: making them takes far longer than all that a command asks them."""
    made: dict[str, Any] = {}

    def keep(session: Any, service: str, chosen: Patience, **arguments: Any) -> Any:
        which = f"{service} {session.region_name} {chosen} {arguments}"
        if which not in made:
            made[which] = make(session, service, chosen, **arguments)
        return made[which]

    return keep


@pytest.fixture
def world(
    endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[World]:
    with in_front_of(endpoint) as proxy:
        for name, value in {
            "AWS_ENDPOINT_URL": proxy.url, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": REGION,
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        # Between two attempts alone: all others that sleep go on doing so.
        monkeypatch.setattr(botocore.endpoint, "time", SimpleNamespace(sleep=lambda _: None))
        for module in (patience, s3):
            monkeypatch.setattr(module, "make_client", made_once(patience.make_client))
        monkeypatch.setattr(s3, "SINGLE_MAX", MIB)
        silent = "silence" in request.node.name
        for module, name in ((patience, "CALLS"), (leases, "REMOVAL")):
            monkeypatch.setattr(module, name, Patience(ATTEMPTS, connect=5, read=4 if silent else 30))
        yield World(tmp_path, proxy, endpoint)


# Each call meets two kinds; with LAMBDAPACK_KILLS=20, as `make test-long` has it, all of them.
KINDS: tuple[Fault, ...] = ("429", "500", "503", "reset", "reset-after")
LONG = int(os.environ.get("LAMBDAPACK_KILLS", "4")) >= 20
WALKS = [[kind] for kind in KINDS] if LONG else [["429", "500", "503", "reset"], ["reset-after"]]
FAST = (("gc", "503"), ("push", "reset"), ("bucket create", "503"))
COMMANDS = ("push", "deploy", "deploy anew", "rollback", "gc", "bucket create")


def undisturbed(world: World, command: str) -> tuple[int, dict[str, Any]]:
    """How many requests the command makes, and what it comes to."""
    world.begin(command)
    world.proxy.plan()
    world.commands[command]()
    count = len(world.proxy.requests)
    return count, world.state()


def once(number: int, fault: Fault) -> Callable[[int], Fault | None]:
    return lambda request: fault if request == number else None


def from_then_on(number: int, fault: Fault) -> Callable[[int], Fault | None]:
    return lambda request: fault if request >= number else None


def walk(world: World, command: str, faults: Sequence[Fault], step: int = 1) -> None:
    """Run the command with one fault at each ``step``-th request, the ``faults`` in turn."""
    count, wanted = undisturbed(world, command)
    assert count > 3
    for number, fault in zip(range(0, count, step), itertools.cycle(faults), strict=False):
        world.begin(command)
        world.proxy.plan(once(number, fault))
        try:
            world.commands[command]()
        except LambdapackError as error:
            # A request that was made and whose answer was lost may be refused the second time.
            assert fault == "reset-after", f"request {number}: {error}"
            world.proxy.plan()
            world.commands[command]()
        assert world.state() == wanted, f"{fault} at request {number}"


@pytest.mark.parametrize("command", ["push", "deploy", "gc", "bucket create"])
def test_a_fault_at_some_calls_is_passed_over(world: World, command: str) -> None:
    """At each eighth request: throttling is waited out, and the end is that of an undisturbed run."""
    walk(world, command, ["429"], step=8)


@pytest.mark.slow
@pytest.mark.parametrize("faults", WALKS, ids="-".join)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_fault_at_every_call_is_passed_over_or_told(
    world: World, command: str, faults: Sequence[Fault]
) -> None:
    """A single fault is no failure; only a lost answer may be, and then a second run completes."""
    walk(world, command, faults)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_silence_at_some_calls_is_passed_over(world: World, command: str) -> None:
    """A request that is never answered is given up after its time-out, and made again."""
    walk(world, command, ["silence"], step=10)


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        pytest.param(command, fault, marks=[] if (command, fault) in FAST else [pytest.mark.slow])
        for command in COMMANDS
        for fault in ("503", "reset")
    ],
)
def test_an_outage_ends_in_an_error_that_says_the_bound(world: World, command: str, fault: Fault) -> None:
    """AWS goes away in the middle and stays away: no hang, no traceback; later the command completes."""
    count, wanted = undisturbed(world, command)
    for number in {0, count // 3, 2 * count // 3, count - 1}:
        world.begin(command)
        world.proxy.plan(from_then_on(number, fault))
        told = ""
        try:
            world.commands[command]()
        except LambdapackError as error:
            told = error.message
            assert f"gave up after {ATTEMPTS} attempts in at most" in told
        # Taking a mark away, or looking for parts that nobody needs, is all that may fail without a word.
        assert told or (command in ("gc", "push") and number == count - 1)
        world.proxy.plan()
        world.commands[command]()
        assert world.state() == wanted, f"{fault} from request {number} on"


@pytest.mark.parametrize("command", COMMANDS)
def test_an_answer_that_is_not_one_of_aws_is_told(world: World, command: str) -> None:
    """A network's login page answers every request: an error that names what to look at, and no traceback."""
    world.begin(command)
    world.proxy.plan(from_then_on(0, "html"))
    with pytest.raises(LambdapackError):
        world.commands[command]()
