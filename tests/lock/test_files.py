"""lambdapack.lock: lock files of the real tools give what they hold, and malformed ones say what is wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from lambdapack.errors import ConfigurationError
from lambdapack.lock import LockOptions, read_requirements, resolve
from lambdapack.lock.requirements.fields import read_toml
from lambdapack.lock.requirements.formats import pipfile, poetry, poetry_project, pylock, uv
from lambdapack.lock.requirements.locked import LockFile, Scope
from lambdapack.model import Lock
from lambdapack.model.target import Target
from lambdapack.python import interpreter, wheel_tags

LOCKS = Path(__file__).parent / "locks"
MAIN = {
    "boto3",
    "botocore",
    "jinja2",
    "jmespath",
    "markupsafe",
    "python-dateutil",
    "s3transfer",
    "six",
    "urllib3",
}
WEB = {"linkify-it-py", "markdown-it-py", "mdurl"}
READERS: dict[str, Callable[[Path], LockFile]] = {
    "uv/uv.lock": uv.read,
    "uv/pylock.toml": pylock.read,
    "poetry1/poetry.lock": poetry.read,
    "poetry2/poetry.lock": poetry.read,
    "pipenv/Pipfile.lock": pipfile.read,
}
# Their files are known by name: nothing is asked of an index.
OFFLINE = ("uv/uv.lock", "poetry1/poetry.lock", "poetry2/poetry.lock")


def variables(python: str, machine: str = "x86_64") -> dict[str, str]:
    return {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{python}.4",
        "python_version": python,
        "sys_platform": "linux",
    }


def selected(
    name: str, python: str, extras: set[str] | None = None, groups: set[str] | None = None
) -> set[str]:
    scope = Scope(variables(python), frozenset(extras or ()), frozenset(groups or ()))
    return {package.name for package in READERS[name](LOCKS / name).select(scope).packages}


@pytest.mark.parametrize("name", OFFLINE)
def test_the_main_group_is_what_is_taken(name: str) -> None:
    """Without extras and groups: the project's dependencies, with markers evaluated for the target."""
    assert selected(name, "3.12") == MAIN
    assert selected(name, "3.10") == MAIN | {"tomli"}


@pytest.mark.parametrize("name", OFFLINE)
def test_extras_and_groups_are_added(name: str) -> None:
    """An extra brings its packages and theirs (markdown-it-py[linkify]), a group brings its own."""
    assert selected(name, "3.12", {"web"}) == MAIN | WEB
    assert selected(name, "3.12", set(), {"dev"}) == MAIN | {"iniconfig"} | (
        {"pluggy"} if "uv" in name else set()
    )
    assert selected(name, "3.12", set(), {"lint"}) == MAIN | {"pluggy"}


def test_pipfile_categories_are_groups() -> None:
    """The default category is always taken; dev stands for develop; markers are evaluated."""
    name = "pipenv/Pipfile.lock"
    assert selected(name, "3.12") == MAIN | WEB
    assert selected(name, "3.12", set(), {"dev"}) == MAIN | WEB | {"iniconfig"}
    assert selected(name, "3.12", set(), {"develop", "lint"}) == MAIN | WEB | {"iniconfig", "pluggy"}


def test_a_pylock_holds_what_it_was_exported_with() -> None:
    """uv's export has no extras of its own: everything that it holds is taken, markers evaluated."""
    assert selected("uv/pylock.toml", "3.12") == MAIN | WEB | {"iniconfig", "pluggy"}
    assert "tomli" in selected("uv/pylock.toml", "3.10")


@pytest.mark.parametrize("name", OFFLINE)
@pytest.mark.parametrize("arch", ["x86_64", "arm64"])
def test_the_file_is_the_targets_and_its_hash_the_locks(name: str, arch: str, tmp_path: Path) -> None:
    """For each target the wheel that fits it, by the lock's own hash; no index is asked."""
    target = Target("3.12", arch)
    lock = made(LOCKS / name, target, tmp_path)
    text = (LOCKS / name).read_text()
    assert all(pin.hashes[0] in text for pin in lock.pins)
    pin = next(pin for pin in lock.pins if pin.name == "markupsafe")
    line = next(line for line in text.splitlines() if pin.hashes[0] in line)
    assert f"cp312-cp312-manylinux2014_{target.machine}" in line
    assert set(lock.requested) == {"boto3", "jinja2"}
    assert not list(tmp_path.iterdir())


def made(path: Path, target: Target, cache: Path, **options: Any) -> Lock:
    return resolve(
        read_requirements([], [path]),
        target,
        interpreter.find(target.python),
        cache_dir=cache,
        options=LockOptions(**options),
    )


def test_a_pipfile_locks_hashes_choose_the_file(lambdapack_cache: Path) -> None:
    """Where a lock has no file names, pip's resolver finds the file that has one of its hashes."""
    path = LOCKS / "pipenv/Pipfile.lock"
    lock = made(path, Target("3.11"), lambdapack_cache)
    held = json.loads(path.read_text())["default"]
    assert {pin.name for pin in lock.pins} == MAIN | WEB
    for pin in lock.pins:
        assert (f"=={pin.version}", True) == (
            held[pin.name]["version"],
            pin.hashes[0] in held[pin.name]["hashes"],
        )
    assert set(lock.requested) == {"boto3", "jinja2", "linkify-it-py", "markdown-it-py"}


def edited(name: str, tmp_path: Path, old: str, new: str) -> Path:
    shutil.copytree((LOCKS / name).parent, tmp_path / "project")
    path = tmp_path / "project" / Path(name).name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("uv/uv.lock", "version = 1\n", "version = 9\n", "version: expected 1"),
        ("uv/uv.lock", 'name = "boto3"', "name = 3", "package[0].name: expected a string, found 3"),
        ("uv/uv.lock", 'version = "1.44.5"', 'version = "new"', "package[0].version: expected a version"),
        ("uv/uv.lock", 'hash = "sha256:', 'hash = "md5:', "hash: expected sha256: and 64"),
        ("uv/uv.lock", 'virtual = "."', 'virtual = "x"', "package: expected the project itself"),
        ("uv/uv.lock", "sys_platform ==", "sys_platform is", "marker: expected an environment marker"),
        ("uv/uv.lock", '{ name = "s3transfer" }', '{ name = "gone" }', "one entry for gone , found no"),
        ("uv/uv.lock", "{ registry =", "{ ftp =", "package[0].source: expected a table with"),
        ("poetry1/poetry.lock", 'lock-version = "2.0"', "lock-version = 2", "lock-version: expected"),
        ("poetry1/poetry.lock", 'lock-version = "2.0"', 'lock-version = "7"', "a version from 1 to 2"),
        ("poetry1/poetry.lock", "file = ", "fill = ", "package[0].files[0].file: expected a string"),
        ("poetry1/poetry.lock", "boto3-1.44.5-py3", "other-1.44.5-py3", "expected a file of boto3"),
        ("poetry1/poetry.lock", '">=1.44.5,<1.45.0"', '"about 1"', "expected a version constraint"),
        ("poetry2/poetry.lock", 'groups = ["main"]', 'groups = "main"', "groups: expected a list of strings"),
        ("poetry2/poetry.lock", 'extra == \\"web\\"', "extra web", "expected environment markers"),
        ("pipenv/Pipfile.lock", '"pipfile-spec": 6', '"pipfile-spec": 5', "_meta.pipfile-spec: expected 6"),
        ("pipenv/Pipfile.lock", '"==1.44.5"', '">=1.44.5"', "boto3.version: expected an exact version"),
        ("pipenv/Pipfile.lock", '"default"', '"other"', "default: expected a table of packages"),
        ("pipenv/Pipfile.lock", '"sha256:667b', '"sha256:xyz', "hashes[0]: expected sha256: and 64"),
        ("pipenv/Pipfile.lock", "{", "[", "not JSON"),
        ("uv/pylock.toml", 'lock-version = "1.0"', 'lock-version = "9"', "9 is not supported"),
        ("uv/pylock.toml", 'name = "boto3"', 'name = "Boto_3"', "packages[0].name"),
        ("uv/pylock.toml", "hashes = { sha256 =", "hashes = { md5 =", "expected a sha256 hash, found md5"),
    ],
)  # fmt: skip
def test_a_malformed_lock_names_file_key_and_what_was_expected(
    name: str, old: str, new: str, said: str, tmp_path: Path
) -> None:
    """Every mistake is a ConfigurationError that starts with the file and says which key is wrong."""
    path = edited(name, tmp_path, old, new)
    with pytest.raises(ConfigurationError) as caught:
        made(path, Target("3.12"), tmp_path / "cache")
    assert caught.value.message.startswith(str(path))
    assert said in caught.value.message


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_no_damage_to_a_lock_ends_in_anything_but_a_clear_error(name: str, data: st.DataObject) -> None:
    """Whatever value of a lock is replaced by whatever else: it is read, or refused by file and key."""
    path = LOCKS / name
    table = json.loads(path.read_text()) if path.name == "Pipfile.lock" else dict(read_toml(path).table)
    table = json.loads(json.dumps(table, default=str))
    here: Any = table
    while True:
        key = data.draw(st.sampled_from(sorted(here) if isinstance(here, dict) else range(len(here))))
        if not isinstance(here[key], (dict, list)) or not here[key] or data.draw(st.integers(0, 4)) == 0:
            break
        here = here[key]
    here[key] = data.draw(st.sampled_from([None, 3, "", "x y", [], {}, [3], {"a": 1}, True, "sha256:0"]))
    with tempfile.TemporaryDirectory() as folder:
        damaged = Path(folder, path.name)
        damaged.write_text(json.dumps(table) if path.name == "Pipfile.lock" else toml(table))
        if (path.parent / "pyproject.toml").is_file():
            shutil.copy(path.parent / "pyproject.toml", folder)
        try:
            READERS[name](damaged).select(Scope(variables("3.12")))
        except ConfigurationError as error:
            assert folder in error.message


def toml(table: dict[str, Any]) -> str:
    """A TOML document of inline values; JSON's strings, numbers and lists are TOML's."""

    def value(found: Any) -> str:
        if isinstance(found, dict):
            return "{" + ", ".join(f"{json.dumps(k)} = {value(v)}" for k, v in found.items()) + "}"
        if isinstance(found, list):
            return "[" + ", ".join(map(value, found)) + "]"
        return '""' if found is None else json.dumps(found)

    return "".join(f"{json.dumps(key)} = {value(found)}\n" for key, found in table.items())


def test_a_python_that_the_lock_is_not_for_is_refused(tmp_path: Path) -> None:
    """requires-python of the lock is held against the target's Python."""
    path = edited("uv/uv.lock", tmp_path, 'requires-python = ">=3.10"', 'requires-python = ">=3.13"')
    with pytest.raises(ConfigurationError, match=r"made for Python >=3.13, and the target has 3\.12"):
        made(path, Target("3.12"), tmp_path)


def test_a_lock_without_a_file_for_the_target_says_what_there_is(tmp_path: Path) -> None:
    """Only an sdist, or only wheels for a newer C library: both are named, with the ways out."""
    text = (LOCKS / "uv/uv.lock").read_text()
    kept = [one for one in text.splitlines() if "markupsafe" not in one or ".whl" not in one]
    (tmp_path / "uv.lock").write_text("\n".join(kept))
    with pytest.raises(
        ConfigurationError, match=r"markupsafe 3\.0\.4 has no wheel for .* only an sdist"
    ) as caught:
        made(tmp_path / "uv.lock", Target("3.12"), tmp_path)
    assert "--builder docker" in str(caught.value.hint)
    (tmp_path / "uv.lock").write_text(text.replace("manylinux2014_x86_64.manylinux_2_17_x86_64.", ""))
    with pytest.raises(ConfigurationError, match=r"glibc 2.26 in the lock; there is .*glibc 2.28"):
        made(tmp_path / "uv.lock", Target("3.11"), tmp_path, glibc=(2, 26))
    assert made(tmp_path / "uv.lock", Target("3.11"), tmp_path).glibc == (2, 34)


def test_a_private_index_becomes_an_option_and_its_password_stays_out_of_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock's own index is asked beside pip's, with Poetry's credentials; both stay out of the text."""
    monkeypatch.setenv("POETRY_HTTP_BASIC_SIMPLE_USERNAME", "someone")
    monkeypatch.setenv("POETRY_HTTP_BASIC_SIMPLE_PASSWORD", "hidden/token")
    path = edited(
        "poetry2/poetry.lock", tmp_path, "https://pypi.org/simple", "https://packages.example.org/simple"
    )
    requirements = read_requirements([], [path])
    address = "https://someone:hidden%2Ftoken@packages.example.org/simple"
    assert requirements.options.pairs == (("index-url", address),)
    lock = made(path, Target("3.12"), tmp_path)
    assert lock.sources == requirements.options
    assert "hidden" not in lock.text + repr(lock) + " ".join(requirements.shown)


versions = st.builds(Version, st.from_regex(r"[0-9]{1,2}(\.[0-9]{1,2}){0,2}", fullmatch=True))


@given(versions, versions)
def test_a_caret_allows_up_to_the_next_breaking_release(bound: Version, version: Version) -> None:
    """^1.2.3 is >=1.2.3,<2.0.0, ^0.2.3 is >=0.2.3,<0.3.0, and ^0.0.3 is >=0.0.3,<0.0.4."""
    place = next((place for place, number in enumerate(bound.release) if number), len(bound.release) - 1)
    limit = ".".join(map(str, (*bound.release[:place], bound.release[place] + 1)))
    expected = SpecifierSet(f">={bound},<{limit}").contains(version)
    assert poetry_project.allows(f"^{bound}", str(version)) == expected


@pytest.mark.parametrize(
    ("constraint", "yes", "no"),
    [
        ("~1.2", "1.2.9", "1.3"),
        ("~1", "1.9", "2"),
        ("1.2.*", "1.2.7", "1.3"),
        ("1.2", "1.2.0", "1.2.1"),
        (">=1,<2 || >3", "4", "3"),
        (">=1 <2", "1.5", "2"),
        ("*", "7", ""),
        ("!=3.0.*,>=2.7", "3.1", "3.0.2"),
    ],
)
def test_poetrys_constraints_mean_what_its_documentation_says(constraint: str, yes: str, no: str) -> None:
    """Each form of a constraint, by a version on either side of its edge."""
    assert poetry_project.allows(constraint, yes)
    assert not no or not poetry_project.allows(constraint, no)


@given(st.sets(st.sampled_from("abc")), st.sampled_from("abc"), st.sampled_from("abc"))
def test_extras_in_markers_are_a_set(wanted: set[str], one: str, other: str) -> None:
    """A marker may ask for two extras at once, as locks with conflicts do."""
    marker = f"extra == '{one}' and '{other}' != extra and python_version > '3'"
    assert Scope(variables("3.12")).holds(marker, wanted) == (one in wanted and other not in wanted)


def test_ranks_are_pips_own_order() -> None:
    """The first tags are those of the newest C library that is allowed; the last is any platform."""
    ranks = wheel_tags.ranks(Target("3.12"), (2, 28))
    tags = sorted(ranks, key=ranks.__getitem__)
    assert str(tags[0]) == "cp312-cp312-manylinux_2_28_x86_64"
    assert tags[-1].platform == "any"
    assert sorted(ranks.values()) == list(range(len(tags)))


@pytest.mark.slow
def test_uv_itself_would_install_the_same_set(tmp_path: Path) -> None:
    """A lock made now by uv gives, for two targets, the set that uv's own export and compile give."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    subprocess.run([tmp_path / "venv/bin/pip", "install", "-q", "uv"], check=True)
    project = tmp_path / "project"
    project.mkdir()
    shutil.copy(LOCKS / "uv/pyproject.toml", project)

    def run(*arguments: str) -> str:
        command = [str(tmp_path / "venv/bin/uv"), *arguments, "--quiet"]
        return subprocess.run(command, cwd=project, check=True, capture_output=True, text=True).stdout

    run("lock")
    for python, arch, system in (("3.10", "x86_64", "x86_64"), ("3.12", "arm64", "aarch64")):
        requirements = read_requirements([], [project / "uv.lock"], extras=["web"], groups=["dev"])
        lock = resolve(
            requirements, Target(python, arch), interpreter.find(python), cache_dir=tmp_path / "cache"
        )
        run("export", "--no-emit-project", "--extra", "web", "--group", "dev", "--no-hashes", "-o", "all.txt")
        run("pip", "compile", "all.txt", "--no-deps", "--no-header", "--no-annotate", "-o", "set.txt",
            "--python-version", python, "--python-platform", f"{system}-manylinux_2_28")  # fmt: skip
        expected = sorted((project / "set.txt").read_text().split())
        assert [f"{pin.name}=={pin.version}" for pin in lock.pins] == expected
        (project / "set.txt").unlink()
