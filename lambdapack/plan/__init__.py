"""Sizes, limits and budgets -> a verdict: does it fit, where are the bytes, what is the cheapest fix.

Pure arithmetic: no file, no clock, no network.
"""

from lambdapack.plan import cold, costs, prices, tuning, typical
from lambdapack.plan.arithmetic import VERSION, assess, document, enforce, rows
from lambdapack.plan.budgets import BOUNDED, budget
from lambdapack.plan.builds import Build, Change, Comparison, Reason, Share, Sizes, compare, reason, sum_of
from lambdapack.plan.costs import Bill, CostOption, Costs, Traffic
from lambdapack.plan.estimating import estimated
from lambdapack.plan.graph import Graph, explained
from lambdapack.plan.growth import happened
from lambdapack.plan.model import (
    AssetFacts,
    Budget,
    Calibration,
    Check,
    ColdStart,
    Estimate,
    Facts,
    LibraryFacts,
    Placement,
    PlaceOption,
    Row,
    SizedDistribution,
    SnapshotCost,
    Step,
    Verdict,
)
from lambdapack.plan.places import in_files
from lambdapack.plan.shares import owners_by_name
from lambdapack.plan.steps import apply
from lambdapack.plan.words import amount, in_mebibytes

__all__ = [
    "BOUNDED", "VERSION", "AssetFacts", "Bill", "Budget", "Build", "Calibration", "Change", "Check",
    "ColdStart", "Comparison", "CostOption", "Costs", "Estimate", "Facts", "Graph", "LibraryFacts",
    "PlaceOption", "Placement", "Reason", "Row", "Share", "SizedDistribution", "Sizes", "SnapshotCost",
    "Step", "Traffic", "Verdict", "amount", "apply", "assess", "budget", "cold", "compare", "costs",
    "document", "enforce", "estimated", "explained", "happened", "in_files", "in_mebibytes",
    "owners_by_name", "prices", "reason", "rows", "sum_of", "tuning", "typical",
]  # fmt: skip
