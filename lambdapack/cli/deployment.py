"""What package, deploy, invoke, status and destroy share: options over configuration over defaults."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lambdapack.cli.session import Session
from lambdapack.errors import ConfigurationError

if TYPE_CHECKING:
    from lambdapack.deploy import FunctionOptions, Release
    from lambdapack.deploy.aws import Clients
    from lambdapack.install.syslibs import LibraryRisk
    from lambdapack.model import Location
    from lambdapack.pack import Pack

_DEFAULT_REGION = "us-east-1"
# Options that stand above a setting of the configuration -> the setting.
_SETTING_OPTIONS = {"memory": "memory_mb", "tmp": "tmp_mb", "timeout": "timeout", "role": "role"}


def function_options(session: Session, target: str, given: dict[str, Any]) -> FunctionOptions:
    """The function that the command line and the configuration describe, for a pack's ``target``."""
    from lambdapack.deploy import FunctionOptions
    from lambdapack.model import Target

    config = session.config.function
    chosen = {option: value for option, value in given.items() if value is not None}
    settings = {setting: chosen[key] for key, setting in _SETTING_OPTIONS.items() if key in chosen}
    return FunctionOptions(
        name=chosen.get("name", session.name),
        handler=chosen.get("handler", config.handler),
        source=Path(chosen.get("source", session.root / config.source)),
        target=Target.parse(target),
        settings=replace(config.settings, **settings),
        ignore=tuple(config.ignore),
        assets=None if session.file is None else session.assets,
        place=chosen.get("place", config.place),
        asset_places={name: asset.place for name, asset in session.config.assets.items() if asset.place},
        private=(session.root / config.environment_file,) if config.environment_file else (),
    )


def with_environment_file(session: Session, function: FunctionOptions) -> FunctionOptions:
    """``function`` with the variables of the configuration's ``environment-file`` above its own."""
    from lambdapack.config import read_environment

    if not function.private:
        return function
    environment = dict(function.settings.environment)
    for path in function.private:
        environment |= read_environment(path)
    return replace(function, settings=replace(function.settings, environment=environment))


def package(
    session: Session,
    function: FunctionOptions,
    made: Pack,
    location: str | None,
    *,
    region: str,
    output: Path | None = None,
) -> Release:
    """Write the function's zip; without a location it holds no address of its pack."""
    from lambdapack import deploy

    return deploy.package(
        function, made, locator(nearest(session, location, region), region),
        output=output or session.zip_path(function.name), cache_dir=session.cache, progress=session.progress,
    )  # fmt: skip


def sizes(files: Sequence[Path]) -> list[dict[str, Any]]:
    """Each file and its size in bytes, for a document."""
    return [{"path": str(path), "size": path.stat().st_size} for path in files]


def replicas(session: Session, given: Sequence[str]) -> dict[str, str]:
    """Region -> location of each copy: the options, else the configuration.

    Raises:
        ConfigurationError: An option is not of the form ``REGION=s3://BUCKET/PREFIX``.
    """
    if not given:
        return dict(session.config.store.replicate)
    pairs = [text.partition("=") for text in given]
    for region, _, url in pairs:
        if not region or not url.startswith("s3://"):
            raise ConfigurationError(
                f"--replicate {region}{'=' + url if url else ''} is not like "
                "eu-west-1=s3://BUCKET-OF-EU/PREFIX",
                hint="mend --replicate",
            )
    return {region: url for region, _, url in pairs}


def nearest(session: Session, location: str | None, region: str) -> str | None:
    """The location that a function in ``region`` reads: of the configuration's copies, the one there."""
    config = session.config.store
    return config.replicate.get(region, location) if location == config.location else location


def locator(location: str | None, region: str) -> Callable[[str], Location | None]:
    """Says where in S3 a pack is, or will be; without a ``location`` nowhere."""
    from lambdapack import store

    return lambda pack_id: store.locate(location, pack_id, region) if location else None


def missing_libraries(session: Session, made: Pack, allowed: Sequence[str]) -> tuple[LibraryRisk, ...]:
    """The shared libraries that the pack ``made`` asks for and neither it nor Lambda has."""
    from lambdapack.pipeline import missing_libraries

    return missing_libraries(made, (*session.config.function.allow_lacking, *allowed))


def warn_of_libraries(session: Session, missing: Sequence[LibraryRisk]) -> None:
    """Say in one line which libraries AWS would miss, in a command that does not deploy to AWS."""
    from lambdapack.install import syslibs

    fatal = {library.name: library.users for library in missing if library.fatal}
    if fatal:
        session.progress.warn(
            f"in AWS the function would fail for want of {syslibs.in_short(fatal)}: `lambdapack plan` says "
            "more, and what helps"
        )


def region_of(session: Session, given: str | None) -> str:
    """The region: the option, the configuration, the environment's, else ``us-east-1``."""
    chosen = given or session.config.store.region
    return chosen or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or _DEFAULT_REGION


def location_for(session: Session, given: str | None, cloud: str, *, needed: bool = True) -> str | None:
    """``s3://BUCKET/PREFIX`` for a deployment; the embedded cloud has one of its own.

    ``needed``: whether a pack is to be read from there.
    """
    from lambdapack.deploy import LOCAL_LOCATION

    location = given or session.config.store.location
    if location is None and cloud == "aws":
        if not needed:
            return None
        raise ConfigurationError(
            "deploying to AWS: no location for the pack in S3",
            hint="give --location s3://BUCKET/PREFIX or set location in the [store] table of "
            "lambdapack.toml; with --place zip or --place layer none is needed",
        )
    return location or LOCAL_LOCATION


def locations(session: Session, given: str | None) -> list[str]:
    """Where packs are kept, and where the configuration has them copied to."""
    own = location_of(session, given)
    return list(dict.fromkeys([*([own] if own else []), *session.config.store.replicate.values()]))


def any_target(session: Session) -> str:
    """A target for what does not depend on any: without a pack the function's own is not known."""
    from lambdapack.model.runtimes import SUGGESTED

    return f"python{session.config.build.python or SUGGESTED}/{session.config.build.arch}"


def location_of(session: Session, given: str | None) -> str | None:
    """``s3://BUCKET/PREFIX`` as the option or the configuration says; ``None`` where neither does."""
    return given or session.config.store.location


def clients(session: Session, region: str | None) -> Clients:
    """AWS's clients for the region that the option or the configuration names."""
    from lambdapack.deploy.aws import Clients

    return Clients(region or session.config.store.region)


place_option = click.option(
    "--place",
    type=click.Choice(["s3", "zip", "layer", "mount"]),
    help="Where the function reads its pack from.  [default: s3]",
)

replicate_option = click.option(
    "--replicate",
    multiple=True,
    metavar="REGION=s3://BUCKET/PREFIX",
    help="Have S3 copy the pack there too; may be repeated.  [default: replicate in [store]]",
)

allow_lacking_option = click.option(
    "--allow-lacking",
    multiple=True,
    metavar="NAME",
    help="Only warn of a shared library that neither the pack nor Lambda has.",
)


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
