"""Run by the target's own Python, 3.8 to 3.15, standard library alone: compiles files to bytecode.

    python -S -s -B bytecode_worker.py ROOT < names

``names`` are the files' paths relative to ROOT, each ended by a NUL. One line a file is written to
stdout: ``.`` compiled, ``-`` it does not compile, ``! reason`` its bytecode could not be written.

A ``.pyc`` has to depend on its source and on the Python version alone, but marshal looks at the process:

* It marks an object as one to be referred to when its reference count is above 1, and a name that the
  interpreter itself uses has a higher count than one that it does not. So every string is held once more
  while marshal runs: all of them are marked.
* It writes an interned string as such. The compiler interns what looks like a name, always; but before
  Python 3.12 a character of Latin-1 is one shared object, which another file's name may have interned.
  So all of them are interned from the start.
* Before Python 3.11 it writes a frozenset in the order of its hash table, and ``None`` and ``...`` hash
  to their address. So such sets are put in order. (The hash seed, which orders the other sets, is fixed
  by the caller.)

A source that crashes the compiler (deep nesting can) takes a forked process with it; the next one goes on
behind that file.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # typing costs 10 ms

if __name__ == "__main__":
    # This folder's modules must not hide the standard library's.
    del sys.path[0]

import importlib.util
import marshal
import mmap
import os
import signal
import types
import warnings

if TYPE_CHECKING:
    from typing import Any

_UNCHECKED_HASH = b"\x01\x00\x00\x00"  # PEP 552: the source is never looked at again
_FILE_MODE = 0o644
_LATIN_1 = [sys.intern(chr(character)) for character in range(256)]
# Out of memory kills too, and says nothing about the file.
_CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS)


def bytecode(source: bytes, name: str) -> bytes:
    """The bytes of the ``.pyc`` of ``source``, whose tracebacks will say ``name``."""
    code = compile(source, sys.intern(name), "exec", dont_inherit=True, optimize=0)
    held: list[str] = []
    sets: list[frozenset[Any]] = []
    _walk(code, held, sets)
    if sys.version_info < (3, 11) and any(_hashes_to_address(frozen) for frozen in sets):
        body = _with_sets_in_order(code, sets)
    else:
        body = marshal.dumps(code)
    return importlib.util.MAGIC_NUMBER + _UNCHECKED_HASH + importlib.util.source_hash(source) + body


def _walk(constant: object, held: list[str], sets: list[frozenset[Any]]) -> None:
    """Hold every string that marshal will meet; collect the frozensets."""
    if isinstance(constant, str):
        held.append(constant)
    elif isinstance(constant, (tuple, frozenset)):
        if isinstance(constant, frozenset):
            sets.append(constant)
        for item in constant:
            _walk(item, held, sets)
    elif isinstance(constant, types.CodeType):
        held += [constant.co_name, constant.co_filename, getattr(constant, "co_qualname", "")]
        for names in (constant.co_names, constant.co_varnames, constant.co_freevars, constant.co_cellvars):
            held.extend(names)
        _walk(constant.co_consts, held, sets)


def _hashes_to_address(item: Any) -> bool:
    if isinstance(item, (tuple, frozenset)):
        return any(_hashes_to_address(part) for part in item)
    return item is None or item is Ellipsis


def _with_sets_in_order(code: types.CodeType, sets: list[frozenset[Any]]) -> bytes:
    """Marshal without references (format 2), so that a set has the same bytes wherever in the code it is."""
    body = marshal.dumps(code, 2)
    for frozen in sets:
        parts = [marshal.dumps(item, 2) for item in frozen]
        head = marshal.dumps(frozen, 2)[:5]  # type and count
        body = body.replace(head + b"".join(parts), head + b"".join(sorted(parts)))
    return body


def _cached(path: str) -> str:
    folder, name = os.path.split(path)
    tag = sys.implementation.cache_tag
    return os.path.join(folder, "__pycache__", f"{name[: -len('.py')]}.{tag}.pyc")


def _write(path: str, content: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = f"{path}.{os.getpid()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _FILE_MODE)
    with open(descriptor, "wb") as file:
        # Whatever the umask is.
        os.fchmod(descriptor, _FILE_MODE)
        file.write(content)
    os.replace(temporary, path)


def _answer(root: str, name: str) -> bytes:
    path = os.path.join(root, name)
    try:
        with open(path, "rb") as file:
            content = bytecode(file.read(), name)
        _write(_cached(path), content)
    except OSError as error:
        reason = str(error).replace("\n", " ").encode("utf-8", "backslashreplace")
        return b"! " + reason[:2000] + b"\n"
    except (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError):
        _forget(path)
        return b"-\n"
    return b".\n"


def _forget(path: str) -> None:
    """Remove what pip compiled: Python would take it for the bytecode of a source that did not compile."""
    try:
        os.unlink(_cached(path))
    except OSError:
        pass


def _child(root: str, names: list[str], first: int, at: mmap.mmap) -> None:
    status = 1
    try:
        for number in range(first, len(names)):
            at[:8] = number.to_bytes(8, "little")
            os.write(1, _answer(root, names[number]))
        status = 0
    finally:
        os._exit(status)


def _compile_all(root: str, names: list[str]) -> int:
    """Compile ``names``; the exit status."""
    first = 0
    at = mmap.mmap(-1, 8)
    while first < len(names):
        pid = os.fork()
        if not pid:
            _child(root, names, first, at)
        _, status = os.waitpid(pid, 0)
        if not os.WIFSIGNALED(status):
            return os.WEXITSTATUS(status)
        if os.WTERMSIG(status) not in _CRASHES:
            return 128 + os.WTERMSIG(status)
        crashed = int.from_bytes(at[:8], "little")
        _forget(os.path.join(root, names[crashed]))
        os.write(1, b"-\n")
        first = crashed + 1
    return 0


def main() -> None:
    """Compile the files named on stdin."""
    warnings.simplefilter("ignore")
    names = sys.stdin.buffer.read().split(b"\0")[:-1]
    sys.exit(_compile_all(sys.argv[1], [os.fsdecode(name) for name in names]))


if __name__ == "__main__":
    main()
