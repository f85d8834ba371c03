"""Sizes, limits and budgets -> a verdict: does it fit, where are the bytes, what is the cheapest fix.

Pure arithmetic: no file, no clock, no network.
"""

from lambdapack.plan import costs, prices, tuning
from lambdapack.plan.arithmetic import VERSION, assess, document, enforce
from lambdapack.plan.costs import Bill, CostOption, Costs, Traffic
from lambdapack.plan.model import (
    AssetFacts,
    Budget,
    Check,
    Facts,
    LibraryFacts,
    PlaceOption,
    Row,
    SizedDistribution,
    SnapshotCost,
    Verdict,
)
from lambdapack.plan.places import in_files

__all__ = [
    "VERSION", "AssetFacts", "Bill", "Budget", "Check", "CostOption", "Costs", "Facts", "LibraryFacts",
    "PlaceOption", "Row", "SizedDistribution", "SnapshotCost", "Traffic", "Verdict", "assess", "costs",
    "document", "enforce", "in_files", "prices", "tuning",
]  # fmt: skip
