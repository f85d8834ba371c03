"""The shared libraries that Lambda's own images have, by the name that an ELF file asks for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from lambdapack.model import Target

# Parts of the C library know each other's insides: a part of another build must never be mapped beside
# Lambda's own.
_GLIBC = re.compile(
    r"(ld-linux[\w-]*|libc|libm|libmvec|libpthread|libdl|librt|libutil|libresolv|libanl|libnsl|libcidn|"
    r"libthread_db|libBrokenLocale|libnss_(compat|db|dns|files|hesiod))\.so\.\d+\Z"
)
_PYTHON = "libpython{}.so.1.0"


@dataclass(frozen=True)
class RuntimeLibraries:
    """The libraries of one Lambda runtime.

    Attributes:
        system: The operating system, e.g. ``Amazon Linux 2023``.
        certain: Sonames that Lambda has for sure: never bundled.
        image: Sonames that AWS's images have beside the certain ones. Bundled where the build image has
            them, which does no harm; not reported as missing where that cannot be done.
        absent: Soname -> how it is known that Lambda does not have it.
    """

    system: str
    certain: frozenset[str]
    image: frozenset[str]
    absent: Mapping[str, str]

    @staticmethod
    def is_glibc(name: str) -> bool:
        """Whether ``name`` is a part of the C library, which must not be bundled."""
        return _GLIBC.match(name) is not None


def runtime_libraries(target: Target) -> RuntimeLibraries:
    """What Lambda has for ``target``."""
    table = _read("al2023" if target.operating_system == "Amazon Linux 2023" else "al2")
    names = (*table["provided"], *table["by_architecture"][target.arch], _PYTHON.format(target.python))
    return RuntimeLibraries(table["system"], frozenset(names), frozenset(table["image"]), table["absent"])


@cache
def _read(name: str) -> dict[str, Any]:
    path = resources.files("lambdapack.install.syslibs").joinpath("images").joinpath(f"{name}.json")
    table: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return table
