"""Results -> what a person reads: tables, live progress, verdicts, Lambda's own REPORT lines.

Public modules, each imported by the command that shows such a thing: most commands need one of them.
"""

__all__ = ["invocation", "listing", "live", "tables", "units", "verdict"]
