"""Passwords that pip would ask the keyring for: a container has none, so it is asked here.

As pip does it (``keyring-provider`` in its configuration): the ``keyring`` program, for addresses that name a
user and no password, by the whole address and then by the host.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit, urlunsplit

__all__ = ["Keyring"]

_SECONDS = 30
_PROVIDERS = ("", "auto", "import", "subprocess")


@dataclass(frozen=True)
class Keyring:
    """The keyring of this machine's user.

    Attributes:
        program: Path of the ``keyring`` program.
    """

    program: str

    @classmethod
    def find(cls, provider: str) -> Keyring | None:
        """The keyring that pip would ask.

        Args:
            provider: ``keyring-provider`` of pip's configuration; empty where it is not set.

        Returns:
            ``None`` where pip would ask none, or there is no ``keyring`` program.
        """
        program = shutil.which("keyring") if provider in _PROVIDERS else None
        return None if program is None else cls(program)

    def password(self, service: str, user: str) -> str | None:
        """The password of ``user`` for an address or a host; ``None`` where the keyring has none."""
        try:
            done = subprocess.run(
                [self.program, "get", service, user],
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

    def completed(self, address: str) -> str:
        """``address`` with the password of the user that it names, if the keyring has one and it has none."""
        parts = urlsplit(address)
        user, _, host = parts.netloc.rpartition("@")
        if parts.scheme not in ("http", "https") or not user or ":" in user:
            return address
        bare = urlunsplit(parts._replace(netloc=host))
        name = unquote(user)
        password = self.password(bare, name) or self.password(host, name)
        if password is None:
            return address
        return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{host}"))
