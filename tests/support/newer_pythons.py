"""Real Pythons 3.14 and 3.15 for the tests, out of Debian's newer suite.

``python -m tests.support.newer_pythons`` makes them once, in a minute, as root with debootstrap; ``make
test`` runs it. They run on any Linux: each is started by the dynamic linker of its own root, so with that
root's C library. ``tests/conftest.py`` puts them at the end of ``PATH``; where they could not be made, their
tests are skipped and say why.

::

    ~/.cache/lambdapack-tests/forky/
    |-- root/              Debian, with both Pythons
    |-- bin/python3.15     starts root/usr/bin/python3.15
    `-- lib                root/usr/lib: a Python finds its library beside its own bin
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

SUITE = "forky"
PYTHONS = ("3.14", "3.15")
FOLDER = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lambdapack-tests" / SUITE
BIN = FOLDER / "bin"
_REASON = FOLDER.with_name(f"{SUITE}-reason")
# Bookworm's debootstrap has no script of the suite's name; all newer suites share one.
_SCRIPT = Path("/usr/share/debootstrap/scripts/sid")
_RETRY = 24 * 3600
_START = """\
#!/bin/sh
exec {linker} --library-path {libraries} --argv0 "$0" {root}/usr/bin/python{python} "$@"
"""


def parameters(*, slow: bool = False) -> list[ParameterSet]:
    """The newer Pythons for ``pytest.mark.parametrize``; one that is not there is skipped, and says why."""
    marks = [pytest.mark.slow] if slow else []
    return [pytest.param(python, marks=[*marks, *_absence(python)]) for python in PYTHONS]


def _absence(python: str) -> list[pytest.MarkDecorator]:
    if shutil.which(f"python{python}"):
        return []
    reason = _REASON.read_text() if _REASON.exists() else "python -m tests.support.newer_pythons makes it"
    return [pytest.mark.skip(reason=f"no Python {python} here: {reason}")]


def make() -> str | None:
    """Make the Pythons that this machine lacks; why they cannot be made, if so."""
    if all(shutil.which(f"python{python}") or (BIN / f"python{python}").exists() for python in PYTHONS):
        return None
    if os.geteuid() or not shutil.which("debootstrap"):
        return "debootstrap and root are needed"
    mirror = _mirror()
    if mirror is None:
        return "apt has no source of Debian's packages"
    FOLDER.parent.mkdir(parents=True, exist_ok=True)
    made = FOLDER.with_name(f"{SUITE}-{os.getpid()}")
    include = [f"python{python}{part}" for python in PYTHONS for part in ("", "-venv", "-dev")]
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(include)}", SUITE]
    print(f"making Python {' and '.join(PYTHONS)} for the tests in {FOLDER}, once", flush=True)
    try:
        subprocess.run(
            [*command, made / "root", mirror, _SCRIPT], check=True, capture_output=True, timeout=900
        )
        shutil.rmtree(made / "root/var/cache/apt")
        _start_scripts(made)
        made.rename(FOLDER)
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stdout", None) or b"").decode(errors="replace").splitlines()[-1:]
        return f"debootstrap failed: {' '.join(said) or error}"
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return None


def _mirror() -> str | None:
    """The archive that apt is configured to take packages from, which has the newer suites as well."""
    listed = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        for line in subprocess.run(listed, check=True, capture_output=True, text=True).stdout.splitlines():
            if "security" not in line:
                return line.rstrip("/")
    return None


def _start_scripts(made: Path) -> None:
    """Write ``bin`` and ``lib`` of ``made``, for where they are going to be."""
    (linker,) = (made / "root/usr/lib").glob("*/ld-linux*.so.*")
    root = FOLDER / "root"
    inside = root / linker.parent.relative_to(made / "root")
    (made / "bin").mkdir()
    (made / "lib").symlink_to("root/usr/lib")
    (made / "include").symlink_to("root/usr/include")
    for python in PYTHONS:
        # Debian's pyconfig.h is where its own compiler looks.
        (made / f"root/usr/include/python{python}" / inside.name).symlink_to(f"../{inside.name}")
        start = made / "bin" / f"python{python}"
        start.write_text(
            _START.format(linker=inside / linker.name, libraries=inside, root=root, python=python)
        )
        start.chmod(0o755)


def main() -> None:
    """Make them, or say why not; without a network that is not tried again for a day."""
    if _REASON.exists() and time.time() - _REASON.stat().st_mtime < _RETRY:
        print(f"no Python {' and '.join(PYTHONS)} for the tests: {_REASON.read_text()}")
        return
    reason = make()
    _REASON.unlink(missing_ok=True)
    if reason is not None:
        _REASON.parent.mkdir(parents=True, exist_ok=True)
        _REASON.write_text(reason)
        print(f"no Python {' and '.join(PYTHONS)} for the tests: {reason}", file=sys.stderr)


if __name__ == "__main__":
    main()
