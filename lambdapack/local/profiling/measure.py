"""Two cold starts in the local cloud -> a profile: the first is timed, the second, slower one, watched."""

from __future__ import annotations

import ast
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lambdapack import limits
from lambdapack.errors import CheckError
from lambdapack.local.cloud import LocalCloud
from lambdapack.local.invocation import Invocation
from lambdapack.local.link import LinkSettings
from lambdapack.local.profiling.analysis import analyse
from lambdapack.local.profiling.result import Profile
from lambdapack.progress import QUIET, Progress

__all__ = ["profile"]

_WORKER = Path(__file__).with_name("profile_worker.py")


def profile(
    cloud: LocalCloud,
    name: str,
    payloads: Sequence[bytes],
    *,
    memory_mb: int | None = None,
    tmp_mb: int | None = None,
    bandwidth_mbps: float | None = None,
    latency_ms: float | None = None,
    progress: Progress = QUIET,
) -> Profile:
    """Start a function twice and run the events each time; the function itself stays as it is.

    Args:
        cloud: Where the function is deployed.
        name: The function's name.
        payloads: JSON, at least one: what none of them needs is not called.
        memory_mb, tmp_mb: Replace the function's settings.
        bandwidth_mbps, latency_ms: Of the link to S3, as in ``LinkSettings``.
        progress: Told of both starts.

    Raises:
        CheckError: The function fails.
        ConfigurationError: No such function, or a payload that Lambda would refuse.
        ToolError: The environment cannot be made.
    """
    link = LinkSettings(bandwidth_mbps, latency_ms)
    seen: list[dict[str, Any]] = []
    done: list[Invocation] = []
    for watches, what in ((False, "time a cold start"), (True, "watch another one")):
        token = f"lambdapack-profile-{secrets.token_hex(8)}"
        program = f"{_WORKER.read_text('utf-8')}\nrun({token!r}, {len(payloads)}, {watches})\n"
        with progress.step(what):
            invocations = cloud.start_with(
                name, payloads, program,
                timeout=limits.TIMEOUT_MAX, memory_mb=memory_mb, tmp_mb=tmp_mb, link=link,
            )  # fmt: skip
        done = done or invocations
        seen.append(_read(name, token, invocations))
    return analyse(name, done, *seen)


def _read(name: str, token: str, invocations: Sequence[Invocation]) -> dict[str, Any]:
    """What the program in the environment told in the log."""
    for number, invocation in enumerate(invocations, 1):
        if invocation.error:
            raise CheckError(
                f"profiling {name}: invocation {number} failed with "
                f"{invocation.payload.decode(errors='replace')[:500]}",
                hint="give an event that works: lambdapack profile --payload '{…}'",
                detail="\n".join(line for line in invocation.log.splitlines() if not line.startswith(token)),
            )
    lines = (line for line in invocations[-1].log.splitlines() if line.startswith(token + " "))
    line = next(lines, None)
    if line is None:
        raise CheckError(
            f"profiling {name}: its process ended before it told what it had seen",
            hint=f"see what it logs: lambdapack invoke {name} --cold",
        )
    told: dict[str, Any] = ast.literal_eval(line.partition(" ")[2])
    return told
