"""Look, and remove: versions, then layers, then objects, after a second look that nothing can slip past.

The first look is for the user. The second one is made under a mark that pushes and deployments heed
(``lambdapack/store/leases.py``), and only what both looks found unneeded, and unchanged, is removed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from lambdapack.deploy.aws import Clients
from lambdapack.deploy.aws.errors import errors_of_aws
from lambdapack.deploy.gc import observer
from lambdapack.deploy.gc.models import (
    GcPlan,
    KnownLayer,
    KnownVersion,
    Removal,
    Rules,
    Seen,
    Thing,
)
from lambdapack.deploy.gc.plan import confirmed, plan, without
from lambdapack.progress import QUIET, Progress
from lambdapack.store import PrunableStore, Stored
from lambdapack.store.aws_errors import code_of

_GONE = frozenset({"ResourceNotFoundException"})
_IN_USE = frozenset({"ResourceConflictException"})


@dataclass(frozen=True)
class Scope:
    """Where a collection looks.

    Attributes:
        stores: The locations of packs: the project's own, and those of its copies.
        clients: Region -> AWS's clients there; functions in these regions are asked what they need.
        builds: Folders of builds on this machine.
        ignored: Functions that need no pack, as the user says, and whose environment may be hidden.
    """

    stores: Sequence[PrunableStore]
    clients: Mapping[str, Clients]
    builds: Sequence[Path] = ()
    ignored: Collection[str] = ()


@dataclass(frozen=True)
class Collected:
    """What became of a plan.

    Attributes:
        gone: What was removed.
        stayed: What was shown and stayed after all, each with the reason.
    """

    gone: tuple[Thing, ...] = ()
    stayed: tuple[tuple[Thing, str], ...] = ()

    def __add__(self, other: Collected) -> Collected:
        return Collected(self.gone + other.gone, self.stayed + other.stayed)


def look(scope: Scope, rules: Rules, beat: Callable[[], None] = lambda: None) -> Seen:
    """Read everything: first what is kept and leased, then who needs what.

    A lease that is not there any more belongs to a deployment whose version is there: this order misses none.

    Raises:
        LambdapackError: Something could not be read: then nothing may be removed.
    """
    contents = [store.contents(beat) for store in scope.stores]
    versions: list[KnownVersion] = []
    layers: list[KnownLayer] = []
    held: dict[str, str] = {}
    for clients in scope.clients.values():
        versions += observer.versions(clients, scope.ignored, beat)
        layers += observer.layers(clients, beat)
        if rules.keep is not None:
            names = {one.function for one in versions if one.region == clients.region}
            held |= observer.held(sorted(names & rules.names), clients)
    seen = Seen(
        max((one.now for one in contents), default=0.0),
        tuple(stored for one in contents for stored in one.objects),
        tuple(upload for one in contents for upload in one.uploads),
        tuple(versions),
        tuple(layers),
        held,
        observer.builds(scope.builds),
    )
    return replace(seen, held=held | _callable(seen, rules, scope))


def _callable(seen: Seen, rules: Rules, scope: Scope) -> dict[str, str]:
    """The versions that would go, and that others were given the right to call."""
    going = [removal.what for removal in plan(replace(seen, objects=(), layers=()), rules).versions]
    return {
        version.arn: "others were given the right to call it"
        for version in going
        if isinstance(version, KnownVersion) and observer.invokers(version, scope.clients[version.region])
    }


def collect(shown: GcPlan, scope: Scope, rules: Rules, *, progress: Progress = QUIET) -> Collected:
    """Remove what ``shown`` names and what a second look still finds unneeded.

    Every step is complete in itself: after a failure in the middle, the next collection goes on.

    Raises:
        LambdapackError: AWS refused or was not reached; what was removed until then is gone.
    """
    with ExitStack() as marks:
        beats = [marks.enter_context(store.collecting()) for store in scope.stores]

        def beat() -> None:
            for renew in beats:
                renew()

        with progress.step("look again"):
            seen = look(scope, rules, beat)
        agreed = confirmed(shown, plan(seen, rules))
        done = _changed(shown, agreed)
        done += _each(agreed.versions, _remove_version, scope, progress)
        # A version that stayed needs its pack.
        left = without(seen, [one for one in done.gone if isinstance(one, KnownVersion)])
        rest = confirmed(agreed, plan(left, replace(rules, keep=None)))
        done += _each(rest.layers, _remove_layer, scope, progress)
        return done + _objects(rest.objects, scope, beat, progress)


def _changed(shown: GcPlan, agreed: GcPlan) -> Collected:
    still = {removal.what for removal in agreed.removals}
    changed = [removal.what for removal in shown.removals if removal.what not in still]
    return Collected(stayed=tuple((what, "came into use, or was written, meanwhile") for what in changed))


def _each(
    removals: Sequence[Removal],
    remove: Callable[[Thing, Mapping[str, Clients]], str],
    scope: Scope,
    progress: Progress,
) -> Collected:
    done = Collected()
    if not removals:
        return done
    with progress.step("remove versions and layers", total=len(removals)) as advance:
        for removal in removals:
            why = remove(removal.what, scope.clients)
            done += Collected(stayed=((removal.what, why),)) if why else Collected((removal.what,))
            advance()
    return done


def _remove_version(version: Thing, clients: Mapping[str, Clients]) -> str:
    """Why Lambda did not remove the version; ``""`` where the version is gone."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - slow

    assert isinstance(version, KnownVersion)
    with errors_of_aws(f"deleting {version.name}", action="lambda:DeleteFunction", resource=version.function):
        try:
            clients[version.region]["lambda"].delete_function(
                FunctionName=version.function, Qualifier=version.number
            )
        except ClientError as error:
            if code_of(error) in _IN_USE:
                return f"Lambda says that it is in use: {error.response['Error'].get('Message', '')}"
            if code_of(error) not in _GONE:
                raise
    return ""


def _remove_layer(layer: Thing, clients: Mapping[str, Clients]) -> str:
    assert isinstance(layer, KnownLayer)
    with errors_of_aws(f"deleting {layer.name}", action="lambda:DeleteLayerVersion", resource=layer.arn):
        # Lambda takes a layer that is gone for deleted.
        clients[layer.region]["lambda"].delete_layer_version(
            LayerName=layer.layer, VersionNumber=layer.number
        )
    return ""


def _objects(
    removals: Sequence[Removal], scope: Scope, beat: Callable[[], None], progress: Progress
) -> Collected:
    done = Collected()
    things = [removal.what for removal in removals if isinstance(removal.what, Stored)]
    with progress.step("remove objects", total=len(things)) as advance:
        # The longest prefix first: one location may lie within another.
        for store in sorted(scope.stores, key=lambda each: len(each.url), reverse=True):
            mine = [one for one in things if one.url.startswith(f"{store.url}/")]
            things = [one for one in things if one not in mine]
            if mine:
                gone, refused = store.remove(mine, beat)
                done += Collected(tuple(gone), tuple(refused))
                advance(len(mine))
    return done
