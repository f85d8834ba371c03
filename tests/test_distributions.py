"""What a stranger gets: the wheel and the sdist, and the workflows that test and publish them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from lambdapack.config.model import FILE_NAME

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def run(*command: str | Path, cwd: Path) -> str:
    """Run a program away from this project's own environment; returns what it printed."""
    outside = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, env=outside, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist of this tree, and the wheel that is built from the sdist, as ``make dist`` builds them."""
    folder = tmp_path_factory.mktemp("distributions")
    # A clean copy of what git has, or would have: other tests may write beside.
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", cwd=ROOT)
    source = folder / "source"
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, source / name)
    run(sys.executable, "-m", "build", "--outdir", folder / "dist", cwd=source)
    return folder / "dist"


def test_workflows_are_what_github_takes() -> None:
    """Each workflow fits GitHub's own schema, and the publishing one holds no secret."""
    assert len(WORKFLOWS) >= 2
    run(
        sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS,
        cwd=ROOT,
    )  # fmt: skip
    release = (ROOT / ".github/workflows/release.yml").read_text()
    assert "secrets." not in release
    assert "id-token: write" in release


@pytest.mark.slow
def test_the_descriptions_are_what_pypi_shows(distributions: Path) -> None:
    """twine takes both files: their metadata is complete and the README can be shown."""
    files = sorted(distributions.iterdir())
    assert sorted(file.suffix for file in files) == [".gz", ".whl"]
    run(sys.executable, "-m", "twine", "check", "--strict", *files, cwd=distributions)


@pytest.mark.slow
def test_wheel_and_sdist_hold_what_they_must_and_no_more(distributions: Path) -> None:
    """The wheel has the three packages with their data and nothing else; the sdist has tests and docs too."""
    wheel, sdist = next(distributions.glob("*.whl")), next(distributions.glob("*.tar.gz"))
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", cwd=ROOT).split("\0")
    ours = {
        name for name in listed
        if name.startswith(("lambdapack/", "runtime_shim/", "build_images/")) and (ROOT / name).is_file()
    }  # fmt: skip
    assert packed == ours
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "CHANGELOG.md", "Makefile", "tests/conftest.py"} <= names


@pytest.mark.slow
def test_the_demos_job_runs_from_an_empty_environment(distributions: Path, tmp_path: Path) -> None:
    """The installed wheel alone builds, checks, deploys and invokes the README's example, cold and warm."""
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv/bin/python"
    run(python, "-m", "pip", "install", "--quiet", next(distributions.glob("*.whl")), cwd=tmp_path)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    printed = run(python, "examples/demo.py", cwd=tmp_path)
    assert "demo: all right" in printed
    where = run(python, "-c", "import lambdapack; print(lambdapack.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(tmp_path)


@pytest.mark.slow
def test_the_sdist_installs_and_writes_a_project(distributions: Path, tmp_path: Path) -> None:
    """From the sdist, in an empty environment: the version, a new project, and its plan before a build."""
    venv.create(tmp_path / "venv", with_pip=True)
    sdist = next(distributions.glob("*.tar.gz"))
    run(tmp_path / "venv/bin/python", "-m", "pip", "install", "--quiet", sdist, cwd=tmp_path)
    lambdapack = tmp_path / "venv/bin/lambdapack"
    assert sdist.name.removeprefix("lambdapack-").removesuffix(".tar.gz") in run(
        lambdapack, "--version", cwd=tmp_path
    )
    run(lambdapack, "init", "hello", cwd=tmp_path)
    assert (tmp_path / "hello" / FILE_NAME).is_file()
    checks = json.loads(run(lambdapack, "doctor", "--json", cwd=tmp_path / "hello"))["checks"]
    assert "missing" not in {check["state"] for check in checks}
