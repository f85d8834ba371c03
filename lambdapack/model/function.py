"""A function as it should be: its settings, what Lambda refuses of them, and where its packs are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from lambdapack import limits
from lambdapack.model.access import Caller, SecretReference
from lambdapack.model.target import Target

Place = Literal["s3", "zip", "layer", "mount"]
"""Where a function reads a pack from: S3, its own zip, its layers below /opt, or a mounted file system."""
FUNCTION_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""A function's whole name."""
# https://docs.aws.amazon.com/lambda/latest/api/API_TagResource.html
_TAG = re.compile(r"[\w .:/=+\-@]*")
# No account has that many: what an account has, AWS alone knows.
_CONCURRENCY_MAX = 1_000_000
_VARIABLE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]+")
# "Defined runtime environment variables" in
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
_RESERVED_VARIABLES = frozenset((
    "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_RUNTIME_API", "AWS_REGION", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
    "LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT", "_HANDLER", "_X_AMZN_TRACE_ID",
))  # fmt: skip


@dataclass(frozen=True)
class Location:
    """Where a pack is in S3: its key is ``PREFIX/packs/<first 2>/<id>.tar.zst``, the region the bucket's."""

    bucket: str
    key: str
    region: str


@dataclass(frozen=True)
class Files:
    """Where a pack is among the function's own files, whole or cut between frames.

    Attributes:
        place: What brings the files.
        parts: Path of each file, and the number of its first frame. In the zip a path is relative to the
            shim's folder; elsewhere it is absolute.
    """

    place: Literal["zip", "layer", "mount"]
    parts: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class NumberRule:
    """Which numbers a setting may have.

    Attributes:
        what: The setting, for messages.
        unit: The setting's unit, for messages.
        allowed: The numbers, in order.
        service: What refuses the others.
    """

    what: str
    unit: str
    allowed: Sequence[int]
    service: str = "Lambda"

    @property
    def words(self) -> str:
        """The numbers in words: ``128 to 10240``, or ``1, 3, 5 or 7``."""
        *others, last = self.allowed
        if isinstance(self.allowed, range):
            return f"{self.allowed[0]} to {last}"
        return f"{', '.join(map(str, others))} or {last}"

    @property
    def expected(self) -> str:
        """The same, for a person who writes the number into a file."""
        return f"an integer from {self.words}" if isinstance(self.allowed, range) else self.words


def _number(default: int | None, rule: NumberRule) -> Any:
    return field(default=default, metadata={"rule": rule})


@dataclass(frozen=True)
class FunctionSettings:
    """What the owner of a function may choose about how Lambda runs the function.

    Each setting is declared here, with its default and what AWS takes for it, and nowhere else:
    ``lambdapack.config`` reads settings from a file, each cloud brings them about. ``None``, and an empty
    collection where nothing else is said, leaves a setting as the cloud has it.

    Attributes:
        memory_mb: Memory in MB, which buys processor time as well: 1,769 MB are one vCPU.
        tmp_mb: Ephemeral storage at /tmp, in MB.
        timeout: Seconds that one invocation may take.
        environment: Environment variables.
        role: ARN of an existing role; ``None`` to have one made that may read the function's packs.
        log_retention: Days that the function's log group keeps; ``None`` leaves the group as it is.
        mount: Where a file system is mounted, ``/mnt/NAME``; ``None`` without one.
        file_system: ARN of the access point that is mounted there.
        subnets, security_groups: The function's network; with neither, the network stays as it is.
        snap_start: Whether published versions start from a snapshot (SnapStart).
        snapshot: What the snapshot holds: ``needed``, all that a first invocation may need; ``all``, the rest
            of the packs as well, so that nothing is fetched after a restore.
        secrets: Environment variable -> where its value is kept, which a deployment to AWS reads; there it
            stands above a variable of that name in ``environment``.
        layers: ARNs of versions of layers of others, in their order.
        tags: The function's tags; others that it has stay.
        kms_key: ARN of the key that encrypts the environment; ``""`` for AWS's own.
        dead_letter: ARN of the queue or topic for events that failed; ``""`` for none.
        tracing: Whether X-Ray traces the calls.
        reserved_concurrency: Environments that are kept for the function, which has no more than these.
        provisioned: Environments of the live version that are kept ready; 0 for none.
        log_format: ``text``, or ``json``.
        log_level, system_log_level: The least that is logged, by the code and by Lambda; with ``json`` alone.
        callers: Who may call the alias ``live``; what others allowed stays.
    """

    memory_mb: int = _number(
        limits.MEMORY_PER_VCPU_MB,
        NumberRule("memory", "MB", range(limits.MEMORY_MIN_MB, limits.MEMORY_MAX_MB + 1)),
    )
    tmp_mb: int = _number(
        limits.TMP_DEFAULT_MB, NumberRule("tmp", "MB", range(limits.TMP_MIN_MB, limits.TMP_MAX_MB + 1))
    )
    timeout: int = _number(30, NumberRule("timeout", "s", range(1, limits.TIMEOUT_MAX + 1)))
    environment: Mapping[str, str] = field(default_factory=dict)
    role: str | None = None
    log_retention: int | None = _number(
        None, NumberRule("log_retention", "days", limits.LOG_RETENTION_DAYS, "CloudWatch Logs")
    )
    mount: str | None = None
    file_system: str | None = None
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    snap_start: bool = False
    snapshot: Literal["needed", "all"] = "needed"
    secrets: Mapping[str, SecretReference] = field(default_factory=dict)
    layers: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    kms_key: str | None = None
    dead_letter: str | None = None
    tracing: bool | None = None
    reserved_concurrency: int | None = _number(
        None, NumberRule("reserved-concurrency", "environments", range(_CONCURRENCY_MAX + 1))
    )
    provisioned: int | None = _number(
        None, NumberRule("provisioned", "environments", range(_CONCURRENCY_MAX + 1))
    )
    log_format: Literal["text", "json"] | None = None
    log_level: Literal["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"] | None = None
    system_log_level: Literal["DEBUG", "INFO", "WARN"] | None = None
    callers: tuple[Caller, ...] | None = None


_NUMBER_RULES: Mapping[str, NumberRule] = {
    field.name: field.metadata["rule"] for field in fields(FunctionSettings) if field.metadata
}


def number_rule(setting: str) -> NumberRule:
    """Which numbers the field ``setting`` of ``FunctionSettings`` may have."""
    return _NUMBER_RULES[setting]


def refused_by_lambda(name: str, settings: FunctionSettings, target: Target) -> Iterator[str]:
    """Everything about a function's name, settings and runtime that Lambda would refuse, in words.

    The same for every cloud: a function that runs in the local cloud must not be refused by AWS.
    """
    if not FUNCTION_NAME.fullmatch(name):
        yield f"the name {name!r} is not 1 to 64 letters, digits, '-' and '_'"
    for setting, rule in _NUMBER_RULES.items():
        value = getattr(settings, setting)
        if value is not None and value not in rule.allowed:
            yield f"{rule.what} is {value} {rule.unit}, {rule.service} takes {rule.words} {rule.unit}"
    yield from _refused_variables(settings)
    yield from _refused_tags(settings.tags)
    yield from _refused_beside(settings)
    if settings.snap_start:
        yield from _refused_with_snap_start(settings, target)


def _refused_variables(settings: FunctionSettings) -> Iterator[str]:
    environment = settings.environment
    for variable in sorted({*environment, *settings.secrets}):
        if variable in _RESERVED_VARIABLES:
            yield f"the environment variable {variable} is Lambda's own"
        elif not _VARIABLE_NAME.fullmatch(variable):
            yield f"{variable!r} is not a name that Lambda takes for an environment variable"
    size = sum(len(key.encode()) + len(value.encode()) for key, value in environment.items())
    if size > limits.ENVIRONMENT_VARIABLES:
        yield f"the environment is {size} bytes, Lambda takes {limits.ENVIRONMENT_VARIABLES}"


def _refused_tags(tags: Mapping[str, str]) -> Iterator[str]:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-tags.html"""
    if len(tags) > limits.TAGS:
        yield f"it has {len(tags)} tags, Lambda takes {limits.TAGS}"
    for key, value in tags.items():
        if key.lower().startswith("aws:"):
            yield f"the tag {key!r} begins with aws:, which is AWS's own"
        elif not key or not _TAG.fullmatch(key) or not _TAG.fullmatch(value):
            yield f"the tag {key!r} has a character other than letters, digits, spaces and _.:/=+-@"
        elif len(key) > limits.TAG_KEY or len(value) > limits.TAG_VALUE:
            yield (
                f"the tag {key!r} is longer than {limits.TAG_KEY} characters, or its value than "
                f"{limits.TAG_VALUE}"
            )


def _refused_beside(settings: FunctionSettings) -> Iterator[str]:
    """Settings that Lambda does not take together."""
    levels = settings.log_level or settings.system_log_level
    if levels and settings.log_format != "json":
        yield 'log-level and system-log-level need log-format = "json"'
    if (settings.dead_letter or "").endswith(".fifo"):
        yield f"dead-letter is {settings.dead_letter}, and Lambda takes no FIFO queue and no FIFO topic"
    names = [layer.rpartition(":")[0] for layer in settings.layers]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"two of the layers are versions of {name}, and Lambda takes one"
    if settings.security_groups and not settings.subnets:
        yield "it has security_groups and no subnets"
    reserved, provisioned = settings.reserved_concurrency, settings.provisioned
    if reserved is not None and provisioned and provisioned > reserved:
        yield f"provisioned is {provisioned}, more than the reserved-concurrency of {reserved}"
    if provisioned and settings.snap_start:
        yield "provisioned and snap-start are set, and AWS does not take both for one version"


def _refused_with_snap_start(settings: FunctionSettings, target: Target) -> Iterator[str]:
    """https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html"""
    major, minor = limits.SNAP_START_PYTHON
    if target.version < limits.SNAP_START_PYTHON:
        yield f"snap-start needs Python {major}.{minor} or later, and the function runs {target.runtime}"
    if settings.tmp_mb > limits.SNAP_START_TMP_MB:
        yield (
            f"snap-start takes at most {limits.SNAP_START_TMP_MB} MB of tmp, and the function has "
            f"{settings.tmp_mb} MB"
        )
    if settings.file_system:
        yield f"snap-start takes no mounted file system, and the function has {settings.file_system}"


@dataclass(frozen=True)
class FunctionAsset:
    """An asset that a function has.

    Attributes:
        name: What ``runtime_shim.path`` takes.
        pack_id: Id of the asset's pack.
        pack, index: That pack's two files on this machine.
        location: Where the pack is; ``None`` where that is not known.
        file: The file's name; ``""`` for a folder.
        fetch: ``start``: in the background of a cold start; ``use``: when the handler first asks for it.
    """

    name: str
    pack_id: str
    pack: Path
    index: Path
    location: Location | Files | None
    file: str = ""
    fetch: Literal["start", "use"] = "start"


@dataclass(frozen=True)
class FunctionSpec:
    """A function as it should be, whichever cloud it goes to.

    Attributes:
        name, handler: The function's name, and ``module.function``.
        target: Python and architecture.
        zip_path: The function's zip on this machine.
        pack_id: The pack that the zip's index names, or ``None`` for a function without one.
        location: Where that pack is; ``None`` where that is not known.
        settings: How Lambda runs it.
        assets: Its assets, each with a location.
        layers: The zips of its layers on this machine; a later one's files replace an earlier one's.
        staging: Where in S3 a pack of its would be, so where a zip that is too large for a call goes.
    """

    name: str
    handler: str
    target: Target
    zip_path: Path
    pack_id: str | None
    location: Location | Files | None
    settings: FunctionSettings = field(default_factory=FunctionSettings)
    assets: tuple[FunctionAsset, ...] = ()
    layers: tuple[Path, ...] = ()
    staging: Location | None = None
