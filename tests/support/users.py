"""What a test can do with files of other users."""

from __future__ import annotations

import os

import pytest

needs_root = pytest.mark.skipif(
    # In CI the test fails instead, so that a start as another user cannot switch the test off unseen.
    os.geteuid() != 0 and not os.environ.get("CI"),
    reason="the system lets only root give a file to another user",
)
