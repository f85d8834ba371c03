"""``lambdapack export``."""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lambdapack.cli import deployment
from lambdapack.cli.plan import asset_facts
from lambdapack.cli.session import Session, common

if TYPE_CHECKING:
    from lambdapack.deploy import FunctionOptions
    from lambdapack.deploy.export import Exported
    from lambdapack.pack import Pack

_STEP_MB = 64
_TOOLS = ("sam", "serverless", "terraform", "cdk")
_NEXT = {
    "sam": "merge {folder}/sam.yaml into the template once; deploy with "
    "--parameter-overrides file://{folder}/sam-parameters.yaml",
    "serverless": "take the parts of {folder}/serverless.yml with ${{file(…)}}",
    "terraform": 'module "dependencies" {{ source = "./{folder}" … }}',
    "cdk": "from {package} import Dependencies",
}


@click.command("export", short_help="Write what a SAM, Serverless, Terraform or CDK project takes.")
@click.argument("tool", type=click.Choice(_TOOLS), metavar="|".join(_TOOLS))
@click.option("--pack", "pack_directory", type=click.Path(path_type=Path), metavar="DIR",
              help="Folder of the pack.  [default: .lambdapack/build]")  # fmt: skip
@click.option("--place", type=click.Choice(["layer", "s3", "zip"]),
              help="Where the function reads its pack from.  [default: as configured, else s3]")  # fmt: skip
@click.option("--function", metavar="NAME",
              help="What the project calls the function: for sam its logical id.")  # fmt: skip
@click.option("--location", metavar="s3://BUCKET/PREFIX", help="Where the pack is kept, for --place s3.")
@click.option("--region", metavar="NAME", help="The bucket's region.")
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Folder for the files.  [default: lambdapack_export]")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
@common
def command(
    session: Session, tool: str, pack_directory: Path | None, output: Path | None, **given: Any
) -> None:
    """Write what a project of another tool takes to give its function the last build's pack.

    The files go into a folder of their own, together with the layers (or the function's zip) that they name;
    a file of that folder that something else wrote is never replaced, and writing again changes nothing.
    With --place layer or s3 the function's code and handler stay as they are.

    docs/export.md says what each tool's project does with the files.

    \b
    Examples:
      lambdapack export sam --place layer --function HelloWorldFunction
      lambdapack export serverless --location s3://bucket/prefix && lambdapack push
      lambdapack export terraform --output modules/dependencies
      lambdapack export cdk --json
    """
    from lambdapack import pack
    from lambdapack.deploy import export

    made = pack.load(pack_directory or session.build_directory)
    function = _function(session, made, tool, given)
    location = given["location"]
    if "s3" in function.places:
        location = deployment.location_for(session, location, "aws")
    output = output or session.root / export.DEFAULT_FOLDER
    exported = export.export(
        tool, function, made,
        deployment.locator(location, deployment.region_of(session, given["region"])),
        root=session.root, output=output, chosen=session.config.function.model_fields_set,
        tmp_mb=_tmp(session, made, function), dry_run=given["dry_run"],
        cache_dir=session.cache, progress=session.progress,
    )  # fmt: skip
    document = {
        "tool": tool,
        "folder": str(output),
        "files": exported.changes,
        "dry_run": given["dry_run"],
        "fragment": exported.fragment.document(),
    }
    session.emit("export", document, brief=str(output))
    _say(session, tool, exported, output, dry_run=given["dry_run"])


def _function(session: Session, made: Pack, tool: str, given: dict[str, Any]) -> FunctionOptions:
    """The function as the configuration describes the function, under the name that the project has."""
    from lambdapack.deploy import export

    function = deployment.function_options(session, made.index.target, {"place": given["place"]})
    name = given["function"] or export.default_function(tool, session.name)
    return replace(function, name=name)


def _tmp(session: Session, made: Pack, function: FunctionOptions) -> int | None:
    """Ephemeral storage in MB: as configured, else as the packs need; ``None`` where the default does."""
    from lambdapack import limits, plan

    settings = function.settings
    facts = plan.Facts(
        index=made.index,
        pack_bytes=made.path.stat().st_size,
        mode="disk" if settings.environment.get("LAMBDAPACK_MODE") == "disk" else "stream",
        assets=asset_facts(made, function),
        place=function.place,
    )
    verdict = plan.assess(facts, plan.budget({}, traffic=False))
    needed = verdict.tmp_disk if facts.mode == "disk" else verdict.tmp_stream
    needed_mb = ceil(needed / limits.MIB / _STEP_MB) * _STEP_MB
    if "tmp" not in session.config.function.model_fields_set:
        return None if needed_mb <= limits.TMP_DEFAULT_MB else min(needed_mb, limits.TMP_MAX_MB)
    if needed > settings.tmp_mb * limits.MIB:
        session.progress.warn(
            f"tmp is {settings.tmp_mb} MB and a start needs {needed / limits.MIB:.0f} MB: set tmp to "
            f"{needed_mb} in [function]"
        )
    return settings.tmp_mb


def _say(session: Session, tool: str, exported: Exported, output: Path, *, dry_run: bool) -> None:
    """The files, and what a person does with them."""
    would = "would be " if dry_run else ""
    for name, change in exported.changes.items():
        session.say(f"{output / name}: {change if change == 'unchanged' else would + change}")
    fragment = exported.fragment
    for location in fragment.objects:
        session.say(
            f"the function reads s3://{location.bucket}/{location.key}: lambdapack push puts it there"
        )
    package = fragment.folder.replace("/", ".")
    session.say(f"next: {_NEXT[tool].format(folder=fragment.folder, package=package)} (docs/export.md)")
