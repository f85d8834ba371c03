"""The ``[function]`` table: what the function is and has."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import StrictBool, StringConstraints

from lambdapack.config.aws_settings import DEAD_LETTER, KMS_KEY, LAYER, CallerEntry, Secrets
from lambdapack.config.fields import HANDLER, PLACES, Section, Text, field, one_of
from lambdapack.model import FUNCTION_NAME, FunctionSettings, Place, SecretReference, number_rule

_SETTINGS = FunctionSettings()


def _setting(name: str, description: str, **more: Any) -> Any:
    """A field for the number ``name`` of ``FunctionSettings``, with its default and what AWS takes."""
    rule = number_rule(name)
    bounds = {"ge": rule.allowed[0], "le": rule.allowed[-1]}
    return field(getattr(_SETTINGS, name), description, rule.expected, **bounds, **more)


class Function(Section):
    """The function itself."""

    name: str | None = field(
        None,
        "Its name. Left out: the name of the folder that this file is in.",
        "1 to 64 letters, digits, hyphens and underscores",
        pattern=f"^{FUNCTION_NAME.pattern}$",
    )
    handler: str = field("app.handler", "Its handler.", '"module.function"', pattern=HANDLER)
    source: Text = field(".", "Folder with its code, relative to this file.", "a path")
    ignore: list[Text] = field(
        [],
        "Files of `source` to leave out of the function's zip.",
        'a list of patterns, e.g. ["tests/", "*.ipynb"]',
    )
    place: Place = field(
        "s3",
        "Where it reads its pack from (docs/placement.md). s3: the store. zip: its own zip. layer: layers "
        "that are made for it. mount: a file system that is mounted at `mount`.",
        PLACES,
    )
    mount: str | None = field(
        None,
        "Where a file system is mounted for it.",
        '"/mnt/NAME"',
        pattern=r"^/mnt/[A-Za-z0-9_.-]+$",
        max_length=160,
    )
    file_system: str | None = field(
        None,
        "ARN of the access point, of EFS or S3 Files, that is mounted at `mount`.",
        '"arn:aws:elasticfilesystem:REGION:ACCOUNT:access-point/fsap-ID"',
        pattern=r"^arn:aws[a-z-]*:(elasticfilesystem|s3files):[a-z0-9-]+:\d{12}:.*access-point/fsap-[0-9a-f]+$",
    )
    subnets: list[Text] = field(
        [],
        "The subnets of a VPC that it is in, as a file system needs. Left out: its network stays as it is.",
        'a list of ids, e.g. ["subnet-0a1b2c3d"]',
    )
    security_groups: list[Text] = field(
        [], "Its security groups in that VPC.", 'a list of ids, e.g. ["sg-0a1b2c3d"]'
    )
    memory: int = _setting(
        "memory_mb", "Memory in MB; 1769 buys one vCPU. Where it is set, it limits the traced code too."
    )
    tmp: int = _setting("tmp_mb", "Ephemeral storage (/tmp) in MB.")
    timeout: int = _setting("timeout", "Seconds that an invocation may take.")
    environment: dict[str, str] = field(
        {},
        "Environment variables. A build runs code with them and records them in build.json: no secrets here, "
        "but in `environment-file` or `secrets`.",
        "a table of texts",
    )
    role: str | None = field(
        None,
        "ARN of an existing role. Left out: one is made that may read this pack and write logs.",
        '"arn:aws:iam::ACCOUNT:role/NAME"',
        pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$",
    )
    environment_file: Text | None = field(
        None,
        "File with more environment variables, which `deploy` reads and a build does not: lines NAME=value, "
        "or .toml or .json with texts. They stand above `environment`, and the zip leaves the file out.",
        'a path, e.g. ".env"',
        alias="environment-file",
    )
    secrets: Secrets = field(
        {},
        "Environment variables whose values a deployment to AWS reads from Parameter Store or Secrets "
        "Manager (docs/settings.md).",
        'a table of texts, each "ssm:NAME" or "secretsmanager:ID" or "secretsmanager:ID:JSON-KEY"',
    )
    layers: list[Annotated[str, StringConstraints(pattern=LAYER)]] = field(
        [],
        "Layers of others that it has, before those that are made for it. Others that it has stay.",
        'a list of ARNs with versions, e.g. ["arn:aws:lambda:REGION:ACCOUNT:layer:NAME:3"]',
    )
    tags: dict[str, str] = field(
        {}, "Tags of the function in AWS. Others that it has stay.", "a table of texts"
    )
    kms_key: str | None = field(
        None,
        "ARN of the KMS key that encrypts its environment; empty: AWS's own. Left out: stays as it is.",
        '"arn:aws:kms:REGION:ACCOUNT:key/ID" or ""',
        pattern=KMS_KEY,
        alias="kms-key",
    )
    dead_letter: str | None = field(
        None,
        "ARN of the SQS queue or SNS topic that gets events that failed; empty: none. Left out: stays as it "
        "is.",
        '"arn:aws:sqs:REGION:ACCOUNT:NAME", "arn:aws:sns:REGION:ACCOUNT:NAME" or ""',
        pattern=DEAD_LETTER,
        alias="dead-letter",
    )
    tracing: StrictBool | None = field(
        None, "Whether X-Ray traces its calls. Left out: stays as it is.", "true or false"
    )
    reserved_concurrency: int | None = _setting(
        "reserved_concurrency",
        "Environments that are kept for it, and the most that it has. Left out: stays as it is.",
        alias="reserved-concurrency",
    )
    provisioned: int | None = _setting(
        "provisioned",
        "Environments of the live version that are kept ready (provisioned concurrency), which AWS bills "
        "for; 0: none. Left out: stays as it is.",
    )
    callers: list[CallerEntry] | None = field(
        None,
        "Who may call the alias `live` (docs/settings.md). Left out: its policy stays as it is.",
        'a list of tables, each with a principal, e.g. {principal = "s3.amazonaws.com", source-arn = '
        '"arn:aws:s3:::BUCKET"}, and for a service or "*" at least one of source-arn, source-account and '
        "organization",
    )
    log_format: Literal["text", "json"] | None = field(
        None,
        "How its log is written. Left out: stays as it is. `logs`, `status` and `report --from-aws` read "
        "both, `tune` and `calibrate` text alone.",
        '"text" or "json"',
        alias="log-format",
    )
    log_level: Literal["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"] | None = field(
        None,
        "The least that its code logs. Left out: INFO, or as it is.",
        '"TRACE", "DEBUG", "INFO", "WARN", "ERROR" or "FATAL"; needs log-format = "json"',
        alias="log-level",
    )
    system_log_level: Literal["DEBUG", "INFO", "WARN"] | None = field(
        None,
        "The least that Lambda logs of it. Left out: INFO, or as it is.",
        '"DEBUG", "INFO" or "WARN"; needs log-format = "json"',
        alias="system-log-level",
    )
    log_retention: Annotated[int, one_of(number_rule("log_retention").allowed)] | None = _setting(
        "log_retention",
        "Days that CloudWatch Logs keeps its log. Left out: the log group is left as it is; a new one keeps "
        "everything.",
    )
    allow_lacking: list[Text] = field(
        [],
        "Shared libraries that it can do without or has from a layer: `plan` and `deploy` only warn of them.",
        'a list of names, e.g. ["libgomp.so.1"]',
    )

    snap_start: StrictBool = field(
        False,
        "Start published versions from a snapshot (SnapStart): Python 3.12 or later, /tmp of 512 MB. AWS "
        "bills for each version that has one: docs/snapstart.md.",
        "true or false",
        alias="snap-start",
    )
    snapshot: Literal["needed", "all"] = field(
        "needed",
        "What the snapshot holds of the packs: what a first invocation may need, or all, so that nothing is "
        "fetched after a restore.",
        '"needed" or "all"; needs snap-start',
    )

    @property
    def settings(self) -> FunctionSettings:
        """How Lambda runs the function, in the form that every cloud takes."""
        return FunctionSettings(
            memory_mb=self.memory,
            tmp_mb=self.tmp,
            timeout=self.timeout,
            environment=self.environment,
            role=self.role,
            log_retention=self.log_retention,
            mount=self.mount,
            file_system=self.file_system,
            subnets=tuple(self.subnets),
            security_groups=tuple(self.security_groups),
            snap_start=self.snap_start,
            snapshot=self.snapshot,
            secrets={name: SecretReference.parse(text) for name, text in self.secrets.items()},
            layers=tuple(self.layers),
            tags=self.tags,
            kms_key=self.kms_key,
            dead_letter=self.dead_letter,
            tracing=self.tracing,
            reserved_concurrency=self.reserved_concurrency,
            provisioned=self.provisioned,
            log_format=self.log_format,
            log_level=self.log_level,
            system_log_level=self.system_log_level,
            callers=None if self.callers is None else tuple(self.callers),
        )
