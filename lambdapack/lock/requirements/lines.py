"""The lines of a requirements file, as pip reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_COMMENT = re.compile(r"(^|\s+)#.*$")
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")
_OTHER_HASH = re.compile(r"(sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})")


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with continuations joined and comments removed, each with the number of its first line."""
    parts: list[str] = []
    first = 0
    for number, raw in enumerate(text.splitlines(), 1):
        if not parts:
            first = number
        comment = raw.lstrip().startswith("#")
        # As pip does: a comment ends a continuation, even one that ends in a backslash itself.
        if raw.endswith("\\") and not comment:
            parts.append(raw[:-1])
            continue
        line = _COMMENT.sub("", "".join([*parts, " " + raw if comment else raw])).strip()
        parts = []
        if line:
            yield first, line
    rest = _COMMENT.sub("", "".join(parts)).strip()
    if rest:
        yield first, rest


def split_hashes(line: str) -> tuple[str, list[str]]:
    """Part ``name==1 --hash=sha256:…`` into requirement and SHA-256 hashes.

    Raises:
        ValueError: The line has another option, a malformed hash, or hashes of other kinds alone.
    """
    text, *rest = re.split(r"\s+(?=--?[a-z])", line)
    hashes: list[str] = []
    others = 0
    for option in rest:
        name, _, value = option.replace(" ", "=", 1).partition("=")
        if name != "--hash":
            raise ValueError(f"{name} is not an option that a requirement may have here")
        if _SHA256.fullmatch(value.strip()):
            hashes.append(value.strip())
        elif _OTHER_HASH.fullmatch(value.strip()):
            others += 1
        else:
            raise ValueError(f"{value.strip()!r} is not a hash like sha256: and 64 hexadecimal digits")
    if others and not hashes:
        raise ValueError("the lock is made of SHA-256 hashes, and this requirement has only others")
    return text, sorted(set(hashes))


def normalised(parsed: Requirement) -> str:
    """A requirement in one spelling: names are canonical, and extras in order."""
    extras = f"[{','.join(sorted(canonicalize_name(e) for e in parsed.extras))}]" if parsed.extras else ""
    marker = f" ; {parsed.marker}" if parsed.marker else ""
    return f"{canonicalize_name(parsed.name)}{extras}{parsed.specifier}{marker}"
