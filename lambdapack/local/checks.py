"""What Lambda would refuse: a function's settings, an event, a kind of start."""

from __future__ import annotations

import json
from dataclasses import replace

from lambdapack import limits
from lambdapack.errors import ConfigurationError
from lambdapack.local.environment.runtime_api import MAX_REQUEST
from lambdapack.local.environment.starts import MANAGED, ON_DEMAND, SNAP_START, Settings, workers_for
from lambdapack.local.function import Function
from lambdapack.model import FunctionSettings, Target, refused_by_lambda


def check_settings(name: str, settings: FunctionSettings, target: Target) -> None:
    """That Lambda would take a function's name and settings.

    Raises:
        ConfigurationError: Everything that Lambda would refuse.
    """
    if problems := list(refused_by_lambda(name, settings, target)):
        raise ConfigurationError("Lambda refuses these settings: " + "; ".join(problems))


def check_payload(payload: bytes) -> None:
    """That Lambda would take an event.

    Raises:
        ConfigurationError: It would not.
    """
    if len(payload) > MAX_REQUEST:
        raise ConfigurationError(
            f"invoking: the payload has {len(payload)} bytes, more than Lambda's {MAX_REQUEST}",
            hint="put it into S3 and pass its key",
        )
    try:
        json.loads(payload)
    except ValueError as error:
        raise ConfigurationError(f"invoking: the payload is not JSON ({error})") from None


def settings_of(
    function: Function,
    memory_mb: int | None,
    tmp_mb: int | None,
    start: str | None,
    *,
    workers: int | None = None,
    boost: bool,
) -> Settings:
    """The settings of an environment of a function; ``None`` stands for the function's own.

    Raises:
        ConfigurationError: Lambda would refuse them.
    """
    own, name = function.settings, function.name
    memory_mb, tmp_mb = memory_mb or own.memory_mb, tmp_mb or own.tmp_mb
    start = start or (SNAP_START if own.snap_start else ON_DEMAND)
    if start not in limits.INITIALIZATION_TYPES:
        kinds = ", ".join(limits.INITIALIZATION_TYPES)
        raise ConfigurationError(f"start {start!r} is not one of {kinds}")
    if start == MANAGED and function.target.version < limits.MANAGED_PYTHON:
        raise ConfigurationError(
            f"starting {name} as on a Managed Instance: {function.target.runtime} has none of these, "
            "Python 3.13 is the first"
        )
    asked = replace(own, memory_mb=memory_mb, tmp_mb=tmp_mb, snap_start=start == SNAP_START)
    check_settings(name, asked, function.target)
    return Settings(memory_mb, tmp_mb, start, workers or workers_for(start, memory_mb), boost=boost)
