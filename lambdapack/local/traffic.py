"""The alias and the versions of a function of the local cloud, as a shift of calls sees them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from statistics import fmean

from lambdapack.deploy.shifting import AliasConflictError, AliasState, Health, Traffic
from lambdapack.errors import CheckError, ConfigurationError
from lambdapack.local.cloud import LocalCloud
from lambdapack.local.invocation import Invocation
from lambdapack.local.versions import Alias, AliasMovedError
from lambdapack.model import Routing

_ALARMS = "alarms.json"


class LocalTraffic(Traffic):
    """A function's alias and versions in a local cloud: a ``Traffic`` of ``lambdapack.deploy.shifting``.

    Alarms are those of ``alarms.json`` in the state folder, which whoever wants to try one writes:
    ``{"NAME": "ALARM"}`` or ``{"NAME": "OK"}``.

    Args:
        cloud: Where the function is.
        name: The function's name.
    """

    def __init__(self, cloud: LocalCloud, name: str) -> None:
        self._cloud = cloud
        self._name = name

    def alias(self) -> AliasState | None:
        """The alias; ``None`` before the first deployment."""
        versions = self._cloud.functions.find(self._name)
        return _state(versions.alias) if versions and versions.alias else None

    def route(self, routing: Routing, note: str, *, revision: str | None) -> AliasState:
        """Change routing and note in one step, if the alias is as it was seen.

        Raises:
            AliasConflictError: It was changed meanwhile; nothing was done.
            ToolError: There is no such version, or the note is too long.
        """
        seen = int(revision) if revision else None
        try:
            return _state(self._cloud.functions.route(self._name, routing, note, seen=seen))
        except AliasMovedError as error:
            raise AliasConflictError(error.message, hint=error.hint) from error

    def health(self, version: str, since: datetime) -> Health:
        """How the calls of ``version`` through the alias went that ended since then."""
        calls = [
            call
            for call in self._cloud.functions.records.metrics.calls(self._name, since)
            if call.live and call.version == version
        ]
        inits = [call.init_ms for call in calls if call.init_ms is not None]
        return Health(
            len(calls),
            sum(call.error for call in calls),
            fmean(call.duration_ms for call in calls) if calls else None,
            fmean(inits) if inits else None,
        )

    def smoke(self, version: str, payload: bytes) -> str | None:
        """Call ``version`` by its number; why the call failed, ``None`` where it did not."""
        try:
            done = self._cloud.invoke(self._name, payload, qualifier=version)
        except CheckError as error:
            # Its snapshot cannot be taken.
            return error.message
        return _reason(done) if done.error else None

    def alarms(self, names: Sequence[str]) -> list[str]:
        """Those of the named alarms that are in alarm.

        Raises:
            ConfigurationError: An alarm is not in ``alarms.json``.
        """
        if not names:
            return []
        path = self._cloud.state / _ALARMS
        try:
            states = dict(json.loads(path.read_bytes()))
        except FileNotFoundError:
            states = {}
        except (ValueError, TypeError) as error:
            raise ConfigurationError(f"reading {path}: no object of alarms ({error})") from None
        if missing := [name for name in names if name not in states]:
            raise ConfigurationError(
                f"looking at alarms: there is no {missing[0]!r} in {path}",
                hint=f'the local cloud has the alarms of that file: {{"{missing[0]}": "OK"}}, or "ALARM"',
            )
        return [name for name in names if states[name] == "ALARM"]


def _state(alias: Alias) -> AliasState:
    return AliasState(alias.routing, alias.note, str(alias.revision))


def _reason(done: Invocation) -> str:
    """What a failed invocation answered, in one line."""
    try:
        answer = json.loads(done.payload)
        return f"{answer['errorType']}: {answer['errorMessage']}"
    except (ValueError, KeyError, TypeError):
        return done.payload.decode(errors="replace")[:500]
