"""Mutations that keep what a parser looks at first, so that the rest of it is reached."""

from __future__ import annotations

import hashlib
import io
import json
import random
from collections.abc import Callable
from typing import Any

import zstandard

from lambdapack.pack import tail

Mutate = Callable[[bytes, random.Random], bytes]
_INTERESTING: tuple[Any, ...] = (
    -1, 0, 1, 2, 511, 512, 1024, 2**26, 2**26 + 1, 2**31, 2**32, 2**63, 10**4200, 0.5, True, None,
    "", "a", ".", "..", "/", "a/..", "a//b", "../x", "a\0b", "\ud800", "a/b", "é", "*", "ab" * 32,
    [], {}, [0], {"0": [1]}, [[[]]],
)  # fmt: skip


def bytes_of(data: bytes, chance: random.Random) -> bytes:
    """A few bytes changed, taken out, put in or moved."""
    changed = bytearray(data or b"\0")
    for _ in range(1 + chance.randrange(4)):
        at = chance.randrange(len(changed) + 1)
        what = chance.randrange(4)
        if what == 0 and at < len(changed):
            changed[at] ^= 1 << chance.randrange(8)
        elif what == 1:
            del changed[at : at + 1 + chance.randrange(8)]
        elif what == 2:
            changed[at:at] = chance.randbytes(1 + chance.randrange(8))
        else:
            other = chance.randrange(len(changed) + 1)
            changed[at : at + 8] = changed[other : other + 8]
    return bytes(changed)


def index_of(data: bytes, chance: random.Random) -> bytes:
    """One value of the JSON changed, and written in canonical form."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return bytes_of(data, chance)
    for _ in range(1 + chance.randrange(3)):
        _change(document, chance)
    try:
        return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    except ValueError:
        return bytes_of(data, chance)


def _change(document: Any, chance: random.Random) -> None:
    node = document
    while isinstance(node, (dict, list)) and node:
        keys = list(node) if isinstance(node, dict) else range(len(node))
        key = chance.choice(keys)
        if not isinstance(node[key], (dict, list)) or not node[key] or chance.randrange(6) == 0:
            node[key] = _other(node[key], chance)
            if isinstance(node, list) and chance.randrange(4) == 0:
                node.insert(key, node[key])
            elif chance.randrange(8) == 0:
                del node[key]
            return
        node = node[key]


def _other(value: Any, chance: random.Random) -> Any:
    if type(value) is int and chance.randrange(2):
        return value + chance.choice((-512, -1, 1, 512, 1024))
    if isinstance(value, str) and value and chance.randrange(2):
        at = chance.randrange(len(value))
        return value[:at] + chance.choice(("/", ".", "/../", "x", "\n", "s", "d", "")) + value[at + 1 :]
    return chance.choice(_INTERESTING)


def pack_of(data: bytes, chance: random.Random) -> bytes:
    """A frame or the index changed; most times with sizes and digests that fit again."""
    what = chance.randrange(8)
    try:
        if what == 0:
            return bytes_of(data, chance)
        seek, encoded = tail.read_tail(io.BytesIO(data))
        document = json.loads(encoded)
        frames, start = [], 0
        for stored, _ in seek:
            frames.append(data[start : start + stored])
            start += stored
        if what < 5:
            encoded = index_of(encoded, chance)
            if chance.randrange(2):
                return _assembled(frames, seek, encoded)
            document = json.loads(encoded)
        else:
            at = chance.randrange(len(frames))
            frames[at] = _frame(frames[at], chance)
        if chance.randrange(4):
            columns = document["frames"]
            columns["stored"] = [len(frame) for frame in frames]
            columns["sha256"] = [hashlib.sha256(frame).hexdigest() for frame in frames]
            columns["size"] = [max(zstandard.frame_content_size(frame), 0) for frame in frames]
            seek = list(zip(columns["stored"], columns["size"], strict=True))
        encoded = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
        return _assembled(frames, seek, encoded)
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError, zstandard.ZstdError):
        return bytes_of(data, chance)


def _frame(frame: bytes, chance: random.Random) -> bytes:
    if chance.randrange(3) == 0:
        return bytes_of(frame, chance)
    if zstandard.frame_content_size(frame) > 1 << 22:
        return bytes_of(
            frame, chance
        )  # a bound on what is decompressed is not kept where the frame says more
    content = zstandard.ZstdDecompressor().decompress(frame, max_output_size=1 << 22)
    changed = bytearray(content)
    if changed and chance.randrange(2):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    else:
        changed = bytearray(bytes_of(content, chance))
    return zstandard.compress(bytes(changed), 1) + (b"more" if chance.randrange(20) == 0 else b"")


def _assembled(frames: list[bytes], seek: list[tuple[int, int]], encoded: bytes) -> bytes:
    index_frame = tail.encode_index_frame(encoded)
    try:
        table = tail.encode_seek_table([*seek, (len(index_frame), 0)])
    except Exception as error:  # struct.error is no ValueError: a size that has no 32 bits
        raise ValueError from error
    return b"".join(frames) + index_frame + table


MUTATORS: dict[str, Mutate] = {"index": index_of, "pack": pack_of, "place": bytes_of}
