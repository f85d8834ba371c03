"""Install a lock with its bytecode, and take from the build cache what it has of it."""

from __future__ import annotations

from pathlib import Path

from lambdapack import install as build_stage
from lambdapack.memo import tool_digest
from lambdapack.model import Lock, Tree
from lambdapack.pipeline.cache import Store, Trees
from lambdapack.pipeline.options import version_of
from lambdapack.progress import Progress
from lambdapack.python.wheel_recipe import recipe

__all__ = ["install"]


def install(
    lock: Lock,
    destination: Path,
    workshop: build_stage.Workshop,
    store: Store,
    *,
    jobs: int | None,
    progress: Progress,
) -> tuple[Tree, int]:
    """Install a lock and compile it to bytecode; the tree, and how many distributions the cache had."""

    def fresh(part: Lock, root: Path) -> Tree:
        tree = workshop.unpack(part, root, progress=progress)
        workshop.compile_tree(tree.root, jobs=jobs, progress=progress)
        return tree

    python = workshop.interpreter
    made_by = [
        *(tool_digest(), version_of("pip"), str(lock.target), lock.glibc),
        *(python.version, python.machine, dict(workshop.identity)),
    ]
    how = recipe(lock.sources) if lock.built else None
    trees = Trees(store, made_by, dict.fromkeys(lock.built, how))
    reused = trees.install(lock, destination, fresh)
    tree = build_stage.read_tree(destination, lock.target)
    return workshop.complete(tree, lock, progress=progress), reused
