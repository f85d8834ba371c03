"""``lambdapack.toml``, or ``[tool.lambdapack]`` in ``pyproject.toml``.

Every field says what it is and what it may hold; ``docs/configuration.md`` is made from the same words
(``python -m lambdapack.config``), and so are the messages about mistakes.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StrictBool, ValidationError
from pydantic.fields import FieldInfo

from lambdapack import limits
from lambdapack.config import assets as assets_table
from lambdapack.config.assets import Assets
from lambdapack.config.fields import HANDLER, Growth, Section, Text, expected, field, one_of, rows, unknown
from lambdapack.config.function import Function
from lambdapack.errors import ConfigurationError
from lambdapack.model.runtimes import PYTHONS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE_NAME = "lambdapack.toml"
_MEGABYTES = "megabytes (1,000,000 bytes), a number above 0"
_above_0 = partial(field, gt=0, strict=False)


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
    builder: Literal["auto", "docker", "local"] = field(
        "auto",
        "Where requirements are resolved and sdists built: in the target's image, or on this machine, wheels "
        "only. auto: on this machine where it has that Python and no image is named.",
        '"auto", "docker" or "local"',
    )
    glibc: str | None = field(
        None,
        "Newest C library that wheels may ask for. Left out: the one of Lambda's own image for that Python.",
        'a version like "2.28"',
        pattern=r"^2\.\d{1,2}$",
    )
    image: Text | None = field(
        None, "Image for the docker builder, instead of the one for the target.", "an image name"
    )
    system_packages: list[Text] = field(
        [],
        "System packages to install in the image before building, as its package manager names them.",
        'a list of names, e.g. ["libpq-devel"]',
    )
    image_timeout: float = _above_0(
        3600.0, "Seconds that a build in a container may take.", "a number above 0"
    )
    image_memory: int | None = field(
        None,
        "Memory in MB that a build in a container may use. Left out: what the engine has.",
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
        pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?$",
    )
    region: Text | None = field(
        None, "The bucket's and the function's region. Left out: as the AWS SDK finds it.", "a region's name"
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


class Local(Section):
    """The embedded cloud's link to its S3."""

    bandwidth: float = _above_0(600.0, "Mbit/s.", "a number above 0")
    latency: float = field(
        0.0, "Milliseconds before the first byte of an answer.", "a number from 0", ge=0, strict=False
    )


class Config(Section):
    """The whole file."""

    build: Build = Field(default_factory=Build)
    slim: Slim = Field(default_factory=Slim)
    trace: Trace = Field(default_factory=Trace)
    pack: Pack = Field(default_factory=Pack)
    function: Function = Field(default_factory=Function)
    store: Store = Field(default_factory=Store)
    budget: Budget = Field(default_factory=Budget)
    traffic: Traffic = Field(default_factory=Traffic)
    local: Local = Field(default_factory=Local)
    assets: Assets = Field(default_factory=dict)


def discover(start: Path) -> Path | None:
    """The nearest configuration file in ``start`` or a folder above it; ``None`` if there is none.

    A ``pyproject.toml`` counts only with a ``[tool.lambdapack]`` table.
    """
    for folder in (start, *start.parents):
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
        pyproject = folder / "pyproject.toml"
        if pyproject.is_file() and re.search(r"^\s*\[tool\.lambdapack[.\]]", _read(pyproject), re.MULTILINE):
            return pyproject
    return None


def load(path: Path) -> Config:
    """Read ``lambdapack.toml`` or ``pyproject.toml``.

    Raises:
        ConfigurationError: Every mistake in it, by file, key and what was expected.
    """
    try:
        table = tomllib.loads(_read(path))
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is not TOML: {error}") from None
    prefix: tuple[str, ...] = ()
    if path.name == "pyproject.toml":
        prefix = ("tool", "lambdapack")
        table = table.get("tool", {}).get("lambdapack", {})
    return parse(table, str(path), prefix=prefix)


def parse(table: Mapping[str, Any], where: str, *, prefix: tuple[str, ...] = ()) -> Config:
    """Check ``table``; ``where`` and ``prefix`` name the file and the table in messages."""
    mistakes: list[str] = []
    config = Config()
    try:
        config = Config.model_validate(table)
    except ValidationError as error:
        mistakes = [_explain(fault["type"], fault["loc"], fault["input"], prefix) for fault in error.errors()]
    mistakes += _contradictions(table, prefix)
    if mistakes:
        count = "a mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        raise ConfigurationError(
            f"{count} in {where}:\n" + "\n".join(f"  {mistake}" for mistake in mistakes),
            hint="every key is described in docs/configuration.md",
        )
    return config


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is not UTF-8 text") from None


def _explain(kind: str, location: tuple[int | str, ...], value: object, prefix: tuple[str, ...]) -> str:
    """A mistake by table and key, with the value that is there and what was expected."""
    names = [part for part in location if isinstance(part, str)]
    if names[:1] == ["assets"]:
        return f"{_name(location[:1], prefix)} {assets_table.explain(kind, names[1:], value)}"
    section = Config.model_fields.get(names[0]) if names else None
    if kind == "extra_forbidden":
        known = Config.model_fields if len(location) == 1 else _fields_of(section)
        what = "unknown table" if len(location) == 1 else "unknown key"
        return f"{_name(location, prefix)}: {what}; {unknown(str(location[-1]), known)}"
    if len(names) < 2 or section is None:
        return f"{_name(location[:1], prefix)}: expected a table, not {value!r}"
    # A key may be written with hyphens or without.
    keys = {key.replace("-", "_"): info for key, info in _fields_of(section).items()}
    wrong = keys[names[1].replace("-", "_")]
    return f"{_name(location[:2], prefix)}: expected {expected(wrong)}, not {value!r}"


def _contradictions(table: Mapping[str, Any], prefix: tuple[str, ...]) -> list[str]:
    mistakes = []
    function = table.get("function")
    if (
        isinstance(function, Mapping)
        and "snapshot" in function
        and not {"snap-start", "snap_start"} & {key for key, value in function.items() if value is True}
    ):
        mistakes.append(f"{_name(('function', 'snapshot'), prefix)}: expected snap-start = true beside it")
    traffic = table.get("traffic")
    if isinstance(traffic, Mapping):
        for key, other in (("invocations", "duration"), ("duration", "invocations")):
            if key not in traffic:
                why = f"beside {other}" if other in traffic else "in the table"
                mistakes.append(f"{_name(('traffic', key), prefix)}: expected a number above 0 {why}")
    trace = table.get("trace")
    if not isinstance(trace, Mapping):
        return mistakes
    if "code" in trace and "handler" in trace:
        mistakes.append(f"{_name(('trace', 'code'), prefix)}: expected either code or handler, not both")
    for key in ("event", "events"):
        if key in trace and "handler" not in trace:
            mistakes.append(f"{_name(('trace', key), prefix)}: expected a handler to call with it")
    return mistakes


def _name(location: tuple[int | str, ...], prefix: tuple[str, ...]) -> str:
    table = ".".join((*prefix, str(location[0])))
    return " ".join([f"[{table}]", *(str(part) for part in location[1:2])])


def _fields_of(section: FieldInfo | None) -> dict[str, FieldInfo]:
    model = section.annotation if section else None
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return {}
    return {info.alias or name: info for name, info in model.model_fields.items()}


def document() -> str:
    """The text of ``docs/configuration.md``."""
    lines = [
        "# Configuration",
        "",
        f"`{FILE_NAME}`, or the same tables under `[tool.lambdapack]` in `pyproject.toml`. The nearest one,",
        "in the current folder or above, is used; `--config FILE` names another. Command-line options",
        "come first, then the file, then the defaults below. Paths are relative to the file. Keys may be",
        "written with hyphens: `system-packages`.",
        "",
        "This page is made from the models in `lambdapack/config` by `python -m lambdapack.config`.",
    ]
    for name, section in Config.model_fields.items():
        if name == "assets":
            lines += assets_table.describe()
            continue
        model = section.annotation
        lines += ["", f"## `[{name}]`", "", (model.__doc__ or "") if model else "", ""]
        lines += rows(_fields_of(section))
    return "\n".join(lines) + "\n"
