"""The build cache: what a build made that a later one may need again.

Everything in it is found by a digest of all that it was made from, appears whole or not at all, is checked
by its own digest on use, and may be lost at any time: then it is made again. Stages see a ``memo.Memo``;
only the pipeline knows the rest.
"""

from lambdapack.pipeline.cache.build_cache import BuildCache, open_cache, remove
from lambdapack.pipeline.cache.upkeep import LIMIT, FolderUsage, Pruning, prune, survey

__all__ = [
    "LIMIT", "BuildCache", "FolderUsage", "Pruning", "open_cache", "prune", "remove", "survey",
]  # fmt: skip
