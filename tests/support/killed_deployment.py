"""Deployments to AWS that are killed, each just after one of the calls that change something.

Run as a process of its own: ``python -m tests.support.killed_deployment FOLDER SALT SHIFT NAME...``. The
first name's deployment is killed after its first change, the second's after its second, and so on.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from lambdapack.deploy import aws
from lambdapack.deploy.shifting import ShiftOptions
from lambdapack.model import Shift
from tests.deploy.test_aws import make_spec

_READS = ("Get", "List", "Describe", "Head", "Filter")


class FastClock:
    """This machine's clock, on which a sleep takes no time, and is a long one: few looks make a step."""

    def __init__(self) -> None:
        self.slept = 0.0

    def now(self) -> datetime:
        return datetime.now(timezone.utc) + timedelta(seconds=self.slept)

    def monotonic(self) -> float:
        return self.slept

    def sleep(self, seconds: float) -> None:
        self.slept += max(seconds, 100)


def kill_after(clients: aws.Clients, number: int) -> None:
    """End this process just after its so many-th call that changes something."""
    made = 0

    def count(model: Any, **_: object) -> None:
        nonlocal made
        made += not model.name.startswith(_READS)
        if made == number:
            os.kill(os.getpid(), signal.SIGKILL)

    clients._session.events.register("after-call", count)


def deploy(folder: Path, salt: str, shift: str, name: str, kill: int | None = None) -> aws.Deployment:
    """Deploy the function of that salt under that name."""
    clients = aws.Clients()
    if kill is not None:
        kill_after(clients, kill)
    spec = replace(make_spec(folder, clients if kill is None else None, salt=salt), name=name)
    options = ShiftOptions(usual=Shift.parse(shift))
    return aws.deploy(spec, shift=options, clients=clients, clock=FastClock())


def main(folder: str, salt: str, shift: str, *names: str) -> None:
    for number, name in enumerate(names, 1):
        child = os.fork()
        if not child:
            deploy(Path(folder), salt, shift, name, number)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(name, "killed" if os.WIFSIGNALED(status) else f"ended with {os.waitstatus_to_exitcode(status)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
