"""The command line as the tests run it; ``run_lambdapack`` is the fixture."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def shown(done: subprocess.CompletedProcess[str]) -> Any:
    """What ``--json`` printed."""
    return json.loads(done.stdout)
