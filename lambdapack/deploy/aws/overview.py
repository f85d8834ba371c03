"""What runs in AWS: versions, weights, packs, sizes and the last cold starts. Only reads.

The function itself must be readable; whatever else is not is left out, and said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from lambdapack.deploy.aws import naming, observer
from lambdapack.deploy.aws.clients import Clients
from lambdapack.deploy.aws.errors import errors_of_aws
from lambdapack.deploy.aws.logs import Clock, LogQuery, log_events
from lambdapack.deploy.aws.models import ALIAS, VersionState
from lambdapack.deploy.log import ColdStart, LoggedInvocation, Starts
from lambdapack.errors import LambdapackError
from lambdapack.model import Location, Routing
from lambdapack.progress import QUIET, Progress
from lambdapack.store.aws_errors import code_of

_Found = TypeVar("_Found")
_ABSENT = frozenset({"ResourceNotFoundException", "404", "NoSuchKey"})
_SPANS = (timedelta(hours=1), timedelta(days=1), timedelta(days=7))
"""How far back the log is read for cold starts: first the nearest span, the next where that had none."""
_LOG_SECONDS = 20.0
"""The longest that reading one span may take."""
_STARTS = 5
"""Cold starts that are kept of a version: the newest."""
_PATTERN = (
    '?INIT_START ?"Init Duration" ?"Restore Duration" ?"cold_start" ?"platform.initStart" '
    '?"initDurationMs" ?"restoreDurationMs" ?"platform.initReport"'
)


@dataclass(frozen=True)
class StoredPack:
    """A pack that a version names.

    Attributes:
        id: The pack's.
        place: ``s3``, ``zip``, ``layer`` or ``mount``; ``files`` for an asset among the function's files.
        bytes: Its size in S3; ``None`` for one among the function's files, or where S3 did not say.
        missing: Whether S3 has it no longer: the version cannot start.
    """

    id: str
    place: str
    bytes: int | None = None
    missing: bool = False


@dataclass(frozen=True)
class VersionOverview:
    """A published version.

    Attributes:
        number: The version's number.
        published: When, as AWS writes a time.
        memory_mb: Its memory.
        zip_bytes: The size of its zip, with layers counted apart.
        weight: The share of the alias's calls that it gets, from 0 to 1.
        snapshot: Whether it starts from a snapshot.
        pack: Its pack, ``None`` without one.
        assets: Name -> pack of each asset.
        starts: Its last cold starts, the newest first.
    """

    number: str
    published: str
    memory_mb: int
    zip_bytes: int
    weight: float
    snapshot: bool
    pack: StoredPack | None
    assets: Mapping[str, StoredPack] = field(default_factory=dict)
    starts: tuple[ColdStart, ...] = ()


@dataclass(frozen=True)
class Overview:
    """A function in AWS.

    Attributes:
        name, region: Of the function.
        arn: Its ARN, unqualified; ``None`` where there is no such function.
        state: ``Active``, or what AWS says is in progress or has failed.
        routing: Where the alias sends calls; ``None`` without an alias.
        note: The alias's description, where a shift leaves what it does.
        provisioned: For how many environments of the alias there is provisioned concurrency.
        versions: Oldest first.
        since: How far back the log was read for cold starts; ``None`` where it was not.
        unknown: What could not be read, and why.
    """

    name: str
    region: str
    arn: str | None = None
    state: str = ""
    routing: Routing | None = None
    note: str = ""
    provisioned: int = 0
    versions: tuple[VersionOverview, ...] = ()
    since: datetime | None = None
    unknown: tuple[str, ...] = ()


def overview(
    name: str, clients: Clients, *, progress: Progress = QUIET, clock: Clock | None = None
) -> Overview:
    """Look at the function; what these credentials may not read is in ``unknown``.

    Raises:
        LambdapackError: The function itself could not be read.
    """
    configuration = _configuration(name, clients)
    if configuration is None:
        return Overview(name, clients.region)
    look = _Look(clients, clock or Clock())
    unseen: tuple[Routing | None, str] = (None, "")
    routing, note = look.at("the alias", unseen, lambda: _alias(name, clients))
    none: list[Mapping[str, Any]] = []
    items = look.at("the versions", none, lambda: observer.version_items(name, clients))
    count = look.at("provisioned concurrency", 0, lambda: observer.provisioned(name, clients))
    group = str(configuration.get("LoggingConfig", {}).get("LogGroup") or naming.log_group(name))
    with progress.step("read the log for cold starts"):
        starts, since = look.starts(group)
    with progress.step("ask S3 for sizes"):
        shares: Mapping[str, float] = routing.shares if routing else {}
        versions = tuple(look.version(item, shares, starts) for item in items)
    return Overview(
        name, clients.region, str(configuration["FunctionArn"]), _state(configuration), routing, note, count,
        versions, since, tuple(look.unknown),
    )  # fmt: skip


class _Look:
    """Looks at parts, and keeps what could not be seen."""

    def __init__(self, clients: Clients, clock: Clock) -> None:
        self._clients, self._clock = clients, clock
        self._packs: dict[Location, StoredPack] = {}
        self.unknown: list[str] = []

    def at(self, what: str, otherwise: _Found, look: Callable[[], _Found]) -> _Found:
        """What ``look`` gives; ``otherwise`` where AWS refuses, which is noted."""
        try:
            return look()
        except LambdapackError as error:
            if not any(known.endswith(error.message) for known in self.unknown):
                self.unknown.append(f"{what}: {error.message}")
            return otherwise

    def starts(self, group: str) -> tuple[list[ColdStart], datetime | None]:
        """The cold starts of the nearest span that has any, the newest first; and where the span begins."""
        now, until = self._clock.now(), None
        for span in _SPANS:
            query = LogQuery(group, now - span, until, _PATTERN, seconds=_LOG_SECONDS)
            found: list[ColdStart] = []
            before = len(self.unknown)
            self.at("cold starts", None, partial(self._read, query, found))
            if found or len(self.unknown) > before:
                return found[::-1], query.since if found else None
            until = query.since
        return [], query.since

    def _read(self, query: LogQuery, found: list[ColdStart]) -> None:
        fold = Starts()
        for event in log_events(self._clients, query, clock=self._clock):
            told = fold.add(event)
            start = told.start if isinstance(told, LoggedInvocation) else told
            if start is not None:
                found.append(start)

    def version(
        self, item: Mapping[str, Any], shares: Mapping[str, float], starts: Iterable[ColdStart]
    ) -> VersionOverview:
        """A version with its packs' sizes and its starts."""
        state = observer.version_of(item)
        own = [start for start in starts if start.version == state.number]
        return VersionOverview(
            state.number, str(item.get("LastModified", "")), int(item.get("MemorySize", 0)),
            int(item.get("CodeSize", 0)), shares.get(state.number, 0.0), state.snapshot,
            self._pack(state.pack_id, state.pack, place_of(state)),
            {
                name: kept
                for name, asset in state.asset_ids.items()
                if (kept := self._pack(asset, state.assets.get(name), "files")) is not None
            },
            tuple(own[:_STARTS]),
        )  # fmt: skip

    def _pack(self, pack_id: str | None, location: Location | None, place: str | None) -> StoredPack | None:
        if pack_id is None:
            return None
        if location is None:
            return StoredPack(pack_id, place or "files")
        if location not in self._packs:
            size = self.at("sizes of packs", None, lambda: self._size(location))
            self._packs[location] = StoredPack(pack_id, "s3", size if size else None, missing=size == 0)
        return self._packs[location]

    def _size(self, location: Location) -> int:
        """The bytes of an object; 0 where there is none."""
        from botocore.exceptions import ClientError  # noqa: PLC0415 - slow

        where = f"s3://{location.bucket}/{location.key}"
        with errors_of_aws(f"looking at {where}", action="s3:GetObject", resource=where):
            try:
                answer = self._clients["s3"].head_object(Bucket=location.bucket, Key=location.key)
            except ClientError as error:
                if code_of(error) in _ABSENT:
                    return 0
                raise
        return int(answer["ContentLength"])


def place_of(version: VersionState) -> str | None:
    """Where a version reads its pack from; ``None`` without a pack."""
    if version.pack_id is None:
        return None
    return "s3" if version.pack else version.description.rpartition(" ")[2]


def _configuration(name: str, clients: Clients) -> Mapping[str, Any] | None:
    from botocore.exceptions import ClientError  # noqa: PLC0415 - slow

    doing = {"action": "lambda:GetFunctionConfiguration", "resource": name}
    with errors_of_aws(f"looking at the function {name}", **doing):
        try:
            found: Mapping[str, Any] = clients["lambda"].get_function_configuration(FunctionName=name)
            return found
        except ClientError as error:
            if code_of(error) in _ABSENT:
                return None
            raise


def _alias(name: str, clients: Clients) -> tuple[Routing | None, str]:
    """Where the alias sends calls, and its description."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - slow

    alias = f"{name}:{ALIAS}"
    with errors_of_aws(f"looking at the alias {alias}", action="lambda:GetAlias", resource=alias):
        try:
            answer = clients["lambda"].get_alias(FunctionName=name, Name=ALIAS)
        except ClientError as error:
            if code_of(error) in _ABSENT:
                return None, ""
            raise
    others = (answer.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    other, weight = next(iter(others.items()), (None, 0.0))
    routing = Routing(str(answer["FunctionVersion"]), other, float(weight))
    return routing, str(answer.get("Description") or "")


def _state(configuration: Mapping[str, Any]) -> str:
    """The function's state in AWS's words; that of an update where one is in progress or has failed."""
    state, update = configuration.get("State") or "Active", configuration.get("LastUpdateStatus")
    if state != "Active":
        return _with_reason(f"{state}", configuration.get("StateReason"))
    if update in (None, "Successful"):
        return "Active"
    return _with_reason(f"Active, its last update {update}", configuration.get("LastUpdateStatusReason"))


def _with_reason(words: str, reason: object) -> str:
    return f"{words}: {reason}" if reason else words
