"""Direct references (PEP 440): wheels, sdists and local packages that are named by address or path."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:(?!\\)")
_ARCHIVE = re.compile(r"\.(whl|zip|tar\.gz|tgz|tar\.bz2|tar\.xz)$", re.IGNORECASE)
_EXTRAS = re.compile(r"^(?P<path>.+?)\[(?P<extras>[A-Za-z0-9._, -]*)\]$")
_NAMED = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*\s*(\[[^\]]*\])?\s*@")
_HASH = re.compile(r"(?:^|&)sha256=([0-9a-fA-F]{64})(?:&|$)")
_USER = re.compile(r"(://)[^/]*@")


@dataclass(frozen=True)
class DirectReference:
    """A file or folder that is named by its address or path.

    Attributes:
        location: An ``https:`` address, or the absolute path of a file or a folder.
        origin: Where the reference stands, for messages.
        name: Canonical name of the package; empty where only the file tells.
        extras: Extras of the package that are asked for.
        marker: When the package is needed; empty for always.
        hashes: ``sha256:…`` of the files that may be taken; empty for any.
    """

    location: str
    origin: str
    name: str = ""
    extras: tuple[str, ...] = ()
    marker: str = ""
    hashes: tuple[str, ...] = ()

    @property
    def path(self) -> Path | None:
        """The local file or folder; ``None`` for an address."""
        return None if "://" in self.location else Path(self.location)

    @property
    def filename(self) -> str:
        """The last part of the location, e.g. ``spam-1-py3-none-any.whl``."""
        if self.path is not None:
            return self.path.name
        return unquote(PurePosixPath(urlsplit(self.location).path).name)


def is_direct(text: str) -> bool:
    """Whether a requirement names a file or folder rather than a package."""
    first = text.strip().split(" ", maxsplit=1)[0].split(";", maxsplit=1)[0]
    if _NAMED.match(text) or _SCHEME.match(first):
        return True
    path = found["path"] if (found := _EXTRAS.match(first)) else first
    return path.startswith(("./", "../", "/", "~")) or path in (".", "..") or bool(_ARCHIVE.search(path)) or (
        "/" in path and os.path.exists(path)  # noqa: PTH110 - pathlib fails on names that are too long
    )  # fmt: skip


def parse(text: str, hashes: tuple[str, ...], folder: Path, origin: str) -> DirectReference:
    """Read ``name[extra] @ URL ; marker``, a bare address, or a path relative to ``folder``.

    Raises:
        ValueError: ``text`` is none of these, or names a repository.
    """
    marker, name = "", ""
    extras: tuple[str, ...] = ()
    if _NAMED.match(text):
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            raise ValueError(str(error).splitlines()[0]) from None
        name, location = canonicalize_name(requirement.name), requirement.url or ""
        extras = tuple(sorted(canonicalize_name(extra) for extra in requirement.extras))
        marker = str(requirement.marker or "")
    else:
        location, _, marker = (part.strip() for part in re.sub(r"\s+;", " ;", text).partition(" ;"))
        if with_extras := _EXTRAS.match(location):
            location = with_extras["path"]
            extras = tuple(
                sorted(canonicalize_name(e.strip()) for e in with_extras["extras"].split(",") if e.strip())
            )
    location, _, fragment = location.partition("#")
    hashes = tuple(sorted({*hashes, *(f"sha256:{digest.lower()}" for digest in _HASH.findall(fragment))}))
    if egg := re.search(r"(?:^|&)egg=([A-Za-z0-9._-]+)", fragment):
        name = name or canonicalize_name(egg[1])
    return DirectReference(_absolute(location, folder), origin, name, extras, marker, hashes)


def _absolute(location: str, folder: Path) -> str:
    if re.match(r"(git|hg|svn|bzr)\+", location):
        raise ValueError("a repository is not a file: check it out and name its folder, or build a wheel")
    parts = urlsplit(location)
    if parts.scheme == "file":
        return str(Path(url2pathname(parts.path)).resolve())
    if parts.scheme in ("http", "https"):
        return location
    if _SCHEME.match(location):
        raise ValueError(f"{parts.scheme}: is not an address that can be fetched (https: and file: are)")
    try:
        return str((folder / Path(location).expanduser()).resolve())
    except RuntimeError as error:
        raise ValueError(str(error)) from None


def shown(text: str) -> str:
    """``text`` without the users and the passwords of its addresses."""
    return _USER.sub(r"\1****@", text)
