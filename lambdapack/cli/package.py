"""``lambdapack package``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lambdapack.cli import deployment
from lambdapack.cli.session import Session, common


@click.command("package", short_help="Write a function's zip.")
@click.argument("source", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path),
                metavar="[SOURCE_DIR]")  # fmt: skip
@click.option("--handler", metavar="MODULE.FUNCTION", help="The function's handler.")
@click.option("--pack", "pack_directory", type=click.Path(path_type=Path), metavar="DIR",
              help="Folder of the pack.  [default: .lambdapack/build]")  # fmt: skip
@click.option("--location", metavar="s3://BUCKET/PREFIX", help="Where the pack is kept.")
@click.option("--region", metavar="NAME", help="The bucket's region.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), default="function.zip",
              show_default=True, metavar="FILE", help="The zip.")  # fmt: skip
@deployment.place_option
@deployment.allow_lacking_option
@common
def command(session: Session, source: Path | None, location: str | None, output: Path, **given: Any) -> None:
    """Write a function's zip: handler code, shim, decoder and the pack's index.

    \b
    Examples:
      lambdapack package src --handler app.handler --pack .lambdapack/build \\
          --location s3://bucket/prefix --output function.zip
      lambdapack package --place zip --output function.zip     # the pack itself is in the zip
    """
    from lambdapack import pack
    from lambdapack.report.units import megabytes

    made = pack.load(given["pack_directory"] or session.build_directory)
    function = deployment.function_options(session, made.index.target, {**given, "source": source})
    location = location or session.config.store.location
    if location is None and "s3" in function.places:
        session.progress.warn("no --location: the zip holds no address of its pack and must be given one")
    missing = deployment.missing_libraries(session, made, given["allow_lacking"])
    deployment.warn_of_libraries(session, missing)
    region = deployment.region_of(session, given["region"])
    release = deployment.package(session, function, made, location, region=region, output=output)
    bundle = release.bundle
    document = {
        "zip": str(bundle.path),
        "size": bundle.size,
        "unzipped": bundle.unzipped,
        "pack": release.pack.id,
        "assets": {asset.name: asset.pack_id for asset in release.spec.assets},
        "layers": deployment.sizes(bundle.layers),
    }
    session.emit("package", document, brief=str(bundle.path))
    session.say(f"{bundle.path}: {megabytes(bundle.size)}, {megabytes(bundle.unzipped)} unzipped")
    for path in bundle.layers:
        session.say(f"{path}: {megabytes(path.stat().st_size)}, a layer")
