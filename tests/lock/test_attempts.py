"""lambdapack.lock.resolver: what is asked of the driver, and which lock its answers give. No pip is run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from lambdapack.errors import ConfigurationError, ToolError
from lambdapack.lock import read_requirements
from lambdapack.lock.requirements.locked import LockedFile, LockedPackage, index_options
from lambdapack.lock.resolver.driver_process import Driver
from lambdapack.lock.resolver.index_files import best_file
from lambdapack.lock.resolver.left_out import Exclusions
from lambdapack.lock.resolver.resolve import Attempts
from lambdapack.lock.resolver.solution import Candidate, Failure, NoLockError, Question, Solution
from lambdapack.lock.resolver.target_requirements import TargetRequirements
from lambdapack.lock.sources.prepare import Preparer
from lambdapack.model import Target
from lambdapack.python.interpreter import Interpreter
from tests.support.told import Told

TARGET = Target("3.12")
GLIBC = (2, 34)
HASH = "sha256:" + "0" * 64
OTHER = "sha256:" + "1" * 64


class Answers:
    """A driver with its answers ready; keeps the questions."""

    def __init__(self, answers: Sequence[Solution | Failure]) -> None:
        self.answers = list(answers)
        self.questions: list[Question] = []

    def ask(self, question: Question) -> Solution | Failure:
        self.questions.append(question)
        return self.answers.pop(0)


def candidate(name: str, version: str = "1", **facts: Any) -> Candidate:
    return Candidate(name, version, f"{name}-{version}-py3-none-any.whl", HASH, **facts)


def lacking(name: str, filename: str) -> Failure:
    """The failure where the index has one file of a package, which does not fit."""
    file = {"filename": filename, "version": "1", "requires_python": "", "fits": False}
    cause = {"name": name, "requirement": name, "parent": "", "origin": "here", "python": ""}
    facts = {"causes": [cause], "constraints": [], "files": {name: [file]}, "unreachable": []}
    return Failure("unsatisfiable", facts)


def attempts(
    folder: Path,
    answers: Answers,
    text: str,
    *,
    name: str = "requirements.txt",
    exclude: frozenset[str] = frozenset(),
    builds: bool = False,
) -> Attempts:
    (folder / name).write_text(text)
    python = Interpreter(Path("/python"), "3.12.1", "x86_64")
    preparer = Preparer(TARGET, python, None, folder, cast(Any, None), cast(Any, None), Told())
    roots = TargetRequirements.read(read_requirements([], [folder / name]), preparer, builds=builds)
    return Attempts(roots, Exclusions(exclude, None, roots.declared), cast(Driver, answers), Told())


def pylock(*names: str) -> str:
    """A lock of packages that need nothing but, each, the one after it."""
    text = 'lock-version = "1.0"\ncreated-by = "a test"\n'
    for name, need in zip(names, (*names[1:], None), strict=True):
        needs = f'dependencies = [{{ name = "{need}" }}]\n' if need else ""
        file = f"{name.replace('-', '_')}-1-py3-none-any.whl"
        text += (
            f'[[packages]]\nname = "{name}"\nversion = "1"\nindex = "https://pypi.org/simple"\n{needs}'
            f'[[packages.wheels]]\nname = "{file}"\nurl = "https://files.pythonhosted.org/{file}"\n'
            f'hashes = {{ sha256 = "{"0" * 64}" }}\n'
        )
    return text


def test_a_file_with_another_hash_than_the_users_is_refused(tmp_path: Path) -> None:
    """An index may have no hashes, and then pip takes any file: the lock is held against the line."""
    answers = Answers([Solution((candidate("app"),))])
    with pytest.raises(ConfigurationError, match=r"none of the hashes of app is that of app-1-py3"):
        attempts(tmp_path, answers, f"app==1 --hash={OTHER}\n").lock(GLIBC)
    answers = Answers([Solution((candidate("app"),))])
    assert attempts(tmp_path, answers, f"app==1 --hash={OTHER} --hash={HASH}\n").lock(GLIBC).pins


def test_what_the_user_asks_for_is_requested_even_where_another_package_needs_it(tmp_path: Path) -> None:
    """A root is what the user names, not what no other package needs."""
    solution = Solution((candidate("app"), candidate("under", parents=("app",))))
    lock = attempts(tmp_path, Answers([solution]), "app\nunder\n").lock(GLIBC)
    assert lock.requested == ("app", "under")
    lock = attempts(tmp_path, Answers([solution]), "app\n").lock(GLIBC)
    assert lock.requested == ("app",)


def test_a_lock_files_versions_are_not_changed_for_a_build_without_cuda(tmp_path: Path) -> None:
    """CUDA in a lock file is refused at once: another version would not be what was tested."""
    cuda = candidate("nvidia-x", parents=("torch",))
    answers = Answers([Solution((cuda, candidate("torch", cpu=("1+cpu",))))])
    text, other = pylock("torch", "nvidia-x"), frozenset({"other"})
    with pytest.raises(NoLockError, match="torch needs CUDA") as caught:
        attempts(tmp_path, answers, text, name="pylock.toml", exclude=other).lock(GLIBC)
    assert caught.value.is_cuda
    assert len(answers.questions) == 1


def test_a_lock_file_alone_asks_no_index_unless_the_graph_is_needed(tmp_path: Path) -> None:
    """What is excluded takes its dependencies along, and a lock file does not tell those."""
    answers = Answers([])
    text = pylock("app", "under")
    lock = attempts(tmp_path, answers, text, name="pylock.toml").lock(GLIBC)
    assert [pin.name for pin in lock.pins] == ["app", "under"]
    assert lock.requested == ("app",)
    answers = Answers([Solution((candidate("app"), candidate("under", parents=("app",))))])
    told = attempts(tmp_path, answers, text, name="pylock.toml", exclude=frozenset({"under"}))
    assert [pin.name for pin in told.lock(GLIBC).pins] == ["app"]
    assert answers.questions[0].alone
    assert answers.questions[0].requirements.lines == (f"app==1 --hash={HASH}", f"under==1 --hash={HASH}")


def test_sdists_take_the_place_of_wheels_one_by_one(tmp_path: Path) -> None:
    """A package without a fitting wheel is asked for again as an sdist, where sdists can be built."""
    failure = lacking("rough", "rough-1.tar.gz")
    built = Candidate("rough", "1", "rough-1.tar.gz", HASH)
    answers = Answers([failure, Solution((candidate("app"), built))])
    lock = attempts(tmp_path, answers, "app\nrough\n", builds=True).lock(GLIBC)
    assert lock.built == ("rough",)
    assert [question.sdists for question in answers.questions] == [frozenset(), frozenset({"rough"})]
    for text, builds in (("app\nrough\n", False), ("app\nrough\n--only-binary rough\n", True)):
        answers = Answers([failure])
        with pytest.raises(NoLockError, match="only an sdist"):
            attempts(tmp_path, answers, text, builds=builds).lock(GLIBC)


def test_a_package_without_any_file_is_final(tmp_path: Path) -> None:
    """No other C library brings a file; where there is one that does not fit, another may."""
    none = lacking("app", "app-1.tar.gz")
    none.facts["files"]["app"] = []
    for failure, is_final in ((none, True), (lacking("app", "app-1.tar.gz"), False)):
        with pytest.raises(NoLockError) as caught:
            attempts(tmp_path, Answers([failure]), "app\n").lock(GLIBC)
        assert caught.value.is_final is is_final


def locked(*filenames: str) -> LockedPackage:
    files = tuple(LockedFile(name, f"sha256:{name}") for name in filenames)
    return LockedPackage("app", "1", files, None, "uv.lock: package[0]")


def test_the_best_file_is_pips_choice() -> None:
    """The most exact tag, then the highest build number; an sdist where no wheel fits or may be taken."""
    linux, pure = "app-1-cp312-cp312-manylinux2014_x86_64.whl", "app-1-py3-none-any.whl"
    package = locked("app-1.tar.gz", pure, linux, "app-1-2-py3-none-any.whl")
    assert best_file(package, TARGET, GLIBC, builds=True).name == linux
    package = locked("app-1.tar.gz", pure, "app-1-3-py3-none-any.whl", "app-1-2-py3-none-any.whl")
    assert best_file(package, TARGET, GLIBC, builds=True).name == "app-1-3-py3-none-any.whl"
    assert best_file(package, TARGET, GLIBC, builds=True, sdist=True).name == "app-1.tar.gz"
    with pytest.raises(NoLockError, match="has no sdist"):
        best_file(package, TARGET, GLIBC, builds=False, sdist=True)


@pytest.mark.parametrize(
    ("filename", "is_final"),
    [("app-1-cp312-cp312-manylinux_2_39_x86_64.whl", False), ("app-1-cp39-cp39-win_amd64.whl", True)],
)
def test_no_file_is_final_unless_a_newer_c_library_helps(filename: str, is_final: bool) -> None:
    """A newer C library is tried only where it can change the answer."""
    with pytest.raises(NoLockError) as caught:
        best_file(locked(filename), TARGET, GLIBC, builds=False)
    assert caught.value.is_final is is_final


PYPI, ONE, TWO = "https://pypi.org/simple", "https://one.example/simple", "https://two.example/simple"


@pytest.mark.parametrize(
    ("registries", "configured", "expected"),
    [
        ((PYPI,), "", ()),
        ((ONE, TWO), "", (("index-url", ONE), ("extra-index-url", TWO))),
        ((PYPI, ONE), "", (("extra-index-url", ONE),)),
        ((ONE, TWO), "https://me:secret@one.example/simple/", (("extra-index-url", TWO),)),
        ((ONE, TWO), TWO, (("index-url", ONE),)),
        (("./folder",), "", ()),
    ],
)
def test_a_locks_indexes_stand_beside_pips_own(
    registries: tuple[str, ...], configured: str, expected: tuple[tuple[str, str], ...]
) -> None:
    """Those that pip is configured for are not named again; without PyPI the first replaces pip's own."""
    environment = {"PIP_CONFIG_FILE": "/dev/null", "PIP_EXTRA_INDEX_URL": configured}
    assert index_options([("", address) for address in registries], environment).pairs == expected


@pytest.mark.parametrize("death", ["kill -9 $$", "cat > /dev/null; exit 7", "cat > /dev/null; echo half"])
def test_a_resolver_that_dies_is_told_with_how_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, death: str
) -> None:
    """Killed, ended with a status or in the middle of a line: never a traceback, nor an answer."""
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{death}\n")
    program.chmod(0o755)
    monkeypatch.setattr("lambdapack.python.toolchain.ensure", lambda *_: tmp_path)
    driver = Driver(Interpreter(program, "3.12.1", "x86_64"), None, tmp_path, Told())
    question = Question(read_requirements(["six"], []), TARGET, GLIBC)
    with pytest.raises(ToolError, match="failed") as caught:
        driver.ask(question)
    assert "the resolver" in str(caught.value.detail)
