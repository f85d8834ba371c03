"""The workflow commands of a verdict, read as GitHub's runner reads them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lambdapack import plan
from lambdapack.plan import AssetFacts, Budget, Facts
from lambdapack.report import github
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
