"""Results -> what a person reads: tables, live progress, verdicts, Lambda's own REPORT lines.

Each module is public and imported by the command that needs it: most commands need a single module.
"""

__all__ = [
    "builds", "cold", "collecting", "costs", "github", "invocation", "listing", "live", "logs", "matrix",
    "overview", "page", "profile", "schemas", "tables", "tuning", "units", "verdict",
]  # fmt: skip
