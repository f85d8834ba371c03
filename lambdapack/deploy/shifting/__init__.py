"""Shifting calls from one version to the next: step by step, watched, undone when the new one is worse."""

from lambdapack.deploy.shifting.traffic import AliasConflictError, AliasState, Health, Traffic

__all__ = ["AliasConflictError", "AliasState", "Health", "Traffic"]
