"""The folders of execution environments, and what a killed process has left in them."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from lambdapack.local.environment import cgroups


class EnvironmentFolders:
    """The folders ``<state>/environments/<id>``.

    Each is locked for as long as its environment lives, so that ``sweep`` can tell it from a leftover.
    """

    def __init__(self, state: Path) -> None:
        self._state = state
        self._parent = state / "environments"
        self._locks: dict[Path, int] = {}

    def new(self) -> Path:
        """A new folder, locked by this process."""
        self._parent.mkdir(parents=True, exist_ok=True)
        folder = self._parent / secrets.token_hex(8)
        with self._locked():
            folder.mkdir()
            descriptor = os.open(folder / "lock", os.O_CREAT | os.O_RDWR)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        self._locks[folder] = descriptor
        return folder

    def remove(self, folder: Path) -> None:
        """Remove a folder of this process."""
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(KeyError):
            os.close(self._locks.pop(folder))

    @contextlib.contextmanager
    def sweep(self) -> Iterator[bool]:
        """Remove leftovers; inside the block no environment begins. Yields whether there is none at all."""
        if not self._parent.is_dir():
            yield False
            return
        with self._locked():
            for folder in self._parent.iterdir():
                _sweep_folder(folder)
            yield not any(self._parent.iterdir())

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._state / "environments.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _sweep_folder(folder: Path) -> None:
    descriptor = os.open(folder / "lock", os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    finally:
        os.close(descriptor)
    groups = folder / "cgroups.json"
    if groups.exists():
        for group in json.loads(groups.read_text() or "[]"):
            cgroups.remove(Path(group))
    shutil.rmtree(folder, ignore_errors=True)
