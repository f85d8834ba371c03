"""The workflow commands of a verdict, read as GitHub's runner reads them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from lambdapack import plan
from lambdapack.errors import CheckError
from lambdapack.plan import AssetFacts, Budget, Facts
from lambdapack.report import github
from lambdapack.report.verdict import verdict_tables
from tests.plan.test_plan import make_index


def read(line: str) -> tuple[str, dict[str, str], str]:
    """Command, properties and message of one line of a log: the escapes of the runner's ActionCommand."""
    assert line.startswith("::")
    head, _, message = line[2:].partition("::")
    command, _, properties = head.partition(" ")
    pairs = (pair.partition("=")[::2] for pair in properties.split(","))
    named = {name: _plain(value, ":", ",") for name, value in pairs}
    return command, named, _plain(message)


def _plain(text: str, *also: str) -> str:
    for character in ("\r", "\n", *also, "%"):
        text = text.replace(f"%{ord(character):02X}", character)
    return text


@given(st.sampled_from(["error", "warning"]), st.text(), st.text())
def test_any_title_and_message_come_through(level: str, title: str, message: str) -> None:
    """On one line, whatever is in them: no line break, no second command, no second property."""
    line = github.command(level, title, message)
    assert not {"\r", "\n"} & set(line)
    assert read(line) == (level, {"title": title}, message)


def test_what_is_broken_is_an_error_and_advice_is_a_warning() -> None:
    """One line each with measured, bound and fix; what is kept is not mentioned."""
    index = make_index([("a/x", "d", 1)], [7_000_000])
    asset = AssetFacts("big", "use", 1, 1, 9 << 30, 1)
    verdict = plan.assess(Facts(index, assets=(asset,)), Budget(pack=5, hot=5))
    found = {
        named["title"]: (level, said) for level, named, said in map(read, github.workflow_commands(verdict))
    }
    fix = "a (7.0 MB) is the most: leave it out, or raise it"
    assert found["lambdapack: budget.pack"] == ("error", f"7.0 MB, over 5.0 MB: [budget] pack\n{fix}")
    assert found["lambdapack: memory.assets"][0] == "warning"
    assert {title for title, (level, _) in found.items() if level == "error"} == {
        f"lambdapack: {check.name}" for check in verdict.failed
    }
    assert "lambdapack: budget.hot" not in found


def test_an_error_names_the_cheapest_step_that_mends_it() -> None:
    """Besides the fix of its check, with what the step costs; the tables list all of them."""
    index = make_index([("a/x.so", "x", 600 << 20)], [7_000_000])
    verdict = plan.assess(Facts(index))
    _, named, said = read(next(iter(github.workflow_commands(verdict))))
    assert named["title"] == "lambdapack: tmp"
    price = "$0.003 for a million seconds in handler and init"
    assert said.endswith(f"\ncheapest: set tmp = 620 in [function] (cost: {price})")
    console = Console(width=200)
    with console.capture() as shown:
        console.print(verdict_tables(verdict))
    assert re.search(r"1\.  set tmp = 620 in \[function\]  tmp 108 MiB  \$0\.003 .*  suffices", shown.get())
    assert re.search(r"zip, fastest +yes", shown.get())
    assert "what helps" not in "".join(github.workflow_commands(plan.assess(Facts(index, tmp_mb=1024))))
    with pytest.raises(CheckError) as caught:
        plan.enforce(verdict)
    assert caught.value.hint == "set tmp to 620 MB; the cheapest that helps: set tmp = 620 in [function]"
