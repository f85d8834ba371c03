"""CodeBuild for tests: plays a project's buildspec, where moto calls every build a success at once.

Requests about builds are answered here, all others go on to moto. A build is played as AWS documents builds:
the sources out of S3, phase by phase each command, the log into CloudWatch Logs, the artifacts into S3; and
for each of that the project's role is asked, as IAM would be.
"""

from __future__ import annotations

import fnmatch
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol
from urllib.request import Request, urlopen

import boto3

from lambdapack.python.pip_settings import CERTIFICATE_VARIABLES, PROXY_VARIABLES, PipSettings, local_path

_TARGET = "CodeBuild_20161006."
_HERE = "/codebuild/output/src"
_PHASES = ("install", "pre_build", "build", "post_build")
_CREDENTIALS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "secret"}
Write = Callable[[str], None]


class Host(Protocol):
    """A machine that a build has for itself."""

    def load(self, sources: Path) -> None:
        """Take the sources, which are unpacked there."""

    def run(self, command: str, write: Write) -> int:
        """Run a command of the buildspec in the folder of the sources; its exit status."""

    def collect(self, folder: str, destination: Path) -> bool:
        """Copy the files below a folder of the sources; ``False``: there is no such folder."""

    def end(self) -> None:
        """End what runs: the build was stopped."""


Open = Callable[[str, Mapping[str, str]], AbstractContextManager[Host]]
"""Image, variables -> a host; ``LookupError``: the image cannot be pulled."""


class PhaseError(Exception):
    """A phase failed; the message is the phase's context."""


@dataclass
class Played:
    """A build: what was asked for, and how far it is."""

    asked: Mapping[str, Any]
    project: Mapping[str, Any]
    id: str
    status: str = "IN_PROGRESS"
    phases: list[dict[str, Any]] = field(default_factory=list)
    logs: dict[str, str] = field(default_factory=dict)
    host: Host | None = None
    stopped: bool = False
    thread: threading.Thread | None = None

    def document(self) -> dict[str, Any]:
        phases = [dict(phase) for phase in self.phases]
        return {
            "id": self.id,
            "projectName": self.project["name"],
            "buildStatus": self.status,
            "buildComplete": self.status != "IN_PROGRESS",
            "currentPhase": phases[-1]["phaseType"] if phases else "SUBMITTED",
            "phases": phases,
            "logs": dict(self.logs),
        }


class Player:
    """Answers CodeBuild's requests.

    Args:
        moto: The address of the moto server that has everything else.
        region: Where that is.
        open_host: What a build runs on.
    """

    def __init__(self, moto: str, region: str, open_host: Open) -> None:
        self.builds: dict[str, Played] = {}
        self._moto, self._region, self._open = moto, region, open_host

    def client(self, service: str) -> Any:
        return boto3.client(service, endpoint_url=self._moto, region_name=self._region, **_CREDENTIALS)

    def answer(self, operation: str, given: Mapping[str, Any]) -> dict[str, Any] | None:
        """The answer to a request about builds; ``None`` for any other."""
        if operation == "StartBuild":
            return {"build": self._start(given).document()}
        if operation == "BatchGetBuilds":
            return {"builds": [self.builds[one].document() for one in given["ids"] if one in self.builds]}
        if operation == "StopBuild":
            played = self.builds[given["id"]]
            played.stopped = True
            if played.host is not None:
                played.host.end()
            return {"build": played.document()}
        return None

    def _start(self, asked: Mapping[str, Any]) -> Played:
        (project,) = self.client("codebuild").batch_get_projects(names=[asked["projectName"]])["projects"]
        played = Played(asked, project, f"{project['name']}:{uuid.uuid4()}")
        self.builds[played.id] = played
        played.thread = threading.Thread(target=self._play, args=(played,), daemon=True)
        played.thread.start()
        return played

    def _play(self, played: Played) -> None:
        try:
            self._phases(played)
            status = "SUCCEEDED"
        except PhaseError:
            status = "FAILED"
        except Exception as error:
            played.phases.append(_phase("FINALIZING", "FAULT", repr(error)))
            status = "FAULT"
        played.phases.append({"phaseType": "COMPLETED", "startTime": time.time()})
        played.status = "STOPPED" if played.stopped else status

    def _phases(self, played: Played) -> None:
        asked, project = played.asked, played.project
        for name in ("SUBMITTED", "QUEUED"):
            with _during(name, played):
                pass
        spec = json.loads(asked.get("buildspecOverride") or project["source"]["buildspec"])
        variables = {one["name"]: one["value"] for one in asked.get("environmentVariablesOverride", ())}
        location = asked.get("sourceLocationOverride") or project["source"]["location"]
        with ExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="played-")))
            with _during("PROVISIONING", played):
                image = asked.get("imageOverride") or project["environment"]["image"]
                played.host = stack.enter_context(self._open(image, variables))
                write = self._log(played)
            with _during("DOWNLOAD_SOURCE", played):
                self._download(location, played, folder / "sources")
                played.host.load(folder / "sources")
            self._run(spec, played, write)
            with _during("UPLOAD_ARTIFACTS", played):
                self._upload(spec["artifacts"], played, folder / "artifacts")
        with _during("FINALIZING", played):
            pass

    def _run(self, spec: Mapping[str, Any], played: Played, write: Write) -> None:
        host = played.host
        assert host is not None
        for name in _PHASES:
            with _during(name.upper(), played):
                for command in spec["phases"].get(name, {}).get("commands", ()):
                    write(f"[Container] 2026/11/26 00:00:00 Running command {command}")
                    status = host.run(command, write)
                    if played.stopped:
                        raise PhaseError("Build has been stopped")
                    if status:
                        raise PhaseError(
                            f"Error while executing command: {command}. Reason: exit status {status}"
                        )

    def _download(self, location: str, played: Played, sources: Path) -> None:
        bucket, _, key = location.partition("/")
        self._allow(played, "s3:GetObject", f"arn:aws:s3:::{bucket}/{key}")
        data = self.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            archive.extractall(sources)

    def _upload(self, wanted: Mapping[str, Any], played: Played, folder: Path) -> None:
        assert played.host is not None
        assert wanted["files"] == ["**/*"]
        if not played.host.collect(wanted["base-directory"], folder):
            raise PhaseError(f"no matching base directory path found for {wanted['base-directory']}")
        artifacts = played.project["artifacts"]
        assert (artifacts["namespaceType"], artifacts["name"], artifacts["packaging"]) == (
            "BUILD_ID",
            "/",
            "NONE",
        )
        bucket, client = artifacts["location"], self.client("s3")
        self._allow(played, "s3:GetBucketAcl", f"arn:aws:s3:::{bucket}")
        self._allow(played, "s3:GetBucketLocation", f"arn:aws:s3:::{bucket}")
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            key = f"{artifacts['path']}/{played.id.partition(':')[2]}/{path.relative_to(folder).as_posix()}"
            self._allow(played, "s3:PutObject", f"arn:aws:s3:::{bucket}/{key}")
            client.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())

    def _log(self, played: Played) -> Write:
        """Make the log's stream, and give what writes a line there."""
        group = played.project["logsConfig"]["cloudWatchLogs"]["groupName"]
        stream, client = played.id.partition(":")[2], self.client("logs")
        where = f":log-group:{group}:log-stream:{stream}"
        self._allow(played, "logs:CreateLogStream", where)
        self._allow(played, "logs:PutLogEvents", where)
        client.create_log_stream(logGroupName=group, logStreamName=stream)
        played.logs.update(groupName=group, streamName=stream)

        def write(line: str) -> None:
            event = {"timestamp": int(time.time() * 1000), "message": f"{line}\n"}
            client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[event])

        return write

    def _allow(self, played: Played, action: str, resource: str) -> None:
        """Ask the role's policy."""
        role = played.project["serviceRole"].rpartition("/")[2]
        document = self.client("iam").get_role_policy(RoleName=role, PolicyName="lambdapack")[
            "PolicyDocument"
        ]
        for statement in document["Statement"]:
            pattern = statement["Resource"]
            # Of a log's address the test knows the end alone.
            known = (
                pattern if pattern.startswith("arn:aws:s3") else "*" + pattern[pattern.index(":log-group") :]
            )
            if action in statement["Action"] and fnmatch.fnmatchcase(resource, known):
                return
        raise PhaseError(f"AccessDenied: the role may not {action} on {resource}")


def _phase(name: str, status: str, said: str = "") -> dict[str, Any]:
    contexts = [{"statusCode": "COMMAND_EXECUTION_ERROR", "message": said}] if said else []
    return {"phaseType": name, "phaseStatus": status, "startTime": time.time(), "contexts": contexts}


@contextmanager
def _during(name: str, played: Played) -> Iterator[None]:
    begun = time.time()
    played.phases.append({"phaseType": name, "startTime": begun})
    status, said = "SUCCEEDED", ""
    try:
        yield
    except (PhaseError, LookupError) as error:
        status, said = "STOPPED" if played.stopped else "FAILED", str(error)
        raise PhaseError(said) from error
    finally:
        took = {"startTime": begun, "endTime": time.time(), "durationInSeconds": int(time.time() - begun)}
        played.phases[-1] = {**_phase(name, status, said), **took}


@contextmanager
def playing(moto: str, region: str, open_host: Open) -> Iterator[tuple[Player, str]]:
    """A player and its address, for ``AWS_ENDPOINT_URL_CODEBUILD``; at the end its builds have ended."""
    player = Player(moto, region, open_host)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            operation = self.headers["X-Amz-Target"].removeprefix(_TARGET)
            mine = player.answer(operation, json.loads(body))
            if mine is None:
                headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
                with urlopen(Request(moto, body, headers)) as answer:
                    data = answer.read()
            else:
                data = json.dumps(mine).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield player, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        for played in player.builds.values():
            if played.thread is not None:
                played.thread.join(60)


class ThisMachine:
    """Runs the build's own command with the Python of the tests, and leaves out what installs lambdapack.

    Faster than a container by what pip takes to install everything.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables, self._sources = variables, Path()
        self._running: subprocess.Popen[str] | None = None

    def load(self, sources: Path) -> None:
        self._sources = sources

    def run(self, command: str, write: Write) -> int:
        if "lambdapack.cli.remote_job" not in command:
            return 0
        words = command.split()
        environment = {**os.environ, **self._variables}
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        with subprocess.Popen(
            [sys.executable, *words[words.index("-m") :]], cwd=self._sources, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as self._running:  # fmt: skip
            assert self._running.stdout is not None
            for line in self._running.stdout:
                write(line.rstrip("\n"))
        return self._running.returncode

    def collect(self, folder: str, destination: Path) -> bool:
        made = self._sources / folder
        if not made.is_dir():
            return False
        made.rename(destination)
        return True

    def end(self) -> None:
        if self._running is not None:
            self._running.kill()


@contextmanager
def this_machine(image: str, variables: Mapping[str, str]) -> Iterator[Host]:
    """A host for fast tests; see ``ThisMachine``."""
    yield ThisMachine(variables)


@dataclass
class _Container:
    client: Any
    id: str
    variables: Mapping[str, str]

    def load(self, sources: Path) -> None:
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as archive:
            archive.add(sources, _HERE.lstrip("/"))
        self.client.api.put_archive(self.id, "/", data.getvalue())

    def run(self, command: str, write: Write) -> int:
        made = self.client.api.exec_create(
            self.id, ["/bin/sh", "-c", command], workdir=_HERE, environment=dict(self.variables)
        )
        pending = ""
        for piece in self.client.api.exec_start(made["Id"], stream=True):
            *lines, pending = (pending + piece.decode(errors="replace")).split("\n")
            for line in lines:
                write(line)
        if pending:
            write(pending)
        return int(self.client.api.exec_inspect(made["Id"])["ExitCode"] or 0)

    def collect(self, folder: str, destination: Path) -> bool:
        from docker.errors import NotFound  # noqa: PLC0415

        try:
            pieces, _ = self.client.api.get_archive(self.id, f"{_HERE}/{folder}")
        except NotFound:
            return False
        with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as archive:
            archive.extractall(destination.parent / "archive", filter="data")
        (destination.parent / "archive" / folder).rename(destination)
        return True

    def end(self) -> None:
        self.client.api.kill(self.id)


def containers(client: Any, images: Mapping[str, str], endpoint: str) -> Open:
    """Containers of a Docker engine as hosts.

    Args:
        client: Of the engine.
        images: Name that a build asks for -> the engine's image that stands in for it.
        endpoint: What stands in for AWS.
    """

    @contextmanager
    def open_host(image: str, variables: Mapping[str, str]) -> Iterator[Host]:
        if image not in images:
            raise LookupError(f"BUILD_CONTAINER_UNABLE_TO_PULL_IMAGE: Unable to pull {image}")
        around, mounts = _surroundings()
        host = client.api.create_host_config(
            network_mode="host", init=True, binds={path: {"bind": path, "mode": "ro"} for path in mounts}
        )
        made = client.api.create_container(
            images[image], ["/bin/sh", "-c", "sleep 600"], host_config=host, labels=["lambdapack-test-build"]
        )["Id"]
        try:
            client.api.start(made)
            own = {"CODEBUILD_SRC_DIR": _HERE, "AWS_ENDPOINT_URL": endpoint, "HOME": "/root"}
            yield _Container(client, made, {**around, **own, **variables})
        finally:
            client.api.remove_container(made, force=True, v=True)

    return open_host


def _surroundings() -> tuple[dict[str, str], list[str]]:
    """What lets pip reach its index in a container: variables, and what of this machine they name.

    In CodeBuild that is the network alone; here the index may be this machine's.
    """
    names = {*PROXY_VARIABLES, *(name.upper() for name in PROXY_VARIABLES), *CERTIFICATE_VARIABLES}
    variables = {name: os.environ[name] for name in sorted(names) if name in os.environ}
    for entry in reversed(PipSettings.read().entries):
        variables[f"PIP_{entry.key.replace('-', '_').upper()}"] = entry.value
    paths = set()
    for word in (word for value in variables.values() for word in value.split()):
        path = local_path(word) if word.startswith(("/", "file:")) else None
        if path is not None and path.exists():
            # The pages of an index of files link to what lies beside it.
            paths.add(str(path.parent if word.startswith("file:") else path))
    return variables, sorted(paths)
