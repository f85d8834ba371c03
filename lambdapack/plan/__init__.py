"""Sizes, limits and budgets -> a verdict: does it fit, where are the bytes, what is the cheapest fix.

Pure arithmetic: no file, no clock, no network.
"""

from lambdapack.plan.arithmetic import VERSION, assess, document, enforce
from lambdapack.plan.model import (
    AssetFacts,
    Budget,
    Check,
    Facts,
    LibraryFacts,
    Row,
    SizedDistribution,
    SnapshotCost,
    Verdict,
)

__all__ = [
    "VERSION", "AssetFacts", "Budget", "Check", "Facts", "LibraryFacts", "Row", "SizedDistribution",
    "SnapshotCost", "Verdict", "assess", "document", "enforce",
]  # fmt: skip
