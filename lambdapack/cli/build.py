"""``lambdapack build``."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lambdapack.cli import build_matrix
from lambdapack.cli.session import Session, common, glibc_version, stoppable
from lambdapack.errors import ConfigurationError

if TYPE_CHECKING:
    from lambdapack.model import Target
    from lambdapack.pack.assets import Asset
    from lambdapack.pipeline import BuildOptions, BuildResult
    from lambdapack.pipeline.remote import RemoteOptions
    from lambdapack.slim import SlimOptions
    from lambdapack.trace import TraceOptions


@click.command("build", short_help="Build a pack.")
@click.argument("requirements", nargs=-1, metavar="[REQ]...")
@click.option("-r", "--requirement", "files", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
              help="Read requirements from FILE: requirements.txt, pyproject.toml, or a lock: uv.lock, "
              "poetry.lock, Pipfile.lock, pylock.toml.")  # fmt: skip
@click.option("--extra", "extras", multiple=True, metavar="NAME", help="Take an extra of the project too.")
@click.option("--group", "groups", multiple=True, metavar="NAME", help="Take a dependency group too.")
@click.option("--python", metavar="X.Y", help="Lambda's Python.  [default: the running one]")
@click.option("--arch", type=click.Choice(["x86_64", "arm64"]), help="The processor.  [default: x86_64]")
@click.option("--matrix", multiple=True, metavar="TARGET,...",
              help="Build several targets, e.g. python3.12/x86_64,python3.13/arm64.")  # fmt: skip
@click.option("--builder", type=click.Choice(["auto", "docker", "local", "codebuild"]),
              help="Where wheels are installed.  [default: auto]")  # fmt: skip
@click.option("--image", metavar="NAME", help="Image for the docker or the codebuild builder.")
@click.option("--location", metavar="s3://BUCKET/PREFIX", help="The store that a build in CodeBuild uses.")
@click.option("--region", metavar="NAME", help="That bucket's region.")
@click.option("--system-package", "packages", multiple=True, metavar="NAME",
              help="Install a system package in the image first.")  # fmt: skip
@click.option("--glibc", metavar="2.N", help="Newest C library that wheels may ask for.")
@click.option("--exclude", multiple=True, metavar="NAME",
              help="Leave a distribution out, and what only it needs.")  # fmt: skip
@click.option("--runtime-provided/--no-runtime-provided", default=None,
              help="Leave out what Lambda's runtime has: boto3, botocore and what they need.")  # fmt: skip
@click.option("--trace", "code", metavar="CODE", help="Python code to order the files by.")
@click.option("--keep", multiple=True, metavar="GLOB", help="Never drop these files.")
@click.option("--drop", multiple=True, metavar="GLOB", help="Drop these files too.")
@click.option("--disable", multiple=True, metavar="RULE", help="Switch a slimming rule off.")
@click.option("--strip/--no-strip", default=None, help="Strip shared objects.")
@click.option("--sources/--no-sources", default=None, help="Keep the .py files.")
@click.option("--level", type=click.IntRange(1, 22), metavar="N", help="zstd level.  [default: 19]")
@click.option("--jobs", type=click.IntRange(1), metavar="N", help="Cores to use.  [default: all]")
@click.option("--refresh", is_flag=True, help="Resolve the requirements anew, even if done a while ago.")
@click.option("--cache/--no-cache", default=True, help="Use the build cache.  [default: yes]")
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Folder for the pack.  [default: .lambdapack/build]")  # fmt: skip
@stoppable
@common
def command(session: Session, requirements: tuple[str, ...], jobs: int | None, **given: Any) -> None:
    """Build a pack from requirements: lock, install, trace, slim, compress.

    Requirements come from the command line or, where it names none, from the configuration or, where that
    names none, from the project's lock or requirements file. A requirement may be a wheel or a folder.
    Writes ID.tar.zst, ID.index.json, its bill of materials ID.cdx.json and build.json, and a pack for each
    of the configuration's assets; the same inputs give the same id, on any machine. With a matrix of targets
    each goes into a folder of its own, DIR/python3.12-x86_64; one that fails stops no other.

    \b
    Examples:
      lambdapack build spacy
      lambdapack build -r requirements.txt --python 3.12 --arch arm64
      lambdapack build -r uv.lock --group inference --runtime-provided
      lambdapack build torch --trace "import torch; torch.ones(2) @ torch.ones(2)"
      lambdapack build --matrix python3.12/x86_64,python3.12/arm64 --builder codebuild
      lambdapack build spacy --builder codebuild --arch arm64 --location s3://bucket/prefix
      id=$(lambdapack build scikit-learn --quiet)
    """
    targets = build_matrix.targets(session, given)
    if targets:
        _build_several(session, requirements, targets, jobs, given)
        return
    options = build_options(session, requirements, given)
    _check_handlers(session, options, named=bool(requirements or given["files"]))
    result = _how(session, options, jobs, given)(options, progress=session.progress)
    if session.as_json:
        click.echo(json.dumps(_document(result), indent=2))
    elif session.quiet:
        click.echo(result.report.pack.id)
    else:
        from lambdapack.report.tables import build_table

        session.show(build_table(result.report, result.directory, result.assets))


def _build_several(
    session: Session,
    requirements: tuple[str, ...],
    targets: Sequence[Target],
    jobs: int | None,
    given: Mapping[str, Any],
) -> None:
    """Build every target of a matrix."""
    from lambdapack.pipeline import matrix

    first = {**given, "python": targets[0].python, "arch": targets[0].arch}
    members = matrix.members(build_options(session, requirements, first), targets)
    for each in members:
        _check_handlers(session, each, named=bool(requirements or given["files"]))
    if members[0].builder == "codebuild":
        from lambdapack.pipeline import remote

        # Once, before builds side by side would each make it.
        remote.prepare(members[0], _remote_options(session, given), progress=session.progress)
    build_matrix.build_matrix(
        session, members, lambda options, share: _how(session, options, share, given), jobs
    )


def _how(
    session: Session, options: BuildOptions, jobs: int | None, given: Mapping[str, Any]
) -> Callable[..., BuildResult]:
    """What builds: on this machine, or in CodeBuild."""
    from lambdapack import pipeline

    settings: dict[str, Any] = {
        "assets": _assets(session),
        "cache_dir": session.cache,
        "reuse": pipeline.Reuse(cache=given["cache"], lock=not given["refresh"], limit=session.cache_limit),
        "jobs": jobs,
    }
    if options.builder != "codebuild":
        return partial(pipeline.build, **settings)
    from lambdapack.pipeline import remote

    return partial(remote.build, remote=_remote_options(session, given), **settings)


def _remote_options(session: Session, given: Mapping[str, Any]) -> RemoteOptions:
    from lambdapack.pipeline import remote

    store = session.config.store
    location = given["location"] or store.location
    if location is None:
        raise ConfigurationError(
            "building in CodeBuild: no bucket for the sources and the pack",
            hint="give --location s3://BUCKET/PREFIX or set location in the [store] table of lambdapack.toml",
        )
    return remote.RemoteOptions(location, session.root, given["region"] or store.region)


def _document(result: BuildResult) -> dict[str, Any]:
    from lambdapack.pack import assets
    from lambdapack.pipeline import build_json

    return {
        **build_json.to_json(result.report),
        "directory": str(result.directory),
        "reused": result.reused,
        "assets": assets.document(result.assets)["assets"],
        "reused_from": result.source,
        "lock_age": result.lock_age,
        "sbom": result.bill and result.bill.name,
    }


def _check_handlers(session: Session, options: BuildOptions, *, named: bool) -> None:
    """Refuse a handler that Lambda could not import now, rather than at deploy, after minutes of building."""
    from lambdapack.deploy import SHIM_HANDLER, WRAPPED_VARIABLE
    from lambdapack.pipeline import check_source

    function = session.config.function
    source = session.root / function.source
    wrapped = function.handler == SHIM_HANDLER
    wanted = {options.trace.handler} if options.trace.handler else set()
    # Requirements on the command line make a pack that the function need not fit.
    if session.file is not None and not named:
        own = function.environment.get(WRAPPED_VARIABLE, "") if wrapped else function.handler
        stem = source.joinpath(*own.replace("/", ".").split(".")[:-1])
        there = stem.with_name(f"{stem.name}.py").is_file() or (stem / "__init__.py").is_file()
        # A project without the handler's file may have no function yet, or take a handler out of a package.
        if there or ("handler" in function.model_fields_set and not wrapped):
            wanted.add(own)
    for handler in sorted(wanted):
        check_source(handler, source, function.ignore, options.target)


def _assets(session: Session) -> list[Asset]:
    """The assets that the configuration names."""
    from lambdapack.pack.assets import Asset

    config = session.config
    return [
        Asset(name, session.root / one.path, one.fetch, tuple(one.ignore), one.level or config.pack.level)
        for name, one in config.assets.items()
    ]


def build_options(session: Session, requirements: tuple[str, ...], given: Mapping[str, Any]) -> BuildOptions:
    """The command line over the configuration over the defaults; ``given`` may lack options."""
    from lambdapack.install import BuildLimits
    from lambdapack.pipeline import BuildOptions

    config, given = session.config.build, defaultdict(lambda: None, given)
    named = bool(requirements or given["files"])
    files = given["files"] if named else [session.root / file for file in config.files]
    if not (named or config.requirements or config.files):
        files = _discovered(session)
    provided = given["runtime_provided"]
    return BuildOptions(
        requirements=tuple(requirements if named else config.requirements),
        files=tuple(files),
        target=session.target(given["python"], given["arch"]),
        output=given["output"] or session.build_directory,
        builder=given["builder"] or config.builder,
        image=given["image"] or config.image,
        limits=BuildLimits(config.image_timeout, config.image_memory),
        packages=tuple(given["packages"] or config.system_packages),
        glibc=glibc_version(given["glibc"] or config.glibc),
        extras=tuple(given["extras"] or config.extras),
        groups=tuple(given["groups"] or config.groups),
        exclude=tuple(given["exclude"] or config.exclude),
        runtime_provided=config.runtime_provided if provided is None else provided,
        slim=_slim_options(session, given),
        trace=_trace_options(session, given["code"]),
        level=given["level"] or session.config.pack.level,
    )


def _discovered(session: Session) -> list[Path]:
    """The project's own requirements file, where neither command line nor configuration names any."""
    from lambdapack.lock import discover

    file, others = discover(session.root)
    if file is None:
        return []
    rather = f" rather than {', '.join(others)}" if others else ""
    session.progress.note(f"requirements: {file.name} in {session.root}{rather}, as none were named")
    return [file]


def _slim_options(session: Session, given: Mapping[str, Any]) -> SlimOptions:
    from lambdapack.slim import SlimOptions

    config = session.config.slim
    return SlimOptions(
        keep=tuple(given["keep"] or config.keep),
        drop=tuple(given["drop"] or config.drop),
        disable=tuple(given["disable"] or config.disable),
        strip=config.strip if given["strip"] is None else given["strip"],
        sources=config.sources if given["sources"] is None else given["sources"],
    )


def _trace_options(session: Session, code: str | None) -> TraceOptions:
    from lambdapack.trace import TraceOptions

    config, function = session.config.trace, session.config.function
    options = TraceOptions(
        code=code or config.code,
        # Also where no handler is traced: which modules a package imports may depend on them (KERAS_BACKEND).
        environment=function.environment,
        timeout=config.timeout,
        # A default is no promise that the code needs no more.
        memory=function.memory if "memory" in function.model_fields_set else None,
        touched=_touched(session.root / config.touched),
        assets=session.assets,
    )
    if code is not None or config.handler is None:
        return options
    named = [*([config.event] if config.event else []), *config.events]
    events = tuple(_event(session.root / path) for path in named) or ({},)
    return replace(options, handler=config.handler, events=events, source=session.root / function.source)


def _touched(path: Path) -> tuple[str, ...]:
    """The paths in a file of those that count as touched, each of which stays within the pack."""
    from lambdapack.trace import read_touched

    try:
        return read_touched(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot read {path}: {error}", hint="mend [trace] touched") from None


def _event(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"cannot read the sample event {path}: {error}", hint="mend [trace] event"
        ) from None
