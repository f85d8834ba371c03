"""The environment variables of a runtime.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
"""

from __future__ import annotations

import secrets
from datetime import datetime, timezone

from lambdapack.local.environment.runtime_api import RuntimeApi
from lambdapack.local.environment.sandbox import Paths
from lambdapack.local.environment.starts import MANAGED, SNAP_START, Settings
from lambdapack.local.function import Function

_FIXED = {
    "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
    "AWS_XRAY_DAEMON_ADDRESS": "169.254.79.129:2000",
    "LANG": "en_US.UTF-8",
    "SHLVL": "0",
    "TZ": ":UTC",
}
_FREE = {"PATH", "LANG", "TZ", "LD_LIBRARY_PATH", "PYTHONPATH", "LAMBDAPACK_ROOT", "AWS_ENDPOINT_URL_S3"}
"""The variables that a function may set itself, as in Lambda; it cannot set keys and names."""


def variables(
    function: Function,
    settings: Settings,
    paths: Paths,
    api: RuntimeApi,
    s3_url: str,
) -> dict[str, str]:
    """All variables; most of Lambda's a function's own cannot replace."""
    stream = f"{datetime.now(timezone.utc):%Y/%m/%d}/[{function.version}]{secrets.token_hex(16)}"
    lambdas = {
        **_FIXED,
        **_of_start(settings, api),
        "AWS_DEFAULT_REGION": function.region,
        "AWS_ENDPOINT_URL_S3": s3_url,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.target.runtime}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(settings.memory_mb),
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": function.version,
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": stream,
        "AWS_LAMBDA_RUNTIME_API": api.address,
        "AWS_REGION": function.region,
        "LAMBDA_RUNTIME_DIR": paths.client,
        "LAMBDA_TASK_ROOT": paths.task,
        "LD_LIBRARY_PATH": f"{paths.lang}/lib:/lib64:/usr/lib64:{paths.client}:{paths.client}/lib:"
        f"{paths.task}:{paths.task}/lib:/opt/lib",
        "PATH": f"{paths.lang}/bin:/usr/local/bin:/usr/bin:/bin:/opt/bin",
        "PYTHONPATH": _pythonpath(function, paths),
        "_HANDLER": function.handler,
    }
    if paths.tmp != "/tmp":
        # Lambda does not set these; here they keep the function's files in its own folder.
        lambdas |= {"TMPDIR": paths.tmp, "LAMBDAPACK_ROOT": f"{paths.tmp}/lambdapack"}
    if paths.root:
        lambdas["LAMBDAPACK_FILES"] = paths.root
    own = function.settings.environment.items()
    return lambdas | {name: value for name, value in own if name in _FREE or name not in lambdas}


def _pythonpath(function: Function, paths: Paths) -> str:
    """The runtime client's folder; before it, as in Lambda, those of layers where there are any.

    https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html
    """
    opt, version = f"{paths.root}/opt/python", function.target.python
    layers = f"{opt}/lib/python{version}/site-packages:{opt}:" if function.opt else ""
    return layers + paths.client


def _of_start(settings: Settings, api: RuntimeApi) -> dict[str, str]:
    """The kind of start, and the credentials: a snapshot must not hold any, so there they are asked for."""
    told = {"AWS_LAMBDA_INITIALIZATION_TYPE": settings.start}
    if settings.start == MANAGED:
        told["AWS_LAMBDA_MAX_CONCURRENCY"] = str(settings.workers)
    if settings.start == SNAP_START:
        return told | {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": api.credentials_url,
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": api.token,
        }
    return told | {
        "AWS_ACCESS_KEY_ID": api.credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": api.credentials.secret_key,
        "AWS_SESSION_TOKEN": api.credentials.session_token,
    }
