"""What travels to where a build runs: enough to build, and nothing that the build does not read."""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest

import lambdapack
from lambdapack.errors import ConfigurationError, ToolError
from lambdapack.lock import read_requirements
from lambdapack.model import Lock, Pin, PipOptions, Target
from lambdapack.pipeline import BuildOptions
from lambdapack.pipeline.remote import job as jobs
from lambdapack.pipeline.remote.job import Job
from lambdapack.pipeline.remote.own_wheel import write_wheel
from lambdapack.pipeline.remote.sources import project_files, write_sources
from lambdapack.trace import TraceOptions

TARGET = Target("3.12")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with code, requirements, secrets and what tools left."""
    root = tmp_path / "project"
    files = (
        *("src/app.py", "src/data.bin", "requirements.txt", "more/constraints.txt", "pyproject.toml"),
        *(
            ".env",
            ".git/config",
            ".lambdapack/build/x.tar.zst",
            "models/weights.bin",
            "dist/mine-1-py3-none-any.whl",
        ),
    )
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")
    (root / "requirements.txt").write_text("six\n-c more/constraints.txt\n")
    return root


def sent(root: Path, options: BuildOptions) -> set[str]:
    requirements = read_requirements(options.requirements, options.files)
    return {name for name, _ in project_files(options, requirements, root)}


def asked(
    root: Path, requirements: Sequence[str] = (), files: Sequence[str] = (), **trace: object
) -> BuildOptions:
    options = BuildOptions(
        tuple(requirements), tuple(root / name for name in files), TARGET, root / "out", builder="codebuild"
    )
    return replace(options, trace=TraceOptions(**trace))  # type: ignore[arg-type]


def test_requirements_on_the_command_line_send_no_file(root: Path) -> None:
    """Nothing of the project is read, so nothing is sent."""
    assert sent(root, asked(root, ["six"])) == set()


def test_requirements_files_send_what_they_may_include(root: Path) -> None:
    """The files that requirements can be in, and neither code nor data nor secrets."""
    assert sent(root, asked(root, files=["requirements.txt"])) == {
        "project/requirements.txt", "project/more/constraints.txt", "project/pyproject.toml",
    }  # fmt: skip


def test_a_traced_handler_sends_the_project(root: Path) -> None:
    """As a function's zip takes it: without credentials, version control and earlier builds; assets travel in
    a folder of their own, since the handler may load them."""
    models = {"model": root / "models"}
    options = asked(root, ["six"], handler="app.handler", source=root / "src", assets=models)
    assert sent(root, options) == {
        *("project/src/app.py", "project/src/data.bin", "project/requirements.txt"),
        *("project/more/constraints.txt", "project/pyproject.toml", "assets/model/models/weights.bin"),
    }
    travelling = jobs.portable(options, read_requirements(options.requirements, ()), root)
    assert travelling.trace.source == Path("project/src")
    assert travelling.trace.assets == {"model": Path("assets/model/models")}


def test_a_wheel_that_is_named_travels_wherever_it_lies(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also out of a folder that is otherwise left out."""
    monkeypatch.chdir(root)
    assert "project/dist/mine-1-py3-none-any.whl" in sent(
        root, asked(root, ["./dist/mine-1-py3-none-any.whl"])
    )


@pytest.mark.parametrize("what", ["file", "handler"])
def test_what_lies_outside_the_project_is_refused(root: Path, what: str) -> None:
    """The build would not find it: the message names the path and the folder that is sent."""
    outside = root.parent / "requirements.txt"
    outside.write_text("six\n")
    options = asked(root, files=["../requirements.txt"]) if what == "file" else asked(
        root, ["six"], handler="app.handler", source=root.parent
    )  # fmt: skip
    with pytest.raises(ConfigurationError, match="lies outside the project's folder"):
        jobs.portable(options, read_requirements(options.requirements, options.files), root)


def test_the_same_job_is_the_same_zip(root: Path, tmp_path: Path) -> None:
    """Equal sources have an equal digest, and so are sent once; a job comes out of the zip as it went in."""
    options = asked(root, files=["requirements.txt"], environment={"A": "1"}, events=({"a": [1]},))
    requirements = read_requirements(options.requirements, options.files)
    lock = Lock(TARGET, (2, 34), (Pin("six", "1.17", ("sha256:" + "0" * 64,)),), ("six",))
    job = Job(jobs.portable(options, requirements, root), "image", "src", lock, 2)
    made = []
    for name in "ab":
        (tmp_path / name).mkdir()
        made.append(write_sources(job, options, requirements, root, tmp_path / name))
    assert made[0].sha256 == made[1].sha256 == hashlib.sha256(made[0].path.read_bytes()).hexdigest()
    with zipfile.ZipFile(made[0].path) as archive:
        archive.extractall(tmp_path / "there")
    there = jobs.read(tmp_path / "there")
    assert (there.lock, there.jobs, there.folder) == (lock, 2, "src")
    assert (tmp_path / "there" / "project" / "src").is_dir()
    again = jobs.at(there.options, tmp_path / "there", tmp_path / "out")
    assert again.files == (tmp_path / "there/project/requirements.txt",)
    assert list(again.trace.events) == [{"a": [1]}]
    assert (again.builder, again.target, again.output) == ("codebuild", TARGET, tmp_path / "out")


def test_a_job_of_another_version_is_refused(tmp_path: Path) -> None:
    """A message rather than a build of something else."""
    (tmp_path / "job.json").write_text(json.dumps({"version": 99, "job": {}}))
    with pytest.raises(ToolError, match="its version is 99"):
        jobs.read(tmp_path)


def test_a_lock_travels_without_addresses(root: Path) -> None:
    """A lock that names what was built here, or lies here, is resolved there instead."""
    requirements = read_requirements(("six",), ())
    lock = Lock(TARGET, (2, 34), (), ("six",))
    assert jobs.with_lock(lock, requirements) == lock
    for other in (
        replace(lock, built=("six",)),
        replace(lock, addressed=("six",)),
        replace(lock, sources=PipOptions((("find-links", "/cache/page.html"),))),
    ):
        assert jobs.with_lock(other, requirements) is None
    secret = PipOptions((("index-url", "https://me:secret@example.org/"),))
    sent = jobs.with_lock(replace(lock, sources=secret), replace(requirements, options=secret))
    assert sent is not None and sent.sources.pairs == ()


def test_the_wheel_of_lambdapack_is_whole(tmp_path: Path) -> None:
    """Each file with its digest in RECORD, the same bytes every time, and what lambdapack needs said as the
    installation says it; no bytecode."""
    path = write_wheel(tmp_path)
    data = path.read_bytes()
    assert write_wheel(tmp_path).read_bytes() == data
    info = f"lambdapack-{metadata.version('lambdapack')}.dist-info"
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    record = dict(line.split(",", 1) for line in contents[f"{info}/RECORD"].decode().splitlines())
    assert set(record) == set(contents)
    for name, content in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
        assert record[name] == ("," if name.endswith("/RECORD") else f"sha256={digest},{len(content)}")
    needs = metadata.metadata("lambdapack").get_all("Requires-Dist")
    assert f"Requires-Dist: {needs[0]}" in contents[f"{info}/METADATA"].decode()
    own = Path(lambdapack.__file__).parent
    assert contents["lambdapack/trace/trace_worker.py"] == (own / "trace" / "trace_worker.py").read_bytes()
    assert "build_images/al2023.Dockerfile" in contents
    assert not any("__pycache__" in name for name in contents)
