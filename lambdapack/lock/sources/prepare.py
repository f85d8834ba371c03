"""Files and folders that were named themselves -> wheels in the cache, known by their hash."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from lambdapack.errors import ConfigurationError, ToolError
from lambdapack.files import disk_errors, work_folder, write_bytes
from lambdapack.lock.requirements.direct import Direct
from lambdapack.lock.resolver.place import Wheelwright
from lambdapack.lock.sources import source_tree, wheel_file
from lambdapack.lock.sources.downloads import Downloads
from lambdapack.memo import CacheFolder
from lambdapack.model import AL2023_GLIBC, PipOptions, Target
from lambdapack.progress import Progress
from lambdapack.python import toolchain, wheel_tags
from lambdapack.python.interpreter import Interpreter
from lambdapack.python.wheel_recipe import recipe

__all__ = ["Prepared", "Preparer"]

_ARCHIVES = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")
_PAGE = "index.html"
# Changed when the same source would give another wheel.
_RECIPE = 1


@dataclass(frozen=True)
class Prepared:
    """A wheel that is there.

    Attributes:
        direct: What was named.
        name, version: The wheel's own.
        filename: Its file name.
        hash: ``sha256:…`` of it.
        page: A page that links to it, for pip's ``--find-links``.
    """

    direct: Direct
    name: str
    version: str
    filename: str
    hash: str
    page: Path

    @property
    def line(self) -> str:
        """It as a requirement that nothing else satisfies."""
        extras = f"[{','.join(self.direct.extras)}]" if self.direct.extras else ""
        return f"{self.name}{extras}=={self.version} --hash={self.hash}"


class Preparer:
    """Fetches and builds what was named.

    Args:
        target: What it is for.
        interpreter: The target's Python.
        wheelwright: Builds wheels; ``None`` where nothing can be built.
        cache_dir: Where files are kept, by their hash.
        options: pip's, on indexes.
        downloads: Fetches what is at an address.
        progress: Told what is done.
    """

    def __init__(
        self,
        target: Target,
        interpreter: Interpreter,
        wheelwright: Wheelwright | None,
        *,
        cache_dir: Path,
        options: PipOptions,
        downloads: Downloads,
        progress: Progress,
    ) -> None:
        self._target = target
        self._interpreter = interpreter
        self._wheelwright = wheelwright
        self._cache = cache_dir
        self._options = options
        self._downloads = downloads
        self._progress = progress

    def prepare(self, direct: Direct) -> Prepared:
        """Have the wheel of ``direct`` in the cache.

        Raises:
            ConfigurationError: There is nothing to install, it is not for the target, or not what was named.
            ToolError: It cannot be fetched or built.
        """
        path = direct.path
        if path is None:
            return self._file(direct, self._downloads.file(direct))
        if path.is_dir():
            return self._folder(direct, path)
        if not path.is_file():
            raise ConfigurationError(f"{direct.origin}: there is no {path}")
        return self._file(direct, path)

    def _file(self, direct: Direct, path: Path) -> Prepared:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if direct.hashes and f"sha256:{digest}" not in direct.hashes:
            raise ConfigurationError(
                f"{direct.origin}: {direct.filename} is not what was asked for: its SHA-256 is {digest}",
                hint="find out why it changed, then write its new hash",
            )
        if direct.filename.endswith(".whl"):
            return self._staged(direct, path, direct.filename)
        if not direct.filename.endswith(_ARCHIVES):
            raise ConfigurationError(
                f"{direct.origin}: {direct.filename!r} is neither a wheel nor an sdist",
                hint=f"their names end in .whl, {', '.join(_ARCHIVES)}",
            )
        return self._built(direct, path, digest)

    def _folder(self, direct: Direct, folder: Path) -> Prepared:
        if not any((folder / name).is_file() for name in ("pyproject.toml", "setup.py")):
            raise ConfigurationError(
                f"{direct.origin}: {folder} is not a package: it has neither pyproject.toml nor setup.py",
                hint="for a folder of wheels, name the package and use --find-links",
            )
        return self._built(direct, folder, source_tree.digest(folder))

    def _built(self, direct: Direct, source: Path, digest: str) -> Prepared:
        if self._wheelwright is None:
            raise ConfigurationError(
                f"{direct.origin}: {direct.filename} has to be built, and nothing is built here",
                hint="use --builder docker",
            )
        identity = dict(self._wheelwright.identity)
        made_of = [
            *(_RECIPE, digest, str(self._target), self._interpreter.version, identity),
            *(recipe(self._options), toolchain.requirements(self._interpreter.python)),
        ]
        key = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()
        kept = CacheFolder.LOCAL_WHEELS.of(self._cache) / key
        if not kept.is_dir():
            with disk_errors(kept.parent):
                kept.parent.mkdir(parents=True, exist_ok=True)
            with disk_errors(kept.parent), work_folder(kept.parent, ".part-") as work:
                self._build(direct, source, work)
                if source.is_dir() and source_tree.digest(source) != digest:
                    raise ToolError(
                        f"{direct.origin}: {source} changed while it was built", hint="run the build again"
                    )
                _publish(work / "wheel", kept)
        wheel = next(kept.glob("*.whl"))
        return self._staged(direct, wheel, wheel.name)

    def _build(self, direct: Direct, source: Path, work: Path) -> None:
        assert self._wheelwright is not None
        label = direct.name or direct.filename
        if source.is_dir():
            copied = work / "source"
            source_tree.copy(source, copied)
            source = copied
        elif source.name != direct.filename:
            named = work / direct.filename
            shutil.copyfile(source, named)
            source = named
        with self._progress.step(f"build {label}"):
            built = self._wheelwright.wheel(source, work / "out", label=label, progress=self._progress)
        (work / "wheel").mkdir()
        wheel_file.rewrite(built, work / "wheel")

    def _staged(self, direct: Direct, path: Path, filename: str) -> Prepared:
        try:
            name, version, _, _ = parse_wheel_filename(filename)
        except InvalidWheelFilename as error:
            raise ConfigurationError(f"{direct.origin}: {error}") from None
        if direct.name and name != direct.name:
            raise ConfigurationError(
                f"{direct.origin}: {direct.name} was asked for, and {filename} is {name}",
                hint="name the package that the file is of",
            )
        if not wheel_tags.fits(filename, self._target, AL2023_GLIBC):
            raise ConfigurationError(
                f"{direct.origin}: {filename} is not for {self._target}",
                hint="name a wheel for it, or its sdist with --builder docker",
            )
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        folder = CacheFolder.FILES.of(self._cache) / digest
        if not (folder / _PAGE).is_file():
            with disk_errors(folder):
                write_bytes(folder / filename, path.read_bytes())
                link = f'<a href="{quote(filename)}#sha256={digest}">{escape(filename)}</a>'
                page = f"<!DOCTYPE html><html><body>{link}</body></html>\n"
                write_bytes(folder / _PAGE, page.encode())
        return Prepared(direct, name, str(version), filename, f"sha256:{digest}", folder / _PAGE)


def _publish(folder: Path, final: Path) -> None:
    """Give ``folder`` its name; another process may have been quicker, with the same wheel."""
    try:
        folder.rename(final)
    except OSError:
        if not final.is_dir():
            raise
