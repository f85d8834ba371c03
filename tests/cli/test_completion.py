"""``lambdapack completion``: the scripts, in real shells at a terminal of their own."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lambdapack.cli.group import COMMANDS
from tests.support.command_line import Run, shown

START = {
    "bash": ("bash --norc --noprofile -i", 'eval "$(lambdapack completion bash)"'),
    "zsh": ("zsh -f -i", 'autoload -Uz compinit; compinit -u -D; eval "$(lambdapack completion zsh)"'),
}
LINES = (
    ("lambdapack pl", "lambdapack plan "),
    ("lambdapack plan --pla", "lambdapack plan --place "),
    ("lambdapack plan --place lay", "lambdapack plan --place layer "),
    ("lambdapack plan --pack here/bui", "lambdapack plan --pack here/built/"),
)
"""What is typed before the Tab, and what then stands there."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home whose bin holds this lambdapack, and a folder to complete the name of."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/lambdapack"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m lambdapack "$@"\n')
    program.chmod(0o755)
    (tmp_path / "here/built").mkdir(parents=True)
    return tmp_path


def environment(home: Path) -> dict[str, str]:
    """A shell's environment without anybody's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG", "ZDOT"))}
    path = f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}"
    own = {"HOME": str(home), "PATH": path, "PYTHONPATH": str(Path(__file__).parents[2])}
    return {**kept, **own, "PS1": "> ", "TERM": "dumb", "COLUMNS": "200"}


class Terminal:
    """A shell at a terminal, with the script loaded."""

    def __init__(self, shell: str, home: Path) -> None:
        begin, source = START[shell]
        self._file, inside = pty.openpty()
        self.process = subprocess.Popen(
            begin.split(), cwd=home, env=environment(home), start_new_session=True,
            stdin=inside, stdout=inside, stderr=inside,
        )  # fmt: skip
        os.close(inside)
        # In two words, so that the echo of what is typed is not the answer.
        assert "ready" in self.type(f"{source}; echo rea''dy\n", "ready")

    def type(self, keys: str, awaited: str) -> str:
        """Press keys; what the shell shows until ``awaited`` is there, without the terminal's own codes."""
        os.write(self._file, keys.encode())
        seen, end = "", time.monotonic() + 60
        while time.monotonic() < end and awaited not in _plain(seen):
            if select.select([self._file], [], [], 0.2)[0]:
                seen += os.read(self._file, 65536).decode(errors="replace")
        return _plain(seen)

    def close(self) -> None:
        """End the shell."""
        self.process.kill()
        self.process.wait()
        os.close(self._file)


def _plain(text: str) -> str:
    return re.sub(r"\x1b(\[[0-9;?=<>]*[A-Za-z]|\][^\x07]*\x07|.)|\x08|\r(?!\n)", "", text)


def require(shell: str) -> None:
    """Skip where the machine lacks the shell; in CI bash is never taken for absent."""
    if shutil.which(shell) is None and not (shell == "bash" and os.environ.get("CI")):
        pytest.skip(f"no {shell} here")


@pytest.mark.parametrize("shell", START)
def test_tab_completes_commands_options_values_and_paths(shell: str, home: Path) -> None:
    """What stands on the line after the key, in the shell itself."""
    require(shell)
    terminal = Terminal(shell, home)
    try:
        for typed, expected in LINES:
            # Ctrl-U: the next line begins empty.
            assert expected in terminal.type(f"\x15{typed}\t", expected)
    finally:
        terminal.close()


def test_fish_completes_commands_options_values_and_paths(home: Path) -> None:
    """As fish itself tells what it would offer, with the line about each command."""
    require("fish")
    ask = "".join(f"; complete -C '{typed}'" for typed, _ in LINES)
    done = subprocess.run(
        ["fish", "--no-config", "-c", f"lambdapack completion fish | source{ask}"],
        cwd=home, env=environment(home), stdout=subprocess.PIPE, text=True, check=True, timeout=60,
    )  # fmt: skip
    offered = [line.split("\t")[0] for line in done.stdout.splitlines()]
    assert offered == [expected.split()[-1] for _, expected in LINES]
    assert done.stdout.splitlines()[0] == f"plan\t{COMMANDS['plan']}"


def test_every_command_is_offered_and_nothing_goes_wrong(run_lambdapack: Run, home: Path) -> None:
    """An unknown command and a configuration that cannot be read are no errors at a Tab."""
    (home / "lambdapack.toml").write_text("not [toml")

    def offered(words: str, number: int) -> list[str]:
        asked = [
            ("_LAMBDAPACK_COMPLETE", "bash_complete"),
            ("COMP_WORDS", words),
            ("COMP_CWORD", str(number)),
        ]
        done = run_lambdapack(cwd=home, environment=asked)
        assert done.stderr == ""
        return [line.partition(",")[2] for line in done.stdout.splitlines()]

    assert offered("lambdapack ", 1) == list(COMMANDS)
    assert offered("lambdapack nothing ", 2) == list(COMMANDS)
    document = shown(run_lambdapack("completion", "zsh", "--json", cwd=home))
    assert (document["document"], document["version"], document["shell"]) == (
        "lambdapack.completion",
        1,
        "zsh",
    )
    assert document["script"] + "\n" == run_lambdapack("completion", "zsh", cwd=home).stdout
