"""Fetching in this process, not in a child: in a thread where forking is not safe, and on demand.

Imported by a process that does so; most cold starts fetch in a child, and ask for nothing later.
"""

from __future__ import annotations

import sys
import time
from _thread import start_new_thread

from . import REFUSALS, PackError
from ._signals import DeferredSignals
from ._start import LOOK, PATIENCE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from ._fetch import Fetcher
    from ._lock import Lock
    from ._start import Pack

_IMPORT = ("<frozen importlib._bootstrap>", "_find_and_load")
"""File and name of the function below every import."""


class WholeModules:
    """A context in which imports give whole modules: those that this thread is importing are set aside.

    A signal handler of the program may run in the middle of the program's ``import hashlib``, and open a file
    of the pack: the fetch would get the half of that module. In this context it gets a copy of its own.

    Args:
        site: The pack's root. What is imported from there, and the shim itself, stays.
    """

    __slots__ = ("_aside", "_site")

    def __init__(self, site: str) -> None:
        self._site = site
        self._aside: dict[str, Any] = {}

    def __enter__(self) -> None:
        frame = sys._getframe(1)
        while frame is not None:
            if (frame.f_code.co_filename, frame.f_code.co_name) == _IMPORT:
                self._set_aside(frame.f_locals["name"])
            frame = frame.f_back  # type: ignore[assignment]  # the outermost has none

    def _set_aside(self, name: str) -> None:
        module = sys.modules.get(name)
        path = getattr(module, "__file__", None) or ""
        unfinished = getattr(getattr(module, "__spec__", None), "_initializing", False)
        if unfinished and name.partition(".")[0] != __package__ and not path.startswith(self._site):
            self._aside[name] = sys.modules.pop(name)

    def __exit__(self, *exc: object) -> None:
        sys.modules.update(self._aside)


class InProcess:
    """What fetches frames of ``pack`` in this process; its state is the pack's."""

    __slots__ = ("_pack",)

    def __init__(self, pack: Pack) -> None:
        self._pack = pack

    def begin(self, missing: list[int], lock: Lock) -> None:
        """Fetch in a thread, as the holder of ``lock``, which is released when the fetch ends."""
        pack = self._pack
        try:
            fetcher = self._make_fetcher()
            pack.place.write_under(lock)
        except BaseException:
            lock.release()
            raise
        pack.running = True
        pack.locks.append(lock)
        began = time.monotonic()

        def run() -> None:
            try:
                fetcher.run(missing, spawn=self._spawn)
            except PackError as error:
                pack.error = error
            except BaseException as error:
                pack.error = PackError(
                    "lambdapack: fetching the pack: %s: %s" % (type(error).__name__, error)
                )
            finally:
                pack.add(fetcher.stats.report(began))
                self._let_go(lock)
                pack.running = False

        try:
            self._spawn(run, ())
        except RuntimeError:
            # The system gives no thread: then this one fetches.
            run()

    def demand(self, frames: list[int], done: Callable[[], bool]) -> None:
        """Fetch frames now, in this thread, unless they are ``done`` when it is this process's turn."""
        pack = self._pack
        with DeferredSignals(), pack.own(), WholeModules(pack.place.site):
            lock = self._turn(done)
            try:
                if not done():
                    pack.on_demand += 1
                    pack.place.check_space(frames)
                    self._make_fetcher().run(frames, spawn=self._spawn)
            except REFUSALS as error:
                raise pack.place.failure(error) from error
            finally:
                if lock is not None:
                    self._let_go(lock)

    def settle(self) -> None:
        """Return once no other thread of this process fetches on demand."""
        with self._pack.own():
            lock = self._turn(lambda: False)
            if lock is not None:
                self._let_go(lock)

    def _turn(self, done: Callable[[], bool]) -> Lock | None:
        """The lock for fetching on demand. Another process that has it may be fetching the same frames.

        None once the frames are ``done``, or if that process does not get on: then this one fetches beside
        it, and both write the same bytes.
        """
        for _ in range(PATIENCE):
            lock = self._pack.place.lock("demand")
            if lock is not None:
                self._pack.locks.append(lock)
                return lock
            time.sleep(LOOK)
            if done():
                return None
        return None

    def _let_go(self, lock: Lock) -> None:
        """Release a lock that a thread of this process holds."""
        locks = self._pack.locks
        if lock in locks:
            locks.remove(lock)
        lock.release()

    def _spawn(self, work: Callable[..., None], args: tuple[Any, ...]) -> int:
        """Start a thread that does the shim's own work."""

        def marked() -> None:
            with self._pack.own():
                work(*args)

        return start_new_thread(marked, ())

    def _make_fetcher(self) -> Fetcher:
        """A fetcher for this process, with everything that it needs imported."""
        pack = self._pack
        with pack.own():
            from ._child import tell
            from ._source import FetchError

            try:
                fetcher = pack.make_fetcher(pack.place, lambda: None)
                fetcher.tell = tell
                fetcher.prepare()
            except FetchError as error:
                raise PackError("lambdapack: fetching the pack: %s" % error) from error
        return fetcher
