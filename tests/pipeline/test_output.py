"""The folder of a build: what Ctrl-C leaves of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lambdapack.pipeline.output import finish, workspace


def _interrupt_after(real: Callable[..., Any]) -> Callable[..., Any]:
    """``real``, and Ctrl-C the moment that it has done its work for the first time."""
    done = 0

    def interrupted(*words: Any, **named: Any) -> Any:
        nonlocal done
        result = real(*words, **named)
        done += 1
        if done == 1:
            raise KeyboardInterrupt
        return result

    return interrupted


def test_ctrl_c_right_after_the_folder_was_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work folder goes although the block that works in it was never entered."""
    entered = False
    output = tmp_path / "out"
    output.mkdir()
    monkeypatch.setattr(os, "mkdir", _interrupt_after(os.mkdir))
    with pytest.raises(KeyboardInterrupt), workspace(output):
        entered = True
    assert not entered
    assert list(output.iterdir()) == []


def test_ctrl_c_while_the_folder_is_removed_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A removal that is interrupted is finished before the interrupt goes on."""
    with pytest.raises(KeyboardInterrupt), workspace(tmp_path) as work:
        (work / "tree").mkdir()
        (work / "tree" / "file").write_bytes(b"x")
        monkeypatch.setattr(os, "rmdir", _interrupt_after(os.rmdir))
    assert list(tmp_path.iterdir()) == []


def test_a_killed_build_is_swept_by_the_next(tmp_path: Path) -> None:
    """A work folder that no process holds is removed, whatever its name; one that is held is left alone."""
    dead = tmp_path / f".work-{os.getpid()}-x"
    (dead / "pack").mkdir(parents=True)
    with workspace(tmp_path) as held, workspace(tmp_path) as work:
        assert sorted(tmp_path.iterdir()) == sorted([held, work])
    assert list(tmp_path.iterdir()) == []


def test_a_build_that_was_not_replaced_yet_stays(tmp_path: Path) -> None:
    """A build that was killed before its own build.json was in place has replaced nothing."""
    (tmp_path / "old.tar.zst").write_bytes(b"")
    (tmp_path / ".replaced").write_text('["old", "old.tar.zst"]')
    finish(tmp_path)
    assert (tmp_path / "old.tar.zst").exists()
