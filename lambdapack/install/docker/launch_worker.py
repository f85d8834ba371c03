"""Becomes the command that a file describes: the engine, and a list of processes, show this file alone.

    python -I launch_worker.py JOB

JOB is a JSON file: ``command``, ``environment`` (over the image's own), ``input`` (a file or null),
``folder`` (to run in).
"""

from __future__ import annotations

import json
import os
import sys


def main() -> None:
    """Read the job and become its command."""
    with open(sys.argv[1], encoding="utf-8") as file:
        job = json.load(file)
    os.dup2(os.open(job["input"] or os.devnull, os.O_RDONLY), 0)
    os.umask(0o022)
    os.chdir(job["folder"])
    os.execvpe(job["command"][0], job["command"], {**os.environ, **job["environment"]})


if __name__ == "__main__":
    main()
