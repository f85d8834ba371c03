"""The traced program finds its code at /var/task, no /dev/shm, and no more memory than the function has."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from lambdapack import trace
from lambdapack.errors import CheckError
from tests.support.command_line import Run
from tests.support.installed import own
from tests.support.wheelhouse import wheel
from tests.trace.test_trace import PACKAGE, make_tree

ROOT = Path(__file__).parents[2]
HANDLER = """\
import json, os, multiprocessing, zeta

def attempt(make):
    try:
        make()
    except OSError as error:
        return error.errno
    return 0

def handler(event, context):
    own = os.path.join(os.environ["LAMBDA_TASK_ROOT"], "new")
    seen = {
        "task": os.environ["LAMBDA_TASK_ROOT"],
        "file": __file__,
        "cwd": os.getcwd(),
        "write": attempt(lambda: open(own, "w")),
        "shm": os.path.exists("/dev/shm"),
        "lock": attempt(multiprocessing.Lock),
        "devices": len(open("/dev/urandom", "rb").read(9)) + open("/dev/null", "w").write("x"),
    }
    with open(event["to"], "w") as file:
        json.dump(seen, file)
"""
PROGRAM = """\
import json, sys
from pathlib import Path
from lambdapack import trace
from tests.support.installed import own
from tests.trace.test_touched import Lock, program
from tests.trace.test_trace import PACKAGE, make_tree

folder, tree = map(Path, sys.argv[1:])
tree = make_tree(tree, PACKAGE)
options = trace.TraceOptions(
    handler="app.handler", events=[{"to": str(folder / "seen")}], source=folder / "source", memory=512)
found = program(folder, options, Lock(tree.target, (2, 26), (), ())).trace(tree)
print(json.dumps([list(found.files), sorted(found.native)]))
"""
FILES = ["zeta/__init__.py", "zeta/b.py", "alpha.py", "zeta/a.py", "zeta/data.txt"]
AS_USER = ["setpriv", "--bounding-set", "-sys_admin"] if os.geteuid() == 0 else []
REFUSED = ["unshare", "-Ur", "sh", "-c", 'echo 0 > /proc/sys/user/max_mnt_namespaces && exec "$@"', "sh"]


def allowed(*prefix: str) -> bool:
    return not subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode


def see(folder: Path, prefix: list[str], tree: Path | None = None) -> dict[str, Any]:
    """What the traced handler sees where lambdapack is run by the command ``prefix``."""
    if prefix and not allowed(*prefix):
        pytest.skip(f"{' '.join(prefix)} is not allowed here")
    (folder / "source").mkdir()
    (folder / "source/app.py").write_text(HANDLER)
    command = [*prefix, sys.executable, "-c", PROGRAM, folder, tree or folder / "tree"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    assert json.loads(done.stdout) == [FILES, []], "the pack would not be the same"
    seen: dict[str, Any] = json.loads((folder / "seen").read_text())
    assert (seen.pop("lock"), seen.pop("devices")) == (errno.ENOSYS, 10)
    return seen


@pytest.mark.parametrize(
    ("prefix", "unshare"), [([], ["-m"]), (AS_USER, ["-Um"])], ids=["as it is", "in a user namespace"]
)
def test_the_code_is_at_var_task_read_only_and_there_is_no_dev_shm(
    tmp_path: Path, prefix: list[str], unshare: list[str]
) -> None:
    """Python's opens are told from native ones as ever, and nothing of this machine is changed."""
    if not allowed("unshare", *unshare) and not allowed("unshare", "-Um"):
        pytest.skip("no mount namespaces here")
    before = Path("/var/task").exists(), Path("/dev/shm").exists()
    assert see(tmp_path, prefix) == {
        "task": "/var/task",
        "file": "/var/task/app.py",
        "cwd": "/var/task",
        "write": errno.EROFS,
        "shm": False,
    }
    assert list((tmp_path / "source").iterdir()) == [tmp_path / "source/app.py"]
    assert (Path("/var/task").exists(), Path("/dev/shm").exists()) == before


def as_ever(seen: dict[str, Any], folder: Path) -> bool:
    """Whether the program ran in the folder that it is in, as where no namespaces are to be had."""
    source = str(folder / "source")
    return (seen["task"], seen["file"], seen["write"]) == (source, f"{source}/app.py", 0)


def test_where_the_machine_allows_no_namespace_the_trace_is_the_same(tmp_path: Path) -> None:
    """The program runs where its code is, and the files come in the same order."""
    assert as_ever(see(tmp_path, REFUSED), tmp_path)


def test_a_tree_below_dev_shm_stays_there(tmp_path: Path) -> None:
    """What the program needs is not taken away: a temporary folder may be in memory."""
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("no /dev/shm here")
    tree = Path(tempfile.mkdtemp(dir="/dev/shm", prefix="lambdapack-test-"))
    try:
        seen = see(tmp_path, [], tree)
    finally:
        shutil.rmtree(tree)
    assert as_ever(seen, tmp_path) and seen["shm"]


def test_what_native_code_opens_of_the_tree_is_seen_from_inside(tmp_path: Path) -> None:
    """The watch and the program see the same files through different mounts."""
    code = "import ctypes, sys\nctypes.CDLL(None).open(f'{sys.path[0]}/zeta/cold.txt'.encode(), 0)"
    assert trace.run(make_tree(tmp_path, PACKAGE), own(), code).native == {"zeta/cold.txt"}


FAT = "import time\nheld = bytearray(b'x') * (300 << 20)\ntime.sleep({})"


@pytest.mark.parametrize(
    "code",
    [
        FAT.format(20),
        f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {FAT.format(20)!r}])",
        f"import threading, os, time\n"
        f"def start(): os.fork() or exec({FAT.format(20)!r}); time.sleep(20)\n"
        f"threading.Thread(target=start).start()\ntime.sleep(20)",
    ],
    ids=["itself", "what it starts", "what its thread starts"],
)
def test_code_that_needs_more_than_the_memory_is_ended(tmp_path: Path, code: str) -> None:
    """The error names the limit and what to change."""
    tree = make_tree(tmp_path, PACKAGE)
    options = trace.TraceOptions(memory=200)
    with pytest.raises(CheckError, match="needs more than the function's 200 MB: import") as caught:
        trace.run(tree, own(), code, options=options)
    assert caught.value.hint is not None and "[function] memory" in caught.value.hint


def test_memory_that_is_shared_or_a_files_is_not_counted_twice(tmp_path: Path) -> None:
    """A fork's pages are its parent's, and the kernel can take back what it has read of a file."""
    big = tmp_path / "big"
    big.write_bytes(bytes(300 << 20))
    code = f"""\
import mmap, os, time
held = bytearray(b"x") * (120 << 20)
with open({str(big)!r}, "rb") as file:
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
assert sum(mapped[place] for place in range(0, len(mapped), 4096)) == 0
os.fork() or os._exit(time.sleep(1) or 0)
time.sleep(1)
"""
    trace.run(make_tree(tmp_path / "tree", PACKAGE), own(), code, options=trace.TraceOptions(memory=200))
    trace.run(make_tree(tmp_path / "other", PACKAGE), own(), FAT.format(0.5))


def test_only_a_memory_that_is_set_limits_a_build(
    tmp_path: Path, run_lambdapack: Run, lambdapack_cache: Path
) -> None:
    """A function's default size is no promise that what is traced needs no more."""
    wheel(tmp_path, "alpha", "1", files={"alpha.py": b"x = 1\n"})
    (tmp_path / "requirements.txt").write_text(f"--no-index\n--find-links {tmp_path}\nalpha\n")
    code = "import alpha, time; held = bytearray(b'x') * (1900 << 20); time.sleep(1)"
    settings = f'[build]\nfiles = ["requirements.txt"]\n[trace]\ncode = "{code}"\n[function]\n'
    (tmp_path / "lambdapack.toml").write_text(f"{settings}memory = 1769\n")
    failed = run_lambdapack("build", "--builder", "local", cwd=tmp_path, status=1)
    assert "the traced code needs more than the function's 1769 MB" in failed.stderr
    (tmp_path / "lambdapack.toml").write_text(settings)
    run_lambdapack("build", "--builder", "local", cwd=tmp_path)
