"""lambdapack.python.wheel_recipe: what decides a wheel that is built, and what a build sees."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lambdapack.model import NO_OPTIONS, PipOptions
from lambdapack.python.wheel_recipe import build_environment, recipe
from tests.support.wheelhouse import offline

INDEX = "https://{}@index.example/simple"


def test_what_may_decide_a_wheel_is_in_its_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of compilers, build backends and pip, and what is in constraints files; not how pip talks."""
    offline(monkeypatch)
    limits = tmp_path / "limits.txt"
    limits.write_text("setuptools<80\n")
    monkeypatch.setenv("PIP_INDEX_URL", INDEX.format("me:old"))
    monkeypatch.setenv("PIP_CONSTRAINT", str(limits))
    seen = [recipe(NO_OPTIONS)]
    for name, value in (
        ("PIP_INDEX_URL", INDEX.format("me:new")), ("PIP_TIMEOUT", "7"), ("SSH_AUTH_SOCK", "/run/agent"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
        assert recipe(PipOptions((("find-links", "/wheels"), ("pre", "")))) == seen[0]
    limits.write_text("setuptools<81\n")
    seen.append(recipe(NO_OPTIONS))
    monkeypatch.setenv("CFLAGS", "-O1")
    seen.append(recipe(NO_OPTIONS))
    monkeypatch.setenv("SETUPTOOLS_SCM_PRETEND_VERSION", "2")
    seen.append(recipe(NO_OPTIONS))
    monkeypatch.setenv("PIP_CONFIG_SETTINGS", "--build-option=--fast")
    seen.append(recipe(NO_OPTIONS))
    seen.append(recipe(PipOptions((("index-url", INDEX.format("me:new")),))))
    seen.append(recipe(PipOptions((("no-index", ""),))))
    assert len({repr(one) for one in seen}) == len(seen)
    assert "me:" not in repr(seen)


def test_a_build_sees_what_is_in_its_recipe_and_what_pip_needs() -> None:
    """Of any other variable nobody could tell what it decides."""
    needed = {"PATH": "/bin", "https_proxy": "http://proxy", "PIP_CERT": "/ca.pem", "CXXFLAGS": "-O1"}
    assert build_environment({**needed, "BUILD_NUMBER": "7", "PYTHONPATH": "/elsewhere"}) == needed
    assert build_environment()["PATH"] == os.environ["PATH"]
