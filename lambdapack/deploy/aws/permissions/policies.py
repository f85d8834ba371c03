"""Rows of the table, a project and what it is to be allowed -> IAM's documents."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lambdapack import limits
from lambdapack.deploy.aws.permissions.project import Project
from lambdapack.deploy.aws.permissions.resources import Resource
from lambdapack.deploy.aws.permissions.table import TABLE, Row


@dataclass(frozen=True)
class Statement:
    """One statement of a policy, and the reason for each of its actions.

    Attributes:
        sid: Names the feature and the resource: ``DeployFunction``.
        reasons: Action -> why it is needed.
        resources: ARNs.
        condition: As IAM spells it; empty without one.
    """

    sid: str
    reasons: Mapping[str, str]
    resources: tuple[str, ...]
    condition: Mapping[str, Mapping[str, str]]

    @property
    def document(self) -> dict[str, Any]:
        """The statement as IAM spells it."""
        body: dict[str, Any] = {
            "Sid": self.sid,
            "Effect": "Allow",
            "Action": sorted(self.reasons),
            "Resource": list(self.resources) if len(self.resources) > 1 else self.resources[0],
        }
        return {**body, "Condition": dict(self.condition)} if self.condition else body


def sid(feature: str, resource: Resource) -> str:
    """The name of a feature's statement about a resource: ``DeployFunction``."""
    noun = resource.noun
    return noun if noun.lower().startswith(feature) else f"{feature.capitalize()}{noun}"


def sid_of(row: Row) -> str:
    """The statement of a row, in the policy for the row's main feature."""
    return sid(row.features[0], row.resource)


def statements(project: Project, features: Sequence[str]) -> tuple[Statement, ...]:
    """What must be allowed for ``features`` of ``project``, and no more.

    A resource that does not exist until AWS numbers it is named by a pattern.
    """
    facts = project.facts
    found: dict[str, tuple[Resource, dict[str, str]]] = {}
    for row in TABLE:
        feature = next((feature for feature in row.features if feature in features), None)
        if feature is None or not row.actions or (row.when and row.when not in facts):
            continue
        _, reasons = found.setdefault(sid(feature, row.resource), (row.resource, {}))
        for action in row.actions:
            reasons.setdefault(action, row.why)
    return tuple(
        Statement(name, reasons, resource.arns(project), resource.condition(project))
        for name, (resource, reasons) in found.items()
    )


def documents(chosen: Iterable[Statement]) -> list[dict[str, Any]]:
    """The policies that hold the statements: one, or as many as IAM's limit of a managed policy asks for."""
    policies: list[list[Mapping[str, Any]]] = [[]]
    for statement in (part for each in chosen for part in _parts(each.document)):
        if policies[-1] and _size([*policies[-1], statement]) > limits.MANAGED_POLICY:
            policies.append([])
        policies[-1].append(statement)
    return [_document(policy) for policy in policies]


def _document(policy: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(policy)}


def _size(policy: Sequence[Mapping[str, Any]]) -> int:
    """Characters of a policy as IAM counts them: without white space."""
    return len(json.dumps(_document(policy), separators=(",", ":")))


def _parts(statement: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The statement; cut by its resources where it alone is larger than a policy may be."""
    named = statement["Resource"]
    if _size([statement]) <= limits.MANAGED_POLICY or isinstance(named, str):
        yield statement
        return
    half = len(named) // 2
    for number, some in enumerate((named[:half], named[half:]), 1):
        whole = some if len(some) > 1 else some[0]
        yield from _parts({**statement, "Sid": f"{statement['Sid']}{number}", "Resource": whole})
