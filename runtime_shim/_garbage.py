"""Fewer garbage collections while the handler's modules are imported.

What an import makes, stays; looking through it for garbage every 700 objects is 5 to 10 % of the CPU time
of a large import. Until the first invocation the collector looks only when very many have come together.
"""

from __future__ import annotations

import gc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# More objects than the import of a large stack makes (scikit-learn and pandas: 400,000).
RARELY = 500_000
# Bounds the garbage that waits to a twentieth of the function's memory, at some 150 bytes an object.
OBJECTS_A_MB = 300


def postpone(environ: Mapping[str, str]) -> tuple[tuple[int, int, int], int]:
    """Collect rarely from now on; what ``resume`` needs to go back."""
    before = gc.get_threshold()
    memory = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
    rarely = min(RARELY, int(memory) * OBJECTS_A_MB) if memory.isdigit() else RARELY
    # 0 means never: whoever chose that meant it.
    if 0 < before[0] < rarely:
        gc.set_threshold(rarely, before[1], before[2])
    return before, rarely


def resume(before: tuple[int, int, int], rarely: int) -> None:
    """Collect as before, unless the function has chosen thresholds of its own meanwhile.

    What is there counts as old from now on, so that the first invocation does not pay for a look through
    all of it. Freezing and thawing does that; not where the function froze objects itself.
    """
    if gc.get_threshold()[0] != rarely:
        return
    gc.set_threshold(*before)
    if not gc.get_freeze_count():
        gc.freeze()
        gc.unfreeze()
