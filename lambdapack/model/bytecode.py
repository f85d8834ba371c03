"""Where a module's bytecode lies, and which source it was compiled from."""

from __future__ import annotations

from lambdapack.model.target import Target

_CACHE = "__pycache__"


def bytecode_of(source: str, target: Target) -> str:
    """Where the target's Python looks for the bytecode of ``source``.

    >>> bytecode_of("a/b.py", Target("3.12"))
    'a/__pycache__/b.cpython-312.pyc'
    """
    folder, slash, name = source.rpartition("/")
    return f"{folder}{slash}{_CACHE}/{name.removesuffix('.py')}.{target.cache_tag}.pyc"


def is_cached(path: str) -> bool:
    """Whether a file is bytecode in a ``__pycache__`` folder."""
    folder, _, name = path.rpartition("/")
    return name.endswith(".pyc") and folder.rpartition("/")[2] == _CACHE


def source_of(path: str) -> str:
    """The source of a module's bytecode, wherever that lies; any other path is its own source.

    >>> source_of("a/__pycache__/b.cpython-311.pyc"), source_of("a/b.pyc"), source_of("a/b.so")
    ('a/b.py', 'a/b.py', 'a/b.so')
    """
    if not is_cached(path):
        return path[:-1] if path.endswith(".pyc") else path
    folder, _, name = path.rpartition("/")
    return f"{folder.removesuffix(_CACHE)}{name.split('.')[0]}.py"
