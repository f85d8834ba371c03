"""The pack stage: a slimmed tree in order of first use, as one seekable ``.tar.zst``."""

from lambdapack.pack.write import LEVEL, Pack, write

__all__ = ["LEVEL", "Pack", "write"]
