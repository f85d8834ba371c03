"""Indexes that a lock file was made from, as options for pip."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, urlsplit, urlunsplit

from lambdapack.python import pip

__all__ = ["options"]

_PYPI = re.compile(r"https?://(pypi\.org|pypi\.python\.org)(/|$)")
_VARIABLES = "POETRY_HTTP_BASIC_{}_{}"


def options(
    registries: Iterable[tuple[str, str]], environment: Mapping[str, str] = os.environ
) -> tuple[str, ...]:
    """pip's options for indexes other than PyPI that pip is not configured for.

    PyPI stands for whatever index pip is configured for. Hashes settle what is installed, so the order
    of indexes does not matter; without PyPI among them, the first takes the place of pip's own.

    Args:
        registries: Name (or nothing) and address of each.
        environment: Where Poetry's variables for credentials may be.
    """
    found = [(name, address) for name, address in registries if "://" in address]
    others = [(name, address) for name, address in found if not _PYPI.match(address)]
    if not others:
        return ()
    configured = {_plain(address) for address in _configured()}
    alone = len(others) == len(found)
    chosen: list[str] = []
    for name, address in others:
        if _plain(address) in configured:
            # pip's own configuration has it, maybe with credentials.
            alone = False
            continue
        chosen += ["--index-url" if alone else "--extra-index-url", _with_user(name, address, environment)]
        alone = False
    return tuple(chosen)


def _with_user(name: str, address: str, environment: Mapping[str, str]) -> str:
    key = re.sub(r"[^A-Z0-9]", "_", name.upper())
    user, password = (environment.get(_VARIABLES.format(key, part)) for part in ("USERNAME", "PASSWORD"))
    parts = urlsplit(address)
    if not key or not user or "@" in parts.netloc:
        return address
    secret = f":{quote(password, safe='')}" if password else ""
    return urlunsplit(parts._replace(netloc=f"{quote(user, safe='')}{secret}@{parts.netloc}"))


def _plain(address: str) -> str:
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/")


def _configured() -> Iterator[str]:
    for line in pip.run(["config", "list"], doing="reading pip's configuration").splitlines():
        name, equals, value = line.partition("=")
        if equals and name.rpartition(".")[2].replace("_", "-") in ("index-url", "extra-index-url"):
            try:
                yield from str(ast.literal_eval(value)).split()
            except (ValueError, SyntaxError):
                continue
