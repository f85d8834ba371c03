"""The store stage: where packs are kept, each under its own digest.

A pack file and its id go in; the ``Location`` where a function finds it comes out. A pack's key follows from
its id, so pushing a pack twice is free, two pushers cannot harm each other, and nothing that is deployed
ever changes under its function.
"""

from lambdapack.store import aws_errors, bucket, patience
from lambdapack.store.contents import Contents, Stored, Upload
from lambdapack.store.protocol import (
    BucketClient,
    PrunableStore,
    Store,
    key,
    locate,
    open_bucket,
    open_prunable,
    open_replicated,
    open_store,
    split,
)

__all__ = [
    "BucketClient", "Contents", "PrunableStore", "Store", "Stored", "Upload", "aws_errors", "bucket", "key",
    "locate", "open_bucket", "open_prunable", "open_replicated", "open_store", "patience", "split",
]  # fmt: skip
