"""Runs at the start of every Python process that a function starts, and gives it the function's pack.

The shim puts this folder on ``PYTHONPATH``, and the pack replaces it on ``sys.path``. Where a child has a
folder of the pack itself on its ``PYTHONPATH``, the shim writes a ``sitecustomize`` into that folder, a
starter, which executes this file with ``SHIM``, ``ROOT`` and ``TAG`` set; the folder then stays on
``sys.path``.
"""

import os
import sys


def start(here: str, starter: bool) -> None:
    """Start the shim without the handler; its pack takes the position of ``here`` on ``sys.path``."""
    from importlib.util import module_from_spec, spec_from_file_location

    if globals().get("TAG", os.environ.get("LAMBDAPACK_TAG")) != sys.implementation.cache_tag:
        return  # another Python, which cannot use the pack's bytecode and extensions
    if "runtime_shim" in sys.modules:
        return
    if starter:
        os.environ.setdefault("LAMBDAPACK_ROOT", globals()["ROOT"])
    shim = globals()["SHIM"] if starter else os.path.dirname(here)
    spec = spec_from_file_location("runtime_shim", shim + "/__init__.py")
    if spec is None or spec.loader is None:
        return
    handler = os.environ.pop("LAMBDAPACK_HANDLER", None)
    position = sys.path.index(here)
    others = list(sys.path)
    sys.modules["runtime_shim"] = module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules["runtime_shim"]
        raise
    finally:
        if handler is not None:
            os.environ["LAMBDAPACK_HANDLER"] = handler
    site = [path for path in sys.path if path not in others]
    sys.path[:] = others
    if not starter:
        sys.path[position:position] = site


def chain(here: str) -> None:
    """Run the ``sitecustomize`` that this one hides; where several are the shim's, each runs once."""
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    ran = sys.__dict__.setdefault("_lambdapack_ran", set())
    ran.add(here)
    spec = PathFinder.find_spec(__name__, [path for path in sys.path if path not in ran])
    if spec is not None and spec.loader is not None:
        sys.modules[__name__] = module = module_from_spec(spec)
        spec.loader.exec_module(module)


def main() -> None:
    """Start the shim, then step aside."""
    here = os.path.dirname(os.path.abspath(__file__))
    if here not in sys.path:
        return
    starter = "SHIM" in globals()
    try:
        start(here, starter)
        chain(here)
    finally:
        if not starter:
            sys.path[:] = [path for path in sys.path if path != here]


main()
