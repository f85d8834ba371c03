"""Whether there is room for a pack, and the error where there is none. Not imported by a warm start."""

from __future__ import annotations

import errno
from bisect import bisect_left, bisect_right
from posix import statvfs

from . import PackError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Callable

    from ._disk import Place
    from ._index import Index

BLOCK = 4096
# Bytes of a file's entry in its folder, on ext4.
ENTRY = 64
# Blocks for folders that hold only folders, for the journal and for the marks of part files.
SPARE = 16
MB = 1048576
# The ephemeral storage that Lambda gives a function without being asked.
LEAST_MB = 512


def check(place: Place, frames: list[int]) -> None:
    """Fail before anything is written if ``frames``, and what else is being fetched there, do not fit.

    Raises:
        PackError: Says what is needed, what is free and which setting gives it.
    """
    coming = [(place, frames)]
    coming += [(other.place, other.place.missing(0, other.eager)) for other in place.others]
    try:
        room = statvfs(place.base)
    except FileNotFoundError:
        return  # removed a moment ago; the writer makes it again
    except OSError as error:
        raise failure(place, error) from error
    free = room.f_bavail * room.f_frsize
    if sum(_most(*each) for each in coming) <= free:
        return
    need = sum(_need(*each) for each in coming)
    if need > free:
        raise PackError(too_little(place, need, free, room.f_blocks * room.f_frsize))


def _most(place: Place, frames: list[int]) -> int:
    """An upper bound of what ``frames`` take, without a look at each file: mostly there is room for it.

    Beside its content a real file takes at most the rest of a block, a folder and an entry, and rounds the
    arena's parts before and behind it up; a frame's ends may cut a file and such a part.
    """
    index = place.index
    files = len(index.classes) - sum(index.classes.count(letter) for letter in place.in_arena)
    blocks = 4 * files + 3 * len(frames) + SPARE
    return sum(index.frame_size[frame] for frame in frames) + blocks * BLOCK + files * ENTRY


def _need(place: Place, frames: list[int]) -> int:
    """What ``frames`` take, less the files that are in place already."""
    return bytes_on_disk(place.index, place.in_arena, frames, place.whole)


def bytes_on_disk(
    index: Index,
    in_arena: frozenset[str],
    frames: Iterable[int],
    whole: Callable[[int], bool] = lambda file: False,
) -> int:
    """Bytes that ``frames``, in ascending order, take: blocks of the arena and of files, and their folders.

    Neither tar headers nor the contents of real files are written to the arena, and most files fill their
    last block in part: the frames' sizes and a block for each file would be up to 5 MB too much for 1,000
    files. Files that are ``whole`` are on disk already, though other files of their frame are missing.
    """
    offsets, starts = index.offsets, index.frame_start
    blocks = counted = files = 0
    folders = set()
    for frame in frames:
        start, end = starts[frame], starts[frame + 1]
        before = -1
        for file in range(max(bisect_right(offsets, start) - 1, 0), bisect_left(offsets, end)):
            offset = offsets[file]
            low, high = max(offset, start), min(offset + index.sizes[file], end)
            if low > high:
                continue
            if index.classes[file] in in_arena:
                # Neighbours in the arena are written together with what is between them.
                first = max((low if before < 0 else before) // BLOCK, counted)
                counted = max(-(-high // BLOCK), counted)
                blocks += max(counted - first, 0)
                before = high
                continue
            before = -1
            if whole(file):
                continue
            blocks += -(-(high - offset) // BLOCK) - (low - offset) // BLOCK
            if low == offset:
                files += 1
                folders.add(index.paths[file].rpartition("/")[0])
    return (blocks + len(folders) + SPARE) * BLOCK + files * ENTRY


def too_little(place: Place, need: int, free: int, total: int) -> str:
    """How much is needed, how much is free, and which setting gives it."""
    # The space that is used stays used; whole megabytes, as Lambda's console shows them.
    used = total - free
    want = max(LEAST_MB, -(-(used + need + need // 32) // MB))
    beside = " (with what else is on its way)" if place.others else ""
    return (
        "lambdapack: the %s%s needs %.0f MB more in %s, where %.0f of %.0f MB are free: give the "
        "function at least %d MB of ephemeral storage (lambdapack deploy --tmp %d)"
        % (place.noun, beside, need / 1e6, place.base, free / 1e6, total / 1e6, want, want)
    )


def failure(place: Place, error: Exception) -> PackError:
    """An error of reading, writing or importing as a PackError that says what helps."""
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT):
        return PackError(_full(place))
    # An ImportError has no errno, only a text.
    if number in (errno.EMFILE, errno.ENFILE) or "Too many open files" in str(error):
        helps = ": too many files are open; close some before the pack is needed"
    elif number == errno.ENOMEM or isinstance(error, MemoryError):
        helps = ": there is no more memory; give the function more (lambdapack deploy --memory)"
    elif number == errno.EROFS:
        helps = ": it is read-only; set LAMBDAPACK_ROOT to a folder that can be written to"
    else:
        helps = ""
    kind = "" if isinstance(error, OSError) else type(error).__name__ + ": "
    return PackError(
        "lambdapack: putting the %s in place in %s: %s%s%s" % (place.noun, place.base, kind, error, helps)
    )


def _full(place: Place) -> str:
    doing = "lambdapack: putting the %s in place in %s: " % (place.noun, place.base)
    room: Any = None
    folder = place.base
    while room is None and folder:
        try:
            room = statvfs(folder)
        except OSError:
            folder = folder.rpartition("/")[0]
    if room is None:
        return doing + "no space left"
    if not room.f_favail and room.f_files:
        return doing + "no inode is left there for another file: remove files that are not needed"
    left = _need(place, [frame for frame in range(place.index.eager) if not place.journal[frame]])
    return too_little(place, max(left, BLOCK), room.f_bavail * room.f_frsize, room.f_blocks * room.f_frsize)
