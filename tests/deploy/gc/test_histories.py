"""Whatever happened before: a collection removes nothing that a version, an alias or a build needs."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lambdapack.deploy import gc
from tests.support.aws_model import Model, pack_id

PACKS = st.integers(0, 5).map(pack_id)
FUNCTIONS = st.sampled_from(["one", "two"])


class Histories(RuleBasedStateMachine):
    """Builds, pushes, deployments, rollbacks, deletions of versions and collections, in any order."""

    @initialize(folder=st.integers(0, 2**64))
    def begin(self, folder: int) -> None:
        self.scratch = tempfile.TemporaryDirectory()
        self.builds = Path(self.scratch.name)
        self.model = Model()
        # Pack -> when somebody last relied on the pack or wrote the pack.
        self.relied: dict[str, float] = {}

    def teardown(self) -> None:
        if hasattr(self, "scratch"):
            self.scratch.cleanup()

    @rule(pack=PACKS)
    def build(self, pack: str) -> None:
        (self.builds / f"{pack}.tar.zst").write_bytes(b"pack")

    @rule(pack=PACKS)
    def build_elsewhere(self, pack: str) -> None:
        """Another machine's build replaces this one: nothing here names the pack any more."""
        (self.builds / f"{pack}.tar.zst").unlink(missing_ok=True)

    @rule(pack=PACKS)
    def push(self, pack: str) -> None:
        path = self.builds / "pushed"
        path.write_bytes(b"pack")
        self.model.store().push(path, pack)
        self.relied[pack] = self.model.now

    @rule(name=FUNCTIONS, pack=PACKS)
    def deploy(self, name: str, pack: str) -> None:
        self.push(pack)
        self.model.publish(name, pack)

    @precondition(lambda self: self.model.functions)
    @rule(name=FUNCTIONS, which=st.integers(0, 20))
    def roll_back(self, name: str, which: int) -> None:
        numbers = list(self.model.functions.get(name, {}))
        if numbers:
            self.model.aliases[name] = numbers[which % len(numbers)]

    @rule(name=FUNCTIONS, which=st.integers(0, 20))
    def delete_a_version(self, name: str, which: int) -> None:
        numbers = [each for each in self.model.functions.get(name, {}) if each != self.model.aliases[name]]
        if numbers:
            del self.model.functions[name][numbers[which % len(numbers)]]

    @rule(days=st.sampled_from([0.1, 1, 5, 10]))
    def time_passes(self, days: float) -> None:
        self.model.now += days * gc.DAY

    @rule(keep=st.sampled_from([None, 1, 2]), names=st.sets(FUNCTIONS))
    def collect(self, keep: int | None, names: set[str]) -> None:
        before = self.model.packs()
        versions = {name: dict(all_) for name, all_ in self.model.functions.items()}
        rules = gc.Rules(keep=keep, names=frozenset(names))
        scope = self.model.scope(self.builds)
        done = gc.collect(gc.plan(gc.look(scope, rules), rules), scope, rules)
        gone = before - self.model.packs()
        # What nothing needs, and nobody touched for a week, is all gone; what is young or built here stays.
        young = {one for one, when in self.relied.items() if self.model.now - when < gc.GRACE}
        built = {path.name.partition(".")[0] for path in self.builds.glob("*.tar.zst")}
        assert gone == before - self.model.needed() - young - built
        assert not done.stayed
        self._check_versions(versions, keep, names)

    def _check_versions(self, before: dict, keep: int | None, names: set[str]) -> None:
        for name, versions in before.items():
            left = self.model.functions[name]
            if keep is None or name not in names:
                assert left == versions
            newest = sorted(versions, key=int)[-(keep or len(versions)) :]
            assert set(newest) <= set(left)
            assert self.model.aliases[name] in left

    @invariant()
    def every_version_can_start(self) -> None:
        if hasattr(self, "model"):
            assert self.model.needed() <= self.model.packs()

    @invariant()
    def nothing_of_a_collection_is_left(self) -> None:
        if hasattr(self, "model"):
            assert not [key for key in self.model.objects if "/gc/" in key]


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
