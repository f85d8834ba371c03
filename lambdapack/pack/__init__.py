"""The pack stage: a slimmed tree in order of first use, as one seekable ``.tar.zst``.

``docs/pack-format.md`` specifies the format; ``runtime_shim._index`` defines its index.
"""

from lambdapack.pack.compare import differences
from lambdapack.pack.extract import Contents, extract
from lambdapack.pack.read import FrameError, UnsoundError, load, open_pack, read_index, verify
from lambdapack.pack.summary import Summary, summarize
from lambdapack.pack.write import LEVEL, Pack, write

__all__ = [
    "LEVEL",
    "Contents",
    "FrameError",
    "Pack",
    "Summary",
    "UnsoundError",
    "differences",
    "extract",
    "load",
    "open_pack",
    "read_index",
    "summarize",
    "verify",
    "write",
]
