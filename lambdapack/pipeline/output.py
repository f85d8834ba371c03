"""The folder that a build goes to, with one sound pack and nothing half made; its copies in the cache."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from lambdapack import pack
from lambdapack.errors import ConfigurationError, LambdapackError
from lambdapack.files import sha256_of, sweep_folders, work_folder, write_bytes
from lambdapack.pipeline import build_json as buildreport
from lambdapack.pipeline.build_json import BuildReport
from lambdapack.pipeline.cache import BuildCache

_KIND = "packs"
_WORK = ".work-"
_REPLACED = ".replaced"
"""The file that names the pack's files of the replaced build, until they are removed."""


def sound(folder: Path, inputs: str) -> BuildReport | None:
    """The build in ``folder``, if it is of these inputs and its pack is sound."""
    try:
        finish(folder)
        report = buildreport.read(folder)
        if report.inputs != inputs or not (folder / report.pack.index).is_file():
            return None
        if pack.verify(folder / report.pack.file):
            return None
    except (LambdapackError, OSError):
        return None
    return report


@contextmanager
def workspace(output: Path) -> Iterator[Path]:
    """A folder inside ``output`` for this build alone; the folders of killed builds are removed first."""
    with ExitStack() as stack:
        try:
            output.mkdir(parents=True, exist_ok=True)
            work = stack.enter_context(work_folder(output, _WORK, 0o777))
            (work / "pack").mkdir()
        except OSError as error:
            raise ConfigurationError(
                f"cannot build into {output}: {error.strerror}", hint="choose another folder with --output"
            ) from None
        yield work


def publish(files: Sequence[Path], report: BuildReport, output: Path) -> None:
    """Move the files of a build into ``output``; build.json, last, makes it the current one."""
    try:
        before = buildreport.read(output).pack
    except LambdapackError:
        before = None
    if before is not None and before.id != report.pack.id:
        # Complete before the new build is: a kill between leaves the build with itself as the one before.
        write_bytes(output / buildreport.PREVIOUS, (output / buildreport.FILE_NAME).read_bytes())
        names = [Path(name).name for name in (before.file, before.index)]
        write_bytes(output / _REPLACED, json.dumps([before.id, *names]).encode())
    for path in files:
        if path.name != buildreport.FILE_NAME:
            path.replace(output / path.name)
    buildreport.write(report, output)
    finish(output)


def finish(output: Path) -> None:
    """Finish what a killed build left: its work folder, and the files of the build that it replaced, go."""
    sweep_folders(output, _WORK)
    with suppress(FileNotFoundError, ValueError, LambdapackError):
        replaced, *names = json.loads((output / _REPLACED).read_bytes())
        if buildreport.read(output).pack.id != replaced:
            for name in names:
                (output / Path(name).name).unlink(missing_ok=True)
        (output / _REPLACED).unlink()


def keep_copies(store: BuildCache, inputs: str, files: Iterable[Path]) -> None:
    """Keep copies of ``files``, all of one folder, as the build of ``inputs``."""
    with store.making() as part:
        if part is None:
            return
        digests = {path.name: _copy(path, part / path.name) for path in files}
        store.put_folder(_KIND, inputs, part, json.dumps(digests).encode())


def copy_kept(store: BuildCache, inputs: str, destination: Path) -> tuple[Path, ...]:
    """Copy the files of the build of ``inputs`` into ``destination``.

    No links: a file that is changed there must not change in the cache.

    Returns:
        The copies; none where the cache has no such build, or a damaged one.
    """
    entry = store.get_folder(_KIND, inputs)
    if entry is None:
        return ()
    folder, description = entry
    copies = []
    try:
        for name, digest in json.loads(description).items():
            if _copy(folder / name, destination / name) != digest:
                store.discard(folder)
                return ()
            copies.append(destination / name)
    except OSError:
        # Pruned meanwhile, or no room. If the destination is at fault, the build itself will say so.
        return ()
    return tuple(copies)


def _copy(source: Path, destination: Path) -> str:
    """Copy a file and its mode; SHA-256 of the copy."""
    shutil.copy(source, destination)
    with destination.open("rb") as file:
        return sha256_of(file)
