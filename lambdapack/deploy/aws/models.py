"""What a deployment is made of: what was seen in AWS, and the calls that would change it, as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lambdapack import limits
from lambdapack.deploy.shifting import AliasState, Outcome
from lambdapack.model import FunctionSettings, FunctionSpec, Location

ALIAS = "live"
"""The alias that callers use; a deployment or a rollback points it at a version."""
_SNAPSHOTS = "PublishedVersions"
"""What SnapStart applies to: https://docs.aws.amazon.com/lambda/latest/api/API_SnapStart.html"""
_IPV6 = "Ipv6AllowedForDualStack"
_LOG_LEVEL = "INFO"
"""What AWS logs where no level is chosen."""
# What a description spells as a request does.
_SAME_IN_BOTH = ("Role", "Runtime", "Handler", "MemorySize", "Timeout")


@dataclass(frozen=True)
class FileBytes:
    """A parameter that is the contents of a file."""

    path: Path

    def __str__(self) -> str:
        return f"<contents of {self.path}>"


@dataclass(frozen=True)
class Result:
    """A parameter that an earlier call of the same plan answers.

    Attributes:
        call: The call's ``ApiCall.key``.
        field: Where in the answer it is, e.g. ``Role.Arn``.
    """

    call: str
    field: str

    def __str__(self) -> str:
        return f"<{self.field} of {self.call}>"


@dataclass(frozen=True)
class ApiCall:
    """One call to AWS.

    Attributes:
        service: boto3's name, e.g. ``lambda``.
        operation: boto3's method, e.g. ``create_function``.
        parameters: Its arguments; may hold ``FileBytes`` and ``Result``.
        why: For people, e.g. ``memory 128 -> 256 MB``.
        waiter: Name of boto3's waiter that says when the call has taken effect, or ``None``.
        patience: Seconds for which the waiter waits.
    """

    service: str
    operation: str
    parameters: Mapping[str, Any]
    why: str
    waiter: str | None = None
    patience: int = 300

    @property
    def key(self) -> str:
        """What tells the call from the others of its plan: the operation; of a layer's also the name."""
        layer = self.parameters.get("LayerName")
        return f"{self.operation} {layer}" if layer else self.operation


@dataclass(frozen=True)
class Account:
    """Where a deployment goes.

    Attributes:
        id: The account's number.
        partition: ``aws``, ``aws-cn`` or ``aws-us-gov``.
        region: e.g. ``eu-central-1``.
    """

    id: str
    partition: str
    region: str


@dataclass(frozen=True)
class RoleState:
    """A role as it is: its trust policy, its inline policies by name, the ARNs of attached ones."""

    arn: str
    trust: Mapping[str, Any]
    policies: Mapping[str, Mapping[str, Any]]
    attached: tuple[str, ...] = ()


@dataclass(frozen=True)
class FunctionState:
    """``$LATEST`` or a published version, in AWS's words: as intended or as AWS describes either.

    Both are written here, so that a setting cannot be sent and then not be compared.

    Attributes:
        code_sha256: Base64, as Lambda gives it.
        settings: The arguments of ``update_function_configuration`` that would bring it about.
        architecture: ``x86_64`` or ``arm64``.
    """

    code_sha256: str
    settings: Mapping[str, Any]
    architecture: str

    @classmethod
    def intended(cls, spec: FunctionSpec, code_sha256: str, role: str | Result) -> FunctionState:
        """What ``spec`` says."""
        settings = {
            "Role": role,
            "Runtime": spec.target.runtime,
            "Handler": spec.handler,
            "MemorySize": spec.settings.memory_mb,
            "Timeout": spec.settings.timeout,
            "EphemeralStorage": {"Size": spec.settings.tmp_mb},
            "Environment": {"Variables": dict(spec.settings.environment)},
            "SnapStart": {"ApplyOn": _SNAPSHOTS if spec.settings.snap_start else "None"},
            "Layers": [],
            "FileSystemConfigs": _file_systems(spec),
            "VpcConfig": _network(spec.settings.subnets, spec.settings.security_groups),
            "KMSKeyArn": spec.settings.kms_key or "",
            "DeadLetterConfig": {"TargetArn": spec.settings.dead_letter or ""},
            "TracingConfig": {"Mode": "Active" if spec.settings.tracing else "PassThrough"},
            "LoggingConfig": _logging(spec.settings),
        }
        return cls(code_sha256, settings, spec.target.arch)

    @classmethod
    def described(cls, configuration: Mapping[str, Any]) -> FunctionState:
        """What ``get_function_configuration`` or a list of versions describes."""
        storage = configuration.get("EphemeralStorage", {})
        settings = {name: configuration.get(name) for name in _SAME_IN_BOTH} | {
            "EphemeralStorage": {"Size": storage.get("Size", limits.TMP_DEFAULT_MB)},
            "Environment": {"Variables": dict(configuration.get("Environment", {}).get("Variables", {}))},
            # What a description says besides, OptimizationStatus, cannot be sent.
            "SnapStart": {"ApplyOn": configuration.get("SnapStart", {}).get("ApplyOn", "None")},
            "Layers": [layer["Arn"] for layer in configuration.get("Layers") or []],
            "FileSystemConfigs": [
                {"Arn": each["Arn"], "LocalMountPath": each["LocalMountPath"]}
                for each in configuration.get("FileSystemConfigs") or []
            ],
            "VpcConfig": _described_network(configuration),
            "KMSKeyArn": configuration.get("KMSKeyArn") or "",
            "DeadLetterConfig": {
                "TargetArn": (configuration.get("DeadLetterConfig") or {}).get("TargetArn", "")
            },
            "TracingConfig": {"Mode": (configuration.get("TracingConfig") or {}).get("Mode", "PassThrough")},
            "LoggingConfig": _described_logging(configuration),
        }
        architecture = (configuration.get("Architectures") or ["x86_64"])[0]
        return cls(str(configuration.get("CodeSha256", "")), settings, architecture)

    def over(self, seen: FunctionState | None, settings: FunctionSettings) -> FunctionState:
        """The state where what ``settings`` leaves out stays as it is in ``seen``; layers stay for others."""
        if seen is None:
            return self
        kept = {key: seen.settings[key] for key in left_out(settings) if key in seen.settings}
        if "VpcConfig" not in kept and _IPV6 in seen.settings["VpcConfig"]:
            kept["VpcConfig"] = {**self.settings["VpcConfig"], _IPV6: True}
        if "LoggingConfig" not in kept:
            kept["LoggingConfig"] = _kept_logging(self.settings["LoggingConfig"], seen.settings, settings)
        return replace(self, settings={**self.settings, **kept})


@dataclass(frozen=True)
class VersionState:
    """A published version.

    Attributes:
        number: The version's number.
        description: Names its pack, and where the pack is.
        pack: The pack's place in S3; ``None`` for one among the function's files.
        pack_id: The pack's id.
        assets: Name -> place of each asset that is in S3.
        asset_ids: Name -> id of every asset.
    """

    number: str
    state: FunctionState
    description: str
    pack: Location | None = None
    pack_id: str | None = None
    assets: Mapping[str, Location] = field(default_factory=dict)
    asset_ids: Mapping[str, str] = field(default_factory=dict)

    @property
    def snapshot(self) -> bool:
        """Whether the version starts from a snapshot, which AWS makes anew when it patches the runtime."""
        return bool(self.state.settings.get("SnapStart", {}).get("ApplyOn") == _SNAPSHOTS)

    @property
    def packs(self) -> tuple[Location, ...]:
        """The packs that the version reads from S3: its own and its assets'."""
        return (*([self.pack] if self.pack else []), *self.assets.values())


@dataclass(frozen=True)
class Provisioned:
    """Provisioned concurrency of a version or an alias.

    Attributes:
        requested: Environments that are to be ready.
        status: ``IN_PROGRESS``, ``READY`` or ``FAILED``.
    """

    requested: int
    status: str


@dataclass(frozen=True)
class AwsState:
    """All that exists in AWS under a function's name.

    Attributes:
        account: The account and region that were looked at.
        role: The role that lambdapack makes for the function; ``None`` where there is none.
        function: ``$LATEST``; ``None`` where there is no such function.
        arn: The function's ARN, unqualified.
        versions: Published versions, oldest first.
        alias: The version that ``live`` points to.
        live: The alias with its weights and its note.
        log_group: Whether the function has its log group.
        log_retention: Days that the group keeps, ``None`` for ever.
        layers: Name -> ARN of the newest version of each layer that was looked for and is there.
        keys: ARNs of the keys of their owners that the packs are encrypted with in S3.
        tags: The function's tags; none where these were not looked for.
        reserved: The function's reserved concurrency; ``None`` without, and where it was not looked for.
        statements: Ids of the statements of the alias's policy; none where these were not looked for.
        provisioned: Version or alias -> its provisioned concurrency.
        pinned: The versions that aliases of others send calls to.
    """

    account: Account
    role: RoleState | None = None
    function: FunctionState | None = None
    arn: str | None = None
    versions: tuple[VersionState, ...] = ()
    alias: str | None = None
    live: AliasState | None = None
    log_group: bool = False
    log_retention: int | None = None
    layers: Mapping[str, str] = field(default_factory=dict)
    keys: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    reserved: int | None = None
    statements: frozenset[str] = frozenset()
    provisioned: Mapping[str, Provisioned] = field(default_factory=dict)
    pinned: frozenset[str] = frozenset()

    def version(self, number: str) -> VersionState | None:
        """The published version of that number."""
        return next((version for version in self.versions if version.number == number), None)


@dataclass(frozen=True)
class Deployment:
    """What a deployment, a rollback or a removal did.

    Attributes:
        name: The function's name.
        arn: What to call: the alias's ARN; ``None`` after a removal or a dry run of a first deployment.
        version: The published version that the alias points to, ``None`` as above.
        pack_id: That version's pack.
        calls: The calls that were made, or in a dry run would be made.
        uploads: The packs that were sent to the store, or in a dry run would be sent, each as a person calls
            it: ``the pack``, ``the asset model``.
        shift: How the shift ended; ``None`` where all calls went over at once.
        handover: What CodeDeploy does from here on; ``None`` where it does nothing.
    """

    name: str
    arn: str | None
    version: str | None
    pack_id: str | None = None
    calls: tuple[ApiCall, ...] = ()
    uploads: tuple[str, ...] = ()
    shift: Outcome | None = None
    handover: str | None = None


def _file_systems(spec: FunctionSpec) -> list[dict[str, str]]:
    arn, mount = spec.settings.file_system, spec.settings.mount
    return [{"Arn": arn, "LocalMountPath": mount}] if arn and mount else []


def left_out(settings: FunctionSettings) -> tuple[str, ...]:
    """The settings that a deployment leaves as AWS has them, in AWS's words."""
    said = {
        "FileSystemConfigs": settings.file_system,
        "VpcConfig": settings.subnets,
        "KMSKeyArn": settings.kms_key is not None,
        "DeadLetterConfig": settings.dead_letter is not None,
        "TracingConfig": settings.tracing is not None,
        "LoggingConfig": settings.log_format,
    }
    return tuple(key for key, is_said in said.items() if not is_said)


def _logging(settings: FunctionSettings) -> dict[str, str]:
    """AWS writes the levels down for JSON, and has none for text."""
    if settings.log_format != "json":
        return {"LogFormat": "Text"}
    return {
        "LogFormat": "JSON",
        "ApplicationLogLevel": settings.log_level or _LOG_LEVEL,
        "SystemLogLevel": settings.system_log_level or _LOG_LEVEL,
    }


def _described_logging(configuration: Mapping[str, Any]) -> dict[str, str]:
    seen = {"LogFormat": "Text", **(configuration.get("LoggingConfig") or {})}
    if seen.get("LogGroup") == f"/aws/lambda/{configuration.get('FunctionName')}":
        del seen["LogGroup"]
    if seen["LogFormat"] == "Text":
        return {key: value for key, value in seen.items() if key in ("LogFormat", "LogGroup")}
    return {"ApplicationLogLevel": _LOG_LEVEL, "SystemLogLevel": _LOG_LEVEL, **seen}


def _kept_logging(
    wanted: Mapping[str, str], seen: Mapping[str, Any], settings: FunctionSettings
) -> dict[str, str]:
    """The format that is wanted, with a log group and levels that were chosen elsewhere."""
    before: Mapping[str, str] = seen.get("LoggingConfig", {})
    kept = {"LogGroup"}
    if wanted["LogFormat"] == before.get("LogFormat") == "JSON":
        kept |= {"ApplicationLogLevel"} if settings.log_level is None else set()
        kept |= {"SystemLogLevel"} if settings.system_log_level is None else set()
    return {**wanted, **{key: value for key, value in before.items() if key in kept}}


def _network(subnets: Iterable[str], groups: Iterable[str]) -> dict[str, list[str]]:
    return {"SubnetIds": sorted(subnets), "SecurityGroupIds": sorted(groups)}


def _described_network(configuration: Mapping[str, Any]) -> dict[str, Any]:
    seen = configuration.get("VpcConfig") or {}
    network = _network(seen.get("SubnetIds", ()), seen.get("SecurityGroupIds", ()))
    return {**network, **({_IPV6: True} if seen.get(_IPV6) else {})}
