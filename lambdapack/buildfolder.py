"""The folder that a build goes to: one sound pack with its build.json, and nothing half made."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lambdapack import buildreport, pack
from lambdapack.buildreport import BuildReport
from lambdapack.errors import ConfigurationError, LambdapackError

__all__ = ["publish", "sound", "workspace"]


def sound(folder: Path, inputs: str) -> BuildReport | None:
    """The build in ``folder``, if it is of these inputs and its pack is sound."""
    try:
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
    """A folder inside ``output`` for this build alone; those of builds that were killed go first."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        for left in output.glob(f"{_WORK}*"):
            if not _alive(left.name):
                shutil.rmtree(left, ignore_errors=True)
    except OSError as error:
        raise _unwritable(output, error) from None
    # The name is known before the folder is there: Ctrl-C may come right after it was made.
    work = output / f"{_WORK}{os.getpid()}-{secrets.token_hex(4)}"
    try:
        try:
            (work / "pack").mkdir(parents=True)
        except OSError as error:
            raise _unwritable(output, error) from None
        yield work
    finally:
        _remove(work)


_WORK = ".work-"


def _unwritable(output: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"cannot build into {output}: {error.strerror}", hint="choose another folder with --output"
    )


def _remove(folder: Path) -> None:
    """Remove ``folder``, wholly also when Ctrl-C comes meanwhile."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except KeyboardInterrupt:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _alive(name: str) -> bool:
    try:
        os.kill(int(name.removeprefix(_WORK).partition("-")[0]), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def publish(files: Sequence[Path], report: BuildReport, output: Path) -> None:
    """Move the files of a build into ``output``; build.json, last, makes it the current one."""
    try:
        before = buildreport.read(output).pack
    except LambdapackError:
        before = None
    for path in files:
        if path.name != buildreport.FILE_NAME:
            path.replace(output / path.name)
    buildreport.write(report, output)
    if before is not None and before.id != report.pack.id:
        for name in (before.file, before.index):
            (output / Path(name).name).unlink(missing_ok=True)
