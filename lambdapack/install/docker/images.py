"""Which image a target's packs are built in, and how it gets onto the engine: pulled, or built there."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from lambdapack import limits
from lambdapack.errors import ConfigurationError, ToolError
from lambdapack.install.docker import archive
from lambdapack.install.docker.engine import engine_errors
from lambdapack.model import Target
from lambdapack.model.runtimes import AL2023_GLIBC, PYTHONS
from lambdapack.progress import QUIET, Progress

__all__ = ["Image", "base", "build", "context", "dockerfile", "find", "listed", "name", "with_packages"]

# The first part of the names of images that lambdapack builds.
_REPOSITORY = "lambdapack/build"
_PLATFORMS = {"x86_64": "linux/amd64", "arm64": "linux/arm64"}
_LINES_OF_DETAIL = 8
_PACKAGES = "packages.Dockerfile"
_PACKAGE = re.compile(r"[A-Za-z0-9][\w.+:=~-]*\Z")


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


class _DockerfileError(Exception):
    """A step of a Dockerfile failed.

    Attributes:
        printed: What the build printed.
        detail: The last lines of that.
    """

    def __init__(self, lines: Sequence[str]) -> None:
        self.printed = "\n".join(lines)
        self.detail = "\n".join(lines[-_LINES_OF_DETAIL:])
        super().__init__(self.printed)


def name(target: Target) -> str:
    """The name that ``lambdapack images build`` gives the image for ``target``."""
    return f"{_REPOSITORY}:python{target.python}-{target.arch}"


def base(target: Target) -> str:
    """The name of AWS's own build image for ``target``; for Python 3.8 lambci's, which is archived."""
    if target.version <= (3, 8):
        return "lambci/lambda:build-python3.8"
    return f"public.ecr.aws/sam/build-python{target.python}:latest-{target.arch}"


def dockerfile(target: Target) -> str:
    """The name of the Dockerfile of the target's family, in ``build_images``."""
    if target.version <= (3, 8):
        return "lambci.Dockerfile"
    return "al2023.Dockerfile" if target.glibc >= AL2023_GLIBC else "al2.Dockerfile"


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
    return _image_of(label, data)


def _local_image(client: Any, label: str) -> Image | None:
    """The image called ``label``; ``None`` where the engine has none.

    Raises:
        ToolError: The engine does not answer.
    """
    with engine_errors(f"looking for {label}"):
        data = _get(client, label)
    return None if data is None else _image_of(label, data)


def _get(client: Any, label: str) -> Any:
    """The SDK's image called ``label``; ``None`` where the engine has none."""
    import docker.errors  # noqa: PLC0415 - an extra, and slow

    try:
        return client.images.get(label)
    except docker.errors.ImageNotFound:
        return None


def _image_of(label: str, data: Any) -> Image:
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
    for python in PYTHONS:
        for arch in limits.ARCHITECTURES if python != "3.8" else ("x86_64",):
            target = Target(python, arch)
            label = name(target)
            yield target, label, base(target), _local_image(client, label)


def build(
    client: Any, target: Target, *, on: str | None = None, tag: str | None = None, progress: Progress = QUIET
) -> Image:
    """Build the image for ``target`` on the base ``on``, by default AWS's.

    Raises:
        ToolError: The base cannot be had, or lacks that Python or a C compiler.
    """
    origin, label = on or base(target), tag or name(target)
    find(client, target, origin, progress)
    arguments = {"BASE": origin, "PYTHON": target.python, "ARCH": target.arch}
    try:
        return _run(client, dockerfile(target), label, arguments, network="none", progress=progress)
    except _DockerfileError as error:
        raise ToolError(
            f"building the image {label} on {origin} failed",
            hint="name a base with that Python, its headers and a C compiler: --base IMAGE",
            detail=error.detail,
        ) from None


def with_packages(
    client: Any, image: Image, packages: Sequence[str], proxies: Mapping[str, str], progress: Progress = QUIET
) -> Image:
    """``image`` with system packages installed by its own package manager; made once.

    Args:
        client: Of the engine.
        image: To install them in.
        packages: Their names, as the image's package manager knows them.
        proxies: Variables that the package manager may need; they stay in no layer.
        progress: Told what is installed.

    Raises:
        ConfigurationError: A name is not a package's.
        ToolError: The image has no package manager, or it failed.
    """
    names = tuple(sorted(set(packages)))
    label = _label(image, names)
    known = _local_image(client, label)
    if known is not None:
        return known
    doing = f"installing {', '.join(names)} in {image.name}"
    progress.note(doing)
    try:
        arguments = {"BASE": image.id, "PACKAGES": " ".join(names), **proxies}
        return _run(client, _PACKAGES, label, arguments, network="host", progress=progress)
    except _DockerfileError as error:
        if "no package manager" in error.printed:
            raise ToolError(
                f"{doing} failed: the image has none of dnf, microdnf, yum and apt-get",
                hint="make an image that has the packages, and name it with --image or [build] image",
            ) from None
        raise ToolError(
            f"{doing} failed",
            hint="check the names (Amazon Linux's, e.g. libpq-devel) and the network of the engine's machine",
            detail=error.detail,
        ) from None


def _label(image: Image, packages: Sequence[str]) -> str:
    """The name of ``image`` with ``packages``, with a digest of all that decides its content."""
    for package in packages:
        if not _PACKAGE.match(package):
            raise ConfigurationError(
                f"{package!r} is not the name of a system package", hint="mend [build] system-packages"
            )
    decisive = json.dumps([image.id, packages, _read(_PACKAGES).decode()])
    return f"{_REPOSITORY}:packages-{hashlib.sha256(decisive.encode()).hexdigest()[:16]}"


def _run(
    client: Any, file: str, label: str, arguments: Mapping[str, str], *, network: str, progress: Progress
) -> Image:
    """Build ``file`` of ``build_images`` as the image ``label``.

    Raises:
        _DockerfileError: A step failed.
        ToolError: The engine failed.
    """
    lines: list[str] = []
    with engine_errors(f"building the image {label}"), progress.step(f"build {label}") as advance:
        for message in client.api.build(
            fileobj=context(file),
            custom_context=True,
            dockerfile="Dockerfile",
            tag=label,
            buildargs=dict(arguments),
            network_mode=network,
            rm=True,
            forcerm=True,
            decode=True,
        ):
            line = str(message.get("stream") or message.get("error") or "").strip()
            if line:
                lines.append(line)
                advance(0, note=line.splitlines()[0])
            if "error" in message:
                if "no space left on device" in line.lower():
                    raise OSError(line)
                raise _DockerfileError(lines)
        return _image_of(label, client.images.get(label))


def _read(file: str) -> bytes:
    return resources.files("build_images").joinpath(file).read_bytes()


def context(file: str) -> io.BytesIO:
    """A build context with ``file`` of the installed package ``build_images`` as its Dockerfile."""
    stream = io.BytesIO()
    archive.write(stream, "", [("Dockerfile", _read(file))])
    stream.seek(0)
    return stream
