"""The alias ``live`` as AWS describes and takes it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lambdapack.deploy.aws.models import ALIAS, ApiCall, Result
from lambdapack.deploy.shifting import ROLLED_BACK, AliasState, active, others_of, read, undo_move
from lambdapack.model import Routing


def described(answer: Mapping[str, Any]) -> AliasState:
    """What ``get_alias`` or ``update_alias`` answers."""
    others = (answer.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    other, weight = next(iter(others.items()), (None, 0.0))
    routing = Routing(str(answer["FunctionVersion"]), other, float(weight))
    return AliasState(routing, str(answer.get("Description") or ""), str(answer.get("RevisionId", "")))


def move_call(
    name: str, routing: Routing, note: str, why: str, *, revision: str | None, new: bool = False
) -> ApiCall:
    """The call that changes routing and note in one step; ``new`` where there is no alias yet.

    ``revision`` is that of the alias as it was seen: AWS refuses the call where it has another by then.
    """
    parameters: dict[str, Any] = {
        "FunctionName": name,
        "Name": ALIAS,
        "FunctionVersion": routing.version,
        "Description": note,
    }
    if new:
        return ApiCall("lambda", "create_alias", {k: v for k, v in parameters.items() if v}, why)
    weights = {} if routing.other is None else {routing.other: routing.weight}
    parameters["RoutingConfig"] = {"AdditionalVersionWeights": weights}
    if revision is not None:
        parameters["RevisionId"] = revision
    return ApiCall("lambda", "update_alias", parameters, why)


def at_once(name: str, version: str | Result, live: AliasState | None, seen: str | None) -> ApiCall:
    """The call that gives ``version`` all calls; ``seen`` is the version that the alias points to."""
    before = "" if seen is None or seen == version else f" instead of version {seen}"
    after = "the new version" if isinstance(version, Result) else f"version {version}"
    parameters: dict[str, Any] = {"FunctionName": name, "Name": ALIAS, "FunctionVersion": version}
    if live is not None and live.routing.other is not None:
        before += f", and version {live.routing.other} has no calls any more"
        # AWS keeps the weights of an alias that is moved without new ones.
        parameters["RoutingConfig"] = {"AdditionalVersionWeights": {}}
    if live is not None and read(live.note) is not None:
        parameters["Description"] = _note_after(live, version)
    return ApiCall(
        "lambda",
        "create_alias" if seen is None else "update_alias",
        parameters,
        f"{ALIAS} is {after}{before}",
    )


def _note_after(live: AliasState, version: str | Result) -> str:
    """What is left of a shift's note: why the shift was undone, or people's own words."""
    note = active(live)
    if note is not None and version == note.before:
        return undo_move(note, ROLLED_BACK).note
    return others_of(live.note)
