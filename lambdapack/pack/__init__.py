"""A slimmed tree and the order of first use -> a pack: one seekable ``.tar.zst``, and what reads it again.

``docs/pack-format.md`` specifies the format; ``runtime_shim._index`` defines its index.
"""

from lambdapack.pack.assembly import Pack
from lambdapack.pack.compare import differences
from lambdapack.pack.extract import extract
from lambdapack.pack.read import FileReader, FrameError, UnsoundError, load, open_pack, read_index, verify
from lambdapack.pack.write import LEVEL, write

__all__ = [
    "LEVEL", "FileReader", "FrameError", "Pack", "UnsoundError", "differences", "extract", "load",
    "open_pack", "read_index", "verify", "write",
]  # fmt: skip
