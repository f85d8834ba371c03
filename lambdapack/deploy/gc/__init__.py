"""Collecting what is not needed any more: packs, assets, staged zips, layers and old versions.

``look`` only reads, ``plan`` is pure, ``collect`` looks again and removes what is still unneeded.
"""

from lambdapack.deploy.gc.collecting import Collected, Scope, collect, look
from lambdapack.deploy.gc.models import (
    DAY,
    GRACE,
    GRACE_MIN,
    GcPlan,
    Kept,
    KnownLayer,
    KnownVersion,
    Removal,
    Rules,
    Seen,
    Thing,
    identity,
    size_of,
)
from lambdapack.deploy.gc.plan import plan

__all__ = [
    "DAY", "GRACE", "GRACE_MIN", "Collected", "GcPlan", "Kept", "KnownLayer", "KnownVersion", "Removal",
    "Rules", "Scope", "Seen", "Thing", "collect", "identity", "look", "plan", "size_of",
]  # fmt: skip
