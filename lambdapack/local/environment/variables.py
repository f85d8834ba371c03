"""The environment variables of an execution environment: Lambda's own, and nothing of this machine's.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
"""

from __future__ import annotations

import secrets
from datetime import datetime, timezone

from lambdapack.local.environment.sandbox import Paths
from lambdapack.local.functions import Function
from lambdapack.local.s3.sigv4 import Credentials

_FIXED = {
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
    "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
    "AWS_XRAY_DAEMON_ADDRESS": "169.254.79.129:2000",
    "LANG": "en_US.UTF-8",
    "SHLVL": "0",
    "TZ": ":UTC",
}
_FREE = {"PATH", "LANG", "TZ", "LD_LIBRARY_PATH", "PYTHONPATH", "LAMBDAPACK_ROOT", "AWS_ENDPOINT_URL_S3"}
"""The variables that a function may set itself, as in Lambda; it cannot set keys and names."""


def variables(
    function: Function, memory_mb: int, credentials: Credentials, paths: Paths, *, s3_url: str, api: str
) -> dict[str, str]:
    """All variables of the runtime's process; ``api`` is ``host:port`` of the Runtime API.

    Most of Lambda's variables a function's own cannot replace.
    """
    stream = f"{datetime.now(timezone.utc):%Y/%m/%d}/[$LATEST]{secrets.token_hex(16)}"
    lambdas = {
        **_FIXED,
        "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_DEFAULT_REGION": function.region,
        "AWS_ENDPOINT_URL_S3": s3_url,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.target.runtime}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mb),
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": stream,
        "AWS_LAMBDA_RUNTIME_API": api,
        "AWS_REGION": function.region,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
        "AWS_SESSION_TOKEN": credentials.session_token,
        "LAMBDA_RUNTIME_DIR": paths.client,
        "LAMBDA_TASK_ROOT": paths.task,
        "LD_LIBRARY_PATH": f"{paths.lang}/lib:/lib64:/usr/lib64:{paths.client}:{paths.client}/lib:"
        f"{paths.task}:{paths.task}/lib:/opt/lib",
        "PATH": f"{paths.lang}/bin:/usr/local/bin:/usr/bin:/bin:/opt/bin",
        "PYTHONPATH": paths.client,
        "_HANDLER": function.handler,
    }
    if paths.tmp != "/tmp":
        # Lambda does not set these; here they keep the function's files in its own folder.
        lambdas |= {"TMPDIR": paths.tmp, "LAMBDAPACK_ROOT": f"{paths.tmp}/lambdapack"}
    own = function.settings.environment.items()
    return lambdas | {name: value for name, value in own if name in _FREE or name not in lambdas}
