"""What a user may say about slimming."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from lambdapack.errors import ConfigurationError
from lambdapack.slim.packages import PACKAGE_RULES
from lambdapack.slim.rules import RULES


@dataclass(frozen=True)
class SlimOptions:
    """What a user may say about slimming.

    Attributes:
        keep: Patterns of files that no rule drops (``slim.select.matcher`` says how they match).
        drop: Patterns of further files to drop. What the trace touched stays all the same.
        disable: Names of rules that do not apply (``rule_names()``).
        strip: Strip shared objects.
        sources: Keep the ``.py`` files. Without them tracebacks have no lines and ``inspect.getsource``
            fails.
    """

    keep: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    disable: tuple[str, ...] = ()
    strip: bool = True
    sources: bool = True


def rule_names() -> tuple[str, ...]:
    """The names that ``disable`` may hold."""
    return tuple(rule.name for rule in (*RULES, *PACKAGE_RULES))


def check_options(options: SlimOptions) -> None:
    """Refuse options that make no sense, before anything slow is done.

    Raises:
        ConfigurationError: ``options`` name an unknown rule.
    """
    unknown = sorted(set(options.disable) - set(rule_names()))
    if unknown:
        close = difflib.get_close_matches(unknown[0], rule_names(), n=1)
        raise ConfigurationError(
            f"there is no slimming rule {unknown[0]!r} (there are: {', '.join(rule_names())})",
            hint=f"did you mean {close[0]!r}?" if close else None,
        )
