"""``lambdapack images``."""

from __future__ import annotations

import click

from lambdapack.cli.session import Session, common
from lambdapack.errors import CheckError


@click.group("images", short_help="Build or list the images to build in.")
def command() -> None:
    """Build or list the images that packs are built in, with --builder docker.

    Without an image of its own a target is built in AWS's build image, which is pulled.

    \b
    Examples:
      lambdapack images list
      lambdapack images build --python 3.12 --arch arm64
      lambdapack images build --python 3.11 --base registry.example.com/python-with-libpq
      lambdapack images libraries public.ecr.aws/lambda/python:3.12 --python 3.12
    """


@command.command("build")
@click.option("--python", metavar="X.Y", help="Lambda's Python.  [default: the configuration's]")
@click.option("--arch", type=click.Choice(["x86_64", "arm64"]), help="The processor.  [default: x86_64]")
@click.option("--base", metavar="IMAGE", help="Image to build on.  [default: AWS's build image]")
@click.option("--tag", metavar="NAME", help="Name of the result.  [default: lambdapack/build:pythonX.Y-ARCH]")
@common
def build(session: Session, python: str | None, arch: str | None, base: str | None, tag: str | None) -> None:
    """Build the image for one target: its base, checked for Python, headers and a compiler."""
    from lambdapack.install.docker import engine, images

    target = session.target(python, arch)
    with engine.connect() as client:
        made = images.build(client, target, on=base, tag=tag, progress=session.progress)
    rows = [{"target": str(target), "name": made.name, "id": made.id}]
    session.emit("images", {"images": rows}, brief=made.name)
    session.say(f"{made.name} ({made.id[7:19]}) builds {target}; it is used from now on")


@command.command("libraries")
@click.argument("image")
@click.option("--python", metavar="X.Y", help="The image's Python.  [default: the configuration's]")
@click.option("--arch", type=click.Choice(["x86_64", "arm64"]), help="The processor.  [default: x86_64]")
@common
def libraries(session: Session, image: str, python: str | None, arch: str | None) -> None:
    """List the shared libraries of IMAGE, and compare with what Lambda is taken to have.

    Exit status 1 where the image lacks one that packs rely on.
    """
    from lambdapack.install import syslibs
    from lambdapack.install.docker import DockerBuilder

    target = session.target(python, arch)
    libraries, used = DockerBuilder(image).libraries(target, progress=session.progress)
    has = syslibs.runtime_libraries(target)
    wanting = sorted(has.certain - libraries.keys())
    if session.as_json:
        rows = {
            name: {"path": path, "package": package, "purl": url}
            for name, (path, package, url) in sorted(libraries.items())
        }
        document = {"image": used.name, "id": used.id, "digest": used.digest, "libraries": rows}
        session.emit("libraries", {**document, "wanting": wanting})
    else:
        for name, (path, package, _) in sorted(libraries.items()):
            click.echo(f"{name:<32} {path}  {package}".rstrip())
    if wanting:
        raise CheckError(
            f"{image} lacks what Lambda is taken to have for {target}: {', '.join(wanting)}",
            hint="if it is Lambda's own image, lambdapack's list of it is wrong: please report it",
        )


@command.command("list")
@common
def show(session: Session) -> None:
    """List the targets, the image that each is built in, and whether it is on the engine."""
    from lambdapack.install.docker import engine, images
    from lambdapack.report.units import megabytes

    with engine.connect() as client:
        listed = list(images.listed(client))
    if session.as_json:
        rows = [
            {"target": str(t), "name": name, "base": base, "id": image.id if image else None,
             "bytes": image.size if image else None}
            for t, name, base, image in listed
        ]  # fmt: skip
        session.emit("images", {"images": rows})
        return
    for target, name, base, image in listed:
        state = f"{name}, {image.id[7:19]}, {megabytes(image.size)}" if image else f"not built; {base}"
        click.echo(f"{target!s:<18} {state}")
