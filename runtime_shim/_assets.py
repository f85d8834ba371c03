"""Models and data beside the code: each asset is a pack of its own, fetched after the function's pack.

::

    <shim>/assets/<name>/index.json      the index of its pack
    <shim>/assets/<name>/location.json   {"id", "bucket", "key", "region", "file", "fetch"}
    <root>/assets/<id>/site/...          its files

A start imports this only where ``location.json`` beside the shim names assets to begin with, else the first
``runtime_shim.path()`` does.
"""

from __future__ import annotations

import os
import time
from _thread import allocate_lock

from . import PackError
from ._disk import Place, root_folder
from ._index import ASSETS_FOLDER, IndexFormatError, read_beside
from ._start import LOOK, TRIES, AllThreads, Pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Callable

    from ._fetch import Fetcher
    from ._index import Index

DEVELOPMENT = "LAMBDAPACK_ASSETS"
# Figures in the line that is printed once an asset has been fetched.
TOLD = ("bytes", "requests", "retries", "frames", "resumed", "fetch_ms", "wait_ms")
# Seconds between two looks of a postponed fetch whether its turn has come.
TURN = 0.002
# How far a process that fetches an asset lowers its priority: imports come first where they share a
# processor.
NICE = 10


class AssetPlace(Place):
    """Where the frames of an asset go: real files, no arena.

    The journal has one byte more than there are frames: 1 once a thread waits for the asset.

    Args:
        name: The asset's, for messages.
        others: The packs that are being fetched into the same root.
    """

    def __init__(self, root: str, pack_id: str, index: Index, name: str, others: list[Pack]) -> None:
        self.name = name
        self.noun = "asset " + name
        self.others = others
        self._open(root, "%s/%s/%s" % (root, ASSETS_FOLDER, pack_id[:16]), index, frozenset(), more=1)

    @property
    def wanted(self) -> bool:
        """Whether a thread waits for the asset, in whichever process."""
        return self.journal.raw()[self.frames : self.frames + 1] == b"\1"

    def want(self) -> None:
        """Record that a thread waits for the asset."""
        self.attempt(self.journal.write, self.frames, 1)


class Asset:
    """One of the function's ``assets``.

    Raises:
        PackError: The function's zip is damaged, or its folder cannot be made.
    """

    def __init__(self, name: str, assets: Assets) -> None:
        try:
            _, index, location = read_beside(assets.folder + "/" + name)
            pack_id, only = location["id"], location["file"]
            self._location = location
        except (OSError, KeyError, IndexFormatError) as error:
            raise PackError(
                "lambdapack: the function's zip is damaged, build it again with lambdapack package: "
                "asset %s: %s" % (name, error)
            ) from error
        self.name = name
        self.place = AssetPlace(assets.root, pack_id, index, name, list(assets.before))
        self.path = self.place.site + "/" + only if only else self.place.site
        self._assets = assets
        self._ready = False
        self._renew()
        os.register_at_fork(after_in_child=self._renew)
        self._new_pack()

    def _renew(self) -> None:
        # Also in a forked child: if a thread of its parent held the lock, it would stay locked for ever.
        self._lock = allocate_lock()

    def _new_pack(self) -> None:
        self.pack = Pack(self.place, self._make_fetcher, self.place.frames)
        self._started = False

    def _make_fetcher(self, place: Place, alive: Callable[[], None]) -> Fetcher:
        from ._fetch import Fetcher, connections_for
        from ._source import open_source

        asset = self

        class AssetFetcher(Fetcher):
            """Waits for its turn before its first request; a process of its own gives way to imports."""

            def run(self, frames: list[int], *args: Any, **kwargs: Any) -> None:
                if isinstance(asset.pack.fetching_threads, AllThreads):
                    os.nice(NICE)
                asset.wait_turn(alive)
                super().run(frames, *args, **kwargs)

        environ = self._assets.environ
        source = open_source(self._location, self._assets.here, place.index, environ)
        return AssetFetcher(place, source, self._assets.load_decoder, alive, connections_for(environ))

    def wait_turn(self, alive: Callable[[], None]) -> None:
        """Return once the link is free for this asset.

        That is when all packs before it have arrived; for an asset that a thread waits for, when the hot
        frames of the function's own pack have.
        """
        before = self.place.others
        look = 0.0
        while True:
            urgent = self.place.wanted
            left = before[:1] if urgent else before
            if all(complete(p.place, p.index.hot if urgent else p.eager) for p in left):
                return
            if time.monotonic() > look:
                look = time.monotonic() + LOOK
                # If the process that fetched it has failed or was killed, this wait would never end.
                if any(abandoned(p.place) for p in left if not complete(p.place, p.eager)):
                    return
            alive()
            time.sleep(TURN)

    def begin(self) -> None:
        """Begin to fetch the asset in the background, unless it is in place already."""
        if not self._whole():
            self._start()

    def _start(self) -> None:
        self._started = True
        self.pack.start()

    def wait(self) -> str:
        """The asset's path, once every byte of it is in place.

        Raises:
            PackError: It cannot be fetched; the next call tries again.
        """
        with self._lock:
            for _ in range(TRIES):
                if self._ready:
                    if self._whole():
                        return self.path
                    # Files of it were removed since.
                    self._ready = False
                    self._new_pack()
                self._fetch()
                self._ready = True
                if self.pack.role != "warm":
                    stats = self.pack.stats()
                    fields = ", ".join('"%s": %s' % (key, stats[key]) for key in TOLD)
                    print('{"lambdapack": "asset", "asset": "%s", %s}' % (self.name, fields), flush=True)
        if self._whole():
            return self.path
        raise PackError(
            "lambdapack: asset %s: its files are removed as often as they are put in place: something "
            "empties %s while it is in use" % (self.name, self.place.root)
        )

    def _whole(self) -> bool:
        return not self.place.missing(0, self.place.frames)

    def _fetch(self) -> None:
        self.place.want()
        try:
            if not self._started:
                self._start()
            self.pack.wait_eager()
        except PackError:
            self._new_pack()
            raise


def complete(place: Place, frames: int) -> bool:
    """Whether the first ``frames`` frames are in place."""
    return sum(place.journal.look()[:frames]) == frames


def abandoned(place: Place) -> bool:
    """Whether no process fetches this pack any more: then its lock is free."""
    lock = place.lock("lock")
    if lock is None:
        return False
    lock.release()
    return True


class Assets:
    """The assets of a function.

    Args:
        here: The shim's folder.
        environ: Names endpoint, credentials and proxy.
        load_decoder: Loads the zstd decoder's module.
        main: The function's own pack, if it has one.

    Attributes:
        before: The packs that are fetched before the next asset, the function's own first.
    """

    def __init__(
        self, here: str, environ: Mapping[str, str], load_decoder: Callable[[], Any], main: Pack | None
    ) -> None:
        self.here = here
        self.folder = here + "/" + ASSETS_FOLDER
        self.environ = environ
        self.root = root_folder(environ)
        self.load_decoder = load_decoder
        self.before = [main] if main is not None else []
        self._main = main
        self._opened: dict[str, Asset] = {}

    def begin(self, names: list[str]) -> None:
        """Begin to fetch ``names``, one after the other, behind the function's own pack."""
        for name in names:
            asset = self._opened[name] = Asset(name, self)
            asset.begin()
            self.before.append(asset.pack)

    def wait(self, everything: bool) -> None:
        """Return once every asset that was begun or asked for is in place, or ``everything``."""
        every = os.listdir(self.folder) if everything and os.path.isdir(self.folder) else ()
        for name in sorted({*every, *self._opened}):
            self.path(name)

    def packs(self) -> list[Pack]:
        """The packs of the assets that were begun or asked for."""
        return [asset.pack for asset in self._opened.values()]

    def path(self, name: str) -> str:
        """The path of an asset; see ``runtime_shim.path``."""
        asset = self._opened.get(name)
        if asset is None:
            if not os.path.isfile("%s/%s/location.json" % (self.folder, name)):
                return self._elsewhere(name)
            asset = self._opened[name] = Asset(name, self)
        return asset.wait()

    def _elsewhere(self, name: str) -> str:
        """The path of an asset that the function's zip does not have, as in development."""
        if self._main is None:
            for pair in self.environ.get(DEVELOPMENT, "").split(os.pathsep):
                key, equals, path = pair.partition("=")
                if key == name and equals:
                    if not os.path.exists(path):
                        raise PackError("lambdapack: asset %s: %s names %s, which does not exist"
                                        % (name, DEVELOPMENT, path))  # fmt: skip
                    return os.path.abspath(path)
            raise PackError(
                "lambdapack: asset %s: there is no pack beside the shim, so this is not a deployed function; "
                "set %s=%s=PATH to say where the asset is (several: joined by %r). pytest does so by itself "
                "below a lambdapack.toml whose [assets] name it" % (name, DEVELOPMENT, name, os.pathsep)
            )
        known = sorted(os.listdir(self.folder)) if os.path.isdir(self.folder) else []
        raise PackError(
            "lambdapack: this function has no asset %s (it has: %s): name it under [assets] in "
            "lambdapack.toml, then lambdapack build and lambdapack deploy"
            % (name, ", ".join(known) or "none")
        )

    def stats(self) -> dict[str, Any]:
        """Name -> figures of the asset's fetch."""
        return {name: asset.pack.stats() for name, asset in self._opened.items()}
