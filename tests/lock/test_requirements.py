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
from lambdapack.lock.requirements.read import logical_lines

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
    assert read.lines or read.direct
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
    assert read.options.pairs == (
        ("extra-index-url", "https://u:secret@example.org/simple"),
        ("find-links", str(tmp_path / "wheels")),
        ("pre", ""),
    )
    assert "secret" not in repr(read)


def test_every_malformed_line_is_reported_at_once(tmp_path: Path) -> None:
    """All problems of all files come in one error, each with its file and line."""
    more = written(tmp_path, "ok\nfoo=>1\n", "more.txt")
    text = "spacy>>3\nrich\n-e\nftp://x/y.whl\ngit+https://e.org/x\nx --hash=sha256:12\n--frob\n-r gone.txt\n"
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
        ("pkg @ git+https://example.org/pkg", "check it out and name its folder"),
        ("pkg @ s3://bucket/pkg-1-py3-none-any.whl", "not an address that can be fetched"),
        ("-e", "needs a value"),
        ("--no-binary", "needs a value"),
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
    bad = written(tmp_path, '[project]\ndependencies = [\n  "ok",\n  "spacy>>3",\n]\n', "pyproject.toml")
    assert f"{bad}:4: " in problems([bad])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[project]\nname='x'\ndynamic=['dependencies']\n", "dynamic"),
        ("[tool.poetry.dependencies]\npython='3'\n", "Poetry"),
        ("[project]\nname='x'\n", "no [project] dependencies"),
        ("[project]\ndependencies='spacy'\n", "project.dependencies: expected a list of strings"),
        ("[project]\ndependencies=['a', 3]\n", "project.dependencies[1]: expected a string, found 3"),
        ("[project\n", "not TOML"),
        ("project = 3\n", "project: expected a table, found 3"),
        ("[dependency-groups]\na = [{include-group = 'b'}]\n", "Dependency group 'b' not found"),
        ("[dependency-groups]\na = [{include-group = 'a'}]\n", "a includes itself"),
        ("[dependency-groups]\na = ['x>>1']\n", "dependency-groups: "),
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


PROJECT = """
[project]
name = "Fine_Service"
dependencies = ["base"]
[project.optional-dependencies]
Web = ["server>=2", "fine-service[tls]"]
tls = ["crypto ; sys_platform == 'linux'"]
[dependency-groups]
test = ["runner", {include-group = "Lint"}]
lint = ["linter"]
"""


def test_extras_and_groups_are_taken_when_they_are_asked_for(tmp_path: Path) -> None:
    """An extra may name the project's other extras, a group may include groups, and names are normalised."""
    path = written(tmp_path, PROJECT, "pyproject.toml")
    assert read_requirements([], [path]).names == ("base",)
    assert read_requirements([], [path], extras=["web"]).names == ("base", "server", "crypto")
    assert read_requirements([], [path], groups=["TEST"]).names == ("base", "runner", "linter")


def test_an_extra_that_no_file_has_is_named(tmp_path: Path) -> None:
    """A slip in --extra or --group is an error that lists what there is."""
    path = written(tmp_path, PROJECT, "pyproject.toml")
    with pytest.raises(ConfigurationError, match=r"has no extra wbe \(it has: tls, web\)"):
        read_requirements([], [path], extras=["wbe"])
    with pytest.raises(ConfigurationError, match=r"has no group docs \(it has: lint, test\)"):
        read_requirements([], [path], groups=["docs"])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("pkg @ https://e.org/p-1-py3-none-any.whl", ("https://e.org/p-1-py3-none-any.whl", "pkg", (), "")),
        (
            "Pkg[B,a] @ https://e.org/p.tar.gz ; os_name == 'posix'",
            ("https://e.org/p.tar.gz", "pkg", ("a", "b"), 'os_name == "posix"'),
        ),
        ("https://e.org/p-1-py3-none-any.whl", ("https://e.org/p-1-py3-none-any.whl", "", (), "")),
        (
            "./p-1-py3-none-any.whl ; os_name == 'nt'",
            ("HERE/p-1-py3-none-any.whl", "", (), "os_name == 'nt'"),
        ),
        ("-e ./lib[x]", ("HERE/lib", "", ("x",), "")),
        ("--editable=../up", ("UP/up", "", (), "")),
        ("file:///wheels/a%20b/p-1-py3-none-any.whl", ("/wheels/a b/p-1-py3-none-any.whl", "", (), "")),
        ("https://e.org/p.zip#egg=My_Pkg", ("https://e.org/p.zip", "my-pkg", (), "")),
    ],
)
def test_files_and_folders_are_read_as_pip_reads_them(
    tmp_path: Path, line: str, expected: tuple[str, str, tuple[str, ...], str]
) -> None:
    """A direct reference keeps its name, extras and marker; paths are relative to the file that has them."""
    found = read_requirements([], [written(tmp_path, line + "\n")]).direct[0]
    location = expected[0].replace("HERE", str(tmp_path)).replace("UP", str(tmp_path.parent))
    assert (found.location, found.name, found.extras, found.marker) == (location, *expected[1:])


def test_hashes_of_a_file_come_from_its_line_and_its_address(tmp_path: Path) -> None:
    """Both ways of writing a hash count, and only SHA-256."""
    other = "f" * 64
    line = f"https://e.org/p.whl#sha256={other} --hash={HASH}"
    assert read_requirements([], [written(tmp_path, line)]).direct[0].hashes == (HASH, f"sha256:{other}")


@given(st.text(max_size=60).filter(lambda text: "/" not in text))
def test_no_password_is_shown(password: str) -> None:
    """What a report shows of the requirements holds no user's part of an address."""
    line = f"https://someone:{'secret' + password}@example.org/p-1-py3-none-any.whl"
    try:
        read = read_requirements([line], [])
    except ConfigurationError as error:
        assert "secret" not in error.message
        return
    assert not any("secret" in shown for shown in read.shown)


def test_formats_follow_pips_own_rule(tmp_path: Path) -> None:
    """The later of --no-binary and --only-binary counts for a package; :none: takes back."""
    text = "a\n--no-binary b,C\n--only-binary c\n--no-binary=d\n"
    read = read_requirements([], [written(tmp_path, text)])
    assert (read.no_binary, read.only_binary) == (("b", "d"), ("c",))
    read = read_requirements([], [written(tmp_path, "a\n--no-binary :all:\n--no-binary :none:\n")])
    assert read.no_binary == ()
