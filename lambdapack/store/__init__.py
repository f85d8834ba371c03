"""The store stage: where packs are kept, each under its own digest.

A pack file and its id go in; the ``Location`` where a function finds it comes out. A pack's key follows from
its id, so pushing a pack twice is free, two pushers cannot harm each other, and nothing that is deployed
ever changes under its function.
"""

from lambdapack.store import aws_errors, patience
from lambdapack.store.protocol import Store, key, locate, open_store

__all__ = ["Store", "aws_errors", "key", "locate", "open_store", "patience"]
