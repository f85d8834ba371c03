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
from lambdapack.files import part_file, write_bytes
from lambdapack.lock.requirements.direct import DirectReference, shown
from lambdapack.memo import CacheFolder
from lambdapack.model import PipOptions
from lambdapack.progress import Progress
from lambdapack.python import pip

_WORKER = Path(__file__).with_name("fetch_worker.py")


class Downloads:
    """The files at addresses, for one build: each address is asked once, and has the same file ever after.

    Args:
        cache_dir: Where files are kept, by their hash.
        options: pip's options, which may have credentials for the servers.
        progress: Told what is fetched.
    """

    def __init__(self, cache_dir: Path, options: PipOptions, progress: Progress) -> None:
        self._folder = CacheFolder.DOWNLOADS.of(cache_dir)
        self._addresses = CacheFolder.ADDRESSES.of(cache_dir)
        # "pip download" of one address would not take the options on the choice of versions.
        self._options = options.without("pre", "prefer-binary").arguments
        self._progress = progress
        self._asked: dict[str, str] = {}

    def file(self, direct: DirectReference) -> Path:
        """The file at the address of ``direct``; one whose hash is known is fetched once.

        Raises:
            ConfigurationError: The server has no such file.
            ToolError: The server cannot be reached.
        """
        for value in direct.hashes:
            kept = self._folder / value.partition(":")[2]
            if kept.is_file():
                return kept
        if direct.location not in self._asked:
            self._asked[direct.location] = self._current(direct)
        return self._folder / self._asked[direct.location]

    def _current(self, direct: DirectReference) -> str:
        """SHA-256 of what the address has now: of the kept file, where the server calls it unchanged."""
        known = self._known(direct)
        with part_file(self._folder) as part, self._progress.step(f"fetch {direct.filename}"):
            answer = self._ask(direct, part.path, known.get("etag", ""))
            if answer.get("unchanged"):
                return str(known["sha256"])
            part.publish(self._folder / answer["sha256"])
        if answer["etag"]:
            write_bytes(self._record(direct), json.dumps(answer).encode())
        return str(answer["sha256"])

    def _record(self, direct: DirectReference) -> Path:
        return self._addresses / hashlib.sha256(shown(direct.location).encode()).hexdigest()

    def _known(self, direct: DirectReference) -> Mapping[str, Any]:
        """The record of the last time; empty where its file is gone or damaged."""
        try:
            known: Mapping[str, Any] = json.loads(self._record(direct).read_bytes())
            content = (self._folder / known["sha256"]).read_bytes()
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return known if hashlib.sha256(content).hexdigest() == known["sha256"] else {}

    def _ask(self, direct: DirectReference, path: Path, etag: str) -> Mapping[str, Any]:
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
