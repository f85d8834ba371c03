"""The loader that runs inside the function; it needs the standard library and the zstd decoder alone.

``import runtime_shim`` as a handler's first line puts the pack that the function's zip names in place and
makes it importable. Without an index beside the shim the import does nothing, so that a handler runs
unchanged in a unit test.

Environment: ``LAMBDAPACK_ROOT`` (default ``/tmp/lambdapack``), ``LAMBDAPACK_MODE`` (``stream`` or
``disk``), ``LAMBDAPACK_HANDLER`` (the real handler where the function's handler is
``runtime_shim.handler``), ``LAMBDAPACK_PREPARE`` (``off``: waits stay idle), ``LAMBDAPACK_ASSETS`` (where
assets are in development), ``LAMBDAPACK_FILES`` (a folder that stands for ``/`` in the paths of packs in
files, default ``/``), ``AWS_ENDPOINT_URL_S3``.
"""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping
    from typing import Any, BinaryIO, Callable

    from ._assets import Assets
    from ._disk import Place
    from ._fetch import Fetcher
    from ._index import Index
    from ._journal import Seal
    from ._snapshot import Snapshot
    from ._start import Pack

__all__ = ["PackError", "handler", "path", "ready", "stats"]

_HERE = os.path.dirname(os.path.abspath(__file__))
# A reload of this module keeps what it finds: there is one pack a process.
_pack: Pack | None = globals().get("_pack")
_function_assets: Assets | None = globals().get("_function_assets")
_snapshot_due: Snapshot | None = globals().get("_snapshot_due")
_emitted = False
_postponed: tuple[tuple[int, int, int], int] | None = None

# What Lambda calls an init at whose end it takes a snapshot.
SNAP_START = "snap-start"
# The system has refused a file, a module or memory.
REFUSALS = (OSError, ImportError, MemoryError)
# Defined in this module, so that it costs no import; and only once, because after a reload the other modules
# of the shim would still raise the old class.
if "PackError" not in globals():

    class PackError(RuntimeError):
        """The pack cannot be put in place.

        Not an ImportError: libraries that treat a module as optional would take a full disk for its absence.
        """


def __getattr__(name: str) -> Any:
    if name == "handler":
        raise AttributeError(
            "runtime_shim.handler needs LAMBDAPACK_HANDLER to name the real handler, e.g. app.handler"
        )
    raise AttributeError("module %r has no attribute %r" % (__name__, name))


def stats() -> dict[str, Any]:
    """Figures of this process's start: bytes, requests, retries, frames, resumed frames, milliseconds.

    Empty without a pack. ``source`` is ``s3``, or ``file`` for a pack in the zip, in layers or on a mount, of
    which ``requests`` counts the reads. ``library_error`` is the first error of a bundled library that could
    not be mapped, with the library's path. ``assets`` has the same figures of each asset that was begun or
    asked for, by name.
    """
    figures = _pack.stats() if _pack is not None else {}
    if _function_assets is not None:
        figures["assets"] = _function_assets.stats()
    return figures


def path(name: str) -> str:
    """The real path of the asset ``name``, a file or a folder, once every byte of it is in place.

    Treat it as read-only: what is written there is lost with the environment.

    Raises:
        PackError: There is no such asset, no room for it, or it cannot be fetched.
    """
    return _open_assets(os.environ).path(name)


def _open_assets(environ: Mapping[str, str]) -> Assets:
    global _function_assets
    if _function_assets is None:
        from ._assets import Assets

        _function_assets = Assets(_HERE, environ, _decoder, _pack)
    return _function_assets


def ready() -> None:
    """Return once everything is in place that a first invocation may need.

    The shim calls it when Lambda asks for the handler; a handler need not call it.
    """
    global _emitted, _postponed
    if _pack is None:
        return
    _pack.wait_eager()
    if _snapshot_due is not None:
        _snapshot_due.prepare()
    if _postponed is not None:
        before, _postponed = _postponed, None
        _resume_collections(*before)
    if not _emitted:
        _emitted = True
        _emit(_pack)


def _emit(pack: Pack) -> None:
    """Print one line in CloudWatch's embedded metric format.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    line: dict[str, Any] = pack.stats()
    pack.told = True
    line["lambdapack"] = "cold_start"
    line["pack"] = pack.place.base.rpartition("/")[2]
    line["function"] = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "")
    # Only numbers, names and lists of names, so repr() with other quotes is JSON; to import json costs 10 ms.
    fields = ", ".join('"%s": %s' % (name, repr(value).replace("'", '"')) for name, value in line.items())
    metrics = ", ".join('{"Name": "%s", "Unit": "%s"}' % pair for pair in METRICS)
    head = '{"Timestamp": %d, "CloudWatchMetrics": [{"Namespace": "lambdapack", "Dimensions": ' % (
        time.time() * 1000
    )
    print('{%s, "_aws": %s[["function"]], "Metrics": [%s]}]}}' % (fields, head, metrics), flush=True)


METRICS = (
    ("fetch_ms", "Milliseconds"),
    ("wait_ms", "Milliseconds"),
    ("start_ms", "Milliseconds"),
    ("requests", "Count"),
    ("retries", "Count"),
    ("resumed", "Count"),
    ("bytes", "Bytes"),
)


def _start(environ: MutableMapping[str, str]) -> None:
    """Find the index beside this file and put its pack in place; without an index there is nothing to do."""
    global _pack
    began = time.monotonic()
    try:
        file = open(_HERE + "/index.json", "rb")  # noqa: SIM115 - closed by _read_index
    except FileNotFoundError:
        return
    if hasattr(sys, "get_lazy_imports") and sys.get_lazy_imports() == "all":
        _import_now()
    from ._disk import Place, root_folder  # above for types alone
    from ._index import LIBRARIES
    from ._start import Pack

    root, disk = root_folder(environ), environ.get("LAMBDAPACK_MODE", "stream") == "disk"
    data, index, location, seal = _read_index(file, root, disk)
    _check_target(index.target)
    place = Place(root, location["id"], index, disk)
    seal.put(location["id"])
    make_fetcher = _fetcher_maker(environ, location, began)
    snapshot = environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == SNAP_START
    everything = snapshot and location.get("snapshot") == "all"
    pack = Pack(place, make_fetcher, len(index.frame_size) if disk or everything else index.eager)
    pack.source = "file" if "parts" in location else "s3"
    # Forks before the imports below are set up: the process that fetches needs none of them.
    pack.start()
    _pack = pack
    if "assets" in location:
        _open_assets(environ).begin(location["assets"])
    if snapshot:
        _expect_snapshot(environ, everything)
    position = _position(environ)
    _export(environ, place.site if disk else _HERE + "/children")
    bundled: Any = None
    # Whether there are bundled libraries; a search in the index's bytes is faster than a look at every path.
    if b'"' + LIBRARIES.encode() in data:
        from . import _libraries as bundled

        bundled.export(environ, place.site)
    (_import_from_disk if disk else _import_from_pack)(pack, bundled, position)


def _expect_snapshot(environ: Mapping[str, str], everything: bool) -> None:
    """Prepare for the snapshot that Lambda takes at the end of init."""
    global _snapshot_due
    from ._snapshot import Snapshot

    assert _pack is not None
    if everything and os.path.isdir(_HERE + "/assets"):
        _open_assets(environ)
    _snapshot_due = Snapshot(_pack, everything, lambda: _function_assets)


def _import_now() -> None:
    """Where all imports are lazy (Python 3.15), import the shim's modules as they are written.

    A lazy import runs when its name is first used. In a thread of the fetching process that would wait for
    ever: the import of this package, in the middle of which it was forked, never ends there.
    """
    from importlib import import_module

    sys.set_lazy_imports("normal")  # type: ignore[attr-defined, unused-ignore]
    try:
        for name in sorted(os.listdir(_HERE)):
            if name.startswith("_") and not name.startswith("__") and name.endswith(".py"):
                import_module("runtime_shim." + name[:-3])
    finally:
        sys.set_lazy_imports("all")  # type: ignore[attr-defined, unused-ignore]


def _read_index(file: BinaryIO, root: str, disk: bool) -> tuple[bytes, Index, dict[str, Any], Seal]:
    """Bytes and content of the index in ``file``, the location beside it, and the index's seal."""
    from ._disk import base_folder
    from ._index import IndexFormatError, read_beside
    from ._journal import Seal

    with file:
        data = file.read()
        seal = Seal(file.fileno(), lambda pack_id: base_folder(root, pack_id, disk) + "/seal")
    try:
        return (*read_beside(_HERE, data, seal.holds), seal)
    except (OSError, IndexFormatError) as error:
        raise PackError(
            "lambdapack: the function's zip is damaged, build it again with lambdapack package: %s" % error
        ) from error


def _import_from_disk(pack: Pack, bundled: Any, position: int) -> None:
    """Once every file is in place, the pack's root is a plain entry of ``sys.path``."""
    pack.wait_eager()
    if bundled:
        bundled.map_all(pack)
    sys.path.insert(position, pack.place.site)


def _import_from_pack(pack: Pack, bundled: Any, position: int) -> None:
    """Make the pack importable while its frames are still arriving."""
    from ._guard import Guard
    from ._importer import Contents, install
    from ._views import install as install_views

    pack.prepares = os.environ.get("LAMBDAPACK_PREPARE") != "off"
    importer = install(pack, Contents(pack.index), position)
    if bundled:
        bundled.attach(importer)
    install_views(Guard(importer))


def _fetcher_maker(
    environ: Mapping[str, str], location: dict[str, Any], began: float
) -> Callable[[Place, Callable[[], None]], Fetcher]:
    """Makes fetchers of this function's pack, for a process that began at ``began`` (monotonic)."""

    def make(place: Place, alive: Callable[[], None]) -> Fetcher:
        from ._fetch import Fetcher, connections_for, init_ends
        from ._source import open_source

        source = open_source(location, _HERE, place.index, environ)
        fetcher = Fetcher(place, source, _decoder, alive, connections_for(environ))
        # Once the handler runs, a fetch on demand has the function's own timeout as its bound.
        fetcher.init_ends = None if _emitted else init_ends(environ, began)
        return fetcher

    return make


def _export(environ: MutableMapping[str, str], folder: str) -> None:
    """Let Python processes that the function starts find the pack as this one does."""
    before = environ.get("PYTHONPATH", "")
    if folder not in before.split(os.pathsep):
        environ["PYTHONPATH"] = folder + os.pathsep + before if before else folder
    environ["LAMBDAPACK_TAG"] = sys.implementation.cache_tag or ""


def _check_target(target: str) -> None:
    machine = {"aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    here = "python%d.%d/%s" % (sys.version_info[0], sys.version_info[1], machine)
    if target != here:
        raise PackError(
            "lambdapack: the pack is for %s but this function runs %s: change the function's runtime and "
            "architecture, or build for it (lambdapack build --python %d.%d --arch %s)"
            % (target, here, sys.version_info[0], sys.version_info[1], machine)
        )


def _position(environ: Mapping[str, str]) -> int:
    """The pack's position on ``sys.path``: right behind the function's own code."""
    task = environ.get("LAMBDA_TASK_ROOT", "")
    if task in sys.path:
        return sys.path.index(task) + 1
    return min(1, len(sys.path))


def _decoder() -> Any:
    """The zstd decoder: the extension beside the shim, else the standard library's, else an installed one."""
    path = _HERE + "/backend_c.so"
    if os.path.exists(path):
        from importlib.machinery import ExtensionFileLoader, ModuleSpec
        from importlib.util import module_from_spec

        loader = ExtensionFileLoader("zstandard.backend_c", path)
        spec = ModuleSpec("zstandard.backend_c", loader, origin=path)
        module = module_from_spec(spec)
        loader.exec_module(module)
        return module
    try:
        from . import _zstd
    except ImportError:  # before Python 3.14, or built without libzstd
        import zstandard

        return zstandard
    return _zstd


def _hold_handler(environ: Mapping[str, str]) -> None:
    """Make Lambda's first look at the handler wait for the rest of the pack.

    The runtime imports the handler's module and then gets the handler from it, and between the two it calls
    nothing of the shim's. So the module, while it is being imported, gets a class whose first attribute
    access waits.
    """
    name = environ.get("_HANDLER", "").rpartition(".")[0].replace("/", ".")
    module = sys.modules.get(name)
    if module is None or module.__name__ == __name__:
        return
    plain = type(module)

    class HandlerModule(plain):  # type: ignore[misc, valid-type]
        def __getattribute__(self, attribute: str) -> Any:
            if not attribute.startswith("__"):
                object.__setattr__(self, "__class__", plain)
                ready()
            return plain.__getattribute__(self, attribute)

    module.__class__ = HandlerModule
    _postpone_collections(environ)


def _postpone_collections(environ: Mapping[str, str]) -> None:
    """Collect garbage rarely until ``ready``, so only where ``ready`` is going to be called.

    The objects that an import makes stay alive; to search them for garbage every 700 objects takes 5 to 10 %
    of the CPU time of a large import.
    """
    global _postponed
    import gc

    before = gc.get_threshold()
    memory = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
    rarely = min(RARELY, int(memory) * OBJECTS_A_MB) if memory.isdigit() else RARELY
    # 0 means that the function has switched the collector off: leave it off.
    if 0 < before[0] < rarely:
        gc.set_threshold(rarely, before[1], before[2])
    _postponed = before, rarely


# More objects than the import of large packages makes (scikit-learn and pandas: 400,000).
RARELY = 500_000
# At some 150 bytes an object, uncollected garbage takes at most a twentieth of the function's memory.
OBJECTS_A_MB = 300


def _resume_collections(before: tuple[int, int, int], rarely: int) -> None:
    """Collect as before, unless the function has set thresholds of its own meanwhile.

    All objects are moved to the oldest generation, so that the first invocation does not pay for a search
    through them. Freezing and unfreezing does that, so it is left out where the function froze objects
    itself.
    """
    import gc

    if gc.get_threshold()[0] != rarely:
        return
    gc.set_threshold(*before)
    if not gc.get_freeze_count():
        gc.freeze()
        gc.unfreeze()


def _bind_handler(environ: Mapping[str, str]) -> None:
    """Import the real handler where this module is the function's handler."""
    name = environ.get("LAMBDAPACK_HANDLER", "")
    if not name:
        return
    from importlib import import_module

    if _pack is not None:
        _postpone_collections(environ)
    module, _, function = name.rpartition(".")
    globals()["handler"] = getattr(import_module(module.replace("/", ".")), function)
    ready()


if _pack is None:
    try:
        _start(os.environ)
    except REFUSALS as error:
        raise PackError(
            "lambdapack: the pack cannot be put in place: %s: %s" % (type(error).__name__, error)
        ) from error
if _pack is not None:
    # From here on the pack can be imported. A thread that the handler's module starts must not wait for the
    # end of this import, in which _bind_handler imports that module.
    __spec__._initializing = False  # type: ignore[attr-defined]
    _hold_handler(os.environ)
_bind_handler(os.environ)
