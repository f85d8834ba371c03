"""Fewer garbage collections while the handler's modules are imported.

The objects that an import makes stay alive; to search them for garbage every 700 objects takes 5 to 10 % of
the CPU time of a large import. So until the first invocation the collector runs only after very many objects.
"""

from __future__ import annotations

import gc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# More objects than the import of large packages makes (scikit-learn and pandas: 400,000).
RARELY = 500_000
# At some 150 bytes an object, uncollected garbage takes at most a twentieth of the function's memory.
OBJECTS_A_MB = 300


def postpone(environ: Mapping[str, str]) -> tuple[tuple[int, int, int], int]:
    """Collect rarely from now on; returns the arguments of ``resume``."""
    before = gc.get_threshold()
    memory = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
    rarely = min(RARELY, int(memory) * OBJECTS_A_MB) if memory.isdigit() else RARELY
    # 0 means that the function has switched the collector off: leave it off.
    if 0 < before[0] < rarely:
        gc.set_threshold(rarely, before[1], before[2])
    return before, rarely


def resume(before: tuple[int, int, int], rarely: int) -> None:
    """Collect as before, unless the function has set thresholds of its own meanwhile.

    All objects are moved to the oldest generation, so that the first invocation does not pay for a search
    through them. Freezing and unfreezing does that, so it is left out where the function froze objects
    itself.
    """
    if gc.get_threshold()[0] != rarely:
        return
    gc.set_threshold(*before)
    if not gc.get_freeze_count():
        gc.freeze()
        gc.unfreeze()
