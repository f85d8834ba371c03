"""Functions whose memory can be set for a while, in the local cloud and in AWS."""

from __future__ import annotations

import os
from collections.abc import Mapping
from hashlib import sha256
from types import TracebackType
from typing import Any, Protocol

from lambdapack.deploy import aws
from lambdapack.errors import ToolError
from lambdapack.limits import INITIALIZATION_TYPES
from lambdapack.local import LocalCloud
from lambdapack.memo import facts_of
from lambdapack.model import Target
from lambdapack.pipeline.tuning.record import Subject
from lambdapack.plan import tuning


class TunableFunction(Protocol):
    """A function that can be invoked with any memory."""

    @property
    def subject(self) -> Subject:
        """Which function this is."""

    def invoke(self, memory_mb: int, run: int, *, cold: bool) -> tuning.Measurement:
        """Invoke it: in a new environment where ``cold``, else in the environment of the time before."""


class LocalFunction:
    """A function of the local cloud.

    Args:
        cloud: Where it is.
        name: Its name.
        payload: The event, JSON.
        region: Whose prices count.
        link: ``bandwidth_mbps`` and ``latency_ms`` of the link to S3.
    """

    def __init__(
        self, cloud: LocalCloud, name: str, payload: bytes, region: str, link: Mapping[str, Any]
    ) -> None:
        self._cloud, self._name, self._payload, self._link = cloud, name, payload, link
        found = cloud.describe(name)
        self._version = found["version"]
        facts = {key: value for key, value in found.items() if key not in ("memory_mb", "version")}
        facts |= {"event": sha256(payload).hexdigest(), "link": dict(link), "cpus": os.cpu_count()}
        self.subject = Subject(
            name, "local", region, Target.parse(found["target"]).arch,
            found["memory_mb"], found["tmp_mb"], found["timeout"], facts,
        )  # fmt: skip

    def invoke(self, memory_mb: int, run: int, *, cold: bool) -> tuning.Measurement:
        """Invoke the function as started on demand, whatever its kind of start."""
        done = self._cloud.invoke(
            self._name, self._payload, cold=cold, memory_mb=memory_mb, start=INITIALIZATION_TYPES[0],
            qualifier=self._version, **self._link,
        )  # fmt: skip
        return _measured(self._name, done.log, done.payload, failed=done.error)


class AwsFunction:
    """A function in AWS, of which ``$LATEST`` is changed and set back at the end of the block.

    Args:
        name: Its name.
        payload: The event, JSON.
        region: ``None``: as the AWS SDK finds it.
    """

    def __init__(self, name: str, payload: bytes, region: str | None) -> None:
        self._name, self._payload = name, payload
        self._clients = aws.Clients(region)
        self._once = aws.Clients(region, once=True)
        self._latest = aws.read_latest(name, self._clients)
        self._changed = False
        latest = self._latest
        settings = {
            key: value
            for key, value in latest.state.settings.items()
            if key not in ("MemorySize", "Environment")
        }
        facts = {
            "code": latest.state.code_sha256, "settings": facts_of(settings),
            "variables": dict(latest.variables), "event": sha256(payload).hexdigest(),
        }  # fmt: skip
        self.subject = Subject(
            name, "aws", self._clients.region, latest.state.architecture,
            latest.memory_mb, latest.tmp_mb, latest.timeout, facts,
        )  # fmt: skip

    def __enter__(self) -> AwsFunction:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._changed:
            return
        try:
            aws.restore(self._latest, self._clients)
        except KeyboardInterrupt:
            aws.restore(self._latest, self._clients)
            raise

    def invoke(self, memory_mb: int, run: int, *, cold: bool) -> tuning.Measurement:
        """Invoke ``$LATEST``; before a cold start its configuration is changed."""
        if cold:
            self._changed = True
            aws.restart(self._latest, memory_mb, run, self._clients)
        done = aws.invoke(self._name, self._payload, qualifier=aws.LATEST, clients=self._once)
        return _measured(self._name, done.log, done.payload, failed=done.error)


def _measured(name: str, log: str, payload: bytes, *, failed: bool) -> tuning.Measurement:
    found = tuning.read(log, payload, failed=failed)
    if found is None:
        raise ToolError(
            f"measuring {name}: the log has no REPORT line",
            hint="lambdapack invoke shows the log; AWS writes the line where the function logs as text",
            detail=log[-2000:],
        )
    return found
