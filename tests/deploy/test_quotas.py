"""Limits that an account can have raised: read from Service Quotas, and explained where they cannot be."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lambdapack import limits
from tests.support.aws_world import empty_aws
from tests.support.command_line import Run, shown

DENIED = {
    "__type": "AccessDeniedException",
    "Message": "User: arn:aws:iam::123456789012:user/dev is not authorized to perform: "
    "servicequotas:GetServiceQuota because no identity-based policy allows the action",
}
CREDENTIALS = (("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_REGION", "eu-west-1"))


@contextmanager
def service_quotas(values: dict[str, float] | None) -> Iterator[str]:
    """The address of a Service Quotas that knows ``values`` by code; ``None``: one that lets nobody ask."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.headers["X-Amz-Target"].endswith(".GetServiceQuota")
            assert asked["ServiceCode"] == "lambda"
            answer: Any = {"__type": "NoSuchResourceException", "Message": "unknown"}
            if values is None:
                answer = DENIED
            elif asked["QuotaCode"] in values:
                answer = {"Quota": {"QuotaCode": asked["QuotaCode"], "Value": values[asked["QuotaCode"]]}}
            body = json.dumps(answer).encode()
            self.send_response(200 if "Quota" in answer else 400)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def doctor(run_lambdapack: Run, folder: Path, url: str) -> dict[str, str]:
    """What ``lambdapack doctor`` says of quotas, asking at ``url``."""
    environment = (*CREDENTIALS, ("AWS_ENDPOINT_URL_SERVICE_QUOTAS", url))
    done = run_lambdapack("doctor", "--json", cwd=folder, status=None, environment=environment)
    (row,) = (one for one in shown(done)["checks"] if one["name"] == "quotas")
    assert "Traceback" not in done.stderr
    return dict(row)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"L-B99A9384": 10}, "concurrent executions 10 (AWS's default is 1,000)"),
        (
            {"L-B99A9384": 5000, "L-2ACBD22F": 300},
            "concurrent executions 5,000, function and layer storage 300 GB",
        ),
        ({}, "function and layer storage 75 GB"),
    ],
)
def test_doctor_reads_what_the_account_may(
    run_lambdapack: Run, tmp_path: Path, values: dict[str, float], said: str
) -> None:
    """Each value is the account's; what Service Quotas does not know is the default; less is pointed out."""
    with service_quotas(values) as url:
        row = doctor(run_lambdapack, tmp_path, url)
    assert row["state"] == "ok" and row["found"].startswith("in eu-west-1: ") and said in row["found"]


def test_a_missing_permission_is_explained(run_lambdapack: Run, tmp_path: Path) -> None:
    """Who may not do what, what to allow, and the defaults that hold meanwhile; doctor goes on."""
    with service_quotas(None) as url:
        row = doctor(run_lambdapack, tmp_path, url)
    assert row["state"] == "optional"
    assert "arn:aws:iam::123456789012:user/dev may not servicequotas:GetServiceQuota" in row["found"]
    assert "allow servicequotas:GetServiceQuota" in row["found"]
    assert "concurrent executions 1,000" in row["for"]


def test_no_way_to_aws_is_told(run_lambdapack: Run, tmp_path: Path) -> None:
    """Nothing answers: the row says so, and no command waits for a minute."""
    row = doctor(run_lambdapack, tmp_path, "http://127.0.0.1:9")
    assert row["state"] == "optional" and "cannot reach AWS" in row["found"]


def test_an_aws_without_these_quotas_has_the_defaults(run_lambdapack: Run, tmp_path: Path) -> None:
    """moto knows Service Quotas, and of Lambda nothing."""
    with empty_aws() as url:
        row = doctor(run_lambdapack, tmp_path, url)
    assert row["state"] == "ok"
    for quota in limits.QUOTAS:
        assert f"{quota.default:,.0f}" in row["found"]
