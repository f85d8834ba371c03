"""Whether markers hold for the target, whatever machine this is."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from packaging.markers import InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName

# PEP 508 evaluates a marker for one extra at a time; locks mean the set of all that the user asks for.
_EXTRA = re.compile(r"""\bextra\s*(==|!=)\s*(?P<q>["'])(?P<right>[^"']*)(?P=q)""")
_REVERSED = re.compile(r"""(?P<q>["'])(?P<right>[^"']*)(?P=q)\s*(==|!=)\s*extra\b""")
_TRUE, _FALSE = "python_version >= '0'", "python_version < '0'"


def holds(marker: str, variables: Mapping[str, str], extras: Collection[str] = ()) -> bool:
    """Whether ``marker`` holds; an empty one does. ``extra == 'x'`` asks whether x is in ``extras``.

    Raises:
        ValueError: ``marker`` is not an environment marker.
    """
    if not marker.strip():
        return True

    def answered(comparison: re.Match[str]) -> str:
        return _TRUE if (comparison["right"] in extras) is ("==" in comparison[0]) else _FALSE

    text = _REVERSED.sub(answered, _EXTRA.sub(answered, marker))
    try:
        return Marker(text).evaluate({**variables, "extra": ""})
    except (InvalidMarker, UndefinedComparison, UndefinedEnvironmentName) as error:
        raise ValueError(f"{marker!r} is not a marker: {str(error).splitlines()[0]}") from None


def is_marker(text: str) -> bool:
    """Whether ``text`` is an environment marker, or empty."""
    try:
        return not text.strip() or bool(Marker(text))
    except InvalidMarker:
        return False
