"""The steps of a check. Each makes what it needs, writes it down before, and says whether it went well."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.aws_check.ledger import Entry, Ledger
from benchmarks.aws_check.measuring import Calls, Series, measure_alias, measure_latest, measure_local
from benchmarks.aws_check.plan import Settings
from benchmarks.aws_check.project import FAIL, Project
from lambdapack.deploy import aws
from lambdapack.deploy.aws.errors import errors_of_aws
from lambdapack.deploy.aws.naming import layer_name
from lambdapack.errors import CheckError, LambdapackError
from lambdapack.progress import QUIET, Progress

__all__ = ["Check"]

_EVERY = 1.0
"""Seconds between two calls while calls are shifted."""
_AFTER = 10
"""Calls after a rollback, none of which may reach the version that failed."""


@dataclass
class Check:
    """A check while it runs.

    Attributes:
        settings, project, clients, ledger: What it works with.
        calls: The invocations so far.
        series: What was measured.
        results: Step -> ``ok``, or why not.
    """

    settings: Settings
    project: Project
    clients: aws.Clients
    ledger: Ledger
    calls: Calls
    progress: Progress = QUIET
    series: list[Series] = field(default_factory=list)
    results: dict[str, str] = field(default_factory=dict)

    def run(self, bucket: str | None) -> None:
        """All steps; one that fails does not keep the next from running, but for the first two.

        Args:
            bucket: The bucket to make; ``None`` where the location names one that is there.
        """
        self.project.run("build")
        if bucket:
            self._make_bucket(bucket)
        self.project.run("push", ".lambdapack/build", self.project.location)
        self.results["push"] = "ok"
        steps: dict[str, Callable[[], None]] = {
            "s3": self._s3, "layer": self._layer, "snapstart": self._snapstart, "shifting": self.shift,
            "local": self._local,
        }  # fmt: skip
        for step in self.settings.steps:
            try:
                steps[step]()
                self.results[step] = "ok"
            except LambdapackError as error:
                self.results[step] = error.message
                self.progress.warn(f"{step}: {error.message}")

    def _make_bucket(self, name: str) -> None:
        region = self.settings.region
        self.ledger.made(Entry("bucket", name, region))
        where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        blocked = dict.fromkeys(
            ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
        )
        with errors_of_aws(f"making the bucket {name}", action="s3:CreateBucket", resource=name):
            self.clients["s3"].create_bucket(Bucket=name, **where)
            self.clients["s3"].put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=blocked)

    def _name(self, kind: str) -> str:
        name = f"{self.settings.prefix}-{kind}"
        entry = Entry("function", name, self.settings.region)
        if entry not in self.ledger.entries():
            self.ledger.made(entry)
        return name

    def _deploy(self, name: str, *words: str, status: int = 0) -> None:
        self.project.run("deploy", name, "--cloud", "aws", *words, status=status)

    def _s3(self) -> None:
        name = self._name("s3")
        self.project.configure()
        self._deploy(name)
        self._measure("s3", name)

    def _layer(self) -> None:
        name = self._name("layer")
        self.project.configure()
        made = self.project.run("package", "src", "--place", "layer", "--output", "layer.zip")
        for layer in made["layers"]:
            self._note_layer(self.project.folder / layer["path"])
        self._deploy(name, "--place", "layer")
        self._measure("layer", name)

    def _note_layer(self, path: Path) -> None:
        """Write a layer down, unless it is there already and so is somebody's."""
        name = layer_name(hashlib.sha256(path.read_bytes()).hexdigest())
        with errors_of_aws(f"looking at the layer {name}", action="lambda:ListLayerVersions", resource=name):
            there = self.clients["lambda"].list_layer_versions(LayerName=name)["LayerVersions"]
        if not there:
            self.ledger.made(Entry("layer", name, self.settings.region))

    def _snapstart(self) -> None:
        name = self._name("snapstart")
        self.project.configure(snap_start=True)
        self._deploy(name)
        self.series.append(measure_alias("snapstart", name, self.clients, self.calls, progress=self.progress))
        if self.series[-1].starts[0].kind != "restore":
            raise CheckError(f"{name}: the first call of the version began without a restore")

    def _measure(self, way: str, name: str) -> None:
        self.series.append(
            measure_latest(way, name, self.clients, self.settings.starts, self.calls, progress=self.progress)
        )

    def shift(self) -> None:
        """Version after version: one that does well takes over, one that fails is taken back.

        Raises:
            LambdapackError: It went otherwise.
        """
        name = self._name("s3")
        self.project.configure()
        self._deploy(name)
        before = self._live(name)
        with _Callers(name, self.clients, self.calls) as callers:
            self.project.configure(variables={"LAMBDAPACK_CHECK": "2"})
            self._deploy(name, "--shift", self.settings.shift)
            healthy = self._live(name)
            self.project.configure(variables={FAIL: "1"})
            self._deploy(name, "--shift", self.settings.shift, status=1)
        if healthy == before or callers.failed_before(healthy):
            raise CheckError(
                f"{name}: version {healthy} did not take over from {before} without a failed call"
            )
        if self._live(name) != healthy:
            raise CheckError(f"{name}: the version that fails was not rolled back to {healthy}")
        self._after_the_rollback(name, healthy)

    def _after_the_rollback(self, name: str, healthy: str) -> None:
        for _ in range(_AFTER):
            self.calls.take()
            answer = aws.invoke(name, b"{}", qualifier=aws.ALIAS, clients=self.clients)
            if answer.version != healthy:
                raise CheckError(f"{name}: a call after the rollback reached version {answer.version}")

    def _live(self, name: str) -> str:
        status = self.project.run("status", name, "--cloud", "aws")
        if set(status["weights"].values()) != {1.0}:
            raise CheckError(f"{name}: calls are still split: {status['weights']}")
        return str(status["live"])

    def _local(self) -> None:
        """The same functions here; a comparison needs no function of which AWS was not asked."""
        for each in [series.way for series in self.series if series.cloud == "aws"]:
            name = f"{self.settings.prefix}-{each}"
            self.project.configure(snap_start=each == "snapstart")
            self.project.run("deploy", name, "--place", "layer" if each == "layer" else "s3")
            starts = 1 if each == "snapstart" else self.settings.starts
            state = self.project.folder / ".lambdapack/local"
            self.series.append(measure_local(each, name, state, starts, progress=self.progress))


class _Callers:
    """Calls a function's alias once a second, beside what the block does."""

    def __init__(self, name: str, clients: aws.Clients, calls: Calls) -> None:
        self._name, self._clients, self._calls = name, clients, calls
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.seen: list[tuple[str, bool]] = []

    def __enter__(self) -> _Callers:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._end.set()
        self._thread.join(120)

    def failed_before(self, version: str) -> bool:
        """Whether a call failed in ``version`` or in one before, none of which fails by itself."""
        return any(error and int(number) <= int(version) for number, error in self.seen)

    def _run(self) -> None:
        while not self._end.is_set():
            begun = time.monotonic()
            try:
                self._calls.take()
                answer = aws.invoke(self._name, b"{}", qualifier=aws.ALIAS, clients=self._clients)
            except LambdapackError:
                # The plan's number of calls is reached, or AWS throttles: the shift goes on with fewer.
                return
            self.seen.append((answer.version, answer.error))
            self._end.wait(max(0.0, _EVERY - (time.monotonic() - begun)))
