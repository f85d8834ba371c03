"""Wheels of a lock's sdists, built in a container and kept by what decides their bytes."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from lambdapack.files import new_folder
from lambdapack.install.docker.image_pip import VARIABLES, ImagePip
from lambdapack.memo import CacheFolder
from lambdapack.model import Lock, Pin
from lambdapack.progress import Advance, Progress
from lambdapack.python import toolchain
from lambdapack.python.wheel_recipe import recipe

_NOTE_CHARACTERS = 80


def locked_wheels(
    pip: ImagePip, lock: Lock, tools: Path, destination: Path, *, cache_dir: Path, progress: Progress
) -> tuple[Pin, ...]:
    """Copy a wheel of each sdist of ``lock`` into ``destination``; those in the cache are not built again.

    Returns:
        Pins for the wheels.

    Raises:
        ToolError: A wheel cannot be built; says what the image lacks for it.
    """
    pins = []
    sdists = [pin for pin in lock.pins if pin.name in lock.built]
    with progress.step("build sdists", total=len(sdists), unit="sdists") as advance:
        for pin in sdists:
            folder = CacheFolder.WHEELS.of(cache_dir) / _key(pin, lock, pip)
            if not folder.is_dir():
                pip.bring(tools)
                with new_folder(folder) as made:
                    _build(pip, pin, lock, made.path, advance)
            wheel = next(folder.glob("*.whl"))
            shutil.copyfile(wheel, destination / wheel.name)
            digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
            pins.append(Pin(pin.name, pin.version, (f"sha256:{digest}",)))
            advance(1, note=wheel.name)
    return tuple(pins)


def _key(pin: Pin, lock: Lock, pip: ImagePip) -> str:
    """The name of the folder for the wheel of ``pin``, with a digest of all that decides its bytes."""
    decisive = [
        str(lock.target),
        pip.image.id,
        sorted(pin.hashes),
        sorted(VARIABLES.items()),
        recipe(pip.sources),
        toolchain.requirements(lock.target.python),
    ]
    digest = hashlib.sha256(json.dumps(decisive).encode()).hexdigest()
    return f"{pin.name}-{pin.version}-{digest[:16]}"


def _build(pip: ImagePip, pin: Pin, lock: Lock, destination: Path, advance: Advance) -> None:
    def note_last_line(data: bytes) -> None:
        lines = pip.readable(data).strip().splitlines()
        if lines:
            advance(0, note=f"{pin.name}: {lines[-1].strip()[:_NOTE_CHARACTERS]}")

    pip.build_wheel(
        Lock(lock.target, lock.glibc, (pin,), ()).text,
        destination,
        options=lock.sources,
        doing=f"building {pin.name} {pin.version} from its sdist in {pip.image.name}",
        arguments=["--require-hashes"],
        output=note_last_line,
    )
