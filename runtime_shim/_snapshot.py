"""SnapStart: what holds when the snapshot is taken, and what is checked after a restore.

Before the snapshot everything is in place that the function may need, and no process, thread or connection of
the shim's is alive; no credentials and no signature are kept, because each fetch asks for them anew. After a
restore nothing of before is believed: the files are looked at as a new process does. Imported only where
Lambda says that it will take a snapshot.

https://docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks-python.html
"""

from __future__ import annotations

import gc
import os
import time

from ._start import LOOK, POLL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    from ._assets import Assets
    from ._start import Pack

SIGKILL = 9
# Looks at a process that fetches until it is killed: 100 within 0.1 s, the others take 5 s.
ENOUGH = 350


class Snapshot:
    """The snapshot of a process that has a pack.

    Args:
        everything: Whether all assets belong into the snapshot, not only those that were begun or asked for.
        assets: Gives the function's assets, None where it has none; called when they are needed.
    """

    def __init__(self, pack: Pack, everything: bool, assets: Callable[[], Assets | None]) -> None:
        self._pack = pack
        self._everything = everything
        self._assets = assets
        try:
            import snapshot_restore_py as hooks
        except ImportError:
            # A runtime that has no hooks: ``ready`` has prepared the snapshot all the same.
            return
        # Hooks run in reverse order before the snapshot, and in order after a restore: the shim, which is
        # imported first, has the last word before and the first one after.
        hooks.register_before_snapshot(self.prepare)
        hooks.register_after_restore(self.restored)

    def _all_packs(self) -> list[Pack]:
        assets = self._assets()
        return [self._pack, *(assets.packs() if assets is not None else ())]

    def prepare(self) -> None:
        """Return once everything is in place and nothing of the shim's is alive.

        Raises:
            PackError: Something cannot be fetched. Then there must be no snapshot.
        """
        if self._pack.restores:
            return
        self._pack.wait_eager()
        assets = self._assets()
        if assets is not None:
            assets.wait(self._everything)
        for pack in self._all_packs():
            settle(pack)
        # A fetch in this process leaves objects that hold each other, and one of them the signed request.
        gc.collect()

    def restored(self) -> None:
        """Look at every file, as a new process does at its start, and fetch what is missing.

        Raises:
            PackError: Something is missing and cannot be fetched.
        """
        pack = self._pack
        pack.restores += 1
        with pack.own():
            pack.place.follow()
            missing = pack.place.missing(0, pack.eager)
            if missing:
                pack.begin()
        if missing:
            pack.wait_eager()
            text = "lambdapack: %d frames were missing after the restore; they are back" % len(missing)
            print(text, flush=True)
        assets = self._assets()
        if assets is not None:
            assets.wait(False)


def settle(pack: Pack) -> None:
    """Return once no process and no thread fetches for ``pack``; a process that does not end is killed."""
    # A thread of the function's may be fetching on demand.
    pack.in_process().settle()
    children, pack._children = pack._children, []
    looks = 0
    while pack.running or any(child.alive() for child in children):
        looks += 1
        # Its frames are in place, so all that it could still do is to say how many bytes they had.
        if looks % ENOUGH == 0:
            for child in children:
                if child.alive():
                    os.kill(child.pid, SIGKILL)
        time.sleep(POLL if looks < 100 else LOOK)
