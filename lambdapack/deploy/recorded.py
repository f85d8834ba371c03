"""A published version's record of its assets, which a rollback to that version needs.

A version's description has room for one pack. Its environment never changes either, and has room for more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from lambdapack.model import FunctionAsset

VARIABLE = "LAMBDAPACK_ASSET_PACKS"
"""``name=id`` for each asset, with spaces between them; their packs lie beside the function's own."""
_ASSET = re.compile(r"([A-Za-z0-9_-]+)=([0-9a-f]{64})\Z")


def variables(assets: Iterable[FunctionAsset]) -> dict[str, str]:
    """The variable that records the assets; no variable without assets."""
    text = " ".join(f"{asset.name}={asset.pack_id}" for asset in assets)
    return {VARIABLE: text} if text else {}


def recorded(environment: Mapping[str, str]) -> dict[str, str]:
    """Name -> id of the assets that a function's environment records."""
    matches = (_ASSET.match(word) for word in environment.get(VARIABLE, "").split())
    return {match[1]: match[2] for match in matches if match}
