"""Builds groups of cases from real wheels and runs their probes in both worlds."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from case import Case

from lambdapack import pipeline
from lambdapack.deploy.bundle import make_zip
from lambdapack.deploy.function import Dependencies, FunctionOptions
from lambdapack.local.endpoint import Endpoint, new_credentials
from lambdapack.model import Location
from lambdapack.model.target import Target
from lambdapack.pack.extract import extract
from lambdapack.pipeline.options import BuildOptions
from lambdapack.python import interpreter
from lambdapack.trace import TraceOptions

HERE = Path(__file__).parent
RUNNING = "{}.{}".format(*sys.version_info)
GLIBC = (2, 28)
"""Most wheels of today ask for it, and a machine that runs the tests has it."""
GLIBC_OF = {"3.15": (2, 39)}
"""The first wheels for a new Python ask for more; the tests' own Python 3.15 brings its C library."""
LAZY = {"PYTHON_LAZY_IMPORTS": "all"}
"""Makes all imports lazy (PEP 810), from Python 3.15 on."""
BOOTSTRAP = """
import os, sys
if os.path.isdir("runtime_shim"):
    __import__("runtime_shim")  # as Lambda imports a handler: with all imports lazy, a statement would not
    site = next(path for path in sys.path if path.endswith("/site"))
else:
    site = os.environ["PYTHONPATH"]
sys.path.append({here!r})
"""
PROBE = """
import importlib, probe
case = next(case for case in importlib.import_module({module!r}).CASES if case.distribution == {name!r})
probe.main(case, site)
"""


@dataclass(frozen=True)
class Worlds:
    """The same distributions in a plain directory and behind the shim.

    Attributes:
        python: A Python with nothing installed.
        plain: An empty folder to run in.
        site: The plain directory.
        function: What would be ``/var/task``.
        scratch: For homes and temporary files.
        environment: The function's.
    """

    python: Path
    plain: Path
    site: Path
    function: Path
    scratch: Path
    environment: dict[str, str]

    def run(self, code: str, *, packed: bool, **more: str) -> str:
        """What ``code`` prints there; variables of ``more`` are added to its environment."""
        world = "packed" if packed else "plain"
        home = self.scratch / world
        home.mkdir(parents=True, exist_ok=True)
        environment = {**self.environment, "HOME": str(home), "TMPDIR": str(home), **more}
        if not packed:
            environment["PYTHONPATH"] = str(self.site)
        done = subprocess.run(
            [str(self.python), "-c", BOOTSTRAP.format(here=str(HERE)) + code],
            cwd=self.function if packed else self.plain,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{world}: {done.stdout[-3000:]}\n{done.stderr[-6000:]}"
        return done.stdout.replace(str(home), "<home>")

    def answers(self, code: str, *, packed: bool, **more: str) -> Any:
        """The JSON document in the last line of what ``code`` prints."""
        return json.loads(self.run(code, packed=packed, PYTHONHASHSEED="0", **more).splitlines()[-1])

    def look(self, module: str, name: str) -> list[str]:
        """How the probe's answers about one case of one module of cases differ."""
        code = PROBE.format(module=module, name=name)
        return differences(self.answers(code, packed=False), self.answers(code, packed=True))

    def forget(self) -> None:
        """Make the next start a cold one."""
        shutil.rmtree(self.environment["LAMBDAPACK_ROOT"], ignore_errors=True)


def trace_code(cases: Iterable[Case]) -> str:
    """What to trace: the first import of each; all else stays cold."""
    return "\n".join(f"import {case.imports[0]}" for case in cases)


def build(cases: Sequence[Case], folder: Path, cache: Path, version: str = RUNNING) -> None:
    """Lock, install, slim, pack and unpack the distributions of ``cases`` in ``folder``, once."""
    target = Target(version)
    python = interpreter.find(target.python)
    built = pipeline.build(
        BuildOptions(
            requirements=tuple(case.requirement for case in cases),
            files=(),
            target=target,
            output=folder / "out",
            builder="local",
            glibc=GLIBC_OF.get(version, GLIBC),
            trace=TraceOptions(code=trace_code(cases)),
            level=1,
        ),
        cache_dir=cache,
    )
    facts = built.report.pack
    extract(folder / "out" / facts.file, folder / "flat" / facts.id[:16] / "site")
    location = Location("bucket", f"packs/{facts.id[:2]}/{facts.id}.tar.zst", "us-east-1")
    stored = folder / "s3" / location.bucket / location.key
    stored.parent.mkdir(parents=True)
    (folder / "out" / facts.file).replace(stored)
    (folder / "source").mkdir()
    (folder / "source" / "app.py").write_text("import runtime_shim\n\n\ndef handler(event, context): ...\n")
    make_zip(
        FunctionOptions("fidelity", "app.handler", folder / "source", target),
        Dependencies(facts.id, folder / "out" / facts.index, location),
        interpreter=python,
        output=folder / "function.zip",
        cache_dir=cache,
    )
    with zipfile.ZipFile(folder / "function.zip") as archive:
        archive.extractall(folder / "function")
    (folder / "empty").mkdir()
    # A Python of its own: what is installed beside this machine's must not stand in for a pack's.
    bare = [str(python.path), "-m", "venv", "--without-pip", str(folder / "bare")]
    subprocess.run(bare, check=True, timeout=120)


def build_once(cases: Sequence[Case], folder: Path, cache: Path, version: str = RUNNING) -> None:
    """The same where other processes may want it, too: the first builds, the others wait."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "built").exists():
            build(cases, folder, cache, version)
            (folder / "built").touch()


def enter(folder: Path, scratch: Path, endpoint: Endpoint, more: Mapping[str, str]) -> Worlds:
    """The worlds that ``build`` made in ``folder``, their pack behind ``endpoint``.

    ``scratch`` is as long a path as ``folder / "flat"``, so that tables wrap alike. Both worlds have the
    variables ``more``.
    """
    site = next((folder / "flat").glob("*/site"))
    (stored,) = (folder / "s3").glob("bucket/packs/*/*.tar.zst")
    keys = new_credentials()
    endpoint.grant(keys, [str(stored.relative_to(folder / "s3"))])
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_ENDPOINT_URL_S3": endpoint.url,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": keys.access_key,
        "AWS_SECRET_ACCESS_KEY": keys.secret_key,
        "AWS_SESSION_TOKEN": keys.session_token,
        "LAMBDAPACK_ROOT": str(scratch),
        "PYTHONDONTWRITEBYTECODE": "1",
        **more,
    }
    home = scratch.with_name(f"{scratch.name}-home")
    return Worlds(folder / "bare/bin/python", folder / "empty", site, folder / "function", home, environment)


def differences(plain: Any, packed: Any, where: str = "") -> list[str]:
    """Every place where two documents differ, as ``a.b[2]: x != y``."""
    if isinstance(plain, dict) and isinstance(packed, dict):
        keys = sorted(plain.keys() | packed.keys())
        return [
            line for key in keys for line in differences(plain.get(key), packed.get(key), f"{where}.{key}")
        ]
    if isinstance(plain, list) and isinstance(packed, list) and len(plain) == len(packed):
        pairs = enumerate(zip(plain, packed, strict=True))
        return [line for number, (a, b) in pairs for line in differences(a, b, f"{where}[{number}]")]
    return [] if plain == packed else [f"{where}: {str(plain)[:600]} != {str(packed)[:600]}"]
