"""Indexes that a lock file was made from, as options for pip."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, urlsplit, urlunsplit

from lambdapack.model import NO_OPTIONS, PipOptions
from lambdapack.python.pip_settings import INDEX_OPTIONS, PipSettings, without_user

_PYPI = re.compile(r"https?://(pypi\.org|pypi\.python\.org)(/|$)")
_VARIABLES = "POETRY_HTTP_BASIC_{}_{}"


def options(registries: Iterable[tuple[str, str]], environment: Mapping[str, str] = os.environ) -> PipOptions:
    """pip's options for indexes other than PyPI that pip is not configured for.

    PyPI stands for whatever index pip is configured for. Hashes decide what is installed, so the order of
    indexes does not matter; without PyPI among them, the first takes the place of pip's own.

    Args:
        registries: Name (or nothing) and address of each.
        environment: pip's variables, and Poetry's with credentials.

    Raises:
        ToolError: pip's configuration is malformed.
    """
    addresses = [(name, address) for name, address in registries if "://" in address]
    others = [(name, address) for name, address in addresses if not _PYPI.match(address)]
    if not others:
        return NO_OPTIONS
    known = {_plain(address) for address in PipSettings.read(environment).words(INDEX_OPTIONS)}
    unknown = [(name, address) for name, address in others if _plain(address) not in known]
    # An index of pip's own configuration, maybe with credentials, stays the first one.
    replaces_pypi = len(others) == len(addresses) and unknown[:1] == others[:1]
    options = ["extra-index-url"] * len(unknown)
    if replaces_pypi:
        options[0] = "index-url"
    values = [_with_user(name, address, environment) for name, address in unknown]
    return PipOptions(tuple(zip(options, values, strict=True)))


def _with_user(name: str, address: str, environment: Mapping[str, str]) -> str:
    key = re.sub(r"[^A-Z0-9]", "_", name.upper())
    user, password = (environment.get(_VARIABLES.format(key, part)) for part in ("USERNAME", "PASSWORD"))
    parts = urlsplit(address)
    if not key or not user or "@" in parts.netloc:
        return address
    secret = f":{quote(password, safe='')}" if password else ""
    return urlunsplit(parts._replace(netloc=f"{quote(user, safe='')}{secret}@{parts.netloc}"))


def _plain(address: str) -> str:
    return without_user(address).rstrip("/")
