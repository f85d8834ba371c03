"""The name of a pack in a store."""

from __future__ import annotations

__all__ = ["key"]


def key(prefix: str, pack_id: str) -> str:
    """``PREFIX/packs/<first 2>/<id>.tar.zst``; the first two digits spread packs over S3's partitions."""
    name = f"packs/{pack_id[:2]}/{pack_id}.tar.zst"
    prefix = prefix.strip("/")
    return f"{prefix}/{name}" if prefix else name
