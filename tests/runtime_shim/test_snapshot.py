"""SnapStart's side of the shim: what is alive when the snapshot is taken, and what a restore finds.

awslambdaric's own ``on_init_complete`` runs the hooks. Where it would wait for the restore, the process waits
for a file, or forks: each fork goes on from the same memory, as the environments of one snapshot do.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lambdapack.local.endpoint import new_credentials
from lambdapack.local.environment import runtime
from lambdapack.local.link import Fault
from lambdapack.local.s3.objects import Entry
from lambdapack.local.s3.sigv4 import Credentials
from lambdapack.model.target import Target
from lambdapack.python import interpreter
from runtime_shim._disk import Place
from runtime_shim._snapshot import settle
from runtime_shim._start import Pack
from tests.support.assets_world import AssetsWorld, running_assets_world
from tests.support.local_cloud import eventually

RUNNING = interpreter.find("{}.{}".format(*sys.version_info))
TOKEN = "a-token-of-the-environment"
APP = """
    import runtime_shim
    import heavy, json, os
    from heavy.second import leaf

    if os.environ.get("THREAD"):
        import threading, time
        runtime_shim.path("model"), runtime_shim.path("single")
        file = os.path.dirname(heavy.__file__) + "/cold.py"
        threading.Thread(target=lambda: open(file, "rb").close()).start()
        time.sleep(0.3)

    if os.environ.get("LATE_THREAD"):
        import threading, time
        file = os.path.dirname(heavy.__file__) + "/cold.py"
        threading.Thread(target=lambda: (time.sleep(3), open(file, "rb").close())).start()

    def handler(event, context):
        result = {"leaf": leaf.LEAF, "version": heavy.VERSION}
        here = os.path.dirname(heavy.__file__)
        if event.get("lazy"):
            with open(here + "/unseen.bin", "rb") as file:
                result["lazy"] = len(file.read())
            from heavy import cold
            with open(cold.__file__) as file:
                result["source"] = file.read()
        if event.get("late"):
            result["late"] = os.path.getsize(runtime_shim.path("late"))
        result["model"] = sorted(os.listdir(runtime_shim.path("model")))
        result["stats"] = runtime_shim.stats()
        return result
    """
DRIVER = """
    import gc, json, os, sys, time
    from awslambdaric import bootstrap, lambda_runtime_log_utils
    if os.environ.get("NO_HOOKS"):
        sys.modules["snapshot_restore_py"] = None
    handler = bootstrap._get_handler("app.handler")
    FETCHING = ("runtime_shim._s3", "runtime_shim._fetch", "runtime_shim._net")
    KEYS = os.environ["SECRET_OF_BEFORE"][::-1].encode()

    def look():
        def sids():
            for name in filter(str.isdigit, os.listdir("/proc")):
                try:
                    with open("/proc/%s/stat" % name) as file:
                        fields = file.read().rpartition(")")[2].split()
                except OSError:
                    continue
                if int(fields[3]) == os.getsid(0):
                    yield int(name), fields[0]
        sockets = []
        for fd in os.listdir("/proc/self/fd"):
            try:
                if os.readlink("/proc/self/fd/" + fd).startswith("socket:"):
                    sockets.append(fd)
            except OSError:
                pass
        found = 0
        with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
            for line in maps:
                span, mode = line.split()[:2]
                start, end = (int(part, 16) for part in span.split("-"))
                if mode.startswith("rw"):
                    memory.seek(start)
                    try:
                        # The reversed text of the test's own is not what is looked for.
                        found += memory.read(end - start).count(KEYS)
                    except OSError:
                        pass
        return {
            "others": [pid for pid, state in sids() if pid != os.getpid() and state != "Z"],
            "threads": len(os.listdir("/proc/self/task")),
            "sockets": sockets,
            "objects": sorted({type(each).__name__ for each in gc.get_objects()
                if type(each).__module__ in FETCHING}),
            "secrets": found - 1,
        }

    class Client:
        def restore_next(self):
            if os.environ.get("FORKS"):
                self.fork(int(os.environ["FORKS"]))
                return
            print(json.dumps(look()), flush=True)
            while not os.path.exists(os.environ["THAW"]):
                time.sleep(0.01)

        def fork(self, count):
            for number in range(count):
                child = os.fork()
                if not child:
                    return
                os.waitpid(child, 0)
            os._exit(0)

        def post_init_error(self, *error):
            print("init error", error, flush=True)
        report_restore_error = post_init_error

    if os.environ.get("NO_HOOKS"):
        Client().restore_next()
    else:
        with bootstrap.create_log_sink() as sink:
            bootstrap.on_init_complete(Client(), sink)
    event = json.loads(os.environ.get("EVENT", "{}"))
    print(json.dumps(handler(event, None)), flush=True)
    """


class Keys:
    """The endpoint from which an environment under SnapStart gets its credentials."""

    def __init__(self) -> None:
        self.current: Credentials | None = None
        self.asked = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                keys = outer.current
                assert keys is not None and self.headers["Authorization"] == TOKEN
                document = {
                    "AccessKeyId": keys.access_key,
                    "SecretAccessKey": keys.secret_key,
                    "Token": keys.session_token,
                    "Expiration": "2099-01-01T00:00:00Z",
                }
                body = json.dumps(document).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/credentials"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


class Environment:
    """One process under SnapStart, and the credentials that it gets."""

    def __init__(self, world: AssetsWorld, keys: Keys, client: Path, folder: Path) -> None:
        self.world, self.keys, self.folder = world, keys, folder
        (world.function / "app.py").write_text(textwrap.dedent(APP))
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        self.variables = {key: value for key, value in world.environment.items() if key not in names}
        self.variables |= {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": keys.url,
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": TOKEN,
            "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
            "_HANDLER": "app.handler",
            "PYTHONPATH": str(client),
            "THAW": str(folder / "thaw"),
        }
        self.before = self.renew()
        self.variables["SECRET_OF_BEFORE"] = self.before.secret_key[::-1]

    def renew(self, ahead: float = 0.0, *faults: Fault) -> Credentials:
        """Other credentials; those of before are refused from now on."""
        if self.keys.current is not None:
            self.world.endpoint.revoke(self.keys.current.access_key)
        self.keys.current = new_credentials(ahead)
        names = [self.world.key, *(self.world.asset_key(name) for name in self.world.built)]
        self.world.endpoint.grant(self.keys.current, [f"bucket/{name}" for name in names], faults=faults)
        self.world.endpoint.log(clear=True)
        return self.keys.current

    def start(self, **environment: str) -> subprocess.Popen[str]:
        """The process up to its snapshot, unless it forks."""
        (self.folder / "thaw").unlink(missing_ok=True)
        world = replace(self.world, environment=self.variables)
        return world.popen(DRIVER, **environment)

    def state(self, process: subprocess.Popen[str]) -> dict[str, object]:
        """What is alive at the snapshot."""
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith('{"others"'):
                found: dict[str, object] = json.loads(line)
                return found
        raise AssertionError(process.communicate())

    def thaw(self, process: subprocess.Popen[str]) -> dict[str, object]:
        """The answer after the restore."""
        (self.folder / "thaw").touch()
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, out + err
        answer: dict[str, object] = json.loads(out.splitlines()[-1])
        return answer

    def log(self) -> list[Entry]:
        return self.world.endpoint.log(clear=True)


@pytest.fixture(scope="module")
def client(lambdapack_cache: Path) -> Path:
    """The folder of the real awslambdaric and its hooks."""
    return runtime.install(Target(RUNNING.python), lambdapack_cache).client


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, lambdapack_cache: Path) -> Iterator[AssetsWorld]:
    with running_assets_world(tmp_path_factory.mktemp("world"), RUNNING, lambdapack_cache) as world:
        yield world


@pytest.fixture
def environment(shared: AssetsWorld, client: Path, tmp_path: Path) -> Iterator[Environment]:
    with made(shared, client, tmp_path) as environment:
        yield environment


@contextmanager
def made(shared: AssetsWorld, client: Path, folder: Path) -> Iterator[Environment]:
    world = shared.moved(folder / "function")
    world.root = folder / "root"
    world.environment = {**world.environment, "LAMBDAPACK_ROOT": str(world.root)}
    keys = Keys()
    try:
        yield Environment(world, keys, client, folder)
    finally:
        keys.server.shutdown()


def everything(environment: Environment) -> None:
    """Have the function's zip ask for everything before the snapshot."""
    path = environment.world.function / "runtime_shim/location.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "snapshot": "all"}))


def test_nothing_of_the_shims_is_alive_in_a_snapshot(environment: Environment) -> None:
    """No process, no further thread, no socket, no object of a fetch, and no secret in the memory."""
    process = environment.start()
    state = environment.state(process)
    fetched = environment.log()
    environment.thaw(process)
    assert state == {"others": [], "threads": 1, "sockets": [], "objects": [], "secrets": 0}
    assert {entry.access_key for entry in fetched} == {environment.before.access_key}


def test_a_snapshot_waits_for_a_fetch_of_the_functions_own_thread(environment: Environment) -> None:
    """What a thread asks for on demand arrives before the snapshot; its connection is gone by then."""
    environment.renew(0.0, Fault(1, "stall", times=100, after=10, seconds=0.9))
    process = environment.start(THREAD="1")
    state = environment.state(process)
    index = environment.world.pack.index
    sent = sum(entry.sent for entry in environment.log() if environment.world.key in entry.path)
    environment.thaw(process)
    assert sent > sum(index.frame_stored[: index.eager])
    assert (state["sockets"], state["objects"], state["others"]) == ([], [], [])


def test_a_runtime_without_hooks_gets_the_same_snapshot(environment: Environment) -> None:
    """Where there is no snapshot_restore_py, all is in place when the runtime has got the handler."""
    process = environment.start(NO_HOOKS="1")
    state = environment.state(process)
    environment.renew()
    answer = environment.thaw(process)
    assert (state["sockets"], state["objects"], state["others"]) == ([], [], [])
    assert answer["leaf"] == "leaf" and environment.log() == []


def test_all_that_a_first_invocation_needs_is_in_the_snapshot(environment: Environment) -> None:
    """After the restore neither the pack nor an asset of the start is asked for again."""
    process = environment.start()
    environment.state(process)
    sent = sum(entry.sent for entry in environment.log())
    environment.renew()
    answer = environment.thaw(process)
    world = environment.world
    index, assets = world.pack.index, [world.index(name) for name in ("model", "single")]
    assert sent == sum(index.frame_stored[: index.eager]) + sum(sum(each.frame_stored) for each in assets)
    assert (answer["leaf"], answer["model"]) == ("leaf", ["empty", "sub", "weights.bin"])
    assert environment.log() == []


def test_several_environments_of_one_snapshot_fetch_nothing(environment: Environment) -> None:
    """Init once; three that go on from its memory each answer with no byte from S3."""
    process = environment.start(FORKS="3")
    out, err = process.communicate(timeout=60)
    answers = [json.loads(line) for line in out.splitlines() if line.startswith('{"leaf"')]
    assert process.returncode == 0 and len(answers) == 3, out + err
    assert all(answer["stats"]["restores"] == 1 for answer in answers)
    index = environment.world.pack.index
    log = environment.log()
    assert sum(entry.sent for entry in log if environment.world.key in entry.path) == sum(
        index.frame_stored[: index.eager]
    )


def test_what_is_fetched_after_a_restore_uses_new_credentials(environment: Environment) -> None:
    """A lazy frame and a late asset are signed with the keys of after the restore alone."""
    process = environment.start(EVENT='{"lazy": true, "late": true}')
    environment.state(process)
    after = environment.renew()
    answer = environment.thaw(process)
    assert (answer["lazy"], answer["late"]) == (262_144, 2_000_000)
    assert answer["source"] == "COLD = 'never traced'\n"
    log = environment.log()
    assert {(entry.access_key, entry.status) for entry in log} == {(after.access_key, 206)}


def test_a_fetch_that_spans_the_snapshot_goes_on_with_new_credentials(environment: Environment) -> None:
    """A thread that begins after the hooks is frozen in its request; keys and connection end meanwhile."""
    environment.renew(0.0, Fault(4, "stall", times=100, after=10, seconds=60))
    process = environment.start(LATE_THREAD="1", EVENT='{"lazy": true}')
    environment.state(process)
    assert eventually(lambda: len(established(process.pid)) == 1)
    os.kill(process.pid, signal.SIGSTOP)
    after = environment.renew()
    os.kill(process.pid, signal.SIGCONT)
    answer = environment.thaw(process)
    assert answer["source"] == "COLD = 'never traced'\n"
    log = environment.log()
    assert log and {(entry.access_key, entry.status) for entry in log} == {(after.access_key, 206)}


def established(pid: int) -> list[str]:
    """The sockets of a process."""
    links = (fd.readlink().name for fd in Path(f"/proc/{pid}/fd").iterdir())
    return [link for link in links if link.startswith("socket:")]


def test_a_snapshot_of_everything_never_fetches_again(environment: Environment) -> None:
    """``snapshot = "all"``: lazy frames and late assets are there without a request."""
    everything(environment)
    process = environment.start(EVENT='{"lazy": true, "late": true}')
    state = environment.state(process)
    environment.renew()
    answer = environment.thaw(process)
    assert (answer["lazy"], answer["late"]) == (262_144, 2_000_000)
    assert state["others"] == [] and environment.log() == []


def test_everything_is_for_snapshots_alone(environment: Environment) -> None:
    """The same zip, started on demand, leaves the lazy frames in S3."""
    everything(environment)
    process = environment.start(AWS_LAMBDA_INITIALIZATION_TYPE="on-demand")
    environment.state(process)
    environment.thaw(process)
    index = environment.world.pack.index
    log = environment.log()
    assert sum(entry.sent for entry in log if environment.world.key in entry.path) == sum(
        index.frame_stored[: index.eager]
    )


@pytest.mark.parametrize("ahead", [3600.0, -86400.0])
def test_a_clock_that_shows_the_time_of_the_snapshot_is_corrected(
    environment: Environment, ahead: float
) -> None:
    """S3 refuses a signature of another time once; the next one bears S3's own."""
    process = environment.start(EVENT='{"lazy": true}')
    environment.state(process)
    environment.renew(ahead)
    answer = environment.thaw(process)
    assert answer["lazy"] == 262_144
    statuses = [entry.status for entry in environment.log()]
    assert statuses.count(206) >= 1 and statuses.count(403) <= statuses.count(206)


def test_a_restore_without_the_files_of_before_fetches_them(environment: Environment) -> None:
    """A restored environment looks at every file: an emptied /tmp is filled again, before the handler."""
    process = environment.start()
    environment.state(process)
    shutil.rmtree(environment.world.root)
    after = environment.renew()
    answer = environment.thaw(process)
    assert answer["model"] == ["empty", "sub", "weights.bin"]
    log = environment.log()
    assert {entry.access_key for entry in log} == {after.access_key}
    index = environment.world.pack.index
    site = environment.world.site
    assert all((site / f"heavy/bulk{number}.bin").is_file() for number in range(20))
    assert sum(entry.sent for entry in log if environment.world.key in entry.path) == sum(
        index.frame_stored[: index.eager]
    )


def test_no_snapshot_is_taken_of_a_pack_that_cannot_be_fetched(environment: Environment) -> None:
    """Init fails with the reason, and nothing waits for a restore."""
    environment.world.endpoint.revoke(environment.before.access_key)
    process = environment.start()
    out, err = process.communicate(timeout=60)
    assert process.returncode != 0 and "lambdapack: the pack could not be fetched" in out + err
    assert '"others"' not in out


class StoppedChild:
    """A process that fetches, which somebody has stopped."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(["sleep", "1000"])
        self.pid = self.process.pid
        os.kill(self.pid, signal.SIGSTOP)

    def alive(self) -> bool:
        return self.process.poll() is None


def test_a_process_that_does_not_end_is_killed_before_the_snapshot(environment: Environment) -> None:
    """All its frames are in place, so nothing is lost; a snapshot with it would restore it everywhere."""
    world = environment.world
    root = str(world.root)
    place = Place(root, world.pack.id, world.pack.index, False)
    pack = Pack(place, lambda *_: pytest.fail("nothing is to be fetched"), 0)
    child = StoppedChild()
    pack._children.append(child)  # type: ignore[arg-type]
    settle(pack)
    assert child.process.wait(10) == -signal.SIGKILL
    assert pack._children == []
