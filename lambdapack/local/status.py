"""What a local cloud has: functions, their versions and environments, as a document for JSON."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from lambdapack.local.environment.environment import Environment
from lambdapack.local.function import Function
from lambdapack.local.metrics import Call
from lambdapack.local.versions import Versions


def describe_function(
    versions: Versions,
    environments: Iterable[tuple[Environment, bool]],
    calls: Iterable[Call],
    size_of: Callable[[Function], int | None],
) -> dict[str, Any]:
    """A function: the version that has most calls, its environments, its alias and every version.

    Args:
        versions: The function.
        environments: Those of the whole cloud, each with whether it is busy.
        calls: The function's invocations, as far as they are kept.
        size_of: Says how many bytes a version's pack has, where that is a file of its own.
    """
    shares = versions.alias.routing.shares if versions.alias else {}
    main = max(versions.functions, key=lambda each: (shares.get(each.version, 0), int(each.version)))
    own = [
        _environment(environment, busy)
        for environment, busy in environments
        if environment.function in versions.functions
    ]
    colds = {call.version: call for call in calls if call.cold}
    return {
        **main.as_dict(),
        "environments": own,
        "live": versions.alias.routing.version if versions.alias else None,
        "note": versions.alias.note if versions.alias else "",
        "versions": [
            {
                **_version(function, colds.get(function.version)),
                "size": size_of(function),
                "weight": shares.get(function.version, 0.0),
                "warm": sum(each["version"] == function.version for each in own),
            }
            for function in versions.functions
        ],
    }


def _version(function: Function, cold: Call | None) -> dict[str, Any]:
    location = function.as_dict()["location"]
    place = (location.get("place") or "s3") if location else None
    return {
        "number": function.version,
        "pack": function.pack_id,
        "place": place,
        "assets": {name: pack_id for name, (pack_id, _) in function.assets.items()},
        "code": function.code,
        "memory_mb": function.settings.memory_mb,
        "last_cold": {"time": cold.time, "init_ms": cold.init_ms, "error": cold.error} if cold else None,
    }


def _environment(environment: Environment, busy: bool) -> dict[str, Any]:
    return {
        "id": environment.folder.name,
        "version": environment.function.version,
        "busy": busy,
        "memory_mb": environment.settings.memory_mb,
        "tmp_mb": environment.settings.tmp_mb,
        "start": environment.settings.start,
        "idle_seconds": round(time.monotonic() - environment.used_at, 1),
    }
