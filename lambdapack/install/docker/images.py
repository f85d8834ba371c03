"""Which image a target's packs are built in, and how that image gets onto the engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lambdapack import limits
from lambdapack.errors import ToolError
from lambdapack.install.docker.engine import engine_errors
from lambdapack.model import Target
from lambdapack.progress import QUIET, Progress

__all__ = ["REPOSITORY", "Image", "base", "dockerfile", "find", "image_of", "listed", "local_image", "name"]

REPOSITORY = "lambdapack/build"
"""The first part of the names of images that lambdapack builds."""
_AL2023_SINCE = (3, 12)
_PLATFORMS = {"x86_64": "linux/amd64", "arm64": "linux/arm64"}


@dataclass(frozen=True)
class Image:
    """An image of the engine.

    Attributes:
        name: As it was asked for.
        id: ``sha256:…`` of its configuration, whatever its name.
        digest: The name by which its registry knows it, ``repository@sha256:…``; empty where none does.
        size: Bytes.
    """

    name: str
    id: str
    digest: str
    size: int


def name(target: Target) -> str:
    """The name that ``lambdapack images build`` gives the image for ``target``."""
    return f"{REPOSITORY}:python{target.python}-{target.arch}"


def base(target: Target) -> str:
    """The name of AWS's own build image for ``target``; for Python 3.8 lambci's, which is archived."""
    if target.version <= (3, 8):
        return "lambci/lambda:build-python3.8"
    return f"public.ecr.aws/sam/build-python{target.python}:latest-{target.arch}"


def dockerfile(target: Target) -> str:
    """The name of the Dockerfile of the target's family, in ``build_images``."""
    if target.version <= (3, 8):
        return "lambci.Dockerfile"
    return "al2023.Dockerfile" if target.version >= _AL2023_SINCE else "al2.Dockerfile"


def find(client: Any, target: Target, wanted: str | None, progress: Progress = QUIET) -> Image:
    """The image to build in: the one ``wanted``, else lambdapack's own if it was built, else AWS's.

    Raises:
        ToolError: The image is not there and cannot be pulled, or is for another architecture.
    """
    with engine_errors("looking for the image to build in"):
        for label in [wanted] if wanted else [name(target), base(target)]:
            data = _get(client, label)
            if data is not None:
                break
        else:
            data = _pull(client, label, target, progress)
    architecture = data.attrs.get("Architecture")
    if architecture != _PLATFORMS[target.arch].removeprefix("linux/"):
        raise ToolError(
            f"the image {label} is for {architecture}, and the target is {target}",
            hint=f"name one for {target.arch} with --image, or choose another --arch",
        )
    return image_of(label, data)


def local_image(client: Any, label: str) -> Image | None:
    """The image called ``label``; ``None`` where the engine has none.

    Raises:
        ToolError: The engine does not answer.
    """
    with engine_errors(f"looking for {label}"):
        data = _get(client, label)
    return None if data is None else image_of(label, data)


def _get(client: Any, label: str) -> Any:
    """The SDK's image called ``label``; ``None`` where the engine has none."""
    import docker.errors  # noqa: PLC0415 - an extra, and slow

    try:
        return client.images.get(label)
    except docker.errors.ImageNotFound:
        return None


def image_of(label: str, data: Any) -> Image:
    """The image called ``label``, from what the SDK says of the image."""
    digests = data.attrs.get("RepoDigests") or [""]
    return Image(label, data.id, digests[0], int(data.attrs.get("Size") or 0))


def _pull(client: Any, wanted: str, target: Target, progress: Progress) -> Any:
    import docker.errors  # noqa: PLC0415 - an extra, and slow

    try:
        with progress.step(f"pull {wanted}") as advance:
            for line in client.api.pull(
                wanted,
                tag=None if ":" in wanted.rpartition("/")[2] or "@" in wanted else "latest",
                platform=_PLATFORMS[target.arch],
                stream=True,
                decode=True,
            ):
                if "error" in line:
                    raise docker.errors.APIError(line["error"])
                advance(0, note=f"{line.get('status', '')} {line.get('progress', '')}".strip())
        return client.images.get(wanted)
    except docker.errors.APIError as error:
        text = str(error.explanation or error)
        if "no space left" in text.lower():
            raise
        raise ToolError(
            f"the image {wanted} is not on the Docker engine, and it cannot be pulled",
            hint="check the name and the engine's network; or build one on another base: "
            f"lambdapack images build --python {target.python} --arch {target.arch} --base IMAGE; "
            "or name one that is there with --image",
            detail=text,
        ) from error


def listed(client: Any) -> Iterator[tuple[Target, str, str, Image | None]]:
    """For each target: its image's name, its base, and the image where the engine has one."""
    for python in limits.PYTHONS_ARCHIVED + limits.PYTHONS:
        for arch in limits.ARCHITECTURES if python != "3.8" else ("x86_64",):
            target = Target(python, arch)
            label = name(target)
            yield target, label, base(target), local_image(client, label)
