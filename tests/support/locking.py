"""What tests of locks share: this machine's Python as a target, and the folder of a package to build."""

from __future__ import annotations

import sys
from pathlib import Path

from lambdapack.model import Lock, Target
from lambdapack.python import interpreter

RUNNING = interpreter.find(".".join(map(str, sys.version_info[:2])))
TARGET = Target(RUNNING.python, "x86_64")
# A build backend of its own: nothing has to be fetched to build with it.
BACKEND = """
import os, zipfile

def build_wheel(folder, settings=None, metadata=None):
    name = "pure_thing-1.5-" + TAG + ".whl"
    info = "pure_thing-1.5.dist-info/"
    with zipfile.ZipFile(os.path.join(folder, name), "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.write("pure_thing.py")
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: pure-thing\\nVersion: 1.5\\n"
                       "Provides-Extra: more\\nRequires-Dist: helper\\n"
                       "Requires-Dist: extra; extra == 'more'\\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: " + TAG + "\\n")
        wheel.writestr(info + "RECORD", "pure_thing.py,,\\n")
    open("left-behind", "w").close()
    return name
"""
PROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def package(folder: Path, tag: str = "py3-none-any") -> Path:
    """The folder of a package called pure-thing."""
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "backend.py").write_text(f"TAG = {tag!r}\n{BACKEND}")
    (folder / "pure_thing.py").write_text("VALUE = 1\n")
    return folder


def versions(lock: Lock) -> dict[str, str]:
    """Name -> version of every pin."""
    return {pin.name: pin.version for pin in lock.pins}
