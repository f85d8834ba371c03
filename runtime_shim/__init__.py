"""The loader that runs inside the function: standard library and the zstd decoder, nothing else.

``import runtime_shim`` as a handler's first line puts the pack that the function's zip names in place
and makes it importable. Without an index beside the shim it does nothing, so that a handler runs in a
unit test unchanged.

Environment: ``LAMBDAPACK_ROOT`` (default ``/tmp/lambdapack``), ``LAMBDAPACK_MODE`` (``stream`` or
``disk``), ``LAMBDAPACK_HANDLER`` (the real handler where the function's handler is
``runtime_shim.handler``), ``LAMBDAPACK_ASSETS`` (where assets are in development),
``AWS_ENDPOINT_URL_S3``.
"""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping
    from typing import Any, Callable

    from ._assets import Assets
    from ._disk import Place
    from ._fetch import Fetcher
    from ._start import Pack

__all__ = ["PackError", "handler", "path", "ready", "stats"]

# What a reload of this module finds, it keeps: there is one pack a process.
_pack: Pack | None = globals().get("_pack")
_function_assets: Assets | None = globals().get("_function_assets")
_emitted = False
_postponed: tuple[tuple[int, int, int], int] | None = None

# What the system refuses: a file, a module, memory.
REFUSALS = (OSError, ImportError, MemoryError)
# Here, where nothing has to be imported for it; and once, or the parts of the shim would raise what is no
# PackError any more after this module is loaded again.
if "PackError" not in globals():

    class PackError(RuntimeError):
        """The pack cannot be put in place. Not an ImportError: libraries that treat a module as optional
        must not take a full disk for its absence.
        """


def __getattr__(name: str) -> Any:
    if name == "handler":
        raise AttributeError(
            "runtime_shim.handler needs LAMBDAPACK_HANDLER to name the real handler, e.g. app.handler"
        )
    raise AttributeError("module %r has no attribute %r" % (__name__, name))


def stats() -> dict[str, Any]:
    """What this process's start did: bytes, requests, retries, frames, resumed frames, milliseconds.

    Empty without a pack. ``library_error`` is there where a bundled library could not be mapped: the first
    error, with the library's path. ``assets`` has the same of each asset that was begun or asked for, by
    name.
    """
    found = _pack.stats() if _pack is not None else {}
    if _function_assets is not None:
        found["assets"] = _function_assets.stats()
    return found


def path(name: str) -> str:
    """The real path of the asset ``name``, a file or a folder, once every byte of it is in place.

    It is read-only by agreement: what is written there is gone with the environment.

    Raises:
        PackError: There is no such asset, no room for it, or it cannot be fetched.
    """
    return _open_assets(os.environ).path(name)


def _open_assets(environ: Mapping[str, str]) -> Assets:
    global _function_assets
    if _function_assets is None:
        from ._assets import Assets

        here = os.path.dirname(os.path.abspath(__file__))
        _function_assets = Assets(here, environ, lambda: _decoder(here), _pack)
    return _function_assets


def ready() -> None:
    """Return once everything is in place that a first invocation may need.

    Called by itself when Lambda asks for the handler; a handler need not.
    """
    global _emitted, _postponed
    if _pack is None:
        return
    _pack.wait_eager()
    if _postponed is not None:
        from ._garbage import resume

        before, _postponed = _postponed, None
        resume(*before)
    if not _emitted:
        _emitted = True
        _emit(_pack)


def _emit(pack: Pack) -> None:
    """One line in CloudWatch's embedded metric format
    (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html).
    """
    line: dict[str, Any] = pack.stats()
    line["lambdapack"] = "cold_start"
    line["pack"] = pack.place.base.rpartition("/")[2]
    line["function"] = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "")
    # Names and numbers only, so Python's own notation with other quotes is JSON; json costs 10 ms.
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


def _begin(environ: MutableMapping[str, str]) -> None:
    """Start, so that whatever the system refuses is told as what it is."""
    try:
        _start(environ)
    except REFUSALS as error:
        raise PackError(
            "lambdapack: the pack cannot be put in place: %s: %s" % (type(error).__name__, error)
        ) from error


def _start(environ: MutableMapping[str, str]) -> None:
    """Find the index beside this file and put its pack in place; nothing to do without one."""
    global _pack
    began = time.monotonic()
    here = os.path.dirname(os.path.abspath(__file__))
    try:
        file = open(here + "/index.json", "rb")  # noqa: SIM115 - what follows is for those that have one
    except FileNotFoundError:
        return
    from ._contents import Contents
    from ._disk import Place, base_folder, root_folder  # above for types alone
    from ._index import LIBRARIES, IndexFormatError, read_beside
    from ._journal import Seal
    from ._start import Pack

    root, disk = root_folder(environ), environ.get("LAMBDAPACK_MODE", "stream") == "disk"
    with file:
        data = file.read()
        seal = Seal(file.fileno(), lambda pack_id: base_folder(root, pack_id, disk) + "/seal")
    try:
        _, index, location = read_beside(here, data, seal.holds)
    except (OSError, IndexFormatError) as error:
        raise PackError(
            "lambdapack: the function's zip is damaged, build it again with lambdapack package: %s" % error
        ) from error
    _check_target(index.target)
    place = Place(root, location["id"], index, disk)
    seal.put(location["id"])
    make_fetcher = _fetcher_maker(environ, location, here, began)
    pack = Pack(place, make_fetcher, len(index.frame_size) if disk else index.eager)
    # Forks before anything below is set up: the child needs none of it.
    pack.start()
    _pack = pack
    if "assets" in location:
        _open_assets(environ).begin(location["assets"])
    position = _position(environ)
    _export(environ, place.site if disk else here + "/children")
    bundled: Any = None
    # Cheaper than a look at every path.
    if b'"' + LIBRARIES.encode() in data:
        from . import _libraries as bundled

        bundled.export(environ, place.site)
    if disk:
        pack.wait_eager()
        if bundled:
            bundled.map_all(pack)
        sys.path.insert(position, place.site)
        return
    from ._guard import Guard
    from ._importer import install
    from ._views import install as install_views

    importer = install(pack, Contents(index), position)
    if bundled:
        bundled.attach(importer)
    install_views(Guard(importer))


def _fetcher_maker(
    environ: Mapping[str, str], location: dict[str, Any], here: str, began: float
) -> Callable[[Place, Callable[[], None]], Fetcher]:
    """What makes a fetcher of this function's pack, for a process that began at ``began``."""

    def make(place: Place, alive: Callable[[], None]) -> Fetcher:
        from ._fetch import INIT, Fetcher, connections_for, init_ends
        from ._s3 import Source

        source = Source(location["bucket"], location["key"], location.get("region", ""), environ)
        fetcher = Fetcher(place, source, lambda: _decoder(here), alive, connections_for(environ))
        # Once the handler is there, what is fetched on demand has the function's own timeout as its bound.
        if init_ends(environ) is not None and not _emitted and time.monotonic() < began + INIT:
            fetcher.init_ends = began + INIT
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
    """Where dependencies go on ``sys.path``: right behind the function's own code."""
    task = environ.get("LAMBDA_TASK_ROOT", "")
    if task in sys.path:
        return sys.path.index(task) + 1
    return min(1, len(sys.path))


def _decoder(here: str) -> Any:
    """The zstd decoder: the extension beside the shim, else whatever this Python has."""
    path = here + "/backend_c.so"
    if os.path.exists(path):
        from importlib.machinery import ExtensionFileLoader, ModuleSpec
        from importlib.util import module_from_spec

        loader = ExtensionFileLoader("zstandard.backend_c", path)
        spec = ModuleSpec("zstandard.backend_c", loader, origin=path)
        module = module_from_spec(spec)
        loader.exec_module(module)
        return module
    import zstandard

    return zstandard


def _hold_handler(environ: Mapping[str, str]) -> None:
    """Make Lambda's first look at the handler wait for the rest of the pack.

    The runtime imports the handler's module and then gets the handler from it; between the two nothing
    calls us. So the module, still being imported, gets a class whose attribute access waits, once.
    """
    name = environ.get("_HANDLER", "").rpartition(".")[0].replace("/", ".")
    module = sys.modules.get(name)
    if module is None or module.__name__ == __name__:
        return
    plain = type(module)

    class Waiting(plain):  # type: ignore[misc, valid-type]
        def __getattribute__(self, attribute: str) -> Any:
            if not attribute.startswith("__"):
                object.__setattr__(self, "__class__", plain)
                ready()
            return plain.__getattribute__(self, attribute)

    module.__class__ = Waiting
    _postpone_collections(environ)


def _postpone_collections(environ: Mapping[str, str]) -> None:
    """Only where ``ready`` is going to be called."""
    global _postponed
    from ._garbage import postpone

    _postponed = postpone(environ)


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
    _begin(os.environ)
if _pack is not None:
    _hold_handler(os.environ)
_bind_handler(os.environ)
