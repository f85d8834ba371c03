"""The store stage: where packs are kept, each under its own digest.

A pack's key follows from its id, so pushing one twice is free, two pushers cannot harm each other, and
nothing that is deployed ever changes under its function.
"""

from lambdapack.store.keys import key
from lambdapack.store.protocol import Store, open_store

__all__ = ["Store", "key", "open_store"]
