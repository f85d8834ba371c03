"""``lambdapack layer``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lambdapack.cli import deployment
from lambdapack.cli.session import Session, common

if TYPE_CHECKING:
    from lambdapack.deploy import Layers


@click.command("layer", short_help="Write a layer for a function whose code stays as it is.")
@click.option("--pack", "pack_directory", type=click.Path(path_type=Path), metavar="DIR",
              help="Folder of the pack.  [default: .lambdapack/build]")  # fmt: skip
@click.option("--place", type=click.Choice(["layer", "s3", "mount"]), default="layer", show_default=True,
              help="Where the function reads the pack from.")  # fmt: skip
@click.option("--location", metavar="s3://BUCKET/PREFIX", help="Where the pack is kept, for --place s3.")
@click.option("--region", metavar="NAME", help="The bucket's region.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), default="layer.zip",
              show_default=True, metavar="FILE", help="The layer.")  # fmt: skip
@common
def command(session: Session, location: str | None, output: Path, **given: Any) -> None:
    """Write a layer with the pack, the shim and an exec wrapper.

    A function that has the layer, and AWS_LAMBDA_EXEC_WRAPPER=/opt/lambdapack-wrapper in its environment,
    imports what is in the pack; its code, its zip and its handler stay as they are. A pack that is too large
    for one layer goes into several, to be given to the function in their order.

    \b
    Examples:
      lambdapack layer
      lambdapack layer --pack .lambdapack/build -o layer.zip --json
      lambdapack layer --place s3 --location s3://bucket/prefix
    """
    from lambdapack import deploy, pack
    from lambdapack.report.units import megabytes

    made = pack.load(given["pack_directory"] or session.build_directory)
    function = deployment.function_options(session, made.index.target, {"place": given["place"]})
    if "s3" in function.places:
        location = deployment.location_for(session, location, "aws")
    region = deployment.region_of(session, given["region"])
    layers = deploy.layer(
        function, made, deployment.locator(deployment.nearest(session, location, region), region),
        output=output, cache_dir=session.cache, progress=session.progress,
    )  # fmt: skip
    document = {
        "layers": deployment.sizes(layers.paths),
        "unzipped": layers.unzipped,
        "pack": made.id,
        "place": function.place,
        "target": made.index.target,
        "environment": layers.environment,
    }
    session.emit("layer", document, brief="\n".join(map(str, layers.paths)))
    for path in layers.paths:
        session.say(f"{path}: {megabytes(path.stat().st_size)}")
    _say_next(session, layers)


def _say_next(session: Session, layers: Layers) -> None:
    """What a person does with the layers."""
    which = "it" if len(layers.paths) == 1 else "each"
    for variable, value in layers.environment.items():
        session.say(f"publish {which} (aws lambda publish-layer-version "
                    f"--zip-file fileb://{layers.paths[0]} --layer-name NAME), give the function what comes "
                    f"back, and {variable}={value}")  # fmt: skip
