"""A role of the user's own: whether a function that has it could start, before anything is changed.

IAM's policy simulator is asked where these credentials may ask. The simulator does not know the policies of
buckets and keys, so what the role may do may still be refused by the owner of either.
"""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lambdapack.deploy.aws.clients import Clients
from lambdapack.deploy.aws.errors import errors_of_aws, failures_of_aws
from lambdapack.errors import ConfigurationError
from lambdapack.progress import QUIET, Progress
from lambdapack.store.aws_errors import code_of

_DENIED = ("AccessDenied", "AccessDeniedException")
# Without these a function starts all the same: its log, or a part of the log, is missing.
_ONLY_LOGS = "logs:"
_AT_ONCE = 50
"""Resources in one call of the simulator."""


@dataclass(frozen=True)
class Lack:
    """Something that a role may not do.

    Attributes:
        action: IAM's name.
        resource: An ARN, or ``*``.
        why: In IAM's words: ``implicitDeny``, ``explicitDeny``, and which boundary forbids it.
    """

    action: str
    resource: str
    why: str

    def __str__(self) -> str:
        return f"{self.action} on {self.resource} ({self.why})"


def check(
    arn: str, needed: Mapping[str, Any], clients: Clients, *, doing: str, progress: Progress = QUIET
) -> bool:
    """Refuse a role that Lambda may not assume, or that may not do what the function needs.

    Args:
        arn: The role.
        needed: The policy that lambdapack would give a role of its own.
        clients: Whom to call.
        doing: What is being done, for messages.
        progress: Where to report to: what these credentials may not look at is a note.

    Returns:
        Whether IAM could be asked what the role may do.

    Raises:
        ConfigurationError: The role does not exist, or lacks something without which no function starts.
        ToolError: AWS could not be asked.
    """
    _check_trust(arn, clients, doing, progress)
    missing = lacks(arn, needed, clients)
    if missing is None:
        progress.note(f"IAM does not tell these credentials what {arn} may do (iam:SimulatePrincipalPolicy)")
        return False
    for lack in missing:
        if lack.action.startswith(_ONLY_LOGS):
            progress.warn(f"{arn} may not {lack}: the function's log will lack what it writes")
    fatal = [lack for lack in missing if not lack.action.startswith(_ONLY_LOGS)]
    if fatal:
        raise ConfigurationError(
            f"{doing}: the role {arn} may not " + ", nor ".join(map(str, fatal)),
            hint=_what_helps(arn, fatal),
        )
    return True


def _what_helps(arn: str, fatal: Sequence[Lack]) -> str:
    if any("explicit" in lack.why for lack in fatal):
        return "a policy or a boundary denies it: no further policy of the role helps until that is gone"
    return put_policy(arn)


def put_policy(arn: str) -> str:
    """The commands that give the role at ``arn`` what the function needs."""
    name = arn.rpartition("/")[2]
    return (
        "lambdapack policy --function > role.json && aws iam put-role-policy --role-name "
        f"{name} --policy-name lambdapack --policy-document file://role.json"
    )


def _check_trust(arn: str, clients: Clients, doing: str, progress: Progress) -> None:
    """That there is the role, and that Lambda may assume the role; no more than a note where AWS hides it."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - slow

    name = arn.rpartition("/")[2]
    with errors_of_aws(f"{doing}: looking at the role {arn}", action="iam:GetRole", resource=arn):
        try:
            role = clients["iam"].get_role(RoleName=name)["Role"]
        except ClientError as error:
            if code_of(error) in _DENIED:
                progress.note(f"these credentials may not look at the role {arn} (iam:GetRole)")
                return
            if code_of(error) == "NoSuchEntity":
                raise ConfigurationError(
                    f"{doing}: there is no role {arn}", hint="mend --role, or role in the [function] table"
                ) from error
            raise
    if "lambda.amazonaws.com" not in set(_trusted(_document(role.get("AssumeRolePolicyDocument")))):
        raise ConfigurationError(
            f"{doing}: Lambda may not assume the role {arn}: its trust policy does not name "
            "lambda.amazonaws.com",
            hint=f"aws iam update-assume-role-policy --role-name {name} --policy-document "
            """'{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"""
            """"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}'""",
        )


def _document(value: object) -> Mapping[str, Any]:
    if isinstance(value, str):
        value = json.loads(urllib.parse.unquote(value))
    return value if isinstance(value, dict) else {}


def _trusted(trust: Mapping[str, Any]) -> Iterator[str]:
    """The services that a trust policy lets assume its role."""
    for statement in _list(trust.get("Statement", [])):
        actions = {str(action).lower() for action in _list(statement.get("Action", []))}
        principal = statement.get("Principal", {})
        if statement.get("Effect") != "Allow" or not actions & {"sts:assumerole", "sts:*", "*"}:
            continue
        if isinstance(principal, dict):
            yield from _list(principal.get("Service", []))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def lacks(arn: str, needed: Mapping[str, Any], clients: Clients) -> list[Lack] | None:
    """What of ``needed`` the role may not do; ``None`` where IAM does not answer that."""
    with errors_of_aws(f"asking IAM what {arn} may do", action="iam:SimulatePrincipalPolicy", resource=arn):
        try:
            return [lack for statement in needed["Statement"] for lack in _simulate(arn, statement, clients)]
        except failures_of_aws():
            # Not allowed to ask, or a role of another account, or an endpoint without a simulator.
            return None


def _simulate(arn: str, statement: Mapping[str, Any], clients: Clients) -> Iterator[Lack]:
    """What of one statement the role may not do."""
    simulator = clients["iam"].get_paginator("simulate_principal_policy")
    context = [
        {"ContextKeyName": key, "ContextKeyValues": _list(values)[:1], "ContextKeyType": "string"}
        for keys in statement.get("Condition", {}).values()
        for key, values in keys.items()
    ]
    resources = [_example(each) for each in _list(statement["Resource"])]
    # The simulator refuses actions together that are judged by different facts.
    for action in _list(statement["Action"]):
        for start in range(0, len(resources), _AT_ONCE):
            some = resources[start : start + _AT_ONCE]
            asked = {"ActionNames": [action], "ResourceArns": some, "ContextEntries": context}
            for page in simulator.paginate(PolicySourceArn=arn, **asked):
                yield from _denied(page["EvaluationResults"])


def _example(pattern: str) -> str:
    """A name that a pattern of a policy matches: what is allowed on the pattern is allowed on that one."""
    return pattern if pattern == "*" else pattern.replace("*", "x")


def _denied(results: Iterable[Mapping[str, Any]]) -> Iterator[Lack]:
    for result in results:
        whole = {"EvalResourceName": result.get("EvalResourceName", "*"),
                 "EvalResourceDecision": result["EvalDecision"]}  # fmt: skip
        specific = result.get("ResourceSpecificResults") or [whole]
        for each in specific:
            if each["EvalResourceDecision"] != "allowed":
                why = _words(each["EvalResourceDecision"], {**result, **each})
                yield Lack(str(result["EvalActionName"]), str(each["EvalResourceName"]), why)


def _words(decision: str, result: Mapping[str, Any]) -> str:
    if result.get("PermissionsBoundaryDecisionDetail", {}).get("AllowedByPermissionsBoundary") is False:
        return "explicit limit of its permissions boundary"
    if result.get("OrganizationsDecisionDetail", {}).get("AllowedByOrganizations") is False:
        return "explicit limit of the organization"
    return "explicitly denied" if decision == "explicitDeny" else "no policy of its allows it"
