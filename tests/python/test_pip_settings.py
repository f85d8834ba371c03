"""lambdapack.python: pip's configuration as a value and as a digest, and pip's options as a value."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdapack.errors import ToolError
from lambdapack.model import NO_OPTIONS, PipOptions
from lambdapack.python.pip_settings import PipSettings, local_path, pip_digest, without_user

# pip's own reader, in a Python that takes itself for one installed at sys.argv[1].
PIPS_OWN = """
import json, sys
from pip._internal.configuration import Configuration
sys.prefix = sys.argv[1]
read = Configuration(isolated=False)
read.load()
merged = {}
for _, entries in read.items():
    merged.update(entries)
print(json.dumps({name: value.strip() for name, value in merged.items() if value.strip()}))
"""
FILES = {
    "xdg-first/pip/pip.conf": "[global]\ntimeout = 1\nretries = 1\n",
    "xdg-last/pip/pip.conf": "[global]\ntimeout = 2\n",
    "home/.pip/pip.conf": "[global]\ntimeout = 3\nindex-url = https://legacy\n",
    "home/.config/pip/pip.conf": "[global]\nTime_Out = 4\nfind-links =\n    /a\n    /b\n[install]\n--pre = 1",
    "other/pip/pip.conf": "[global]\ntimeout = 5\n",
    "prefix/pip.conf": "[global]\nproxy = http://site\nindex-url =\n",
    "chosen.conf": "[global]\nproxy = http://%%40chosen\n[freeze]\ntimeout = 6\n",
}


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"XDG_CONFIG_HOME": "HERE/other"},
        {"PIP_CONFIG_FILE": "HERE/chosen.conf"},
        {"PIP_CONFIG_FILE": "HERE/missing.conf"},
        {"PIP_CONFIG_FILE": "/dev/null"},
        {"PIP_INDEX_URL": "https://a https://b", "PIP_NO_INPUT": "", "PIP_VERSION": "1", "pip_pre": "1"},
    ],
)
def test_configuration_is_merged_as_pip_merges_it(tmp_path: Path, variables: dict[str, str]) -> None:
    """Every file that pip reads, in its order of precedence, and the variables beside them."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    environment = {
        "HOME": str(tmp_path / "home"),
        "XDG_CONFIG_DIRS": f"{tmp_path}/xdg-first:{tmp_path}/xdg-last",
        **{name: value.replace("HERE", str(tmp_path)) for name, value in variables.items()},
    }
    command = [sys.executable, "-c", PIPS_OWN, str(tmp_path / "prefix")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    settings = PipSettings.read(environment, tmp_path / "prefix")
    assert {f"{section}.{key}": value for section, key, value in settings.entries} == json.loads(done.stdout)


def test_variables_come_before_files_and_no_value_is_shown(tmp_path: Path) -> None:
    """The first setting of a key is the one that counts; repr holds no password."""
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = https://me:hush@file\n")
    environment = {"PIP_CONFIG_FILE": str(tmp_path / "pip.conf"), "PIP_INDEX_URL": "https://variable"}
    settings = PipSettings.read({**environment, "HOME": "/nowhere", "XDG_CONFIG_DIRS": "/nowhere"}, tmp_path)
    assert list(settings.words({"index-url"})) == ["https://variable", "https://me:hush@file"]
    assert "hush" not in repr(settings)


@pytest.mark.parametrize("content", [b"index-url = x\n", b"[global]\nproxy = \xff\n"])
def test_a_malformed_file_is_named(tmp_path: Path, content: bytes) -> None:
    """pip would fail on it later: the message says which file to correct."""
    path = tmp_path / "pip.conf"
    path.write_bytes(content)
    with pytest.raises(ToolError, match=f"{path} is malformed"):
        PipSettings.read({"PIP_CONFIG_FILE": str(path), "HOME": "/nowhere"}, tmp_path)


def test_options_become_arguments_and_lines_of_a_file() -> None:
    """A flag has no value; several addresses stay one value."""
    options = PipOptions((("index-url", "https://me:hush@x"), ("pre", ""))) + PipOptions.find_links(
        Path("/w")
    )
    assert options.arguments == ("--index-url", "https://me:hush@x", "--pre", "--find-links", "/w")
    assert options.text == "--index-url https://me:hush@x\n--pre\n--find-links /w\n"
    assert list(options.values({"find-links", "pre"})) == ["", "/w"]
    assert options.without("pre", "find-links").pairs == (("index-url", "https://me:hush@x"),)
    assert options.mapped({"find-links"}, str.upper).arguments[-2:] == ("--find-links", "/W")
    assert "hush" not in repr(options)


@given(st.from_regex(r"[a-z:@]{0,8}", fullmatch=True))
def test_no_user_stays_in_an_address(user: str) -> None:
    """Whatever is before the last @ of the host's part goes; what has no user stays as it is."""
    assert without_user(f"x https://{user}@host/path@1 y") == "x https://host/path@1 y"
    assert without_user("https://host/me@there") == "https://host/me@there"


def test_paths_and_file_urls_are_local() -> None:
    """Other URLs are not."""
    assert local_path("file:///a%20b/c") == Path("/a b/c")
    assert local_path("~/wheels") == Path.home() / "wheels"
    assert local_path("https://host/wheels") is None


def test_everything_that_pip_is_told_is_in_the_digest(tmp_path: Path) -> None:
    """Variables, configuration files, netrc, constraint files and folders of wheels: each change shows."""
    home, wheels = tmp_path / "home", tmp_path / "wheels"
    (home / ".config" / "pip").mkdir(parents=True)
    wheels.mkdir()
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("six<2\n")
    configuration = home / ".config" / "pip" / "pip.conf"
    configuration.write_text(f"[global]\nfind-links = {wheels}\nconstraint = {constraints}\n")

    def seen(options: PipOptions = NO_OPTIONS, **variables: str) -> str | None:
        return pip_digest(["six"], options, (tmp_path / "prefix",), {"HOME": str(home), **variables})

    found = [seen(), seen(PIP_PRE="1"), seen(HTTPS_PROXY="http://proxy")]
    (wheels / "six-1.whl").write_bytes(b"1")
    found.append(seen())
    (wheels / "six-1.whl").write_bytes(b"22")
    found.append(seen())
    constraints.write_text("six<1.17\n")
    found.append(seen())
    (home / ".netrc").write_text("machine x login y password z")
    found.append(seen())
    configuration.write_text("[global]\nindex-url = https://elsewhere\n")
    found.append(seen())
    (tmp_path / "prefix").mkdir()
    (tmp_path / "prefix" / "pip.conf").write_text("[install]\npre = true\n")
    found.append(seen())
    assert None not in found and len(set(found)) == len(found)
    assert seen(LANG="C") == seen()
    local = tmp_path / "local"
    local.mkdir()
    before = {name: seen(PipOptions(((name, str(local)),))) for name in ("find-links", "index-url")}
    (local / "six-2.whl").write_bytes(b"")
    after = {name: seen(PipOptions(((name, str(local)),))) for name in ("find-links", "index-url")}
    assert after["find-links"] != before["find-links"]
    assert after["index-url"] == before["index-url"], "what an index answers grows old instead"


def test_a_file_that_a_requirement_names_is_in_the_digest(tmp_path: Path) -> None:
    """A wheel that was built again under the same name may be another one."""
    path = tmp_path / "six-1-py3-none-any.whl"
    found = []
    for content in (b"", b"1"):
        path.write_bytes(content)
        found.append(pip_digest([f"six @ {path.as_uri()}"], NO_OPTIONS, (tmp_path,), {"HOME": "/nowhere"}))
    assert found[0] != found[1]


def test_a_folder_with_too_many_files_says_nothing(tmp_path: Path) -> None:
    """Then no lock is reused: looking at them all would cost more than asking."""
    for number in range(5100):
        (tmp_path / str(number)).touch()
    assert pip_digest([], PipOptions.find_links(tmp_path), (), {"HOME": "/nowhere"}) is None
