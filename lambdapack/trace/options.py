"""What a trace runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class TraceOptions:
    """What to run for the trace: ``code``, or ``handler`` of ``source``; neither: the requested imports.

    Attributes:
        code: Python code.
        handler: ``module.function``, called once.
        event: The event for it.
        source: Folder that the handler is imported from.
        environment: Environment variables of the function, which any traced code and the imports that prove
            slimming see.
        timeout: Seconds.
        assets: Name -> file or folder; no input of a build: what is in them is not in the pack.
    """

    code: str | None = None
    handler: str | None = None
    event: Any = None
    source: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 300.0
    assets: Mapping[str, Path] = field(default_factory=dict)
