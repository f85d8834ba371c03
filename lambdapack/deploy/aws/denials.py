"""What AWS says when it denies a call: which policy stands in the way, and which statement is missing."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lambdapack.deploy.aws.permissions import row_of, sid_of
from lambdapack.errors import ToolError

# https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
_WHO_MAY_WHAT = re.compile(
    r"(?:User|user): (?P<who>\S+) is not authorized to perform: (?P<action>[\w-]+:\w+)"
    r"(?: on (?:the )?resource: (?P<resource>.+?))?"
    r"(?=\.?\s*(?:because|with an explicit|Encoded|\Z))"
)
_KIND = r"(?P<kind>[\w -]*? policy|permissions boundary)"
_EXPLICIT = re.compile(rf"with an explicit deny in (?:an?|the) {_KIND}(?:: (?P<arn>arn:\S+))?")
_NO = re.compile(rf"because no {_KIND} allows")
_ENCODED = re.compile(r"Encoded authorization failure message: (?P<text>[\w+/=-]+)")
# Kind of policy -> who can change such a policy.
_OWNERS = {
    "service control policy": "whoever administers the organization",
    "resource control policy": "whoever administers the organization",
    "permissions boundary": "whoever set the boundary on this user or role",
    "session policy": "whoever gave out this session: its policy is narrower than the role's own",
    "vpc endpoint policy": "whoever owns the VPC's endpoint",
    "resource-based policy": "whoever owns the resource, e.g. the bucket",
    "identity-based policy": "whoever wrote that policy of this user or role",
}


@dataclass(frozen=True)
class Denial:
    """A call that AWS denied.

    Attributes:
        who: The ARN of whom AWS denied, or ``these credentials``.
        action: IAM's name of what was denied; ``""`` where it is not known.
        resource: What that was to be done to; ``""`` where it is not known.
        kind: The policy that stands in the way, e.g. ``service control policy``; ``""`` where AWS names none.
        explicit: Whether that policy denies; otherwise it does not allow.
        policy: The ARN of that policy, where AWS says it.
        encoded: What AWS says more, in a form that only AWS can read.
    """

    who: str
    action: str
    resource: str
    kind: str = ""
    explicit: bool = False
    policy: str = ""
    encoded: str = ""


def read(said: str, action: str = "", resource: str = "") -> Denial:
    """A denial, from AWS's words; ``action`` and ``resource``: what was tried, where the words do not say."""
    who = "these credentials"
    if names := _WHO_MAY_WHAT.search(said):
        who, action = names["who"], names["action"]
        resource = (names["resource"] or resource).strip('"')
    explicit, no, encoded = _EXPLICIT.search(said), _NO.search(said), _ENCODED.search(said)
    stands = explicit or no
    return Denial(
        who,
        action,
        resource,
        stands["kind"].strip().lower() if stands else "",
        explicit is not None,
        (explicit["arn"] or "").rstrip(".") if explicit else "",
        encoded["text"] if encoded else "",
    )


def explain(said: str, doing: str, action: str, resource: str) -> ToolError:
    """The error for a denied call: who may not do what, why, and what would allow it."""
    denial = read(said, action, resource)
    on = f" on {denial.resource}" if denial.resource else ""
    message = f"{doing}: {denial.who} may not {denial.action or 'do this'}{on}{_reason(denial)}"
    return ToolError(message, hint=_hint(denial))


def _reason(denial: Denial) -> str:
    which = f" ({denial.policy})" if denial.policy else ""
    if denial.explicit:
        article = "an" if denial.kind.startswith("i") else "a"
        return f": {article} {denial.kind}{which} denies it"
    # That no policy of their own allows it is the usual case, and what the sentence says already.
    if denial.kind and denial.kind != "identity-based policy":
        return f": no {denial.kind} allows it"
    return ""


def _hint(denial: Denial) -> str | None:
    if denial.encoded:
        decode = f"aws sts decode-authorization-message --encoded-message {denial.encoded}"
        return f"{_missing(denial)}; {decode} says more"
    if denial.explicit or denial.kind not in ("", "identity-based policy"):
        owner = _OWNERS.get(denial.kind, "an administrator of the account")
        own = "a deny goes before every permission" if denial.explicit else "it limits every permission"
        return f"no statement of lambdapack policy helps, since {own}: ask {owner}"
    return _missing(denial) if denial.action else None


def _missing(denial: Denial) -> str:
    row = row_of(denial.action, denial.resource)
    other = "or use other credentials (AWS_PROFILE)"
    if row is None:
        return f"allow {denial.action or 'it'} there, {other}"
    return (
        f"allow {denial.action} there: the statement {sid_of(row)} of `lambdapack policy --for "
        f"{row.features[0]}` does ({row.why}); {other}"
    )
