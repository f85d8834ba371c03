"""One row: install, weigh, slim, pack, unpack, run."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.slimming.rows import Row
from benchmarks.slimming.zipped import weight
from lambdapack import lock, pack, trace
from lambdapack.install import LocalBuilder, LocalWorkshop, read_tree
from lambdapack.memo import tool_digest
from lambdapack.model import Lock, Pin, Tree
from lambdapack.model.target import Target
from lambdapack.pack.extract import extract
from lambdapack.pipeline.cache.build_cache import open_cache
from lambdapack.pipeline.options import BuildOptions
from lambdapack.progress import Progress
from lambdapack.python import pip, wheel_tags
from lambdapack.python.interpreter import Interpreter
from lambdapack.slim import SlimOptions, slim

__all__ = ["Figures", "measure", "weigh"]


@dataclass(frozen=True)
class Figures:
    """A row's results, sizes in bytes.

    Attributes:
        name: The row's.
        version: Of the package.
        target, glibc: What it was built for.
        distributions: How many, with its dependencies.
        installed: As ``pip install --target`` leaves it, pip's bytecode included.
        zipped: ``zip -9`` of that.
        zipped_without_bytecode: ``zip -9`` of that after removing ``__pycache__``.
        slimmed: After slimming, bytecode included.
        pack: The pack.
        rules: Rule -> bytes that it saved, of all distributions.
        restored: Rules that were taken back, and why.
        modules, skipped: How many modules were imported before and after, and which could not be compared.
        remark: The row's.
        inputs: SHA-256 over what decides all this.
    """

    name: str
    version: str
    target: str
    glibc: str
    distributions: int
    installed: int
    zipped: int
    zipped_without_bytecode: int
    slimmed: int
    pack: int
    rules: Mapping[str, int]
    restored: tuple[str, ...]
    modules: int
    skipped: Mapping[str, str]
    remark: str
    inputs: str


def measure(row: Row, folder: Path, known: Mapping[str, Any] | None, progress: Progress) -> dict[str, Any]:
    """The figures of ``row``; ``known`` ones where nothing that decides them has changed.

    Args:
        row: What to measure.
        folder: Kept from run to run: the installed tree, and what its zip weighs.
        known: Figures of an earlier run.
        progress: Told about each step.

    Raises:
        LambdapackError: A stage failed, or the row's code fails on the unpacked pack.
    """
    target = Target(row.python)
    with LocalBuilder().open(target, cache_dir=folder / "cache", progress=progress) as shop:
        tree, locked, weights = _installed(row, target, shop, folder, progress)
        inputs = hashlib.sha256(f"{locked.digest} {tool_digest()} {row!r}".encode()).hexdigest()
        if known is not None and known["inputs"] == inputs:
            return dict(known)
        with tempfile.TemporaryDirectory(dir=folder, prefix="work-") as name:
            work = Path(name)
            program = trace.Program(_options(row, work).trace, locked, shop, work, progress)
            traced = program.trace(tree)
            slimmed = slim(tree, traced, SlimOptions(), program=program, work=work, progress=progress)
            memo = open_cache(folder / "cache", progress)
            made = pack.write(
                slimmed.tree, traced, locked.digest, work / "pack", memo=memo, progress=progress
            )
            extract(made.path, work / "unpacked", progress=progress)
            _run(row, work / "unpacked", work, shop.interpreter)
            size = made.path.stat().st_size
    rules: Counter[str] = Counter()
    for one in slimmed.report.dropped:
        rules[one.rule] += one.bytes
    versions = {one.name: one.version for one in tree.distributions}
    return asdict(
        Figures(
            name=row.name,
            version=versions[row.name],
            target=str(target),
            glibc="{}.{}".format(*locked.glibc),
            distributions=len(tree.distributions),
            slimmed=slimmed.report.slimmed_bytes,
            pack=size,
            rules=dict(rules.most_common()),
            restored=slimmed.restored,
            modules=slimmed.imports.modules,
            skipped=slimmed.imports.skipped,
            remark=row.remark,
            inputs=inputs,
            **weights,
        )
    )


def weigh(row: Row, folder: Path, progress: Progress) -> dict[str, int]:
    """Install ``row`` and weigh its tree; the rest of ``measure`` needs that once."""
    target = Target(row.python)
    with LocalBuilder().open(target, cache_dir=folder / "cache", progress=progress) as shop:
        return _installed(row, target, shop, folder, progress)[2]


def _installed(
    row: Row, target: Target, shop: LocalWorkshop, folder: Path, progress: Progress
) -> tuple[Tree, Lock, dict[str, int]]:
    """The row's tree, installed once and kept with its lock and its weights."""
    kept = folder / "trees" / row.name
    facts = kept / "facts.json"
    if not facts.is_file():
        shutil.rmtree(kept, ignore_errors=True)
        locked = _locked(row, target, shop, folder, progress)
        tree = shop.unpack(locked, kept / "tree", progress=progress)
        shop.compile_tree(tree.root, progress=progress)
        places = [tree.root, *([_excluded(row, kept / "excluded", locked)] if row.exclude else [])]
        with progress.step("weigh"):
            weighed = _weighed(places, folder / "deflated.json")
        weights = {key: sum(one[key] for one in weighed) for key in weighed[0]}
        facts.write_text(json.dumps({"lock": _lock_to_json(locked), "weights": weights}))
    known = json.loads(facts.read_text())
    return read_tree(kept / "tree", target), _lock_from_json(known["lock"], target), known["weights"]


def _weighed(places: list[Path], kept: Path) -> list[dict[str, int]]:
    known: dict[str, int] = json.loads(kept.read_text()) if kept.is_file() else {}
    found = [weight(place, known) for place in places]
    kept.write_text(json.dumps(known))
    return found


def _excluded(row: Row, place: Path, locked: Lock) -> Path:
    """What pip would install besides."""
    major, minor = locked.glibc
    platforms = [f"--platform={name}" for name in wheel_tags.platforms(locked.target, (major, minor))]
    command = [
        "install",
        "--no-deps",
        "--no-compile",
        "--only-binary=:all:",
        "--target",
        str(place),
        *platforms,
    ]
    pip.run([*command, f"--python-version={row.python}", *row.exclude], doing="installing what is left out")
    return place


def _locked(row: Row, target: Target, shop: LocalWorkshop, folder: Path, progress: Progress) -> Lock:
    wanted = lock.read_requirements(row.requirements or (row.name,), ())
    return lock.resolve(
        wanted,
        target,
        shop.interpreter,
        options=lock.LockOptions(row.glibc, frozenset(row.exclude)),
        cache_dir=folder / "cache",
        place=shop.place,
        progress=progress,
    )


def _lock_to_json(locked: Lock) -> dict[str, Any]:
    return {
        "glibc": locked.glibc,
        "requested": locked.requested,
        "pins": [(pin.name, pin.version, pin.hashes) for pin in locked.pins],
    }


def _lock_from_json(kept: Mapping[str, Any], target: Target) -> Lock:
    pins = tuple(Pin(name, version, tuple(hashes)) for name, version, hashes in kept["pins"])
    major, minor = kept["glibc"]
    return Lock(target, (major, minor), pins, tuple(kept["requested"]))


def _options(row: Row, work: Path) -> BuildOptions:
    return BuildOptions((row.name,), (), Target(row.python), work / "out", glibc=row.glibc)


def _run(row: Row, root: Path, work: Path, python: Interpreter) -> None:
    """Run the row's code on the unpacked pack, and nothing else of this machine but its Python."""
    trace.run(read_tree(root, Target(row.python)), python, row.code, options=trace.TraceOptions(timeout=600))
