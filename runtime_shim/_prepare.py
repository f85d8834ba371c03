"""Work for a thread that waits for a frame: what this process has to do anyway and nobody can tell apart.

That is to import modules of the standard library, which need no byte of the pack, and to unmarshal bytecode
of the pack that is in place. Which modules may be imported early was found out at build time; here only those
are that the program would find in the standard library's folder as well. Imported by a process that waits.
"""

from __future__ import annotations

import marshal
import os
import sys
from _thread import get_native_id
from posix import getpid

from ._importer import MAGIC
from ._index import CODE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._start import Pack

_bootstrap: Any = sys.modules["_frozen_importlib"]

# Bytes of bytecode that are unmarshalled ahead: they are in memory until their modules are imported.
ROOM = 16 * 1024 * 1024


class Preparation:
    """What is left to prepare in this process."""

    def __init__(self, pack: Pack) -> None:
        index = pack.index
        self._pack = pack
        self._library = os.path.dirname(os.__file__) + "/"
        self._names = list(reversed(index.stdlib))
        end = index.frame_start[index.hot]
        self._codes = [
            file for file, letter in enumerate(index.classes) if letter == CODE and index.offsets[file] < end
        ]
        self._next = 0
        self._known = b""
        self._room = ROOM
        self._busy = False

    def step(self) -> bool:
        """Do one piece of work, a module at the most; False if there is none now.

        Only the main thread does any: some modules remember the thread that imports them as the main one.
        """
        if self._busy or get_native_id() != getpid():
            return False
        self._busy = True
        try:
            return self._import_next() or self._unmarshal_next()
        finally:
            self._busy = False

    # The standard library

    def _import_next(self) -> bool:
        """Import the next module that is not there yet."""
        if self._names and self._unfinished():
            return False
        while self._names:
            name = self._names.pop()
            # With a lock of its own it is being imported, and whoever does that may wait for this thread.
            if name in sys.modules or name in _bootstrap._module_locks:
                continue
            try:
                if self._is_library(name):
                    _bootstrap._gcd_import(name)
                    return True
                # The function has a module of this name, which the next ones may import.
                self._names.clear()
            except Exception as error:
                # The program meets it again where it imports the module itself.
                self._names.clear()
                if not isinstance(error, ImportError) and self._is_foreign(error):
                    raise
        return False

    def _unfinished(self) -> bool:
        """Whether one of the modules is in the middle of being imported: others would see half of it."""
        for name in self._pack.index.stdlib:
            spec = getattr(sys.modules.get(name), "__spec__", None)
            if getattr(spec, "_initializing", False):
                return True
        return False

    def _is_library(self, name: str) -> bool:
        """Whether an import of ``name`` finds a module of the standard library."""
        parent = name.rpartition(".")[0]
        path = sys.modules[parent].__path__ if parent else None
        spec = _bootstrap._find_spec(name, path)
        if spec is None:
            return False
        origin = spec.origin or ""
        return origin in ("built-in", "frozen") or (
            origin.startswith(self._library) and "/site-packages/" not in origin
        )

    def _is_foreign(self, error: BaseException) -> bool:
        """Whether a signal handler of the program raised ``error``, rather than an import."""
        trace, path = error.__traceback__, ""
        while trace is not None:
            path, trace = trace.tb_frame.f_code.co_filename, trace.tb_next
        return not path.startswith((self._library, "<frozen ", os.path.dirname(__file__) + "/"))

    # The pack's bytecode

    def _unmarshal_next(self) -> bool:
        """Unmarshal the next bytecode of the trace whose frames are in place."""
        pack, known = self._pack, self._pack.place.journal.known()
        if known != self._known:
            self._known, self._next = known, 0
        while self._next < len(self._codes) and self._room > 0:
            file = self._codes[self._next]
            self._next += 1
            if file in pack.codes or not all(known[frame] for frame in pack.index.frames_of(file)):
                continue
            data = pack.place.read(file)
            if data is not None and data[:4] == MAGIC:
                self._room -= len(data)
                try:
                    pack.codes[file] = marshal.loads(memoryview(data)[16:])
                except (ValueError, EOFError, TypeError, MemoryError):
                    continue  # the import of this module is going to say so
                return True
        return False
