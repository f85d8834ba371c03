"""What is in the wheels of a lock, without downloading them."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lambdapack.errors import ToolError
from lambdapack.lock.resolver.driver_process import FOLDER
from lambdapack.model import Lock, Wheel, WheelFile
from lambdapack.progress import Progress
from lambdapack.python import pip, wheel_tags
from lambdapack.python.worker import end_group

_WORKER = Path(__file__).with_name("contents_worker.py")


def wheel_contents(lock: Lock, progress: Progress) -> tuple[Wheel, ...]:
    """The wheels of ``lock``, by name; of what is locked as an sdist nothing is known, and none is returned.

    Each wheel's last bytes are asked for; where a server gives no ranges the whole wheel is fetched.

    Raises:
        ToolError: A wheel cannot be reached, or read.
    """
    pins = [pin for pin in lock.pins if pin.name not in lock.built]
    if not pins:
        return ()
    request = {
        "tools": str(FOLDER.parent),
        "options": [*_target(lock), *lock.sources.arguments],
        "pins": [{"name": pin.name, "version": pin.version, "hashes": pin.hashes} for pin in pins],
    }
    answers = []
    label = f"look into {len(pins)} wheels"
    with progress.step(label, total=len(pins), unit="wheels") as advance:
        for answer in _answers(request, doing=label):
            answers.append(answer)
            advance(1, note=answer["name"])
    wrong = sorted(f"{answer['name']} ({answer['error']})" for answer in answers if "error" in answer)
    if wrong:
        raise ToolError(
            f"looking into wheels failed: {', '.join(wrong)}", hint="run it again, or build: lambdapack build"
        )
    large = sorted(answer["name"] for answer in answers if answer["fetched"])
    if large:
        progress.note(f"downloaded whole, as the index gives no parts of files: {', '.join(large)}")
    return tuple(sorted(map(_wheel, answers), key=lambda wheel: wheel.name))


def _target(lock: Lock) -> Iterator[str]:
    """pip's options that say which machine the wheels are for."""
    yield from ("--only-binary=:all:", "--no-deps", "--implementation", "cp")
    yield from ("--python-version", lock.target.python, "--abi", "cp{}{}".format(*lock.target.version))
    for name in wheel_tags.platforms(lock.target, lock.glibc):
        yield from ("--platform", name)


def _answers(request: Any, *, doing: str) -> Iterator[Any]:
    """The worker's answers, as they come."""
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        process = subprocess.Popen(
            [sys.executable, "-I", str(_WORKER)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=pip.environment(),
            start_new_session=True,
        )  # fmt: skip
        try:
            assert process.stdin is not None and process.stdout is not None
            with process.stdin as stdin:
                stdin.write(json.dumps(request).encode())
            with process.stdout as stdout:
                yield from map(json.loads, stdout)
            status = process.wait()
        except BaseException:
            end_group(process)
            raise
        if status:
            log.seek(0)
            raise pip.explain(log.read(), doing=doing, status=status)


def _wheel(answer: Any) -> Wheel:
    files = [WheelFile(_installed(path), *sizes) for path, *sizes in answer["files"]]
    return Wheel(
        answer["name"],
        answer["version"],
        tuple(file for file in files if file.path),
        answer["metadata"].encode(),
    )


def _installed(path: str) -> str:
    """Where pip installs a file of a wheel; empty for what goes elsewhere."""
    first, _, rest = path.partition("/")
    if not first.endswith(".data"):
        return path
    scheme, _, rest = rest.partition("/")
    return {"purelib": rest, "platlib": rest, "data": rest, "scripts": f"bin/{rest}"}.get(scheme, "")
