"""``python -m lambdapack.cli.remote_job FOLDER OUTPUT``: what the remote builder runs where it builds.

No command for people: it reads a job that ``lambdapack build --builder codebuild`` wrote. What it prints is
the build's log, and the last line of a build that fails is the error for ``lambdapack`` at the other end.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from lambdapack.errors import LambdapackError


def main(arguments: Sequence[str]) -> int:
    """Run the job in the folder, into the other folder; returns the exit status."""
    from lambdapack.memo import default_cache_dir
    from lambdapack.pipeline import remote
    from lambdapack.report.live import LineProgress

    folder, output = map(Path, arguments)
    try:
        remote.run_job(folder, output, default_cache_dir(), LineProgress(sys.stdout))
    except LambdapackError as error:
        print(remote.error_line(error), flush=True)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
