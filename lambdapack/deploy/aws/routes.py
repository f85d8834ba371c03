"""Who may call the alias ``live``: the statements of its policy.

A statement's id is the digest of what the statement says, so that one of ours is known again; those of others
stay.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from lambdapack.deploy.aws.asking import ask
from lambdapack.deploy.aws.clients import Clients
from lambdapack.deploy.aws.models import ALIAS, ApiCall, AwsState
from lambdapack.model import Caller, FunctionSpec

_OURS = "lambdapack-"


def statements_of(name: str, clients: Clients, qualifier: str | None = None) -> list[Mapping[str, Any]]:
    """The statements of the policy of the function, or of its version or alias ``qualifier``."""
    which = {"FunctionName": name} | ({"Qualifier": qualifier} if qualifier else {})
    subject = f"the policy of {':'.join(which.values())}"
    answer = ask(clients["lambda"].get_policy, "lambda:GetPolicy", subject, **which)
    statements = [] if answer is None else json.loads(answer["Policy"]).get("Statement", [])
    return statements if isinstance(statements, list) else [statements]


def calls(spec: FunctionSpec, observed: AwsState) -> Iterator[ApiCall]:
    """The calls that let the configured callers call ``live``, and those no more that were taken out."""
    callers = spec.settings.callers
    if callers is None:
        return
    wanted = {caller.statement: caller for caller in callers}
    which = {"FunctionName": spec.name, "Qualifier": ALIAS}
    for statement, caller in wanted.items():
        if statement not in observed.statements:
            yield ApiCall(
                "lambda", "add_permission", {**which, "StatementId": statement, **_allowed(caller)},
                f"{caller.source_arn or caller.principal} may call {ALIAS}",
            )  # fmt: skip
    for statement in sorted(observed.statements - wanted.keys()):
        if statement.startswith(_OURS):
            why = f"a caller that the configuration no longer names may no longer call {ALIAS}"
            yield ApiCall("lambda", "remove_permission", {**which, "StatementId": statement}, why)


def _allowed(caller: Caller) -> dict[str, str]:
    said = {
        "Action": "lambda:InvokeFunction",
        "Principal": caller.principal,
        "SourceArn": caller.source_arn,
        "SourceAccount": caller.source_account,
        "PrincipalOrgID": caller.organization,
    }
    return {key: value for key, value in said.items() if value}
