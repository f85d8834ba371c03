"""The account that a function would go to: whose credentials, how much room, what ends soon."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from lambdapack import limits
from lambdapack.deploy.aws import identity, own_role
from lambdapack.deploy.aws.bucket_checks import check_bucket
from lambdapack.deploy.aws.clients import Clients
from lambdapack.deploy.aws.errors import explain, failures_of_aws
from lambdapack.deploy.aws.findings import Finding, State, unseen
from lambdapack.deploy.aws.permissions import Statement
from lambdapack.model import runtimes

_GB = 1_000_000_000
_MUCH = 0.8
_FULL = 0.98
"""Shares of the code storage from which on it is told, and from which on a deployment is likely to fail."""
_FEW = 100
"""Environments at once that a new account may have less of, and that Lambda keeps unreserved."""
_SOON = 15 * 60
"""Seconds that credentials should still hold: a deployment takes minutes."""
_SHOWN = 5


@dataclass(frozen=True)
class CheckUp:
    """What is looked at.

    Attributes:
        region: The function's region; ``None`` as the environment says.
        bucket: Bucket and prefix of the packs; ``None`` where none is needed.
        today: The day that the ends of runtimes are measured against.
    """

    region: str | None
    bucket: tuple[str, str] | None
    today: date


def check_account(
    question: CheckUp, *, clients: Clients | None = None, now: datetime | None = None
) -> Iterator[Finding]:
    """Findings on credentials, clock, bucket, room and runtimes, one after the other as they are made.

    Where AWS does not know the credentials, nothing else can be asked.

    Args:
        question: What is looked at.
        clients: Whom to call; by default whom the environment says.
        now: What this machine's clock shows.
    """
    now = now or datetime.now(timezone.utc)
    try:
        who = identity.ask(question.region)
    except failures_of_aws() as error:
        told = explain(error, "asking AWS whose credentials these are")
        yield Finding("credentials", "fail", told.message.partition(": ")[2], told.hint or "")
        headers = getattr(error, "response", {}).get("ResponseMetadata", {}).get("HTTPHeaders", {})
        # A wrong clock makes every signature a wrong one.
        yield from _clock(headers.get("date", ""), now)
        return
    yield _credentials(who, now)
    yield Finding("region", "ok", who.account.region)
    yield from _clock(who.server_time, now)
    clients = clients or Clients(who.account.region)
    if question.bucket is not None:
        yield from check_bucket(*question.bucket, clients)
    yield from _room(clients)
    yield from _runtimes(clients, question.today)


def _credentials(who: identity.Identity, now: datetime) -> Finding:
    found = f"{who.arn} in account {who.account.id}{f', from {who.source}' if who.source else ''}"
    if who.arn.endswith(":root"):
        return Finding(
            "credentials", "warn", f"{found}: the account's root user, whom no policy limits",
            "use a role or a user with what lambdapack policy prints",
        )  # fmt: skip
    if who.expires is not None:
        left = (who.expires - now).total_seconds()
        found += f", until {who.expires:%Y-%m-%d %H:%M} UTC"
        if left < _SOON:
            return Finding("credentials", "warn", found, "renew them: aws sso login, or a new session")
    return Finding("credentials", "ok", found)


def _clock(server: str, now: datetime) -> Iterator[Finding]:
    """This machine's clock against AWS's, as the ``Date`` of an answer shows that; nothing without one."""
    try:
        ahead = (now - parsedate_to_datetime(server)).total_seconds()
    except (TypeError, ValueError):
        return
    minutes, way = abs(ahead) / 60, "ahead of" if ahead > 0 else "behind"
    if abs(ahead) <= limits.CLOCK_SKEW:
        yield Finding("clock", "ok", f"{abs(ahead):.0f} s {way} AWS's")
        return
    yield Finding(
        "clock", "fail",
        f"{minutes:.0f} minutes {way} AWS's, and AWS refuses what is signed with a clock that is more than "
        f"{limits.CLOCK_SKEW // 60} minutes wrong",
        "set the clock: sudo timedatectl set-ntp true; on WSL: sudo hwclock -s",
    )  # fmt: skip


def _room(clients: Clients) -> Iterator[Finding]:
    """Concurrency and code storage: what there is, and what is left."""
    try:
        said = clients["lambda"].get_account_settings()
    except failures_of_aws() as error:
        yield unseen("quotas", error, "lambda:GetAccountSettings")
        return
    yield _concurrency(said["AccountLimit"])
    yield _storage(said["AccountLimit"], said["AccountUsage"])


def _concurrency(limit: Mapping[str, Any]) -> Finding:
    most = int(limit["ConcurrentExecutions"])
    free = int(limit.get("UnreservedConcurrentExecutions", most))
    found = f"{most:,} environments at once, {most - free:,} of them reserved, {free:,} left"
    if most <= _FEW or free <= _FEW:
        return Finding(
            "concurrency", "warn", found + f": no function can reserve any, since Lambda keeps {_FEW} free",
            "have it raised: aws service-quotas request-service-quota-increase --service-code lambda "
            f"--quota-code {limits.QUOTAS[0].code} --desired-value 1000",
        )  # fmt: skip
    return Finding("concurrency", "ok", found)


def _storage(limit: Mapping[str, Any], usage: Mapping[str, Any]) -> Finding:
    most, used = int(limit["TotalCodeSize"]), int(usage["TotalCodeSize"])
    share = used / most if most else 0.0
    found = (
        f"{used / _GB:.1f} of {most / _GB:.0f} GB of zips and layers, {share:.0%}, in "
        f"{int(usage.get('FunctionCount', 0)):,} functions"
    )
    if share < _MUCH:
        return Finding("code storage", "ok", found)
    state: State = "fail" if share >= _FULL else "warn"
    return Finding("code storage", state, found, "lambdapack gc --keep 3 deletes old versions and layers")


def _runtimes(clients: Clients, today: date) -> Iterator[Finding]:
    """Functions whose Python ends, a line for each such Python."""
    by_runtime: dict[str, list[str]] = {}
    try:
        for page in clients["lambda"].get_paginator("list_functions").paginate():
            for function in page["Functions"]:
                by_runtime.setdefault(str(function.get("Runtime", "")), []).append(function["FunctionName"])
    except failures_of_aws() as error:
        yield unseen("runtimes", error, "lambda:ListFunctions")
        return
    known = {runtime.name: runtime for runtime in runtimes.RUNTIMES.values()}
    due = [(runtime, by_runtime[name]) for name, runtime in known.items() if name in by_runtime]
    ending = [(runtime, names) for runtime, names in due if runtime.lifecycle and runtime.advice(today)]
    if not ending:
        count = sum(len(names) for _, names in due)
        yield Finding(
            "runtimes", "ok", f"none of {count} Python functions has one that ends within half a year"
        )
    for runtime, names in ending:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        yield Finding(
            "runtimes", "warn", f"{runtime.advice(today)}: {', '.join(sorted(names)[:_SHOWN])}{more}",
            f"build and deploy for a later one: lambdapack build --python {runtimes.SUGGESTED}",
        )  # fmt: skip


def check_permissions(
    statements: tuple[Statement, ...], region: str | None, clients: Clients
) -> Iterator[Finding]:
    """Whether these credentials may do what ``statements`` say, as IAM's simulator knows."""
    who = identity.identify(region)
    if who is None:
        return
    lacks = own_role.lacks(_principal(who), {"Statement": [each.document for each in statements]}, clients)
    if lacks is None:
        yield Finding(
            "permissions", "warn", "IAM was not asked: that takes iam:SimulatePrincipalPolicy",
            "lambdapack policy prints what is needed",
        )  # fmt: skip
        return
    if not lacks:
        yield Finding("permissions", "ok", "all that lambdapack deploy calls")
        return
    lacking = {lack.action for lack in lacks}
    sids = [each.sid for each in statements if lacking.intersection(each.reasons)]
    yield Finding(
        "permissions", "fail", f"no {', no '.join(sorted(lacking))}",
        f"the statements {', '.join(sids)} of `lambdapack policy --for deploy`",
    )  # fmt: skip


def _principal(who: identity.Identity) -> str:
    """The user's or role's ARN: the simulator knows no sessions."""
    parts = who.arn.split(":", 5)
    if parts[2] != "sts" or not parts[5].startswith("assumed-role/"):
        return who.arn
    return f"arn:{parts[1]}:iam::{parts[4]}:role/{parts[5].split('/')[1]}"
