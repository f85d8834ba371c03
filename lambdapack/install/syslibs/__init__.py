"""Shared libraries that a tree needs and Lambda lacks: which, who needs them, and where they come from.

What Lambda has is data, with its sources, in ``images/*.json``.
"""

from __future__ import annotations

from lambdapack.install.syslibs.bundle import Source, Wanted, bundle
from lambdapack.install.syslibs.find import lacking, merged
from lambdapack.install.syslibs.opened import TRACED, named, opened
from lambdapack.install.syslibs.provided import Provided, provided
from lambdapack.install.syslibs.tell import explained, in_short, tell
from lambdapack.install.syslibs.weigh import Missing, Used, refuse, weigh

__all__ = [
    "TRACED", "Missing", "Provided", "Source", "Used", "Wanted", "bundle", "explained", "in_short", "lacking",
    "merged", "named", "opened", "provided", "refuse", "tell", "weigh",
]  # fmt: skip
