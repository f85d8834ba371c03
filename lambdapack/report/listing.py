"""What is in a pack, for people and for machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from lambdapack.pack.assets import BuiltAsset
from lambdapack.report.tables import assets_table, table
from lambdapack.report.units import megabytes
from runtime_shim._index import CLASS_NAMES, Index

__all__ = ["document", "listing", "summary"]

_SHOWN = 15


def document(pack_id: str, path: Path, index: Index) -> dict[str, Any]:
    """The body of ``lambdapack inspect --json``. Sizes in bytes, before compression but ``stored``."""
    executable = frozenset(index.executable)
    return {
        "id": pack_id,
        "path": str(path),
        "target": index.target,
        "lock": index.lock,
        "tool": index.tool,
        "glibc": index.glibc,
        "hot": index.hot,
        "eager": index.eager,
        "frames": [
            {"stored": stored, "size": size, "sha256": digest}
            for stored, size, digest in zip(
                index.frame_stored, index.frame_size, index.frame_sha256, strict=True
            )
        ],
        "files": [
            {
                "path": file_path,
                "class": CLASS_NAMES[index.classes[number]],
                "size": index.sizes[number],
                "offset": index.offsets[number],
                "executable": number in executable,
                "needs": [index.paths[needed] for needed in index.needs.get(number, ())],
            }
            for number, file_path in enumerate(index.paths)
        ],
    }


def summary(
    pack_id: str,
    path: Path,
    index: Index,
    assets: Sequence[BuiltAsset] = (),
    bill: Path | None = None,
) -> RenderableType:
    """Sizes by band, by class and by top-level folder; assets and bill of materials, where there are any."""
    head = Text()
    for name, value in (
        ("id", pack_id),
        ("pack", f"{path} ({megabytes(path.stat().st_size)})"),
        ("target", index.target),
        ("glibc", index.glibc or "none needed"),
        ("tool", index.tool),
        ("lock", index.lock),
        ("sbom", str(bill or "none")),
    ):
        head.append(f"{name:<8}", style="bold")
        head.append(f"{value}\n")
    beside: list[RenderableType] = [assets_table(assets), ""] if assets else []
    classes = _sums("class", map(CLASS_NAMES.__getitem__, index.classes), index)
    folders = _sums("folder", (path.split("/", 1)[0] for path in index.paths), index)
    return Group(head, *beside, _bands(index), "", classes, "", folders)


def listing(index: Index) -> Iterator[str]:
    """One line a file: class, size, first frame, path."""
    for number, path in enumerate(index.paths):
        frames = index.frames_of(number)
        kind = CLASS_NAMES[index.classes[number]]
        yield f"{kind:<12} {index.sizes[number]:>12,} {frames.start:>5}  {path}"


def _bands(index: Index) -> RenderableType:
    rows = table("band", "frames", "compressed", "size")
    edges = (
        ("hot", 0, index.hot),
        ("before the first invocation", index.hot, index.eager),
        ("on demand", index.eager, len(index.frame_stored)),
    )
    for name, begin, end in edges:
        stored, size = sum(index.frame_stored[begin:end]), sum(index.frame_size[begin:end])
        rows.add_row(name, f"{end - begin}", megabytes(stored), megabytes(size))
    return rows


def _sums(name: str, keys: Iterable[str], index: Index) -> RenderableType:
    """Files and bytes by the key of each file, the largest sum first."""
    rows = table(name, "files", "size")
    count, size = Counter[str](), Counter[str]()
    for key, own in zip(keys, index.sizes, strict=True):
        count[key] += 1
        size[key] += own
    for key, total in size.most_common(_SHOWN):
        rows.add_row(key, f"{count[key]:,}", megabytes(total))
    if len(size) > _SHOWN:
        rest = size.most_common()[_SHOWN:]
        files = sum(count[key] for key, _ in rest)
        rows.add_row(f"{len(rest)} more", f"{files:,}", megabytes(sum(total for _, total in rest)))
    return rows
