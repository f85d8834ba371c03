"""The long-running server of the local cloud."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lambdapack.errors import ConfigurationError
from lambdapack.local import LocalCloud, client
from lambdapack.local.server import serve
from tests.support.local_cloud import answer, call, eventually, left_behind, make_spec
from tests.support.local_server import running_server


@pytest.fixture
def server(tmp_path: Path, lambdapack_cache: Path) -> Iterator[subprocess.Popen[str]]:
    with running_server(tmp_path / "state", lambdapack_cache) as process:
        yield process


def test_environments_stay_warm_between_clouds(
    server: subprocess.Popen[str], tmp_path: Path, lambdapack_cache: Path
) -> None:
    """Two clouds one after the other use the server's environment; it ends when its function does."""
    for number in range(2):
        with LocalCloud(tmp_path / "state", cache_dir=lambdapack_cache) as cloud:
            if not number:
                cloud.deploy(make_spec(tmp_path), None)
            result = call(cloud)
            assert result.cold is (number == 0)
            assert answer(result)["calls"] == number + 1
            assert "REPORT" in result.log
    status = cloud.status()
    assert status["server"] and len(status["functions"][0]["environments"]) == 1
    assert cloud.requests() == []
    json.dumps(status)
    ids = {status["functions"][0]["environments"][0]["id"]}
    cloud.destroy("function")
    assert eventually(lambda: not left_behind(cloud.state, ids, "function"))


def test_environments_are_prepared_by_the_server(
    server: subprocess.Popen[str], tmp_path: Path, lambdapack_cache: Path
) -> None:
    """They outlive the cloud that asked for them, and are of the kind that was asked for."""
    kind = "provisioned-concurrency"
    with LocalCloud(tmp_path / "state", cache_dir=lambdapack_cache) as cloud:
        cloud.deploy(make_spec(tmp_path), None)
        (log,) = cloud.prepare("function", start=kind)
        assert log.startswith("INIT_START")
    with LocalCloud(tmp_path / "state", cache_dir=lambdapack_cache) as cloud:
        (environment,) = cloud.status()["functions"][0]["environments"]
        assert (environment["start"], environment["busy"]) == (kind, False)
        assert answer(call(cloud, start=kind, env="AWS_LAMBDA_INITIALIZATION_TYPE"))["env"] == kind
        assert len(cloud.status()["functions"][0]["environments"]) == 1


def test_errors_cross_the_wire_as_themselves(
    server: subprocess.Popen[str], tmp_path: Path, lambdapack_cache: Path
) -> None:
    """The same type, message and hint as without a server."""
    with LocalCloud(tmp_path / "state", cache_dir=lambdapack_cache) as cloud:
        with pytest.raises(ConfigurationError, match="no function 'nothing'") as caught:
            call(cloud, "nothing")
        assert caught.value.hint


def test_one_server_a_folder(server: subprocess.Popen[str], tmp_path: Path, lambdapack_cache: Path) -> None:
    """A second one is refused; a stranger without the token gets no answer."""
    with pytest.raises(ConfigurationError, match="already"):
        serve(tmp_path / "state", cache_dir=lambdapack_cache)
    found = client.find(tmp_path / "state")
    assert found
    assert not client.Client(int(found.address.split(":")[1]), "guess").alive()
    assert (tmp_path / "state" / "server.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("how", ["stop", signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_server_ends_and_leaves_nothing(
    server: subprocess.Popen[str], tmp_path: Path, lambdapack_cache: Path, how: object
) -> None:
    """Whichever way it ends, the next cloud works on its own, and nothing of the old one is there."""
    state = tmp_path / "state"
    with LocalCloud(state, cache_dir=lambdapack_cache) as cloud:
        cloud.deploy(make_spec(tmp_path), None)
        call(cloud)
    ids = {folder.name for folder in (state / "environments").iterdir()}
    found = client.find(state)
    assert found and ids
    if isinstance(how, signal.Signals):
        server.send_signal(how)
    else:
        found.stop()
    status = server.wait(20)
    assert status == (-signal.SIGKILL if how is signal.SIGKILL else 0)
    with LocalCloud(state, cache_dir=lambdapack_cache) as cloud:
        assert client.find(state) is None
        assert eventually(lambda: not left_behind(state, ids, "function"))
        assert call(cloud).cold
