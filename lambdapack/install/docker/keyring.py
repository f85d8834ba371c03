"""Passwords that pip would ask the keyring for: no container can, so they are asked here and handed in.

As pip does it (``keyring-provider`` in its configuration): the ``keyring`` program, for addresses that name a
user and no password, by the whole address and then by the host.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from urllib.parse import quote, unquote, urlsplit, urlunsplit

__all__ = ["Ask", "asker", "completed"]

Ask = Callable[[str, str], str | None]
"""Address or host, and user -> password, if there is one."""
_SECONDS = 30
_PROVIDERS = ("", "auto", "import", "subprocess")


def asker(provider: str) -> Ask | None:
    """What asks the keyring; ``None`` where pip would not, or there is no ``keyring`` program."""
    program = shutil.which("keyring") if provider in _PROVIDERS else None
    if program is None:
        return None

    def ask(service: str, user: str) -> str | None:
        try:
            done = subprocess.run(
                [program, "get", service, user],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        password = done.stdout.strip("\r\n")
        return password if done.returncode == 0 and password else None

    return ask


def completed(address: str, ask: Ask) -> str:
    """``address`` with the password of the user that it names, if it has none and the keyring has one."""
    parts = urlsplit(address)
    user, _, host = parts.netloc.rpartition("@")
    if parts.scheme not in ("http", "https") or not user or ":" in user:
        return address
    bare = urlunsplit(parts._replace(netloc=host))
    name = unquote(user)
    password = ask(bare, name) or ask(host, name)
    if password is None:
        return address
    return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{host}"))
