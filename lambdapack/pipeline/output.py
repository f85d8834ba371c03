"""The folder that a build goes to: one sound pack with its build.json, and nothing half made."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from lambdapack import pack
from lambdapack.errors import ConfigurationError, LambdapackError
from lambdapack.files import sweep_folders, work_folder, write_bytes
from lambdapack.pipeline import build_json as buildreport
from lambdapack.pipeline.build_json import BuildReport


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
            raise _unwritable(output, error) from None
        yield work


_WORK = ".work-"
_REPLACED = ".replaced"
"""The file that names the pack's files of the replaced build, until they are removed."""


def _unwritable(output: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"cannot build into {output}: {error.strerror}", hint="choose another folder with --output"
    )


def publish(files: Sequence[Path], report: BuildReport, output: Path) -> None:
    """Move the files of a build into ``output``; build.json, last, makes it the current one."""
    try:
        before = buildreport.read(output).pack
    except LambdapackError:
        before = None
    if before is not None and before.id != report.pack.id:
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
