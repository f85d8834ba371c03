"""What may go. Pure: this module asks no service.

A pack stays for any of these reasons, and goes only where there is none:

- a version of any function that was looked at names its id, wherever the pack lies;
- a build on this machine made the pack;
- the pack, or the last lease on the pack, was written within the grace period.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace

from lambdapack.deploy.gc.models import (
    LATEST,
    GcPlan,
    Kept,
    KnownLayer,
    KnownVersion,
    Removal,
    Rules,
    Seen,
    identity,
)
from lambdapack.errors import CheckError
from lambdapack.progress import ago
from lambdapack.store import Stored


def plan(seen: Seen, rules: Rules) -> GcPlan:
    """What goes, and what stays for which reason.

    Raises:
        CheckError: Lambda did not show what some version needs.
    """
    _refuse_unreadable(seen.versions)
    versions, kept = _old_versions(seen, rules)
    gone = {identity(removal.what) for removal in versions}
    left = [version for version in seen.versions if identity(version) not in gone]
    needed = _Needed(left, seen, rules)
    layers = [_verdict(layer, needed.layer(layer), "no function has this layer") for layer in seen.layers]
    objects = [_verdict(stored, needed.stored(stored), _unneeded(stored)) for stored in seen.objects]
    return GcPlan(
        tuple(versions),
        tuple(verdict for verdict in layers if isinstance(verdict, Removal)),
        tuple(verdict for verdict in objects if isinstance(verdict, Removal)),
        (*kept, *(verdict for verdict in (*layers, *objects) if isinstance(verdict, Kept))),
    )


def without(seen: Seen, gone: Iterable[KnownVersion]) -> Seen:
    """What is left once versions are gone."""
    names = {identity(version) for version in gone}
    return replace(seen, versions=tuple(one for one in seen.versions if identity(one) not in names))


def confirmed(shown: GcPlan, again: GcPlan) -> GcPlan:
    """Of a plan that was made anew, what the user was shown and what has not changed since."""
    agreed = {(identity(one.what), one.what) for one in shown.removals}

    def both(removals: tuple[Removal, ...]) -> tuple[Removal, ...]:
        return tuple(one for one in removals if (identity(one.what), one.what) in agreed)

    return GcPlan(both(again.versions), both(again.layers), both(again.objects), again.kept)


def _refuse_unreadable(versions: Iterable[KnownVersion]) -> None:
    hidden = sorted(
        {f"{version.function} in {version.region}" for version in versions if not version.readable}
    )
    if hidden:
        raise CheckError(
            "these credentials may not read the environment variables of "
            f"{', '.join(hidden[:5])}{' and others' if len(hidden) > 5 else ''}, so the packs that they "
            "need are not known: nothing is removed",
            hint="allow kms:Decrypt with their keys, or say that a function needs no pack: --ignore NAME",
        )


def _old_versions(seen: Seen, rules: Rules) -> tuple[list[Removal], list[Kept]]:
    """The published versions of ours beyond the newest ``keep`` of each function, and why others stay."""
    if rules.keep is None:
        return [], []
    removals, kept = [], []
    for published in _published(seen.versions, rules.names):
        # Newest first; the first of them was replaced by none.
        replaced = [None, *(version.modified for version in published[:-1])]
        pairs = list(zip(published, replaced, strict=True))
        for version, when in pairs[rules.keep :]:
            why = _held(version, when, seen, rules)
            if why:
                kept.append(Kept(version, why))
            else:
                removals.append(Removal(version, f"not among the newest {rules.keep}"))
    return removals, kept


def _published(versions: Iterable[KnownVersion], names: frozenset[str]) -> Iterator[list[KnownVersion]]:
    """The published versions of each function of ``names``, newest first."""
    by_function: dict[tuple[str, str], list[KnownVersion]] = defaultdict(list)
    for version in versions:
        if version.function in names and version.number != LATEST:
            by_function[version.region, version.function].append(version)
    for published in by_function.values():
        yield sorted(published, key=lambda version: int(version.number), reverse=True)


def _held(version: KnownVersion, replaced: float | None, seen: Seen, rules: Rules) -> str:
    """Why an old version stays; ``""`` where nothing holds the version."""
    if not version.ours:
        return "lambdapack did not publish it"
    if version.arn in seen.held:
        return seen.held[version.arn]
    # Until then callers had this one, and a rollback may still be wanted.
    last = max(version.modified, replaced if replaced is not None else seen.now)
    if seen.now - last < rules.grace:
        return f"was the newest {_since(last, seen.now)}"
    return ""


class _Needed:
    """Why things stay, given the versions that are ``left``."""

    def __init__(self, left: Iterable[KnownVersion], seen: Seen, rules: Rules) -> None:
        self._now, self._grace, self._builds = seen.now, rules.grace, seen.builds
        self._packs: dict[str, str] = {}
        self._zips: dict[str, str] = {}
        self._layers: dict[str, str] = {}
        for version in left:
            for users, names in (
                (self._packs, version.ids),
                (self._zips, {version.code}),
                (self._layers, version.layers),
            ):
                users.update(dict.fromkeys(names, version.name))
        self._leases: dict[str, float] = {}
        for stored in seen.objects:
            if stored.kind == "lease":
                # The same pack may lie in several buckets: a lease on one copy is a lease on all.
                newest = max(stored.modified, self._leases.get(stored.digest, 0.0))
                self._leases[stored.digest] = newest

    def stored(self, stored: Stored) -> str:
        """Why an object stays; ``""``: nothing needs the object."""
        if stored.kind == "lease":
            return self._young(stored.modified, "left")
        users = self._packs if stored.kind == "pack" else self._zips
        if stored.digest in users:
            return f"{users[stored.digest]} needs it"
        if stored.digest in self._builds:
            return "a build on this machine made it"
        lease = self._leases.get(stored.digest, 0.0) if stored.kind == "pack" else 0.0
        return self._young(stored.modified, "written") or self._young(lease, "pushed or deployed")

    def layer(self, layer: KnownLayer) -> str:
        """Why a layer stays; ``""``: nothing needs the layer."""
        if layer.arn in self._layers:
            return f"{self._layers[layer.arn]} needs it"
        if layer.shared:
            return "others were given the right to use it"
        return self._young(layer.created, "made")

    def _young(self, moment: float, what: str) -> str:
        return f"{what} {_since(moment, self._now)}" if self._now - moment < self._grace else ""


def _since(moment: float, now: float) -> str:
    return f"{ago(max(1.0, now - moment))} ago"


def _unneeded(stored: Stored) -> str:
    if stored.kind == "lease":
        return "a lease that has ended"
    return f"no version that was looked at {'names it' if stored.kind == 'pack' else 'has this code'}"


def _verdict(thing: KnownLayer | Stored, stays: str, goes: str) -> Removal | Kept:
    return Kept(thing, stays) if stays else Removal(thing, goes)
