"""The versions of one function and its alias ``live``: what may follow on what. Arithmetic alone.

``Functions`` keeps such a value in one file, so that each change of it takes place at once or not at all.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from lambdapack.errors import ConfigurationError, ToolError
from lambdapack.local.function import Function
from lambdapack.model import Routing

LIVE = "live"
"""The name of the alias, as in AWS."""
_FORMAT = 2
_NOTE = 256
"""Characters of an alias's description: https://docs.aws.amazon.com/lambda/latest/api/API_UpdateAlias.html"""


class AliasMovedError(ToolError):
    """The alias was changed between the look at it and the change."""


@dataclass(frozen=True)
class Alias:
    """The alias ``live``.

    Attributes:
        routing: Where it sends calls.
        note: A text that is kept with it.
        revision: How many times it was changed.
    """

    routing: Routing
    note: str = ""
    revision: int = 1


@dataclass(frozen=True)
class Versions:
    """A function's versions and its alias.

    Attributes:
        name: The function's name.
        functions: The versions that there are, by number.
        alias: ``None`` before the first deployment.
        count: How many numbers were given so far; none is given twice.
    """

    name: str
    functions: tuple[Function, ...] = ()
    alias: Alias | None = None
    count: int = 0

    @property
    def numbers(self) -> list[str]:
        """The versions' numbers."""
        return [function.version for function in self.functions]

    def published(self, function: Function) -> tuple[Versions, str]:
        """With ``function`` among the versions, and its number; an equal version is taken instead."""
        number = str(self.count + 1)
        for old in reversed(self.functions):
            if replace(function, version=old.version).as_dict() == old.as_dict():
                return self, old.version
        added = (*self.functions, replace(function, version=number))
        return replace(self, functions=added, count=self.count + 1), number

    def routed(self, routing: Routing, note: str = "") -> Versions:
        """With the alias there, whatever it was before.

        Raises:
            ToolError: A version that there is not, or a note that AWS would refuse.
        """
        if missing := [number for number in routing.shares if number not in self.numbers]:
            raise ToolError(
                f"routing {self.name}: there is no version {missing[0]} ({self._there_are()})",
                hint="lambdapack status lists them",
            )
        if routing.version == routing.other:
            raise ToolError(f"routing {self.name}: version {routing.version} stands there twice")
        if len(note) > _NOTE:
            raise ToolError(f"routing {self.name}: the note has {len(note)} characters, AWS takes {_NOTE}")
        before = self.alias
        if before and (before.routing, before.note) == (routing, note):
            return self
        return replace(self, alias=Alias(routing, note, before.revision + 1 if before else 1))

    def rerouted(self, routing: Routing, note: str, seen: int | None) -> Versions:
        """``routed``, if the alias is as it was ``seen``: its revision, ``None`` where there was none.

        Raises:
            AliasMovedError: It is not.
            ToolError: As for ``routed``.
        """
        revision = self.alias.revision if self.alias else None
        if seen != revision:
            raise AliasMovedError(
                f"routing {self.name}: its alias {LIVE} has changed meanwhile (revision {revision}, and "
                f"{seen} was seen)",
                hint="lambdapack status shows where it stands; run the command again",
            )
        return self.routed(routing, note)

    def without(self, numbers: Collection[str]) -> Versions:
        """Without these versions.

        Raises:
            ConfigurationError: The alias sends calls to one of them, or no version would be left.
        """
        shares = self.alias.routing.shares if self.alias else {}
        if used := sorted(set(numbers) & shares.keys()):
            raise ConfigurationError(
                f"deleting version {used[0]} of {self.name}: its alias {LIVE} sends calls there",
                hint="lambdapack rollback --cloud local --to VERSION moves the alias",
            )
        kept = tuple(function for function in self.functions if function.version not in numbers)
        if not kept:
            raise ConfigurationError(
                f"deleting versions {', '.join(numbers)} of {self.name}: no version would be left",
                hint="lambdapack destroy removes the function",
            )
        return replace(self, functions=kept)

    def get(self, qualifier: str | None = None) -> Function:
        """A version by its number; for ``None`` and ``live`` the alias's main one.

        Raises:
            ConfigurationError: There is none.
        """
        if qualifier in (None, LIVE):
            qualifier = self._live().routing.version
        for function in self.functions:
            if function.version == qualifier:
                return function
        raise ConfigurationError(
            f"there is no version {qualifier!r} of {self.name} in the local cloud ({self._there_are()})",
            hint=f"lambdapack status lists them; {LIVE} is the alias",
        )

    def pick(self, qualifier: str | None, chance: float) -> Function:
        """``get``, but the alias chooses by weight: ``chance`` is a random number from 0 to below 1.

        Raises:
            ConfigurationError: There is none.
        """
        if qualifier in (None, LIVE):
            routing = self._live().routing
            return self.get(routing.other if routing.other and chance < routing.weight else routing.version)
        return self.get(qualifier)

    def earlier(self, to: str | None) -> Function:
        """The version to go back to: ``to``, else the one before that which has calls.

        Of two that have calls, that is the one from which they shift: to go back then is to end the shift.

        Raises:
            ConfigurationError: There is none.
        """
        routing = self._live().routing
        if to is not None:
            return self.get(to)
        if routing.other is not None:
            return self.get(routing.version)
        before = [number for number in self.numbers if int(number) < int(routing.version)]
        if not before:
            raise ConfigurationError(
                f"rolling back {self.name}: no version was published before version {routing.version} "
                f"({self._there_are()})",
                hint="name one with --to, or deploy the earlier state again",
            )
        return self.get(before[-1])

    def _live(self) -> Alias:
        if self.alias is None:
            raise ConfigurationError(
                f"{self.name} has no alias {LIVE} yet ({self._there_are()})",
                hint="lambdapack deploy makes it; lambdapack invoke --qualifier VERSION needs none",
            )
        return self.alias

    def _there_are(self) -> str:
        return f"published: {', '.join(self.numbers) or 'none'}"

    def as_dict(self) -> dict[str, Any]:
        """As a JSON document."""
        return {
            "format": _FORMAT,
            "name": self.name,
            "count": self.count,
            "alias": asdict(self.alias) if self.alias else None,
            "versions": [function.as_dict() for function in self.functions],
        }

    @classmethod
    def from_dict(cls, document: Any) -> Versions:
        """Of such a document; one function alone, as earlier lambdapacks wrote it, is version 1.

        Raises:
            ValueError, KeyError, TypeError: It is neither.
        """
        if not isinstance(document, Mapping):
            raise TypeError(f"{type(document).__name__} in place of an object")
        if "versions" not in document:
            function = replace(Function.from_dict(document), version="1")
            return cls(function.name, (function,), Alias(Routing("1")), 1)
        alias = document["alias"]
        return cls(
            document["name"],
            tuple(Function.from_dict(each) for each in document["versions"]),
            Alias(Routing(**alias["routing"]), alias["note"], alias["revision"]) if alias else None,
            document["count"],
        )
