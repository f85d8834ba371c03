"""``lambdapack doctor``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

import click

from lambdapack import limits
from lambdapack.cli import deployment
from lambdapack.cli.session import Session, common
from lambdapack.errors import CheckError, ConfigurationError, LambdapackError
from lambdapack.model import Target, runtimes
from lambdapack.python import interpreter, machine

_GB = 1_000_000_000
_ROOM = 3 * _GB


@click.command("doctor", short_help="Say what this machine has and lacks.")
@deployment.cloud_option
@common
def command(session: Session, cloud: str, region: str | None) -> None:
    """Say what this machine has and what it lacks, and what each thing is needed for.

    Exit status 1 when a build for the configured target, or for the running Python, cannot work here.

    With --cloud aws: whose credentials these are, whether the bucket is reached and may be used, how much
    room the account has, whose runtimes end, and what mends each; exit status 1 when a deployment cannot
    work.

    \b
    Examples:
      lambdapack doctor
      lambdapack doctor --cloud aws --region eu-west-1
      lambdapack doctor --json | jq '.checks[] | select(.state == "missing")'
    """
    if cloud == "aws":
        from lambdapack.cli import doctor_aws

        doctor_aws.check(session, region)
        return
    config = session.config.build
    wanted = config.python or ".".join(map(str, sys.version_info[:2]))
    docker = _docker(wanted, config.arch)
    checks = [
        _system(),
        _runtime(wanted, runtimes.today()),
        _interpreters(wanted, docker=docker[0].state == "ok"),
        _pip(),
        _room(session.cache),
        *docker,
        _zstd(),
        _root(),
        _layers(wanted),
        _cgroups(),
        _credentials(),
    ]
    if checks[-1].state == "ok":
        checks.append(_quotas(deployment.region_of(session, None)))
    rows = [{"name": c.name, "state": c.state, "found": c.found, "for": c.purpose} for c in checks]
    session.emit("doctor", {"checks": rows})
    for check in checks:
        colour = {"ok": "green", "missing": "red"}.get(check.state, "yellow")
        mark = click.style(f"{check.state:<9}", fg=colour)
        session.say(f"{mark} {check.name:<14} {check.found}")
        if check.state != "ok":
            session.say(f"{'':<9} {'':<14} for: {check.purpose}")
    missing = [check.name for check in checks if check.state == "missing"]
    if missing:
        raise CheckError(f"a build cannot work on this machine without: {', '.join(missing)}")


@dataclass(frozen=True)
class _Check:
    """A thing that lambdapack can use, what this machine has of it, and what the thing is needed for.

    ``optional``: the machine lacks it, and a part of lambdapack works less well or not at all; ``missing``:
    the machine lacks it, and no build can work.
    """

    name: str
    state: Literal["ok", "optional", "missing"]
    found: str
    purpose: str


def _system() -> _Check:
    found = f"{os.uname().sysname} {os.uname().release} on {os.uname().machine}"
    if machine.is_linux():
        return _Check("system", "ok", found, "installing, stripping and tracing Linux wheels")
    found += ": builds and the local cloud run in containers of the Docker engine"
    return _Check("system", "optional", found, "tracing, and the local cloud, without a container")


def _runtime(python: str, today: date) -> _Check:
    purpose = "functions in AWS; the local cloud runs it all the same"
    runtime = runtimes.RUNTIMES.get(python)
    if runtime is None:
        return _Check(
            "runtime", "optional", f"Lambda has no Python {python}: name another with --python", purpose
        )
    advice = runtime.advice(today)
    if advice is None:
        return _Check("runtime", "ok", runtime.name, purpose)
    return _Check("runtime", "missing" if runtime.is_blocked(today) else "optional", advice, purpose)


def _interpreters(python: str, *, docker: bool) -> _Check:
    have = [installed.python for installed in interpreter.installed()]
    found = f"{', '.join(have) or 'none'} (wanted: {python})"
    purpose = "the lock, the bytecode and the trace of a pack for that Python"
    if python in have:
        return _Check("interpreters", "ok", found, purpose)
    if docker:
        return _Check(
            "interpreters", "optional", f"{found}; --builder docker builds for it in an image", purpose
        )
    return _Check("interpreters", "missing", found, purpose)


def _pip() -> _Check:
    purpose = "installing the lock"
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--version"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return _Check("pip", "optional", f"not in {sys.prefix}", purpose)
    return _Check("pip", "ok", done.stdout.split(" from ")[0].strip(), purpose)


def _room(cache: Path) -> _Check:
    at = next(path for path in (cache, *cache.absolute().parents) if path.exists())
    free = shutil.disk_usage(at).free
    found = f"{free / _GB:.1f} GB free for {cache}"
    return _Check("disk", "ok" if free > _ROOM else "optional", found, "trees of several GB while building")


def _docker(python: str, arch: str) -> list[_Check]:
    """The Docker engine, and the image in which it would build for the target."""
    purpose = "building what has no wheel, and for any target, inside Lambda's own image"
    try:
        import docker
    except ModuleNotFoundError:
        return [_Check("docker", "optional", "the docker extra is not installed", purpose)]
    try:
        engine = docker.from_env(timeout=5)
        try:
            version = engine.version()
            there = {tag for image in engine.images.list() for tag in image.tags}
        finally:
            engine.close()
    except Exception as error:  # the SDK lets errors of requests and urllib3 through
        found = f"no engine answers: {str(error).splitlines()[0][:90]}"
        return [_Check("docker", "optional", found, purpose)]
    running = f"engine {version['Version']} on {version.get('Arch', 'an unknown processor')}"
    return [_Check("docker", "ok", running, purpose), *_image(python, arch, there)]


def _image(python: str, arch: str, there: Collection[str]) -> list[_Check]:
    from lambdapack.install.docker import images

    try:
        target = Target(python, arch)
    except ConfigurationError:
        return []
    purpose = f"building for {target} with --builder docker"
    for name in (images.name(target), images.base(target)):
        if name in there:
            return [_Check("build image", "ok", name, purpose)]
    found = f"{images.base(target)} is pulled when it is needed"
    return [_Check("build image", "optional", found, purpose)]


def _zstd() -> _Check:
    path = shutil.which("zstd")
    purpose = "unpacking a pack by hand (tar --zstd -xf); lambdapack itself has its own"
    return _Check("zstd", "ok" if path else "optional", path or "not on PATH", purpose)


def _root() -> _Check:
    root = os.geteuid() == 0
    found = "root" if root else f"user {os.geteuid()}"
    return _Check("privileges", "ok" if root else "optional", found, "hard caps on /tmp in the local cloud")


def _layers(python: str) -> _Check:
    """Whether the local cloud can mount layers and file systems where a function has them."""
    purpose = "layers at /opt and file systems below /mnt in the local cloud"
    absent = [folder for folder in ("/opt", "/mnt") if not Path(folder).is_dir()]
    if absent:
        return _Check("layers", "optional", f"no {' and no '.join(absent)}: they are elsewhere then", purpose)
    for installed in interpreter.installed():
        for folder in ("/opt", "/mnt"):
            if installed.python == python and installed.path.resolve().is_relative_to(folder):
                found = f"{installed.path} is in {folder}, so that they are elsewhere"
                return _Check("layers", "optional", found, purpose)
    return _Check("layers", "ok", "/opt and /mnt, where namespaces can be made", purpose)


def _cgroups() -> _Check:
    purpose = "CPU in proportion to memory in the local cloud"
    for name in ("cgroup.controllers", "cpu/cpu.cfs_quota_us"):
        path = Path("/sys/fs/cgroup") / name
        if path.exists() and os.access(path.parent, os.W_OK):
            return _Check("cgroups", "ok", f"writable at {path.parent}", purpose)
    return _Check("cgroups", "optional", "no writable control group", purpose)


def _credentials() -> _Check:
    import botocore.session

    purpose = "--cloud aws, and push to S3"
    # Outside EC2 the address of its metadata does not answer, and asking would take seconds.
    os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
    session = botocore.session.get_session()
    try:
        credentials = session.get_credentials()
    except Exception as error:  # any provider may fail in its own way
        return _Check("credentials", "optional", f"unusable: {error}", purpose)
    if credentials is None:
        return _Check("credentials", "optional", "none configured", purpose)
    return _Check("credentials", "ok", f"from {credentials.method}", purpose)


def _quotas(region: str) -> _Check:
    """Those of Lambda's limits that an account can have raised, as this account has them."""
    from lambdapack.deploy.aws import read_quotas

    purpose = "how much of a function runs at once, and how much code the account holds"
    try:
        found = read_quotas(region)
    except LambdapackError as error:
        defaults = ", ".join(_quota(quota, quota.default) for quota in limits.QUOTAS)
        hint = f"; {error.hint}" if error.hint else ""
        return _Check(
            "quotas", "optional", f"{error.message}{hint}", f"{purpose} (AWS's defaults: {defaults})"
        )
    words = (
        _quota(quota, value) + (f" (AWS's default is {quota.default:,.0f})" if value < quota.default else "")
        for quota, value in found.items()
    )
    return _Check("quotas", "ok", f"in {region}: {', '.join(words)}", purpose)


def _quota(quota: limits.Quota, value: float) -> str:
    return f"{quota.name[0].lower()}{quota.name[1:]} {value:,.0f} {quota.unit}".rstrip()
