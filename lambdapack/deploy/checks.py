"""What can be known to fail in Lambda before anything is called."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from lambdapack import elf, limits
from lambdapack.errors import CheckError, ConfigurationError
from lambdapack.files import scratch_folder
from lambdapack.model import Files, FunctionSpec, refused_by_lambda
from runtime_shim._index import EXTENSION, INDEX_NAME, LIBRARY, Index, IndexFormatError, decode

_SHOWN = 5


def check_spec(spec: FunctionSpec) -> None:
    """That AWS can take the function at all.

    Raises:
        ConfigurationError: Everything that AWS would refuse, at once.
    """
    problems = [*refused_by_lambda(spec.name, spec.settings, spec.target), *_refused_by_aws(spec)]
    if problems:
        raise ConfigurationError(f"deploying {spec.name}: " + "; ".join(problems))


def _refused_by_aws(spec: FunctionSpec) -> Iterator[str]:
    """What AWS refuses and the local cloud takes, or has a message of its own for."""
    if not spec.zip_path.is_file():
        yield f"there is no zip at {spec.zip_path}"
    if spec.pack_id is not None and spec.location is None:
        yield f"pack {spec.pack_id} has no place in S3 (lambdapack push gives it one)"
    for asset in spec.assets:
        if asset.location is None:
            yield f"the asset {asset.name} has no place in S3 (lambdapack push gives it one)"
    places = {location.place for location in _files(spec)}
    if "mount" in places and not spec.settings.file_system:
        yield "a pack of its is on a mounted file system, and file_system names none"
    if spec.settings.file_system and not spec.settings.mount:
        yield "it has a file_system and no mount, the path where the file system is to be mounted"
    if len(spec.assets) > limits.ASSETS:
        yield f"it has {len(spec.assets)} assets, more than {limits.ASSETS}: join some into folders"


def _files(spec: FunctionSpec) -> Iterator[Files]:
    for location in (spec.location, *(asset.location for asset in spec.assets)):
        if isinstance(location, Files):
            yield location


def packed_index(zip_path: Path) -> Index | None:
    """The index in a function's zip, ``None`` for a zip without one.

    Raises:
        ConfigurationError: The file is not a zip.
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
        spec, index: The function, and the index of its pack; ``None`` for a function without one.
        pack: The pack on this machine, where this machine has it: to name the files that ask for too much.

    Raises:
        CheckError: They ask for a newer C library.
    """
    if index is None or not index.glibc:
        return
    needed = tuple(int(part) for part in index.glibc.removeprefix("GLIBC_").split("."))
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
    newer = []
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
                        newer.append((member.name, ".".join(map(str, needs))))
        except (tarfile.TarError, zstandard.ZstdError, elf.ElfError, OSError):
            # These names only add to an error that is raised in any case.
            return newer
    return sorted(newer)


def _listed(files: list[tuple[str, str]]) -> str:
    shown = ", ".join(f"{path} {version}" for path, version in files[:_SHOWN])
    return shown + (f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else "")
