"""Sizes, limits and budgets -> a verdict: does it fit, where are the bytes, what is the cheapest fix.

Pure arithmetic: no file, no clock, no network.
"""

from lambdapack.plan import cold, costs, prices, tuning, typical
from lambdapack.plan.arithmetic import VERSION, assess, document, enforce, rows
from lambdapack.plan.builds import Build, Change, Comparison, Reason, Share, Sizes, compare, reason, sum_of
from lambdapack.plan.costs import Bill, CostOption, Costs, Traffic
from lambdapack.plan.graph import Graph, explained
from lambdapack.plan.growth import happened
from lambdapack.plan.model import (
    AssetFacts,
    Budget,
    Calibrated,
    Check,
    ColdStart,
    Facts,
    LibraryFacts,
    PlaceOption,
    Row,
    SizedDistribution,
    SnapshotCost,
    Verdict,
)
from lambdapack.plan.places import in_files
from lambdapack.plan.shares import owners_by_name

__all__ = [
    "VERSION",
    "AssetFacts",
    "Bill",
    "Budget",
    "Build",
    "Calibrated",
    "Change",
    "Check",
    "ColdStart",
    "Comparison",
    "CostOption",
    "Costs",
    "Facts",
    "Graph",
    "LibraryFacts",
    "PlaceOption",
    "Reason",
    "Row",
    "Share",
    "SizedDistribution",
    "Sizes",
    "SnapshotCost",
    "Traffic",
    "Verdict",
    "assess",
    "cold",
    "compare",
    "costs",
    "document",
    "enforce",
    "explained",
    "happened",
    "in_files",
    "owners_by_name",
    "prices",
    "reason",
    "rows",
    "sum_of",
    "tuning",
    "typical",
]  # fmt: skip
