"""What CodeBuild is asked for: the commands of every build, and the request for one of them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from lambdapack.deploy.aws import BuildPlace
from lambdapack.errors import ConfigurationError
from lambdapack.install import BuildLimits
from lambdapack.install.docker import images
from lambdapack.model import Target
from lambdapack.pipeline.options import BuildOptions
from lambdapack.python.pip_settings import INDEX_OPTIONS, PipSettings, local_path, without_user

_OLDEST = (3, 10)
"""The oldest Python that lambdapack itself runs on."""
_KINDS = {"x86_64": "LINUX_CONTAINER", "arm64": "ARM_CONTAINER"}
# Memory in MiB -> the machine that has as much.
# https://docs.aws.amazon.com/codebuild/latest/APIReference/API_ProjectEnvironment.html
_SIZES = (
    (4 * 1024, "BUILD_GENERAL1_SMALL"),
    (8 * 1024, "BUILD_GENERAL1_MEDIUM"),
    (16 * 1024, "BUILD_GENERAL1_LARGE"),
    (72 * 1024, "BUILD_GENERAL1_XLARGE"),
    (144 * 1024, "BUILD_GENERAL1_2XLARGE"),
)
_USUAL_SIZE = "BUILD_GENERAL1_MEDIUM"
# https://docs.aws.amazon.com/codebuild/latest/APIReference/API_StartBuild.html
_MINUTES_MIN, _MINUTES_MAX = 5, 2160
_CURATED = "aws/codebuild/"
_PYTHON = "/tmp/lambdapack/bin/python"

# JSON is YAML too. lambdapack lives beside the target's Python, which finds nothing of it.
# AWS's images have their Python in /var/lang, which not every shell looks through.
BUILDSPEC = json.dumps(
    {
        "version": "0.2",
        "phases": {
            "install": {
                "commands": [
                    'PATH="/var/lang/bin:$PATH" "python$LAMBDAPACK_PYTHON" -m venv /tmp/lambdapack',
                    f"{_PYTHON} -I -m pip install --quiet --no-input --disable-pip-version-check "
                    "--constraint constraints.txt ./lambdapack-*.whl",
                ]
            },
            "build": {"commands": [f"{_PYTHON} -I -m lambdapack.cli.remote_job . out"]},
        },
        "artifacts": {"base-directory": "out", "files": ["**/*"]},
    },
    indent=1,
)
"""What every build runs; it reads its Python's version from a variable and all else from the sources."""


def check(options: BuildOptions) -> None:
    """Refuse what cannot be built in CodeBuild.

    Raises:
        ConfigurationError: System packages are asked for, or lambdapack does not run on the target's Python.
    """
    if options.packages:
        raise ConfigurationError(
            f"the codebuild builder cannot install system packages ({', '.join(options.packages)})",
            hint="name an image that has them with --image, or use --builder docker",
        )
    if options.target.version < _OLDEST:
        raise ConfigurationError(
            f"the codebuild builder runs lambdapack in the image of {options.target}, and lambdapack needs "
            f"Python {'.'.join(map(str, _OLDEST))} or newer",
            hint="use --builder docker, which runs lambdapack on this machine",
        )


def image_of(options: BuildOptions) -> str:
    """The image that a build runs in: the one that was named, else AWS's build image of the target."""
    return options.image or images.base(options.target)


def request(
    options: BuildOptions, place: BuildPlace, source_key: str, variables: Mapping[str, str], token: str
) -> dict[str, Any]:
    """The arguments of ``start_build``.

    Args:
        options: What is built.
        place: Whose project builds.
        source_key: The key of the sources.
        variables: Further variables of the build, e.g. pip's.
        token: Makes the request safe to send again.
    """
    image, limits = image_of(options), options.limits or BuildLimits()
    variables = {"LAMBDAPACK_PYTHON": options.target.python, **variables}
    return {
        "projectName": place.project,
        "sourceTypeOverride": "S3",
        "sourceLocationOverride": f"{place.bucket}/{source_key}",
        "environmentTypeOverride": _KINDS[options.target.arch],
        "imageOverride": image,
        "imagePullCredentialsTypeOverride": "CODEBUILD" if image.startswith(_CURATED) else "SERVICE_ROLE",
        "computeTypeOverride": _size(limits.memory_mb),
        "timeoutInMinutesOverride": minutes(limits),
        "environmentVariablesOverride": [
            {"name": name, "value": value, "type": "PLAINTEXT"} for name, value in sorted(variables.items())
        ],
        "idempotencyToken": token,
    }


def minutes(limits: BuildLimits) -> int:
    """After how many minutes CodeBuild ends a build."""
    return min(max(math.ceil(limits.seconds / 60), _MINUTES_MIN), _MINUTES_MAX)


def _size(memory_mb: int | None) -> str:
    """The smallest machine with as much memory."""
    if memory_mb is None:
        return _USUAL_SIZE
    return next((size for most, size in _SIZES if memory_mb <= most), _SIZES[-1][1])


def pip_variables(settings: PipSettings, target: Target, *, locked: bool) -> tuple[dict[str, str], list[str]]:
    """Which indexes the build asks, and what the user has to know about that.

    CodeBuild shows a build's variables to whoever may look at builds, so no password is among them.

    Args:
        settings: pip's configuration on this machine.
        target: What is built, for the message.
        locked: Whether the files are known by their hashes, so that it does not matter where they come from.

    Returns:
        Variables, and messages.

    Raises:
        ConfigurationError: An index that decides what is installed cannot be told to CodeBuild.
    """
    variables, kept = {}, []
    for option in sorted(INDEX_OPTIONS - {"pypi-url"}):
        value = next((entry.value for entry in settings.entries if entry.key == option), "")
        sent = [word for word in value.split() if without_user(word) == word and not local_path(word)]
        kept += [without_user(word) for word in value.split() if word not in sent]
        if sent:
            variables[f"PIP_{option.replace('-', '_').upper()}"] = " ".join(sent)
    private = [word for word in kept if not local_path(word)]
    if private and not locked:
        raise ConfigurationError(
            f"pip's index {private[0]} needs a password, which a build in CodeBuild would show; without the "
            f"index, packages of the same names could come from elsewhere",
            hint=f"with Python {target.python} on this machine the versions and hashes are settled here; or "
            "use --builder docker, or an --image whose pip is configured",
        )
    if not kept:
        return variables, []
    where = ", ".join(kept)
    return variables, [
        f"not told to CodeBuild: pip's index {where}, which has a password or is on this machine"
    ]
