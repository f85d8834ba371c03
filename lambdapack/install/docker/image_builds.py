"""Build images on the engine: for a target, or with more system packages in an image."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from lambdapack.errors import ConfigurationError, ToolError
from lambdapack.install.docker import archive, images
from lambdapack.install.docker.engine import engine_errors
from lambdapack.install.docker.images import Image
from lambdapack.model import Target
from lambdapack.progress import QUIET, Progress

__all__ = ["build", "context", "with_packages"]

_LINES_OF_DETAIL = 8
_PACKAGES = "packages.Dockerfile"
_PACKAGE = re.compile(r"[A-Za-z0-9][\w.+:=~-]*\Z")


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


def build(
    client: Any, target: Target, *, on: str | None = None, tag: str | None = None, progress: Progress = QUIET
) -> Image:
    """Build the image for ``target`` on the base ``on``, by default AWS's.

    Raises:
        ToolError: The base cannot be had, or lacks that Python or a C compiler.
    """
    base, label = on or images.base(target), tag or images.name(target)
    images.find(client, target, base, progress)
    arguments = {"BASE": base, "PYTHON": target.python, "ARCH": target.arch}
    try:
        return _run(client, images.dockerfile(target), label, arguments, network="none", progress=progress)
    except _DockerfileError as error:
        raise ToolError(
            f"building the image {label} on {base} failed",
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
    known = images.local_image(client, label)
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
    return f"{images.REPOSITORY}:packages-{hashlib.sha256(decisive.encode()).hexdigest()[:16]}"


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
        return images.image_of(label, client.images.get(label))


def _read(file: str) -> bytes:
    return resources.files("build_images").joinpath(file).read_bytes()


def context(file: str) -> io.BytesIO:
    """A build context with ``file`` of the installed package ``build_images`` as its Dockerfile."""
    stream = io.BytesIO()
    archive.write(stream, "", [("Dockerfile", _read(file))])
    stream.seek(0)
    return stream
