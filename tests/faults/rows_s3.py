"""Rows: what S3 and the network may do."""

from __future__ import annotations

from typing import Any

from .case import LOOK, Case, row
from .endpoint import Answer
from .model import EITHER, RIGHT, End, Verdict

# Kind of answer -> what it may end in where it comes once or twice. Where it comes always, an error is
# allowed as well; only what is an answer like any other must be right then too.
TRANSIENT = (
    "truncate", "reset", "flip", "stall", "stall_before", "stall_head", "refused_500", "refused_503",
    "lying_range", "other_object", "nothing", "half_head",
)  # fmt: skip
FINAL = (
    "drip", "drip_head", "endless_head", "whole_200", "range_200", "portal", "refused_403", "refused_404",
    "refused_416", "expired", "skewed", "redirect", "wrong_range", "short_length", "text_length",
    "no_length", "chunked", "not_http",
)  # fmt: skip
HARMLESS = ("closing", "split_head")
SLOW = ("stall", "stall_before", "stall_head", "drip", "drip_head")
"""They cost seconds of waiting each."""


def answered(case: Case, kind: str) -> list[Verdict]:
    """One or two requests, or all, get this answer; and afterwards S3 is well."""
    rng = case.rng
    bad = Answer(kind, rng.randrange(0, 400_000) if rng.random() < 0.7 else rng.randrange(0, 2000))
    always = rng.random() < 0.25
    times = 1 if always else rng.choice([1, 1, 1, 2])
    where = rng.choice([0, 0, 1, 2])
    answers = [Answer()] * where + [bad] * times
    script, variables = case.script(answers=() if always else answers, rest=bad if always else Answer())
    variables.update(setting(case))
    allowed = RIGHT if kind in HARMLESS or (kind in TRANSIENT and not always) else EITHER
    verdict = case.judge(case.start(LOOK, variables), allowed)
    # A start may have needed fewer requests: what was not injected is not counted.
    injected = 1 if always else max(0, min(times, len(script.log) - where))
    if verdict.end is End.CLEAR:
        verdict = case.next_is_right(verdict)
    return [verdict] * (injected if verdict.end is End.RIGHT else max(1, injected))


for _kind in (*TRANSIENT, *FINAL, *HARMLESS):
    _name = "S3: " + _kind.replace("_", " ")
    row(_name, 20 if _kind in SLOW else 45, 1 if _kind in SLOW else 2, _kind)(answered)


def setting(case: Case, *, streaming: bool = False) -> dict[str, str]:
    """One connection or several in threads, and unless ``streaming`` all files first at times.

    In ``disk`` mode nothing of ours is there after the start: what is damaged later stays damaged until
    the next one, as in any folder.
    """
    chosen = case.rng.random()
    if chosen < 0.25:
        return {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "4096"}
    return {"LAMBDAPACK_MODE": "disk"} if chosen < 0.35 and not streaming else {}


def over_tls(case: Case, kind: str) -> list[Verdict]:
    """TLS fails in this way, and then no more."""
    endpoint = case.world.endpoint
    _, variables = case.script()
    bundle = {"AWS_CA_BUNDLE": str(endpoint.ca), "AWS_ENDPOINT_URL_S3": endpoint.tls[kind]}
    verdict = case.judge(case.start(LOOK, {**variables, **bundle}), RIGHT if kind == "good" else EITHER)
    return [case.next_is_right(verdict)]


for _kind in ("good", "untrusted", "wrong-host", "expired", "garbage", "closed", "refused"):
    row(f"TLS: {_kind}", 12, 1, _kind)(over_tls)
for _kind in ("silent", "black-hole"):
    row(f"TLS: {_kind}", 6, 1, _kind, slow=True)(over_tls)


@row("network: no answer to a connection", 6, 1, slow=True)
def unreachable(case: Case) -> list[Verdict]:
    """No route to S3, without TLS: packets vanish, or the port is closed."""
    url = case.world.endpoint.tls[case.rng.choice(["black-hole", "refused"])].replace("https", "http")
    _, variables = case.script()
    verdict = case.judge(case.start(LOOK, {**variables, "AWS_ENDPOINT_URL_S3": url}), EITHER)
    return [case.next_is_right(verdict)]


@row("network: a certificate file that is not there", 12, 1)
def no_bundle(case: Case) -> list[Verdict]:
    """AWS_CA_BUNDLE names no file, or one that holds no certificate."""
    bundle = case.folder / "bundle.pem"
    if case.rng.random() < 0.5:
        bundle.write_bytes(b"not a certificate\n")
    _, variables = case.script()
    variables.update(AWS_CA_BUNDLE=str(bundle), AWS_ENDPOINT_URL_S3=case.world.endpoint.tls["good"])
    return [case.next_is_right(case.judge(case.start(LOOK, variables), EITHER))]


@row("environment: credentials or endpoint that are none", 30, 2)
def odd_environment(case: Case) -> list[Verdict]:
    """Variables that are empty, or hold what nobody can use."""
    odd: list[dict[str, str]] = [
        {"AWS_ACCESS_KEY_ID": ""},
        {"AWS_SECRET_ACCESS_KEY": ""},
        {"AWS_ENDPOINT_URL_S3": "not a url"},
        {"AWS_ENDPOINT_URL_S3": "http://"},
        {"AWS_ENDPOINT_URL_S3": "http://host:port/"},
        {"AWS_ENDPOINT_URL_S3": "http://name.invalid"},
        {"AWS_ACCESS_KEY_ID": "", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/none"},
    ]
    _, variables = case.script()
    verdict = case.judge(case.start(LOOK, {**variables, **case.rng.choice(odd)}), EITHER)
    return [case.next_is_right(verdict)]


@row("S3: fails, and is well again in the same process", 60, 2)
def forgotten(case: Case) -> list[Verdict]:
    """A failure that has passed is forgotten: whoever tries again gets the right answer."""
    kind = case.rng.choice(["refused_403", "refused_404", "expired", "not_http", "portal"])
    count = case.rng.randrange(1, 4)
    _, variables = case.script(answers=[Answer(kind)] * count)
    steps: list[list[Any]] = [["persist", 12, [["load"], ["observe", True]]]]
    return [case.judge(case.start(steps, variables), RIGHT)] * count


@row("S3: fails for what is fetched on demand", 60, 2)
def lazily(case: Case) -> list[Verdict]:
    """The start succeeds; a lazy import meets the failure, and succeeds when it is tried again."""
    kind = case.rng.choice(["truncate", "flip", "refused_403", "reset", "other_object", "refused_500"])
    script, variables = case.script()
    began = case.start([["load"], ["ready"], ["wait"], ["persist", 12, [["observe", True]]]], variables)
    if not began.waiting():
        return [case.judge(began, RIGHT)]
    times = case.rng.randrange(1, 4)
    script.answers = [Answer()] * len(script.log) + [Answer(kind, case.rng.randrange(20_000))] * times
    began.go()
    return [case.judge(began, RIGHT)] * times
