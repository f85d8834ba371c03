"""What decides a wheel that is built from source, besides the source and what it is built in."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import zip_longest
from pathlib import Path

from lambdapack.python import pip

__all__ = ["build_environment", "recipe"]

# Where the machine's things are, and how pip reaches its index: none of it is meant for what is built.
_PLACES = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|TMPDIR|TEMP|TMP|LD_LIBRARY_PATH|NETRC|SSL_CERT_(FILE|DIR)|"
    r"(REQUESTS|CURL)_CA_BUNDLE|(?i:(https?|no|all)_proxy)|XDG_\w+|PIP_\w+"
)
# Compilers' and build backends' own settings.
_SETTINGS = re.compile(
    r"CC|CXX|CPP|LD|AR|([A-Z]+_)?(C|CXX|CPP|LD|F)FLAGS|ARCHFLAGS|MAKEFLAGS|LIBRARY_PATH|CPATH|"
    r"(C|CPLUS)_INCLUDE_PATH|PKG_CONFIG_PATH|(SETUPTOOLS|DISTUTILS|HATCH|PDM_BUILD|PBR|SKBUILD|CMAKE|"
    r"POETRY_DYNAMIC_VERSIONING|CYTHON|NPY|MESON)_\w+"
)
# About how pip talks, to its index or its user, or about where an installation goes.
_NO_MATTER = frozenset(
    (
        *("cache-dir", "cert", "client-cert", "default-timeout", "disable-pip-version-check"),
        *("exists-action", "keyring-provider", "log", "log-file", "no-cache-dir", "no-color", "no-input"),
        *("prefix", "progress-bar", "proxy", "quiet", "report", "require-virtualenv", "retries", "root"),
        *("root-user-action", "src", "target", "timeout", "trusted-host", "user", "verbose", "find-links"),
    )
)
_FILES = frozenset(("constraint", "build-constraint"))
_INDEXES = frozenset(("--index-url", "--extra-index-url", "--no-index"))
_USER = re.compile(r"(?<=://)[^/@\s]+@")


def build_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables that a build on this machine sees: of the rest nobody could tell what it decides."""
    return {
        name: value
        for name, value in environment.items()
        if _PLACES.fullmatch(name) or _SETTINGS.fullmatch(name)
    }


def recipe(sources: Sequence[str], environment: Mapping[str, str] = os.environ) -> list[list[str]]:
    """What pip and build backends are told, as JSON has it; no password is in it.

    Args:
        sources: pip's options of the requirements. Which files a folder or an index has is not looked at:
            build dependencies are not locked.
        environment: This process's.

    Raises:
        ToolError: pip cannot read its own configuration.
    """
    variables = [[name, value] for name, value in environment.items() if _SETTINGS.fullmatch(name)]
    about = {name: value for name, value in environment.items() if _PLACES.fullmatch(name)}
    settings = [
        [section, key, said]
        for section, key, value in _configured(tuple(sorted(about.items())))
        if key not in _NO_MATTER
        for said in _said(key, value)
    ]
    return [*sorted(variables), *sorted(settings), *_indexes(sources)]


@cache
def _configured(environment: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str, str], ...]:
    """pip's settings in this environment, and so read once as long as nothing there points elsewhere."""
    return tuple(pip.configured(dict(environment)))


def _said(key: str, value: str) -> Iterator[str]:
    if key not in _FILES:
        yield _USER.sub("", value)
        return
    for word in value.split():
        path = Path(word).expanduser()
        yield hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else _USER.sub("", word)


def _indexes(sources: Sequence[str]) -> Iterator[list[str]]:
    for option, value in zip_longest(sources, sources[1:], fillvalue=""):
        if option in _INDEXES:
            yield [option, "" if option == "--no-index" else _USER.sub("", value)]
