"""A build in CodeBuild from its start to its end: its phases and its log as they come, and how it ended."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from lambdapack.deploy.aws import Clients, errors_of_aws
from lambdapack.errors import CheckError, ConfigurationError, LambdapackError, ToolError
from lambdapack.progress import Progress
from lambdapack.store.aws_errors import code_of

_PAUSE, _LONGEST_PAUSE = 0.5, 4.0
"""Seconds between two looks at a build: more and more, as most builds take minutes."""
_LATE_READS = 6
_RUNNING = "IN_PROGRESS"
_MARK = "lambdapack-error: "
# What CodeBuild itself writes into the log, and not the commands.
_OF_CODEBUILD = "[Container] "
_LINES_OF_DETAIL = 12
_KINDS = {kind.__name__: kind for kind in (CheckError, ConfigurationError, ToolError)}
_ENDINGS = {
    "FAILED": "failed",
    "FAULT": "failed for a reason of CodeBuild's own",
    "TIMED_OUT": "took longer than it may",
    "STOPPED": "was stopped",
}
_HINTS = {
    "TIMED_OUT": "allow more with [build] image_timeout, in seconds; a machine with more memory ([build] "
    "image_memory) has more cores too",
    "STOPPED": "run it again",
    "FAULT": "run it again",
}
_PHASE_HINTS = {
    "PROVISIONING": "the image must be one that the build project's role may pull; name another with --image",
    "DOWNLOAD_SOURCE": "the bucket must be in the project's region, and its policy must let the build "
    "project's role read; run it again",
    "INSTALL": "the image must have the target's Python with venv, and reach a package index",
    "UPLOAD_ARTIFACTS": "the bucket's policy and key must let the build project's role write",
}


def error_line(error: LambdapackError) -> str:
    """An error as one line of a build's log, from which ``failure`` makes the same error again."""
    kind = next((name for name, kind in _KINDS.items() if isinstance(error, kind)), ToolError.__name__)
    told = {"kind": kind, "message": error.message, "hint": error.hint, "detail": error.detail}
    return _MARK + json.dumps(told)


@dataclass
class BuildLog:
    """The log of one build, as far as it was read.

    Attributes:
        tail: The last lines, CodeBuild's own among them.
        told: The error that lambdapack wrote there, if any.
    """

    tail: deque[str] = field(default_factory=lambda: deque(maxlen=_LINES_OF_DETAIL))
    told: LambdapackError | None = None
    _token: str | None = None

    def read(self, build: Mapping[str, Any], clients: Clients) -> Iterator[str]:
        """The new lines that the build's commands printed; none before there is a log."""
        for line in self._lines(build.get("logs") or {}, clients):
            if line.startswith(_MARK):
                self.told = _told(line.removeprefix(_MARK))
                continue
            self.tail.append(line)
            if line and not line.startswith(_OF_CODEBUILD):
                yield line

    def _lines(self, logs: Mapping[str, Any], clients: Clients) -> Iterator[str]:
        from botocore.exceptions import ClientError  # noqa: PLC0415 - slow

        group, stream = logs.get("groupName"), logs.get("streamName")
        while group and stream:
            known = {"nextToken": self._token} if self._token else {}
            with errors_of_aws(f"reading the log {group}", action="logs:GetLogEvents", resource=group):
                try:
                    answer = clients["logs"].get_log_events(
                        logGroupName=group, logStreamName=stream, startFromHead=True, **known
                    )
                except ClientError as error:
                    # CodeBuild names the stream before it is there.
                    if code_of(error) == "ResourceNotFoundException":
                        return
                    raise
            for event in answer["events"]:
                yield from str(event["message"]).rstrip().split("\n")
            if answer["nextForwardToken"] == self._token:
                return
            self._token = answer["nextForwardToken"]


def run(
    request: Mapping[str, Any],
    clients: Clients,
    progress: Progress,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Mapping[str, Any]:
    """Start a build, tell its phases and its log, and wait for its end.

    An interruption stops the build, and says so.

    Returns:
        The build, as CodeBuild describes the build; it has succeeded.

    Raises:
        LambdapackError: The build failed, with the error that lambdapack had there; or AWS refused.
    """
    project = request["projectName"]
    with errors_of_aws(f"starting a build of {project}", action="codebuild:StartBuild", resource=project):
        build: Mapping[str, Any] = clients["codebuild"].start_build(**request)["build"]
    name, log = str(build["id"]), BuildLog()
    bound = request["timeoutInMinutesOverride"]
    progress.note(
        f"build {name} in {clients.region}, in {request['imageOverride']}; ends within {bound} minutes"
    )
    try:
        build = _follow(name, log, clients, progress, sleep)
    except BaseException:
        _stop(name, clients, progress)
        raise
    if build["buildStatus"] != "SUCCEEDED":
        _read_late(build, log, clients, sleep)
        raise failure(build, log)
    return build


def _follow(
    name: str, log: BuildLog, clients: Clients, progress: Progress, sleep: Callable[[float], None]
) -> Mapping[str, Any]:
    seen, pause = 0, _PAUSE
    with progress.step("CodeBuild") as advance:
        while True:
            build = _look(name, clients)
            ended = [phase for phase in build.get("phases", ()) if phase.get("phaseStatus")]
            for phase in ended[seen:]:
                progress.note(_phase_line(phase))
            seen = len(ended)
            for line in log.read(build, clients):
                progress.note(f"  {line}")
            if build["buildStatus"] != _RUNNING:
                return build
            advance(0, note=str(build.get("currentPhase", "")).lower().replace("_", " "))
            sleep(pause)
            pause = min(pause * 1.3, _LONGEST_PAUSE)


def _look(name: str, clients: Clients) -> Mapping[str, Any]:
    with errors_of_aws(f"looking at the build {name}", action="codebuild:BatchGetBuilds", resource=name):
        builds = clients["codebuild"].batch_get_builds(ids=[name])["builds"]
    if not builds:
        raise ToolError(f"CodeBuild does not know the build {name} any more", hint="run it again")
    build: Mapping[str, Any] = builds[0]
    return build


def _phase_line(phase: Mapping[str, Any]) -> str:
    what = str(phase["phaseType"]).lower().replace("_", " ")
    status, seconds = phase["phaseStatus"], phase.get("durationInSeconds")
    took = "" if seconds is None else f": {seconds} s"
    return f"{what}{took}" if status == "SUCCEEDED" else f"{what}{took}, {_ENDINGS.get(status, status)}"


def _stop(name: str, clients: Clients, progress: Progress) -> None:
    """End the build, or say how a person can."""
    try:
        clients["codebuild"].stop_build(id=name)
    except Exception as error:
        # Whatever it was: the reason to stop is what the user is told, with what is still to be done.
        progress.warn(f"the build goes on ({error}): aws codebuild stop-build --id {name}")
    else:
        progress.warn(f"the build {name} was stopped")


def _read_late(
    build: Mapping[str, Any], log: BuildLog, clients: Clients, sleep: Callable[[float], None]
) -> None:
    """Give CloudWatch a moment for the last lines of a build that failed where lambdapack ran."""
    for _ in range(_LATE_READS):
        if log.told is not None or _failed_phase(build).get("phaseType") != "BUILD":
            return
        sleep(_PAUSE)
        deque(log.read(build, clients), maxlen=0)


def _failed_phase(build: Mapping[str, Any]) -> Mapping[str, Any]:
    """The phase with the status of the whole build; empty where CodeBuild names none."""
    status, phases = build["buildStatus"], build.get("phases", ())
    return next((phase for phase in phases if phase.get("phaseStatus") == status), {})


def failure(build: Mapping[str, Any], log: BuildLog) -> LambdapackError:
    """Why a build failed: lambdapack's own error, else the phase, what CodeBuild says, the last lines."""
    if log.told is not None:
        return log.told
    status = str(build["buildStatus"])
    failed = _failed_phase(build)
    phase = str(failed.get("phaseType", ""))
    said = "; ".join(context["message"] for context in failed.get("contexts", ()) if context.get("message"))
    where = f" in the phase {phase}" if phase else ""
    return ToolError(
        f"the build {build['id']} {_ENDINGS.get(status, status)}{where}" + (f": {said}" if said else ""),
        hint=_HINTS.get(status) or _PHASE_HINTS.get(phase),
        detail="\n".join(log.tail) or None,
    )


def _told(text: str) -> LambdapackError | None:
    with suppress(ValueError, KeyError, TypeError):
        told = json.loads(text)
        return _KINDS[told["kind"]](str(told["message"]), hint=told["hint"], detail=told["detail"])
    return None
