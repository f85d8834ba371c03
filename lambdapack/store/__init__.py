"""The store stage: where packs are kept, each under its own digest.

A pack file and its id go in; the ``Location`` where a function finds it comes out. A pack's key follows from
its id, so pushing a pack twice is free, two pushers cannot harm each other, and nothing that is deployed
ever changes under its function.
"""

from lambdapack.store import aws_errors, patience
from lambdapack.store.contents import Contents, Stored, Upload
from lambdapack.store.protocol import PrunableStore, Store, key, locate, open_prunable, open_store, split

__all__ = [
    "Contents", "PrunableStore", "Store", "Stored", "Upload", "aws_errors", "key", "locate", "open_prunable",
    "open_store", "patience", "split",
]  # fmt: skip
