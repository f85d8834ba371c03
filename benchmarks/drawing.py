"""matplotlib, where it is installed: it is an extra."""

from __future__ import annotations

from types import ModuleType

__all__ = ["pyplot"]


def pyplot() -> ModuleType | None:
    """matplotlib's ``pyplot``, which draws into files alone; ``None`` where there is none."""
    try:
        import matplotlib as mpl  # noqa: PLC0415 - the extra "bench"
    except ModuleNotFoundError:
        return None
    mpl.use("Agg")
    from matplotlib import pyplot as found  # noqa: PLC0415

    return found
