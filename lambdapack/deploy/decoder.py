"""The zstd decoder for the shim: one extension out of the target's ``zstandard`` wheel.

The whole package unpacks to 24 MB; its ``backend_c`` extension alone, stripped, is about 1 MB. Python 3.14
has a decoder in its standard library, which takes a fifth more time, and which Lambda's python3.14 lacked in
its first weeks (https://github.com/aws/aws-lambda-base-images/issues/354): so the extension is shipped where
there is a wheel.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from lambdapack import elf
from lambdapack.errors import ToolError
from lambdapack.files import part_file, scratch_folder
from lambdapack.memo import CacheFolder
from lambdapack.model import Target
from lambdapack.progress import QUIET, Progress
from lambdapack.python import pip, wheel_tags

NAME = "backend_c.so"
"""The decoder's name beside the shim."""

# 0.23 is the last with wheels for Python 3.8. The hashes of every file of a release are in
# decoder-VERSION.txt, so that a mirror cannot slip other code into a function.
_VERSION = "0.25.0"
_VERSION_38 = "0.23.0"
# 0.25 has no wheels for later ones; the shim takes the standard library's decoder there.
_NEWEST = (3, 14)


def version(target: Target) -> str | None:
    """The release of ``zstandard`` that serves ``target``; ``None`` where the standard library does."""
    if target.version > _NEWEST:
        return None
    return _VERSION_38 if target.version < (3, 9) else _VERSION


def extension(target: Target, cache_dir: Path, *, progress: Progress = QUIET) -> Path | None:
    """The decoder's shared object for ``target``, out of its wheel; fetched once.

    ``None`` where the shim needs none. It is kept as ``decoder/zstandard-VERSION-TARGET/backend_c.so`` in
    ``cache_dir``.

    Raises:
        ToolError: pip failed, or what it fetched is not for this target.
    """
    release = version(target)
    if release is None:
        return None
    name = f"zstandard-{release}-{str(target).replace('/', '-')}"
    kept = CacheFolder.DECODER.of(cache_dir) / name / NAME
    if not kept.exists():
        with (
            progress.step(f"fetch zstandard {release} for {target}"),
            scratch_folder() as scratch,
            part_file(kept.parent) as made,
        ):
            made.file.write(_member(_download(target, release, scratch), target))
            made.file.flush()
            _check(made.path, target)
            made.publish(kept)
    return kept


def _download(target: Target, release: str, scratch: Path) -> Path:
    digits = target.python.replace(".", "")
    pip.run(
        [
            "download", "--no-deps", "--only-binary=:all:", "--require-hashes", "--implementation=cp",
            f"--python-version={digits}", f"--abi=cp{digits}", "--dest", scratch,
            *(f"--platform={tag}" for tag in wheel_tags.platforms(target, target.glibc)),
            "-r", Path(__file__).with_name(f"decoder-{release}.txt"),
        ],
        doing=f"fetching zstandard {release} for {target}, the shim's decoder,",
        # A pip that is killed leaves files there; they go with the folder.
        variables={"TMPDIR": str(scratch)},
    )  # fmt: skip
    return next(scratch.glob("*.whl"))


def _member(wheel: Path, target: Target) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith("zstandard/backend_c.") and name.endswith(".so"):
                return archive.read(name)
    raise ToolError(f"{wheel.name} has no backend_c extension, the shim's decoder for {target}")


def _check(path: Path, target: Target) -> None:
    headers = elf.read(path)
    if headers.machine != target.machine or (headers.glibc or (0, 0)) > target.glibc:
        raise ToolError(
            f"the zstandard wheel that pip fetched does not load on {target}: it is for {headers.machine} "
            f"and glibc {'.'.join(map(str, headers.glibc or ()))}"
        )
