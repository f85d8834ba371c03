"""The file of ``environment-file``: what is read, and that a mistake is told without a value."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdapack.config import read_environment
from lambdapack.errors import ConfigurationError


def written(folder: Path, text: str, name: str = ".env") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_lines_are_read_as_other_tools_read_them(tmp_path: Path) -> None:
    """Comments, export, quotation marks, escapes in double ones; an equals sign may be in a value."""
    path = written(
        tmp_path,
        "# comment\n\nPLAIN=a b # comment\nexport EXPORTED = x\nHASH=a#b\nURL=postgres://u:p@h/d?a=b\n"
        'SINGLE=\'a # \\n b\' # comment\nDOUBLE="line\\nnext \\"q\\" $X"\nEMPTY=\nNONE= # comment\n',
    )
    assert read_environment(path) == {
        "PLAIN": "a b", "EXPORTED": "x", "HASH": "a#b", "URL": "postgres://u:p@h/d?a=b",
        "SINGLE": "a # \\n b", "DOUBLE": 'line\nnext "q" $X', "EMPTY": "", "NONE": "",
    }  # fmt: skip


def test_toml_and_json_are_tables_of_texts(tmp_path: Path) -> None:
    """By the file's name."""
    assert read_environment(written(tmp_path, 'A = "1"\n', "env.toml")) == {"A": "1"}
    assert read_environment(written(tmp_path, '{"A": "1"}', "env.json")) == {"A": "1"}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (".env", "A=1\nhush\n", "line 2 of .* is not NAME=value"),
        (".env", 'A="hush', "in line 1 of .*, the value of A begins with a quotation mark"),
        (".env", "1A=hush", "line 1 of"),
        ("e.toml", "A = hush", "is not TOML, line 1"),
        ("e.toml", "A = 7\nB = ['hush']", "A, B are no text"),
        ("e.json", '{"A": "hush"', "is not JSON, line 1"),
        ("e.json", '["hush"]', "is no table"),
        ("e.json", '{"A": {"B": "hush"}}', "A is no text"),
    ],
)
def test_a_mistake_is_told_by_its_place_alone(tmp_path: Path, name: str, text: str, said: str) -> None:
    """The line or the name; never what stands there, which may be a secret."""
    with pytest.raises(ConfigurationError, match=said) as caught:
        read_environment(written(tmp_path, text, name))
    assert "hush" not in f"{caught.value} {caught.value.hint}"
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_a_file_that_is_not_there_or_no_text_is_a_message(tmp_path: Path) -> None:
    """With the key that names it."""
    with pytest.raises(ConfigurationError, match=r"cannot read .*gone") as caught:
        read_environment(tmp_path / "gone")
    assert "environment-file" in (caught.value.hint or "")
    (tmp_path / ".env").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="is not UTF-8 text"):
        read_environment(tmp_path / ".env")


@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z_][A-Za-z0-9_]*", fullmatch=True),
        st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"])),
    )
)
def test_what_is_quoted_comes_back(tmp_path_factory: pytest.TempPathFactory, table: dict[str, str]) -> None:
    """Any text in double quotation marks, with its quotation marks and backslashes escaped."""
    lines = [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in table.items()]
    path = written(tmp_path_factory.getbasetemp(), "\n".join(lines))
    assert read_environment(path) == table
