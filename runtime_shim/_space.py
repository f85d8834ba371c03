"""Whether there is room for a pack, and what is said where there is none. A warm start does not ask."""

from __future__ import annotations

import errno
from posix import statvfs

from ._disk import PackError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._disk import Place

BLOCK = 4096
MB = 1048576
# What Lambda gives without being asked.
LEAST_MB = 512


def check(place: Place, frames: list[int]) -> None:
    """Fail before anything is written if ``frames``, and all that is on its way beside, do not fit.

    Raises:
        PackError: Says what is needed, what is free and which setting gives it.
    """
    need = bytes_on_disk(place, frames)
    for other in place.others:
        need += bytes_on_disk(other.place, other.place.missing(0, other.eager))
    try:
        room = statvfs(place.base)
    except FileNotFoundError:
        return  # removed a moment ago; whoever writes makes it again
    except OSError as error:
        raise failure(place, error) from error
    free = room.f_bavail * room.f_frsize
    if need > free:
        raise PackError(too_little(place, need, free, room.f_blocks * room.f_frsize))


def bytes_on_disk(place: Place, frames: list[int]) -> int:
    """What ``frames`` take at most."""
    index = place.index
    need = sum(index.frame_size[frame] for frame in frames)
    wanted = set(frames)
    files = 0
    for file, letter in enumerate(index.classes):
        if letter not in place.in_arena and index.frames_of(file)[0] in wanted:
            files += 1
    return need + files * BLOCK


def too_little(place: Place, need: int, free: int, total: int) -> str:
    """How much is needed, how much is free, and which setting gives it."""
    # What other things occupy stays occupied; round up to what Lambda's console would show.
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
    # The import system knows no number of an error, only its text.
    if number in (errno.EMFILE, errno.ENFILE) or "Too many open files" in str(error):
        helps = ": too many files are open; close some before the pack is needed"
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
    left = bytes_on_disk(place, [f for f in range(place.index.eager) if not place.journal[f]])
    return too_little(place, max(left, BLOCK), room.f_bavail * room.f_frsize, room.f_blocks * room.f_frsize)
