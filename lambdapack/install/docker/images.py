"""Which image a target is built in, and how it gets onto the engine."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from lambdapack import limits
from lambdapack.errors import ConfigurationError, LambdapackError, ToolError
from lambdapack.install.docker.engine import explained
from lambdapack.model import Target
from lambdapack.progress import QUIET, Progress

__all__ = ["Image", "base", "build", "find", "listed", "name", "with_packages"]

_AL2023_SINCE = (3, 12)
_LINES_OF_DETAIL = 8
_REPOSITORY = "lambdapack/build"
_PACKAGES = "packages.Dockerfile"
_PACKAGE = re.compile(r"[A-Za-z0-9][\w.+:=~-]*\Z")
_PLATFORMS = {"x86_64": "linux/amd64", "arm64": "linux/arm64"}


@dataclass(frozen=True)
class Image:
    """An image of the engine.

    Attributes:
        name: As it was asked for.
        id: ``sha256:…`` of its configuration: what it is, whatever its name.
        digest: What its registry knows it by, or nothing.
        size: Bytes.
    """

    name: str
    id: str
    digest: str
    size: int


def name(target: Target) -> str:
    """What ``lambdapack images build`` calls the image for ``target``."""
    return f"{_REPOSITORY}:python{target.python}-{target.arch}"


def base(target: Target) -> str:
    """AWS's own build image for ``target``; Python 3.8's are lambci's, archived."""
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
        ToolError: It is not there and cannot be pulled, or it is for another architecture.
    """
    import docker.errors  # noqa: PLC0415 - an extra, and slow

    with explained("looking for the image to build in"):
        for candidate in [wanted] if wanted else [name(target), base(target)]:
            try:
                found = client.images.get(candidate)
                break
            except docker.errors.ImageNotFound:
                continue
        else:
            found = _pull(client, wanted or base(target), target, progress)
            candidate = wanted or base(target)
    have = found.attrs.get("Architecture")
    if have != _PLATFORMS[target.arch].removeprefix("linux/"):
        raise ToolError(
            f"the image {candidate} is for {have}, and the target is {target}",
            hint=f"name one for {target.arch} with --image, or choose another --arch",
        )
    return _image(candidate, found)


def _image(label: str, found: Any) -> Image:
    digests = found.attrs.get("RepoDigests") or [""]
    return Image(label, found.id, digests[0], int(found.attrs.get("Size") or 0))


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
    """For each target: its image's name, its base, and the image where the engine has it."""
    import docker.errors  # noqa: PLC0415 - an extra, and slow

    for python in limits.PYTHONS_ARCHIVED + limits.PYTHONS:
        for arch in limits.ARCHITECTURES if python != "3.8" else ("x86_64",):
            target = Target(python, arch)
            try:
                with explained("listing images"):
                    found = client.images.get(name(target))
            except LambdapackError as error:
                if not isinstance(error.__cause__, docker.errors.ImageNotFound):
                    raise
                found = None
            yield (
                target,
                name(target),
                base(target),
                None if found is None else _image(name(target), found),
            )


def build(
    client: Any, target: Target, *, on: str | None = None, tag: str | None = None, progress: Progress = QUIET
) -> Image:
    """Build the image for ``target`` on the base ``on``, by default AWS's.

    Raises:
        ToolError: The base cannot be had, or lacks that Python or a C compiler.
    """
    source, label = on or base(target), tag or name(target)
    find(client, target, source, progress)
    arguments = {"BASE": source, "PYTHON": target.python, "ARCH": target.arch}
    try:
        return _run(client, dockerfile(target), label, arguments, network="none", progress=progress)
    except _BuildError as error:
        raise ToolError(
            f"building the image {label} on {source} failed",
            hint="name a base with that Python, its headers and a C compiler: --base IMAGE",
            detail="\n".join(error.lines[-_LINES_OF_DETAIL:]),
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
    import docker.errors  # noqa: PLC0415 - an extra, and slow

    wanted = tuple(sorted(set(packages)))
    wrong = [one for one in wanted if not _PACKAGE.match(one)]
    if wrong:
        raise ConfigurationError(
            f"{wrong[0]!r} is not the name of a system package", hint="mend [build] system-packages"
        )
    made_of = json.dumps([image.id, wanted, _read(_PACKAGES).decode()])
    label = f"{_REPOSITORY}:packages-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}"
    with explained(f"looking for {label}"):
        try:
            return _image(label, client.images.get(label))
        except docker.errors.ImageNotFound:
            pass
    doing = f"installing {', '.join(wanted)} in {image.name}"
    progress.note(doing)
    try:
        arguments = {"BASE": image.id, "PACKAGES": " ".join(wanted), **proxies}
        return _run(client, _PACKAGES, label, arguments, network="host", progress=progress)
    except _BuildError as error:
        text = "\n".join(error.lines)
        if "no package manager" in text:
            raise ToolError(
                f"{doing} failed: the image has none of dnf, microdnf, yum and apt-get",
                hint="make an image that has the packages, and name it with --image or [build] image",
            ) from None
        raise ToolError(
            f"{doing} failed",
            hint="check the names (Amazon Linux's, e.g. libpq-devel) and the network of the engine's machine",
            detail="\n".join(error.lines[-_LINES_OF_DETAIL:]),
        ) from None


class _BuildError(Exception):
    """A Dockerfile that failed, with what it printed."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def _run(
    client: Any, file: str, label: str, arguments: Mapping[str, str], *, network: str, progress: Progress
) -> Image:
    lines: list[str] = []
    with explained(f"building the image {label}"), progress.step(f"build {label}") as advance:
        for message in client.api.build(
            fileobj=_context(file),
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
                raise _BuildError(lines)
        return _image(label, client.images.get(label))


def _read(file: str) -> bytes:
    return resources.files("build_images").joinpath(file).read_bytes()


def _context(file: str) -> io.BytesIO:
    """A build context of one file, from the installed package: whatever folder it is run in."""
    data = _read(file)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    stream.seek(0)
    return stream
