"""Lambda's Python runtimes: their C library, and the dates from which Lambda takes less of them.

AWS's table is https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html ("Supported runtimes" and
"Deprecated runtimes"). Its dates were last read on 2026-11-26, in the copy that cfn-lint 1.58.0 keeps
(``cfnlint/data/AdditionalSpecs/LmbdRuntimeLifecycle.json``). AWS has moved such dates before, to later ones.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from lambdapack.errors import ConfigurationError

__all__ = ["AL2023_GLIBC", "PYTHONS", "RUNTIMES", "SUGGESTED", "Lifecycle", "Runtime", "check", "today"]

NOTICE: Final = timedelta(days=180)
"""How long before a runtime is deprecated AWS tells the owners of its functions
(https://docs.aws.amazon.com/lambda/latest/dg/runtime-support-policy.html)."""

_AL2: Final = ("Amazon Linux 2", (2, 26))
AL2023_GLIBC: Final = (2, 34)
"""The newest C library of a runtime; a container image can offer it to the Pythons before as well."""
_AL2023: Final = ("Amazon Linux 2023", AL2023_GLIBC)


@dataclass(frozen=True)
class Lifecycle:
    """When Lambda takes less of a runtime. Functions that are there keep running after all of these dates.

    Attributes:
        deprecated: From then on AWS does not patch the runtime.
        no_create: From then on Lambda takes no new functions of it.
        no_update: From then on Lambda takes no changes of its functions either.
    """

    deprecated: date
    no_create: date
    no_update: date

    def stage(self, on: date) -> str | None:
        """What a person should know ``on`` that day, without a subject; ``None`` where nothing is due."""
        if on >= self.no_update:
            return f"has taken neither new functions nor changes of old ones since {self.no_update}"
        if on >= self.no_create:
            return f"has taken no new functions since {self.no_create}, and takes no changes of old ones " + (
                f"from {self.no_update}"
            )
        if on >= self.deprecated - NOTICE:
            patched = "has not been patched since" if on >= self.deprecated else "is patched until"
            return f"{patched} {self.deprecated}, takes no new functions from {self.no_create} " + (
                f"and no changes of old ones from {self.no_update}"
            )
        return None


@dataclass(frozen=True)
class Runtime:
    """One of Lambda's Pythons.

    Attributes:
        python: Major and minor version.
        operating_system, glibc: What the runtime's image is made of, and the version of its C library.
        lifecycle: ``None`` where Lambda has not announced the runtime yet.
    """

    python: str
    operating_system: str
    glibc: tuple[int, int]
    lifecycle: Lifecycle | None

    @property
    def name(self) -> str:
        """Lambda's name for it, e.g. ``python3.12``."""
        return f"python{self.python}"

    def advice(self, on: date) -> str | None:
        """What a person who builds for this runtime ``on`` that day should know; mostly ``None``."""
        if self.lifecycle is None:
            return f"Lambda has not announced {self.name}: it runs in the local cloud, and AWS may refuse it"
        stage = self.lifecycle.stage(on)
        return stage and f"Lambda's runtime {self.name} {stage}"

    def is_blocked(self, on: date, *, new: bool = False) -> bool:
        """Whether Lambda refuses a change of a function ``on`` that day, or a ``new`` function."""
        lifecycle = self.lifecycle
        return lifecycle is not None and on >= (lifecycle.no_create if new else lifecycle.no_update)


def _runtime(python: str, system: tuple[str, tuple[int, int]], *dates: str) -> tuple[str, Runtime]:
    lifecycle = Lifecycle(*map(date.fromisoformat, dates)) if dates else None
    return python, Runtime(python, *system, lifecycle)


RUNTIMES: Final[Mapping[str, Runtime]] = dict((
    #                        deprecated    no new        no changes
    _runtime("3.8", _AL2, "2024-10-14", "2027-02-01", "2027-03-03"),
    _runtime("3.9", _AL2, "2025-12-15", "2027-02-01", "2027-03-03"),
    _runtime("3.10", _AL2, "2026-10-31", "2027-02-01", "2027-03-03"),
    _runtime("3.11", _AL2, "2027-06-30", "2027-07-31", "2027-08-31"),
    _runtime("3.12", _AL2023, "2028-10-31", "2028-11-30", "2029-01-10"),
    _runtime("3.13", _AL2023, "2029-06-30", "2029-07-31", "2029-08-31"),
    _runtime("3.14", _AL2023, "2029-06-30", "2029-07-31", "2029-08-31"),
    # Named in the API (the enumeration Runtime of botocore 1.44.8), not in AWS's table. Amazon Linux 2023 is
    # taken from its predecessors.
    _runtime("3.15", _AL2023),
))  # fmt: skip
"""Every runtime that lambdapack builds for, by its Python, oldest first."""

PYTHONS: Final = tuple(RUNTIMES)
"""Their Pythons, oldest first."""

SUGGESTED: Final = "3.13"
"""What a hint names: no runtime is taken for longer, and most packages have wheels for this one."""


def today() -> date:
    """The day that runtimes are measured against: ``LAMBDAPACK_TODAY``, else this machine's.

    Raises:
        ConfigurationError: ``LAMBDAPACK_TODAY`` is not a day like 2026-11-26.
    """
    text = os.environ.get("LAMBDAPACK_TODAY")
    if text is None:
        return date.today()
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            f"LAMBDAPACK_TODAY is {text!r}, which is no day like 2026-11-26", hint="unset it"
        ) from None


def check(python: str, doing: str, *, on: date | None = None, new: bool = False) -> str | None:
    """What to warn of before ``doing`` something for the runtime of ``python``; ``None`` for nothing.

    Args:
        python: The runtime's Python.
        doing: For the message, e.g. ``building for python3.9/x86_64``.
        on: The day; ``None`` for today.
        new: Whether the function is not there yet.

    Raises:
        ConfigurationError: Lambda refuses it by then.
    """
    runtime, on = RUNTIMES[python], on or today()
    advice = runtime.advice(on)
    if runtime.is_blocked(on, new=new):
        raise ConfigurationError(
            f"{doing}: {advice}",
            hint=f"move to a newer runtime, e.g. --python {SUGGESTED} or [build] python; for the local cloud "
            "alone, or where AWS has moved its dates, set LAMBDAPACK_TODAY to a day before",
        )
    return advice
