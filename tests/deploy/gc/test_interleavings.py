"""A deployment and a collection at the same time, in every order of their calls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lambdapack.deploy import gc
from lambdapack.store import leases
from tests.support.aws_model import Model, pack_id
from tests.support.turns import BLOCKED, Turns, orders

OLD, OTHER = pack_id("old"), pack_id("other")
WORDS = ("leases", "gc", "packs", "head_object", "list_functions", "publish", "delete_object", BLOCKED)
"""The calls whose order matters: others read or write what the other side does not touch."""


def unneeded() -> Model:
    """A pack that a month ago somebody pushed, and that nothing names."""
    model = Model()
    model.objects[f"team/packs/{OLD[:2]}/{OLD}.tar.zst"] = (b"pack", model.now)
    model.now += 30 * gc.DAY
    return model


def replaced() -> Model:
    """A version with the pack, that another one replaced a month ago."""
    model = Model()
    for pack in (OLD, OTHER):
        model.objects[f"team/packs/{pack[:2]}/{pack}.tar.zst"] = (b"pack", model.now)
        model.publish("demo", pack)
    model.now += 30 * gc.DAY
    return model


def play(make: Callable[[], Model], folder: Path) -> Callable[[list[str]], Turns]:
    path = folder / "pack"
    path.write_bytes(b"pack")
    rules = gc.Rules(keep=1, names=frozenset({"demo"}))

    def once(choices: list[str]) -> Turns:
        model = make()
        scope = model.scope()
        shown = gc.plan(gc.look(scope, rules), rules)
        assert shown.objects

        def deploy() -> None:
            model.store().push(path, OLD)
            model.publish("demo", OLD)

        turns = Turns({"deploy": deploy, "gc": lambda: gc.collect(shown, scope, rules)}, choices)

        def step(label: str) -> None:
            if any(word in label for word in WORDS):
                turns.step(label)

        def check() -> None:
            broken = model.needed() - model.packs()
            assert not broken, f"a version lacks its pack after {turns.made}"

        model.step = step
        turns.run(check)
        assert not [key for key in model.objects if "/gc/" in key]
        return turns

    return once


@pytest.mark.parametrize("make", [unneeded, replaced])
def test_no_order_takes_a_pack_from_a_deployment(make: Callable[[], Model], tmp_path: Path) -> None:
    """In each order every version has its pack at every moment, also while both are at work."""
    played = list(orders(play(make, tmp_path)))
    assert len(played) > 200
    made = [{label for _, label in turns.made} for turns in played]
    # Some orders remove the pack, in some the deployment waits: the cases that matter are among them.
    assert any("delete_objects" in labels for labels in made)
    assert any(BLOCKED in labels for labels in made)
    assert any("put_object packs" in labels for labels in made)


def test_without_a_lease_some_order_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The orders that are played are those that would show the fault."""
    monkeypatch.setattr(leases, "take", lambda *_, **__: None)
    with pytest.raises(AssertionError, match="a version lacks its pack"):
        list(orders(play(unneeded, tmp_path)))


def test_without_a_mark_some_order_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same of a deployment that does not heed the mark of a collection."""
    monkeypatch.setattr(leases, "_await_collections", lambda *_: None)
    with pytest.raises(AssertionError, match="a version lacks its pack"):
        list(orders(play(unneeded, tmp_path)))
