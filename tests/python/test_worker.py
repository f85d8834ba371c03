"""lambdapack.python.worker: a file that the target's own Python runs, and its answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from lambdapack.errors import ToolError
from lambdapack.python import worker
from lambdapack.python.interpreter import Interpreter, installed
from tests.support.installed import own


def work(folder: Path) -> Path:
    made = folder / "work"
    made.mkdir()
    return made


@pytest.mark.parametrize("python", installed(), ids=lambda python: str(python.python))
def test_a_worker_sees_the_standard_library_and_what_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, python: Interpreter
) -> None:
    """Neither this process's environment nor what lies beside the worker's file; ``exit`` is there."""
    monkeypatch.setenv("SECRET_OF_THIS_PROCESS", "x")
    (tmp_path / "colorsys.py").write_text("raise SystemExit('not the standard library')\n")
    file = tmp_path / "some_worker.py"
    file.write_text(
        "import colorsys, os\n"
        "def run(request):\n"
        "    return {**request, 'seen': dict(os.environ), 'exit': callable(exit)}\n"
    )
    answer = worker.ask(
        *(python, file, {"asked": [1]}, work(tmp_path)), seconds=60, doing="trying", environment={"TZ": "CET"}
    )
    assert answer["asked"] == [1]
    assert answer["exit"]
    assert "SECRET_OF_THIS_PROCESS" not in answer["seen"]
    assert answer["seen"]["TZ"] == "CET"
    assert answer["seen"]["HOME"].startswith(str(tmp_path))


def test_a_worker_without_an_answer_is_an_error_that_says_why(tmp_path: Path) -> None:
    """What was being done, how it ended, and the worker's own last words."""
    file = tmp_path / "broken_worker.py"
    file.write_text("def run(request):\n    raise ValueError('as asked')\n")
    with pytest.raises(ToolError, match=r"trying failed: .* ended with status 1 and no result") as caught:
        worker.ask(own(), file, {}, work(tmp_path), seconds=60, doing="trying")
    assert caught.value.detail is not None
    assert "ValueError: as asked" in caught.value.detail
