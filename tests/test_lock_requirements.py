"""lambdapack.lock.requirements: what the user writes, read strictly and reported all at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lambdapack.errors import ConfigurationError
from lambdapack.lock import read_requirements
from lambdapack.lock.requirements import logical_lines

HASH = "sha256:" + "0123456789abcdef" * 4

names = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,12}[A-Za-z0-9])?", fullmatch=True)
versions = st.builds(".".join, st.lists(st.integers(0, 99).map(str), min_size=1, max_size=4))
specifiers = st.builds(
    lambda parts: ",".join(operator + version for operator, version in parts),
    st.lists(st.tuples(st.sampled_from(["==", ">=", "<", "!="]), versions), max_size=3),
)
extras = st.lists(names, max_size=2).map(lambda found: f"[{','.join(found)}]" if found else "")
markers = st.sampled_from(["", " ; python_version >= '3.9'", "; platform_machine == 'aarch64'"])


def written(folder: Path, text: str, name: str = "requirements.txt") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def problems(files: list[Path]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read_requirements([], files)
    return caught.value.message


@given(names, extras, specifiers, markers)
def test_a_line_keeps_its_meaning(name: str, extra: str, specifier: str, marker: str) -> None:
    """Normalising changes how a requirement is written, never what it asks for."""
    line = name + extra + specifier + marker
    read = read_requirements([line], [])
    before, after = Requirement(line), Requirement(read.lines[0])
    assert read.names == (canonicalize_name(name),)
    assert canonicalize_name(before.name) == after.name
    assert before.specifier == after.specifier
    assert str(before.marker) == str(after.marker)
    assert {canonicalize_name(e) for e in before.extras} == after.extras


@given(st.lists(st.text(alphabet=st.characters(codec="utf-8"), max_size=40), max_size=4))
def test_any_text_gives_requirements_or_a_clear_error(arguments: list[str]) -> None:
    """No input ends in anything but requirements or a ConfigurationError."""
    try:
        read = read_requirements(arguments, [])
    except ConfigurationError as error:
        assert error.message
        return
    assert read.lines
    for line in read.lines:
        Requirement(line.split(" --hash=")[0])


@given(st.lists(st.from_regex(r"[a-z=. #\\]{0,12}", fullmatch=True), max_size=8))
def test_logical_lines_are_numbered_by_their_first_line(raw: list[str]) -> None:
    """A logical line's number is the file's line that it begins on, and numbers only grow."""
    found = list(logical_lines("\n".join(raw)))
    numbers = [number for number, _ in found]
    assert numbers == sorted(set(numbers))
    assert all(1 <= number <= len(raw) for number in numbers)
    assert all(line == line.strip() and line for _, line in found)


def test_continuations_and_comments_are_read_as_pip_does(tmp_path: Path) -> None:
    """A backslash joins lines, ' #' begins a comment, a '#' inside a word does not."""
    text = f"# top\nspacy>=3 \\\n    --hash={HASH}\nrich  # why\n\nnumpy\\\n<2\n"
    read = read_requirements([], [written(tmp_path, text)])
    assert read.lines == (f"spacy>=3 --hash={HASH}", "rich", "numpy<2")
    assert [origin.rsplit(":", 1)[1] for origin in read.origins] == ["2", "4", "6"]


def test_included_files_and_constraints_are_followed(tmp_path: Path) -> None:
    """-r adds requirements, -c adds constraints, both relative to the file that names them."""
    (tmp_path / "sub").mkdir()
    written(tmp_path, "b\n-c ../limits.txt\n-r ../requirements.txt\n", "sub/more.txt")
    written(tmp_path, "c<2\n", "limits.txt")
    read = read_requirements(["z"], [written(tmp_path, "a\n-r sub/more.txt\n")])
    assert read.names == ("z", "a", "b")
    assert read.constraints == ("c<2",)
    assert read.constraint_origins[0].endswith("limits.txt:1")


def test_index_options_are_kept_for_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Options on where files come from are kept, folders made absolute, variables filled in."""
    (tmp_path / "wheels").mkdir()
    monkeypatch.setenv("INDEX_TOKEN", "secret")
    index = "--extra-index-url=https://u:${INDEX_TOKEN}@example.org/simple"
    text = f"{index}\n-f wheels\n--pre\n--require-hashes\na\n"
    read = read_requirements([], [written(tmp_path, text)])
    assert read.options == (
        *("--extra-index-url", "https://u:secret@example.org/simple"),
        *("--find-links", str(tmp_path / "wheels")),
        "--pre",
    )


def test_every_malformed_line_is_reported_at_once(tmp_path: Path) -> None:
    """All problems of all files come in one error, each with its file and line."""
    more = written(tmp_path, "ok\nfoo=>1\n", "more.txt")
    text = (
        "spacy>>3\nrich\n-e .\n./local\ngit+https://example.org/x\nx --hash=sha256:12\n--frob\n-r gone.txt\n"
    )
    first = written(tmp_path, text)
    message = problems([first, more])
    assert message.startswith("8 requirements cannot be used")
    for line in (1, 3, 4, 5, 6, 7, 8):
        assert f"{first}:{line}: " in message
    assert f"{more}:2: " in message
    assert f"{first}:2: " not in message


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("pkg @ https://example.org/pkg-1-py3-none-any.whl", "points at one file"),
        ("./pkg-1-py3-none-any.whl", "is a path or URL"),
        ("-e .", "installs from a folder"),
        ("--no-binary :all:", "from source"),
        ("-r https://example.org/r.txt", "not on this machine"),
        ("-c", "needs a value"),
        ("a --hash=sha512:" + "0" * 128, "SHA-256"),
        ("-f 'open", "cannot be split"),
    ],
)
def test_what_cannot_be_locked_says_why(tmp_path: Path, line: str, said: str) -> None:
    """Each form that a lock cannot hold has its own explanation."""
    assert said in problems([written(tmp_path, line + "\n")])


def test_pyproject_dependencies_are_read(tmp_path: Path) -> None:
    """[project.dependencies] is read, and a bad entry is named by its line."""
    text = '[project]\nname = "x"\ndependencies = [\n  "spacy>=3",\n  "rich ; python_version > \'3\'",\n]\n'
    read = read_requirements([], [written(tmp_path, text, "pyproject.toml")])
    assert read.names == ("spacy", "rich")
    assert read.origins[1].endswith("pyproject.toml:5")
    bad = written(
        tmp_path, '[project]\ndependencies = [\n  "ok",\n  "spacy>>3",\n  3,\n]\n', "pyproject.toml"
    )
    message = problems([bad])
    assert f"{bad}:4: " in message
    assert "project.dependencies[2] is not a string" in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[project]\nname='x'\ndynamic=['dependencies']\n", "dynamic"),
        ("[tool.poetry.dependencies]\npython='3'\n", "Poetry"),
        ("[project]\nname='x'\n", "no [project] dependencies"),
        ("[project]\ndependencies='spacy'\n", "not a list"),
        ("[project\n", "not TOML"),
        ("project = 3\n", "no [project] dependencies"),
    ],
)
def test_a_pyproject_without_dependencies_says_so(tmp_path: Path, text: str, said: str) -> None:
    """A pyproject.toml that names no dependencies is an error that says what is there instead."""
    assert said in problems([written(tmp_path, text, "pyproject.toml")])


def test_nothing_asked_for_is_an_error(tmp_path: Path) -> None:
    """Neither no arguments nor a file of comments makes a lock."""
    with pytest.raises(ConfigurationError, match="no requirements were given"):
        read_requirements([], [])
    with pytest.raises(ConfigurationError, match="ask for no package"):
        read_requirements([], [written(tmp_path, "# nothing\n")])


def test_a_file_named_as_a_requirement_is_pointed_out(tmp_path: Path) -> None:
    """'requirements.txt' without -r is the commonest slip, and is named as such."""
    path = written(tmp_path, "a\n")
    with pytest.raises(ConfigurationError, match="name it after -r"):
        read_requirements([str(path)], [])


def test_a_file_that_is_not_text_is_an_error(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are reported by the file's name."""
    path = tmp_path / "r.txt"
    path.write_bytes(b"\xff\xfe\x00a")
    assert f"{path} cannot be read: it is not UTF-8 text" in problems([path])
