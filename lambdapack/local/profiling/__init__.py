"""A cold start, import by import: where its milliseconds, bytes and memory go, and what is never called."""

from lambdapack.local.profiling.measure import profile
from lambdapack.local.profiling.result import Import, Phase, Profile, Wait
from lambdapack.local.profiling.spans import Package, UnusedImport

__all__ = ["Import", "Package", "Phase", "Profile", "UnusedImport", "Wait", "profile"]
