"""``lambdapack trace``: from a log into the next build."""

from __future__ import annotations

import time
from pathlib import Path

import boto3

from tests.support.aws_world import REGION, empty_aws
from tests.support.command_line import Run, shown
from tests.trace.test_touched import LATER, START


def test_a_log_file_adds_to_what_counts_as_touched(tmp_path: Path, run_lambdapack: Run) -> None:
    """A second log adds what is new; the file that is written is the one that the configuration names."""
    (tmp_path / "lambdapack.toml").write_text('[trace]\ntouched = "hot.txt"\n')
    (tmp_path / "start.log").write_text(f"x\n{START}\n")
    (tmp_path / "later.log").write_text(f"{START}\n{LATER}\n")
    first = shown(run_lambdapack("trace", "--from-logs", "start.log", "--json", cwd=tmp_path))
    assert first["new"] == first["found"] == ["a/b.py", "c.txt"]
    second = shown(run_lambdapack("trace", "--from-logs", "later.log", "--json", cwd=tmp_path))
    assert second["new"] == ["d.pyc"]
    lines = (tmp_path / "hot.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["a/b.py", "c.txt", "d.pyc"]
    before = (tmp_path / "hot.txt").stat().st_mtime_ns
    run_lambdapack("trace", "--from-logs", "later.log", cwd=tmp_path)
    assert (tmp_path / "hot.txt").stat().st_mtime_ns == before


def test_a_log_group_is_read_where_there_is_no_such_file(tmp_path: Path, run_lambdapack: Run) -> None:
    """Every page of it, as far back as asked for; a group that is not there is an error that names it."""
    group = "/aws/lambda/hello"
    with empty_aws() as url:
        keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
        logs = boto3.client(
            "logs", endpoint_url=url, region_name=REGION, aws_access_key_id="a", aws_secret_access_key="b"
        )
        logs.create_log_group(logGroupName=group)
        logs.create_log_stream(logGroupName=group, logStreamName="s")
        now = int(time.time() * 1000)
        events = [
            {"timestamp": now - age * 86_400_000, "message": text} for age, text in ((3, LATER), (0, START))
        ]
        logs.put_log_events(logGroupName=group, logStreamName="s", logEvents=events)
        environment = tuple({**keys, "AWS_ENDPOINT_URL": url}.items())
        options = ("--region", REGION, "--days", "1", "--quiet")
        done = run_lambdapack("trace", "--from-logs", group, *options, cwd=tmp_path, environment=environment)
        assert done.stdout.split() == ["a/b.py", "c.txt"]
        failed = run_lambdapack(
            "trace", "--from-logs", "gone", *options, cwd=tmp_path, environment=environment, status=None
        )
    assert failed.returncode == 3 and "reading the log group gone" in failed.stderr
