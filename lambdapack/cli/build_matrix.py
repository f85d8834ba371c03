"""``lambdapack build`` of several targets."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from lambdapack.cli.session import Session
from lambdapack.errors import CheckError, ConfigurationError, LambdapackError, ToolError

if TYPE_CHECKING:
    from lambdapack.model import Target
    from lambdapack.pipeline import BuildOptions
    from lambdapack.pipeline.matrix import Build, Outcome


def targets(session: Session, given: Mapping[str, Any]) -> tuple[Target, ...]:
    """The targets of the matrix: the option's, else the configuration's; none: a build of one target.

    Raises:
        ConfigurationError: There is no such target, or one was named besides a matrix.
    """
    from lambdapack.model import Target

    named = [name.strip() for text in given["matrix"] for name in text.split(",") if name.strip()]
    alone = given["python"] or given["arch"]
    if named and alone:
        raise ConfigurationError(
            "--matrix names whole targets, and --python and --arch name one more",
            hint="--matrix python3.12/x86_64,python3.13/arm64",
        )
    if not named and not alone:
        named = session.config.build.matrix
    return tuple(dict.fromkeys(map(Target.parse, named)))


def build_matrix(
    session: Session,
    options: Sequence[BuildOptions],
    how: Callable[[BuildOptions, int | None], Build],
    jobs: int | None,
) -> None:
    """Build every one of ``options``, and show one table.

    Raises:
        LambdapackError: A target failed; of the kind of the gravest failure. The others' packs are there.
    """
    from lambdapack.pipeline import matrix

    remote = options[0].builder == "codebuild"
    cores = jobs or os.cpu_count() or 1
    at_a_time = len(options) if remote else matrix.side_by_side(len(options), cores=cores)
    share = jobs if remote else max(1, cores // at_a_time)
    session.progress.note(f"{len(options)} targets, {at_a_time} at a time")
    builds = [(each, how(each, share)) for each in options]
    outcomes = matrix.build_all(builds, at_a_time=at_a_time, progress=session.progress)
    _show(session, outcomes)
    if any(each.error for each in outcomes):
        raise _failure(outcomes)


def _show(session: Session, outcomes: Sequence[Outcome]) -> None:
    if session.as_json:
        from lambdapack.report import matrix as shown

        session.emit("build-matrix", shown.document(outcomes))
    elif session.quiet:
        for each in outcomes:
            click.echo(f"{each.target} {each.id or 'failed'}")
    else:
        from lambdapack.report.matrix import matrix_table

        session.show(matrix_table(outcomes))


def _failure(outcomes: Sequence[Outcome]) -> LambdapackError:
    """One error for all targets that failed."""
    failed = [each for each in outcomes if each.error is not None]
    statuses = [each.error.exit_status for each in failed if each.error]
    kinds = {kind.exit_status: kind for kind in (CheckError, ConfigurationError, ToolError)}
    lines = []
    for each in failed:
        error = each.error
        assert error is not None
        lines.append(f"{each.target}: {error.message}")
        lines += [f"  {line}" for line in (error.detail or "").splitlines()]
        lines += [f"  hint: {error.hint}"] if error.hint else []
    return kinds.get(max(statuses), ToolError)(
        f"{len(failed)} of {len(outcomes)} targets failed; the others' packs are built",
        detail="\n".join(lines),
    )
