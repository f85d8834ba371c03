"""Files at addresses: fetched as pip would, kept in the cache, and fetched again only where they changed."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lambdapack.errors import ConfigurationError
from lambdapack.files import disk_errors, work_folder, write_bytes
from lambdapack.lock.requirements.direct import Direct, shown
from lambdapack.memo import CacheFolder
from lambdapack.model import PipOptions
from lambdapack.progress import Progress
from lambdapack.python import pip

__all__ = ["Downloads"]

_WORKER = Path(__file__).with_name("fetch_worker.py")


class Downloads:
    """What was fetched; of one build, so that each address is asked once and always has the same file.

    Args:
        cache_dir: Where files are kept, by their hash.
        options: pip's, on indexes: an address there may have the credentials.
        progress: Told what is done.
    """

    def __init__(self, cache_dir: Path, options: PipOptions, progress: Progress) -> None:
        self._folder = CacheFolder.DOWNLOADS.of(cache_dir)
        self._addresses = CacheFolder.ADDRESSES.of(cache_dir)
        # "pip download" of one address would not take the options on the choice of versions.
        self._options = options.without("pre", "prefer-binary").arguments
        self._progress = progress
        self._asked: dict[str, str] = {}

    def file(self, direct: Direct) -> Path:
        """The file at the address of ``direct``; one whose hash is known is fetched once.

        Raises:
            ConfigurationError: There is none.
            ToolError: The server cannot be reached.
        """
        for one in direct.hashes:
            if self._is_there(one.partition(":")[2]):
                return self._folder / one.partition(":")[2]
        if direct.location not in self._asked:
            with disk_errors(self._folder):
                self._folder.mkdir(parents=True, exist_ok=True)
                self._asked[direct.location] = self._current(direct)
        return self._folder / self._asked[direct.location]

    def _is_there(self, digest: str) -> bool:
        return (self._folder / digest).is_file()

    def _current(self, direct: Direct) -> str:
        """SHA-256 of what the address has now: of the kept file, where the server says it is still that."""
        known = self._known(direct)
        with (
            work_folder(self._folder, ".part-") as work,
            self._progress.step(f"fetch {direct.filename}"),
        ):
            part = work / "file"
            answer = self._ask(direct, part, known.get("etag", ""))
            if answer.get("unchanged"):
                return str(known["sha256"])
            part.replace(self._folder / answer["sha256"])
        if answer["etag"]:
            write_bytes(self._record(direct), json.dumps(answer).encode())
        return str(answer["sha256"])

    def _record(self, direct: Direct) -> Path:
        name = hashlib.sha256(shown(direct.location).encode()).hexdigest()
        return self._addresses / name

    def _known(self, direct: Direct) -> Mapping[str, Any]:
        """What the address had the last time; nothing where that file is gone or is another one now."""
        try:
            known: Mapping[str, Any] = json.loads(self._record(direct).read_bytes())
            content = (self._folder / known["sha256"]).read_bytes()
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return known if hashlib.sha256(content).hexdigest() == known["sha256"] else {}

    def _ask(self, direct: Direct, path: Path, etag: str) -> Mapping[str, Any]:
        doing = f"fetching {shown(direct.location.partition('?')[0])}"
        request = {"url": direct.location, "path": str(path), "options": self._options, "etag": etag}
        done = subprocess.run(
            [sys.executable, "-I", str(_WORKER)],
            input=json.dumps(request).encode(),
            capture_output=True,
            env=pip.environment(),
            check=False,
        )
        try:
            answer: Mapping[str, Any] = json.loads(done.stdout)
        except ValueError:
            text = shown(done.stderr.decode(errors="replace"))
            raise pip.explain(text, doing=doing, status=done.returncode) from None
        if "error" not in answer:
            return answer
        if answer["network"]:
            raise pip.network_error(doing, answer["error"])
        raise ConfigurationError(
            f"{direct.origin}: {doing} failed: {answer['error']}", hint="check the address"
        )
