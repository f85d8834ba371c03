"""What Lambda refuses of a function, and what it takes: the same for every cloud."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from lambdapack.model import FunctionSettings, refused_by_lambda
from lambdapack.model.function import NumberRule, number_rule
from lambdapack.model.target import Target

GOOD = FunctionSettings(environment={"STAGE": "test"})


def refused(name: str, settings: FunctionSettings, python: str = "3.12") -> tuple[str, ...]:
    return tuple(refused_by_lambda(name, settings, Target(python)))


def test_the_defaults_are_taken() -> None:
    """A function that is described by its name alone can be deployed."""
    assert refused("demo", FunctionSettings()) == ()
    assert (GOOD.memory_mb, GOOD.tmp_mb, GOOD.timeout) == (1769, 512, 30)


@pytest.mark.parametrize(
    ("setting", "least", "most", "unit"),
    [("memory_mb", 128, 10240, "MB"), ("tmp_mb", 512, 10240, "MB"), ("timeout", 1, 900, "s")],
)
def test_numbers_are_taken_up_to_their_bounds(setting: str, least: int, most: int, unit: str) -> None:
    """Both bounds are taken; the number beyond is refused with the bounds and the unit."""
    for value in (least, most):
        assert refused("demo", replace(GOOD, **{setting: value})) == ()
    for value in (least - 1, most + 1):
        (problem,) = refused("demo", replace(GOOD, **{setting: value}))
        assert problem.endswith(f" is {value} {unit}, Lambda takes {least} to {most} {unit}")


@pytest.mark.parametrize("days", [1, 731, 3653])
def test_log_retention_is_one_of_cloudwatchs_numbers(days: int) -> None:
    """CloudWatch Logs takes some numbers of days and refuses those between."""
    assert refused("demo", replace(GOOD, log_retention=days)) == ()
    (problem,) = refused("demo", replace(GOOD, log_retention=days + 1))
    assert problem.startswith(f"log_retention is {days + 1} days, CloudWatch Logs takes 1, 3, 5, ")
    assert problem.endswith(" 3288 or 3653 days")


@pytest.mark.parametrize("name", ["a" * 64, "A-b_9", "9"])
def test_names_that_are_taken(name: str) -> None:
    """Up to 64 letters, digits, hyphens and underscores."""
    assert refused(name, GOOD) == ()


@pytest.mark.parametrize("name", ["", "a" * 65, "a b", "ä", "a.b", "a\n"])
def test_names_that_are_refused(name: str) -> None:
    """Anything else; a line break at the end too."""
    assert len(refused(name, GOOD)) == 1


@pytest.mark.parametrize("name", ["_X_AMZN_TRACE_ID", "AWS_EXECUTION_ENV", "_HANDLER", "LAMBDA_TASK_ROOT"])
def test_variables_that_lambda_sets_itself_are_refused(name: str) -> None:
    """A variable of Lambda's own is named as such."""
    assert refused("demo", replace(GOOD, environment={name: "x"})) == (
        f"the environment variable {name} is Lambda's own",
    )


@pytest.mark.parametrize("name", ["A", "9A", "_A", "A-B", "A B", ""])
def test_names_of_variables_that_lambda_does_not_take_are_refused(name: str) -> None:
    """A letter first, then at least one letter, digit or underscore."""
    (problem,) = refused("demo", replace(GOOD, environment={name: "x"}))
    assert problem == f"{name!r} is not a name that Lambda takes for an environment variable"


def test_the_environment_is_measured_in_bytes() -> None:
    """4,096 bytes of names and values are taken, one more is not; an umlaut has two."""
    assert refused("demo", replace(GOOD, environment={"AB": "x" * 4094})) == ()
    (problem,) = refused("demo", replace(GOOD, environment={"AB": "x" * 4093 + "ä"}))
    assert problem == "the environment is 4097 bytes, Lambda takes 4096"


def test_every_problem_is_told_at_once() -> None:
    """The name, each number and each variable."""
    wrong = FunctionSettings(memory_mb=1, timeout=0, environment={"A": "", "AWS_REGION": ""})
    assert len(refused("no spaces", wrong)) == 5


def test_each_rule_belongs_to_a_setting() -> None:
    """Configuration and messages read the rules by the names of the fields."""
    with_rule = [field.name for field in fields(FunctionSettings) if field.metadata]
    assert with_rule == [
        "memory_mb", "tmp_mb", "timeout", "log_retention", "reserved_concurrency", "provisioned",
    ]  # fmt: skip
    assert number_rule("tmp_mb").expected == "an integer from 512 to 10240"
    assert NumberRule("x", "days", (1, 3, 5)).expected == "1, 3 or 5"


@pytest.mark.parametrize(("python", "tmp", "words"), [
    ("3.12", 512, ()), ("3.14", 512, ()),
    ("3.11", 512, ("snap-start needs Python 3.12 or later",)), ("3.9", 512, ("needs Python 3.12",)),
    ("3.12", 513, ("snap-start takes at most 512 MB of tmp",)),
])  # fmt: skip
def test_snap_start_is_refused_where_aws_refuses_it(python: str, tmp: int, words: tuple[str, ...]) -> None:
    """Python and /tmp are looked at only where the function has SnapStart."""
    settings = replace(GOOD, tmp_mb=tmp)
    assert refused("demo", settings, python) == ()
    said = refused("demo", replace(settings, snap_start=True), python)
    assert len(said) == len(words) and all(word in said[0] for word in words)


def test_snap_start_takes_no_mounted_file_system() -> None:
    """AWS refuses the two together; without snap-start the file system is no problem."""
    arn = "arn:aws:elasticfilesystem:eu-west-1:123456789012:access-point/fsap-0123456789abcdef0"
    mounted = replace(GOOD, mount="/mnt/packs", file_system=arn)
    assert refused("demo", mounted) == ()
    (said,) = refused("demo", replace(mounted, snap_start=True), "3.12")
    assert said.startswith("snap-start takes no mounted file system") and arn in said
