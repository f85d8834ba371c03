"""What the tests of the loader share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lambdapack.python import interpreter
from tests.support.shim_world import World, running_world

RUNNING = interpreter.find("{}.{}".format(*sys.version_info))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, lambdapack_cache: Path) -> Iterator[World]:
    with running_world(tmp_path_factory.mktemp("world"), RUNNING, lambdapack_cache) as world:
        yield world
