"""The plan stage: does it fit, where are the bytes, and what is the cheapest fix. Pure arithmetic."""

from lambdapack.plan.arithmetic import assess
from lambdapack.plan.document import VERSION, document, enforce
from lambdapack.plan.model import AssetFacts, Budget, Check, Facts, LibraryFacts, Row, Sized, Verdict

__all__ = [
    "VERSION",
    "AssetFacts",
    "Budget",
    "Check",
    "Facts",
    "LibraryFacts",
    "Row",
    "Sized",
    "Verdict",
    "assess",
    "document",
    "enforce",
]
