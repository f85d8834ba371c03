"""What package, deploy, invoke, status and destroy share: options over configuration over defaults."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lambdapack.cli.session import Session
from lambdapack.errors import ConfigurationError

if TYPE_CHECKING:
    from lambdapack.deploy import FunctionOptions
    from lambdapack.deploy.aws import Clients
    from lambdapack.install.syslibs import LibraryRisk
    from lambdapack.model import FunctionAsset, Location
    from lambdapack.pack import Pack

__all__ = [
    "allow_lacking_option", "clients", "cloud_option", "function_assets", "function_options", "location_for",
    "missing_libraries", "region_of", "warn_of_libraries",
]  # fmt: skip

_DEFAULT_REGION = "us-east-1"


def function_options(session: Session, target: str, given: dict[str, Any]) -> FunctionOptions:
    """The function that the command line and the configuration describe, for a pack's ``target``."""
    from lambdapack.deploy import FunctionOptions
    from lambdapack.model import Target

    config = session.config.function

    def chosen(key: str, default: Any) -> Any:
        return default if given.get(key) is None else given[key]

    return FunctionOptions(
        name=chosen("name", session.name),
        handler=chosen("handler", config.handler),
        source=Path(chosen("source", session.root / config.source)),
        target=Target.parse(target),
        memory_mb=chosen("memory", config.memory),
        tmp_mb=chosen("tmp", config.tmp),
        timeout=chosen("timeout", config.timeout),
        environment=config.environment,
        role=chosen("role", config.role),
        ignore=tuple(config.ignore),
        leave_out=tuple(session.assets.values()),
    )


def function_assets(
    session: Session, made: Pack, locate: Callable[[str], Location | None]
) -> tuple[FunctionAsset, ...]:
    """The assets that were built beside the pack ``made``, each where ``locate`` says for its id."""
    from lambdapack.pack import assets

    wanted = session.assets if session.file is not None else None
    return assets.placed(made.path.parent, locate, wanted)


def missing_libraries(session: Session, made: Pack, allowed: Sequence[str]) -> tuple[LibraryRisk, ...]:
    """The shared libraries that the pack ``made`` asks for and nobody has, as its build.json knows them."""
    from lambdapack.install import syslibs
    from lambdapack.model import Target
    from lambdapack.pipeline import build_json

    try:
        report = build_json.read(made.path.parent)
    except ConfigurationError:  # a pack that came without its report
        return ()
    if report.pack.id != made.id:
        return ()
    index, traced = made.index, report.trace.get("how") == "traced"
    needs = {index.paths[file]: [index.paths[one] for one in needed] for file, needed in index.needs.items()}
    return syslibs.weigh(
        report.lacking,
        syslibs.runtime_libraries(Target.parse(report.target)),
        index.paths,
        syslibs.PackUse(report.trace["files"] if traced else None, needs, report.imports.skipped),
        allowed=(*session.config.function.allow_lacking, *allowed),
        image=report.builder["name"] == "docker",
    )


def warn_of_libraries(session: Session, missing: Sequence[LibraryRisk]) -> None:
    """Say in one line what AWS would not get, where it is not what is being asked."""
    from lambdapack.install import syslibs

    fatal = {one.name: one.users for one in missing if one.fatal}
    if fatal:
        session.progress.warn(
            f"in AWS the function would fail for want of {syslibs.in_short(fatal)}: `lambdapack plan` says "
            "more, and what helps"
        )


def region_of(session: Session, given: str | None) -> str:
    """The region: the option, the configuration, the environment's, else ``us-east-1``."""
    found = given or session.config.store.region
    return found or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or _DEFAULT_REGION


def location_for(session: Session, given: str | None, cloud: str) -> str:
    """``s3://BUCKET/PREFIX`` for a deployment; the embedded cloud has one of its own."""
    from lambdapack.deploy import LOCAL_LOCATION

    location = given or session.config.store.location
    if location is None and cloud == "aws":
        raise ConfigurationError(
            "deploying to AWS: no location for the pack in S3",
            hint="give --location s3://BUCKET/PREFIX or set location in the [store] table of lambdapack.toml",
        )
    return location or LOCAL_LOCATION


def clients(session: Session, region: str | None) -> Clients:
    """AWS's clients for the region that the option or the configuration names."""
    from lambdapack.deploy.aws import Clients

    return Clients(region or session.config.store.region)


def allow_lacking_option(function: Any) -> Any:
    """``--allow-lacking``."""
    return click.option(
        "--allow-lacking",
        multiple=True,
        metavar="NAME",
        help="Only warn of a shared library that neither the pack nor Lambda has.",
    )(function)


def cloud_option(function: Any) -> Any:
    """``--cloud`` and ``--region``."""
    function = click.option("--region", metavar="NAME", help="AWS region.")(function)
    return click.option(
        "--cloud",
        type=click.Choice(["local", "aws"]),
        default="local",
        show_default=True,
        help="The embedded cloud, or AWS.",
    )(function)
