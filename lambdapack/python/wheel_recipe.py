"""What decides a wheel that is built from source, besides the source and what it is built in."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from lambdapack.model import PipOptions
from lambdapack.python.pip_settings import INDEX_OPTIONS, PipSettings, Setting, without_user

__all__ = ["build_environment", "recipe"]

# Where this machine has its files, and how pip reaches its index: nothing that a wheel should depend on.
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
# How pip talks to its index or its user, and where an installation goes.
_NO_MATTER = frozenset(
    (
        *("cache-dir", "cert", "client-cert", "default-timeout", "disable-pip-version-check"),
        *("exists-action", "keyring-provider", "log", "log-file", "no-cache-dir", "no-color", "no-input"),
        *("prefix", "progress-bar", "proxy", "quiet", "report", "require-virtualenv", "retries", "root"),
        *("root-user-action", "src", "target", "timeout", "trusted-host", "user", "verbose", "find-links"),
    )
)
_FILES = frozenset(("constraint", "build-constraint"))
_INDEXES = INDEX_OPTIONS | {"no-index"}


def build_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables that a build on this machine sees.

    A build sees no other variable, since it is unknown what another one would change in the wheel.
    """
    return {
        name: value
        for name, value in environment.items()
        if _PLACES.fullmatch(name) or _SETTINGS.fullmatch(name)
    }


def recipe(options: PipOptions, environment: Mapping[str, str] = os.environ) -> list[list[str]]:
    """What pip and build backends are told, as JSON has it; passwords are left out.

    Args:
        options: pip's options of the requirements. Which files a folder or an index has does not count:
            build dependencies are not locked.
        environment: This process's.
    """
    variables = [[name, value] for name, value in environment.items() if _SETTINGS.fullmatch(name)]
    settings = [
        [entry.section, entry.key, text]
        for entry in PipSettings.read(environment).entries
        if entry.key not in _NO_MATTER
        for text in _texts(entry)
    ]
    indexes = [[option, without_user(value)] for option, value in options.pairs if option in _INDEXES]
    return [*sorted(variables), *sorted(settings), *indexes]


def _texts(setting: Setting) -> Iterator[str]:
    """The value of a setting; for each file that it names, the SHA-256 of its content instead."""
    if setting.key not in _FILES:
        yield without_user(setting.value)
        return
    for word in setting.value.split():
        path = Path(word).expanduser()
        yield hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else without_user(word)
