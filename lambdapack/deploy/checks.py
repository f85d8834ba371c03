"""What can be known to fail in Lambda before anything is called."""

from __future__ import annotations

import re
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from lambdapack import elf, limits
from lambdapack.errors import CheckError, ConfigurationError
from lambdapack.files import scratch_folder
from lambdapack.model import FunctionSpec
from runtime_shim._index import EXTENSION, INDEX_NAME, LIBRARY, Index, IndexFormatError, decode

__all__ = ["check_glibc", "check_spec", "packed_index"]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_VARIABLE = re.compile(r"[A-Za-z][A-Za-z0-9_]+\Z")
# "Defined runtime environment variables" in
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
_RESERVED = frozenset(
    [
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_LAMBDA_RUNTIME_API",
        "LAMBDA_TASK_ROOT",
        "LAMBDA_RUNTIME_DIR",
    ]
)
_SHOWN = 5


def check_spec(spec: FunctionSpec) -> None:
    """That Lambda can take the function at all.

    Raises:
        ConfigurationError: Every setting that it would refuse, at once.
    """
    problems = [*_settings_problems(spec), *_environment_problems(spec)]
    if not spec.zip_path.is_file():
        problems.append(f"there is no zip at {spec.zip_path}")
    if spec.pack_id is not None and (spec.location is None or not spec.location.bucket):
        problems.append(f"pack {spec.pack_id} has no place in S3 (lambdapack push gives it one)")
    for asset in spec.assets:
        if asset.location is None:
            problems.append(f"the asset {asset.name} has no place in S3 (lambdapack push gives it one)")
    if len(spec.assets) > limits.ASSETS:
        problems.append(
            f"it has {len(spec.assets)} assets, more than {limits.ASSETS}: join some into folders"
        )
    if problems:
        raise ConfigurationError(f"deploying {spec.name}: " + "; ".join(problems))


def _settings_problems(spec: FunctionSpec) -> Iterator[str]:
    if not _NAME.match(spec.name):
        yield f"the name {spec.name!r} is not 1 to 64 letters, digits, '-' and '_'"
    for what, value, least, most, unit in (
        ("memory", spec.memory_mb, limits.MEMORY_MIN_MB, limits.MEMORY_MAX_MB, "MB"),
        ("tmp", spec.tmp_mb, limits.TMP_MIN_MB, limits.TMP_MAX_MB, "MB"),
        ("timeout", spec.timeout, 1, limits.TIMEOUT_MAX, "s"),
    ):
        if not least <= value <= most:
            yield f"{what} is {value} {unit}, Lambda takes {least} to {most} {unit}"
    if spec.target.python in limits.PYTHONS_ARCHIVED:
        yield f"AWS no longer creates functions with {spec.target.runtime}"


def _environment_problems(spec: FunctionSpec) -> Iterator[str]:
    for name in sorted(spec.environment):
        if name in _RESERVED:
            yield f"the environment variable {name} is Lambda's own"
        elif not _VARIABLE.match(name):
            yield f"{name!r} is not a name that Lambda takes for an environment variable"
    size = sum(len(name.encode()) + len(value.encode()) for name, value in spec.environment.items())
    if size > limits.ENVIRONMENT_VARIABLES:
        yield f"the environment is {size} bytes, Lambda takes {limits.ENVIRONMENT_VARIABLES}"


def packed_index(zip_path: Path) -> Index | None:
    """The index in a function's zip, ``None`` if it has none.

    Raises:
        ConfigurationError: Not a zip.
        CheckError: The index is damaged.
    """
    try:
        with zipfile.ZipFile(zip_path) as archive:
            name = f"runtime_shim/{INDEX_NAME}"
            return decode(archive.read(name)) if name in archive.namelist() else None
    except (zipfile.BadZipFile, OSError) as error:
        raise ConfigurationError(
            f"{zip_path} is not a function's zip: {error}", hint="lambdapack package writes one"
        ) from error
    except IndexFormatError as error:
        raise CheckError(
            f"{zip_path}: {error}", hint="package the function again: lambdapack package"
        ) from error


def check_glibc(spec: FunctionSpec, index: Index | None, pack: Path | None = None) -> None:
    """That the pack's shared objects load on the C library of the function's runtime.

    Args:
        spec: The function.
        index: Its index.
        pack: The pack on this machine, if it is here: to name the files that ask for too much.

    Raises:
        CheckError: They ask for a newer one.
    """
    if index is None or not index.glibc:
        return
    needed = _version(index.glibc)
    if needed <= spec.target.glibc:
        return
    has = ".".join(map(str, spec.target.glibc))
    files = _newer_files(pack, index, spec.target.glibc) if pack is not None and pack.is_file() else []
    which = f" ({_listed(files)})" if files else ""
    raise CheckError(
        f"deploying {spec.name}: the pack asks for glibc {index.glibc}{which}, and {spec.target.runtime} "
        f"runs on {spec.target.operating_system} with glibc {has}: importing it would fail there",
        hint="build it for Python 3.12 or later (--python 3.12: glibc 2.34), or without another glibc, so "
        f"that releases are chosen whose wheels run with {has}",
    )


def _newer_files(pack: Path, index: Index, limit: tuple[int, int]) -> list[tuple[str, str]]:
    """Path and glibc version of the files that ask for more than ``limit``."""
    import zstandard  # noqa: PLC0415 - slow

    letters = dict(zip(index.paths, index.classes, strict=True))
    found = []
    with scratch_folder() as scratch, pack.open("rb") as file:
        stream = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
        try:
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for member in archive:
                    content = archive.extractfile(member)
                    if content is None or letters.get(member.name) not in (EXTENSION, LIBRARY):
                        continue
                    path = scratch / "file"
                    path.write_bytes(content.read())
                    needs = elf.read(path).glibc or (0, 0)
                    if needs > limit:
                        found.append((member.name, ".".join(map(str, needs))))
        except (tarfile.TarError, zstandard.ZstdError, elf.ElfError, OSError):
            # Only to say more in an error that is raised anyway.
            return found
    return sorted(found)


def _listed(files: list[tuple[str, str]]) -> str:
    shown = ", ".join(f"{path} {version}" for path, version in files[:_SHOWN])
    return shown + (f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else "")


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.removeprefix("GLIBC_").split("."))
