"""Find the Docker engine, and say in plain words why it does not do what was asked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from lambdapack.errors import LambdapackError, ToolError

__all__ = ["answers", "connect", "engine_errors"]

_QUICK_SECONDS = 5
# The engine answers some calls only when they are done, and a layer of a gigabyte takes its time.
_SECONDS = 600
_DETAIL = 500


@contextmanager
def connect() -> Iterator[Any]:
    """A client of the engine that ``DOCKER_HOST`` or Docker's own context names, closed afterwards.

    Raises:
        ToolError: There is no Docker SDK, no engine answers, or it may not be used.
    """
    with closing(_client(_SECONDS)) as client:
        with engine_errors("asking the Docker engine"):
            client.ping()
        yield client


def answers() -> bool:
    """Whether a Docker engine answers."""
    try:
        with closing(_client(_QUICK_SECONDS)) as client:
            return bool(client.ping())
    except Exception:  # the SDK lets errors of requests and urllib3 through
        return False


def _client(timeout: int) -> Any:
    try:
        import docker  # noqa: PLC0415 - an extra, and slow
    except ModuleNotFoundError:
        raise ToolError(
            "building in a container needs the Docker SDK for Python, which is not installed",
            hint="pip install 'lambdapack[docker]', or build wheels without it: --builder local",
        ) from None
    with engine_errors("asking the Docker engine"):
        return docker.from_env(timeout=timeout)


@contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """Turn the SDK's errors into a ``ToolError`` about ``doing``."""
    import docker.errors  # noqa: PLC0415 - an extra, and slow
    import requests.exceptions  # noqa: PLC0415 - the SDK's

    try:
        yield
    except LambdapackError:
        raise
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
        raise _error(doing, error) from error


def _error(doing: str, error: Exception) -> ToolError:
    import docker.errors  # noqa: PLC0415 - an extra, and slow

    text = str(getattr(error, "explanation", None) or error)
    where = os.environ.get("DOCKER_HOST") or "the default socket (DOCKER_HOST is not set)"
    if "permission denied" in text.lower() or "PermissionError" in text:
        return ToolError(
            f"{doing} failed: this user may not use the Docker engine at {where}",
            hint="sudo usermod -aG docker $USER and log in again, or name an engine of yours in DOCKER_HOST",
        )
    if "no space left on device" in text.lower():
        return ToolError(
            f"{doing} failed: the Docker engine's disk is full",
            hint="docker system df shows what is in the way, docker system prune removes it",
            detail=text[:_DETAIL],
        )
    if not isinstance(error, docker.errors.APIError):
        return ToolError(
            f"{doing} failed: no Docker engine answers at {where}",
            hint="start it (sudo systemctl start docker, or Docker Desktop) or name one in DOCKER_HOST; "
            "wheels alone need none: --builder local",
            detail=text[:_DETAIL],
        )
    return ToolError(f"{doing} failed: the Docker engine refused", detail=text[:_DETAIL])
