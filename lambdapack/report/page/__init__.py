"""What is known about a function -> one document, and one page with pictures, from the document alone.

``document`` puts together the plan, a profile, a series of invocations and what ``tune`` kept; ``render``
makes the page, whose every figure names its place in the document.
"""

from lambdapack.report.page.document import VERSION, Absent, Series, TimedInvocation, document
from lambdapack.report.page.logged import logged_series
from lambdapack.report.page.rendering import render, require_plotly

__all__ = [
    "VERSION",
    "Absent",
    "Series",
    "TimedInvocation",
    "document",
    "logged_series",
    "render",
    "require_plotly",
]
