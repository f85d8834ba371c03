"""Shared libraries that a tree needs and Lambda lacks: which, who needs them, and where they come from.

A ``MissingLibrary`` (of the model) is what a build finds; a ``LibraryQuery`` is what it asks an image for; a
``LibraryRisk`` is what a library that stays missing means for a deployment. What Lambda has is data, with its
sources, in ``images/*.json``.
"""

from lambdapack.install.syslibs.bundle import LibraryOrigin, LibraryQuery, Source, bundle
from lambdapack.install.syslibs.find import RuntimeLibraries, merged, missing_libraries, runtime_libraries
from lambdapack.install.syslibs.opened import TRACED, opened_libraries, with_openers
from lambdapack.install.syslibs.tell import (
    LibraryRisk,
    PackUse,
    in_short,
    missing_library_errors,
    refuse,
    report_missing,
    weigh,
)

__all__ = [
    "TRACED", "LibraryOrigin", "LibraryQuery", "LibraryRisk", "PackUse", "RuntimeLibraries", "Source",
    "bundle", "in_short", "merged", "missing_libraries", "missing_library_errors", "opened_libraries",
    "refuse", "report_missing", "runtime_libraries", "weigh", "with_openers",
]  # fmt: skip
