"""``lambdapack verify``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lambdapack.cli.session import Session, common, stoppable
from lambdapack.errors import CheckError, ConfigurationError


@click.command("verify", short_help="Check every digest of a pack.")
@click.argument("pack_path", required=False, type=click.Path(path_type=Path), metavar="[PACK]")
@click.option("--rebuild", is_flag=True, help="Build it again from build.json, and compare every byte.")
@click.option("--jobs", type=click.IntRange(1), metavar="N", help="Cores to use.  [default: all]")
@stoppable
@common
def command(session: Session, pack_path: Path | None, rebuild: bool, jobs: int | None) -> None:
    """Check every digest of PACK, a .tar.zst or the folder that it was built into with its assets.

    PACK may also be a function's zip, or a layer of lambdapack layer: then the packs in it, and in the layers
    beside it, are put together and checked.

    Exit status 1 when anything is wrong; every problem is listed. With --rebuild also when a build from
    scratch, of the same lock in the same image, gives other bytes.

    \b
    Examples:
      lambdapack verify
      lambdapack verify .lambdapack/build/0f3a….tar.zst
      lambdapack verify .lambdapack/hello.zip
      lambdapack verify --rebuild
    """
    from lambdapack import pack
    from lambdapack.pack import assets

    if pack_path is not None and pack_path.suffix == ".zip":
        if rebuild:
            raise ConfigurationError(
                "--rebuild takes a build's pack, not a zip", hint="lambdapack verify --rebuild"
            )
        _verify_zip(session, pack_path)
        return
    path = session.pack_file(pack_path)
    packs = {"": path}
    if pack_path is None or not pack_path.name.endswith(".tar.zst"):
        packs.update((asset.name, path.parent / asset.pack) for asset in assets.read(path.parent))
    problems = {name: pack.verify(file) for name, file in packs.items()}
    differing = _rebuilt(session, path, jobs) if rebuild and not any(problems.values()) else None
    session.emit("verify", _document(packs, problems, differing))
    _tell(session, packs, problems)
    if differing:
        from lambdapack.pipeline import failure

        raise failure(path, differing)
    if differing is not None:
        session.say(f"{path}: built again from scratch, every byte is the same")


def _verify_zip(session: Session, path: Path) -> None:
    from lambdapack import deploy, pack
    from lambdapack.files import scratch_folder

    with scratch_folder() as folder:
        found = deploy.shipped(path, folder)
        problems = {
            each.asset: [f"{part} is not in {path.name}, nor in a layer beside it" for part in each.missing]
            + (pack.verify(each.path) if each.path else [])
            for each in found
        }
    packs = [
        {"asset": each.asset, "pack": each.pack_id, "where": each.where, "checked": each.path is not None,
         "problems": problems[each.asset]}
        for each in found
    ]  # fmt: skip
    session.emit("verify-zip", {"zip": str(path), "sound": not any(problems.values()), "packs": packs})
    for each in found:
        what = f"{path}: asset {each.asset}" if each.asset else f"{path}: pack {each.pack_id[:12]}"
        if problems[each.asset]:
            listed = "\n".join(f"  {problem}" for problem in problems[each.asset])
            raise CheckError(f"{what} is not sound:\n{listed}", hint="package it again: lambdapack package")
        session.say(
            f"{what}: " + ("sound" if each.path else f"read from {each.where}, which was not looked at")
        )


def _document(
    packs: dict[str, Path], problems: dict[str, list[str]], differing: list[str] | None
) -> dict[str, Any]:
    """The verdict on each pack; files and problems are by asset, those of the pack itself under ``""``."""
    pack, *others = [
        {"asset": name, "pack": str(file), "sound": not problems[name], "problems": problems[name]}
        for name, file in packs.items()
    ]
    del pack["asset"]
    rebuilt = {} if differing is None else {"differences": differing}
    return {**pack, **rebuilt, "assets": others}


def _tell(session: Session, packs: dict[str, Path], problems: dict[str, list[str]]) -> None:
    for name, file in packs.items():
        if problems[name]:
            listed = "\n".join(f"  {problem}" for problem in problems[name])
            raise CheckError(f"{file} is not sound:\n{listed}", hint="build it again: lambdapack build")
        session.say(f"{file}: sound")


def _rebuilt(session: Session, path: Path, jobs: int | None) -> list[str]:
    from lambdapack import pipeline
    from lambdapack.install import BuildLimits

    config = session.config
    local = pipeline.LocalInputs(
        session.root / config.function.source,
        session.assets,
        BuildLimits(config.build.image_timeout, config.build.image_memory),
    )
    return pipeline.rebuild(path, local, jobs=jobs, progress=session.progress)
