"""The tables of the configuration, but for ``[function]`` and ``[assets]``."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

from pydantic import StrictBool, StringConstraints

from lambdapack import limits
from lambdapack.config.fields import HANDLER, Growth, Section, Text, field, one_of
from lambdapack.model.runtimes import PYTHONS

_MEGABYTES = "megabytes (1,000,000 bytes), a number above 0"
_above_0 = partial(field, gt=0, strict=False)
_LOCATION = r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?$"
_REGION = r"^[a-z]{2}(-[a-z0-9]+)+-[0-9]+$"


class Build(Section):
    """What is built, and for which runtime."""

    requirements: list[Text] = field(
        [], "What the function needs, as pip writes it.", 'a list of requirements, e.g. ["spacy>=3.8"]'
    )
    files: list[Text] = field(
        [],
        "Files to read requirements from, relative to this file.",
        "a list of paths: requirements.txt, pyproject.toml, uv.lock, poetry.lock, Pipfile.lock, pylock.toml",
    )
    extras: list[Text] = field(
        [], "Extras of the project to take, of those files that have such.", 'a list of names, e.g. ["web"]'
    )
    groups: list[Text] = field(
        [],
        "Dependency groups to take besides the main one, of those files that have such.",
        'a list of names, e.g. ["inference"]',
    )
    python: Annotated[str, one_of(PYTHONS)] | None = field(
        None,
        "The runtime's Python. Left out: the Python that runs lambdapack, where Lambda has it.",
        "one of " + ", ".join(f'"{python}"' for python in PYTHONS),
    )
    arch: Literal["x86_64", "arm64"] = field("x86_64", "The processor.", '"x86_64" or "arm64"')
    matrix: list[Text] = field(
        [],
        "Targets that `lambdapack build` builds side by side, each into a folder of its own below `output`; "
        "--python or --arch builds one alone. Left out: the one of `python` and `arch`.",
        'a list of targets, e.g. ["python3.12/x86_64", "python3.13/arm64"]',
    )
    builder: Literal["auto", "docker", "local", "codebuild"] = field(
        "auto",
        "Where requirements are resolved and sdists built: in the target's image, here or in AWS CodeBuild; "
        "or on this machine, wheels only. auto: on this machine where it has that Python and no image is "
        "named.",
        '"auto", "docker", "local" or "codebuild"',
    )
    glibc: str | None = field(
        None,
        "Newest C library that wheels may ask for. Left out: the one of Lambda's own image for that Python.",
        'a version like "2.28"',
        pattern=r"^2\.\d{1,2}$",
    )
    image: Text | None = field(
        None,
        "Image for the docker or the codebuild builder, instead of the one for the target.",
        "an image name",
    )
    system_packages: list[Text] = field(
        [],
        "System packages to install in the image before building, as its package manager names them.",
        'a list of names, e.g. ["libpq-devel"]',
    )
    image_timeout: float = _above_0(
        3600.0, "Seconds that a build in a container or in CodeBuild may take.", "a number above 0"
    )
    image_memory: int | None = field(
        None,
        "Memory in MB that a build in a container may use. Left out: what the engine has. In CodeBuild: that "
        "the machine has at least; left out, 8 GB.",
        "an integer from 64",
        ge=64,
    )
    exclude: list[Text] = field(
        [],
        "Distributions to leave out of the pack, with what only they need.",
        'a list of names, e.g. ["pip", "setuptools"]',
    )
    runtime_provided: StrictBool = field(
        False,
        "Leave out what Lambda's runtime has (boto3, botocore and what they need), where it is as needed.",
        "true or false",
        alias="runtime-provided",
    )
    output: Text = field(
        ".lambdapack/build", "Folder for the pack and build.json, relative to this file.", "a path"
    )


class Slim(Section):
    """What is taken out of the installed tree. Nothing that the trace touched is ever dropped."""

    keep: list[Text] = field([], "Files never to drop.", 'a list of globs, e.g. ["nltk/test/**"]')
    drop: list[Text] = field([], "Further files to drop.", 'a list of globs, e.g. ["**/locale/**"]')
    disable: list[Text] = field(
        [],
        "Rules to switch off, by name (docs/slimming.md lists them).",
        'a list of rule names, e.g. ["tests"]',
    )
    strip: StrictBool = field(
        True, "Strip symbols from shared objects, verified one by one.", "true or false"
    )
    sources: StrictBool = field(
        True, "Keep the .py files, in the part of the pack that is fetched on demand.", "true or false"
    )


class Trace(Section):
    """What is run to learn which files come first. Left out: the requested packages are imported."""

    code: Text | None = field(None, "Python code to run.", "Python code; not together with handler")
    handler: str | None = field(
        None,
        "Handler to call once with `event`, found in [function] source.",
        '"module.function"; not together with code',
        pattern=HANDLER,
    )
    event: Text | None = field(
        None, "JSON file with the sample event for `handler`, relative to this file.", "a path; needs handler"
    )
    events: list[Text] = field(
        [],
        "Further such files: `handler` is called with one after the other, and what any call touches is hot.",
        'a list of paths, e.g. ["events/small.json", "events/large.json"]; needs handler',
    )
    touched: Text = field(
        "lambdapack-touched.txt",
        "File of further paths in the pack, one a line, that count as touched; "
        "`lambdapack trace --from-logs` writes it. It need not be there.",
        "a path",
    )
    timeout: float = _above_0(300.0, "Seconds that it may take.", "a number above 0")


class Pack(Section):
    """How the pack is compressed."""

    level: int = field(19, "zstd level.", "an integer from 1 to 22", ge=1, le=22)


class Store(Section):
    """Where packs are kept."""

    location: str | None = field(
        None,
        "Bucket and prefix. Needed for `--cloud aws`.",
        '"s3://BUCKET/PREFIX"',
        pattern=_LOCATION,
    )
    region: Text | None = field(
        None, "The bucket's and the function's region. Left out: as the AWS SDK finds it.", "a region's name"
    )
    replicate: dict[
        Annotated[str, StringConstraints(pattern=_REGION)],
        Annotated[str, StringConstraints(pattern=_LOCATION)],
    ] = field(
        {},
        "Where each pack is copied to, by region: a function that is deployed there reads the copy.",
        'a table of regions and locations, e.g. { eu-west-1 = "s3://BUCKET-OF-EU/PREFIX" }',
    )
    grace: str = field(
        "7d",
        "`lambdapack gc` removes nothing that was pushed, deployed or replaced within this time.",
        'a time from an hour on, e.g. "12h" or "7d"',
        pattern=r"^[1-9][0-9]*[hdw]$",
    )


class Budget(Section):
    """What `lambdapack plan` fails on, with exit status 1."""

    pack: float | None = _above_0(None, "Largest pack.", _MEGABYTES)
    hot: float | None = _above_0(None, "Most compressed bytes fetched at a cold start.", _MEGABYTES)
    slimmed: float | None = _above_0(None, "Largest slimmed tree.", _MEGABYTES)
    tmp: float | None = _above_0(None, "Most of /tmp, in MB as Lambda counts them.", "a number above 0")
    zip: float | None = _above_0(None, "Largest function zip.", _MEGABYTES)
    assets: float | None = _above_0(None, "Largest sum of the assets' packs.", _MEGABYTES)
    cold_start: float | None = _above_0(
        None,
        "Longest predicted cold start, first invocation included.",
        "seconds, a number above 0",
        alias="cold-start",
    )
    memory: float | None = _above_0(
        None,
        "Highest peak of memory of the starts that `lambdapack calibrate` measured.",
        "MB as Lambda counts them, a number above 0",
    )
    cost: float | None = _above_0(
        None,
        "Most that a month of the [traffic] may cost, with the start that the function is set to.",
        "dollars, a number above 0; needs the [traffic] table",
    )
    growth: Growth | None = field(
        None,
        "Most that the pack may be larger than that of the build before, or of `lambdapack plan --against`.",
        'megabytes (1,000,000 bytes), a number from 0, or "10%"',
    )


class Traffic(Section):
    """How often the function is called: with this table, `lambdapack plan` says what it costs."""

    invocations: float | None = _above_0(
        None, "Invocations a day.", "a number above 0, up to 1e12; needs duration", le=1e12
    )
    duration: float | None = _above_0(
        None,
        "Milliseconds that an invocation takes in the handler, on average.",
        "a number above 0, up to 900000; needs invocations",
        le=limits.TIMEOUT_MAX * 1000,
    )
    cold: float = field(
        0.01,
        "The share of invocations that begin with a cold start.",
        "a number from 0 to 1, e.g. 0.01 for one in a hundred",
        ge=0,
        le=1,
        strict=False,
    )
    init: float | None = _above_0(
        None,
        "Milliseconds that the init of a cold start takes (Init Duration in a REPORT line). Left out: what "
        "`plan` predicts.",
        "a number above 0, up to 900000",
        le=limits.TIMEOUT_MAX * 1000,
    )
    provisioned: int | None = field(
        None,
        "Environments that provisioned concurrency keeps ready. Left out: as many as are busy on average.",
        "an integer from 1 to 1000000",
        ge=1,
        le=1_000_000,
    )


class Deploy(Section):
    """How calls go over to a new version, and what undoes that: docs/shifting.md."""

    shift: str = field(
        "all",
        "How calls go over where `--shift` does not say: all at once, one step and then the rest, or equal "
        "steps; or CodeDeploy moves them, without us.",
        '"all", "canary:10%,5m", "linear:10%,1m" or "codedeploy:CONFIG"',
        pattern=r"^(all|(canary|linear):[1-9]\d?%,[1-9]\d*[smh]|codedeploy:[A-Za-z0-9+=,.@_-]+)$",
    )
    smoke: Text | None = field(
        None,
        "JSON file with an event that the new version must answer without an error before the first call "
        "reaches it and before each further step, relative to this file.",
        "a path",
    )
    alarms: list[Text] = field(
        [],
        "CloudWatch alarms that undo a shift; in the embedded cloud those of `alarms.json`.",
        'a list of names, e.g. ["checkout-errors"]',
    )
    max_errors: float = field(
        0.01,
        "The share of the new version's calls that may fail; where the old version fails more often, as many "
        "as of its calls.",
        "a number from 0 to 1, e.g. 0.01 for one call in a hundred",
        ge=0,
        le=1,
        strict=False,
        alias="max-errors",
    )
    max_slowdown: float = field(
        3.0,
        "How many times as long as the old version's the new version's calls, or inits, may take on average.",
        "a number above 1",
        gt=1,
        strict=False,
        alias="max-slowdown",
    )


class Local(Section):
    """The embedded cloud's link to its S3."""

    bandwidth: float = _above_0(600.0, "Mbit/s.", "a number above 0")
    latency: float = field(
        0.0, "Milliseconds before the first byte of an answer.", "a number from 0", ge=0, strict=False
    )
