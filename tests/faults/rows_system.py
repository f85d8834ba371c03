"""Rows: file systems and system calls that fail, and a bundle or a folder that is not as it was made."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from .case import LOOK, Case, NotHereError, row
from .model import CLEAR, EITHER, RIGHT, End, Verdict
from .rows_processes import held
from .world import Start, start

FULL = ("No space left on device",)


@contextlib.contextmanager
def mounted(case: Case, options: str) -> Iterator[Path]:
    """A file system of its own below the case's folder."""
    if os.geteuid() != 0:
        raise NotHereError("mounting needs root")
    point = case.folder / "mount"
    point.mkdir()
    _mount("-t", "tmpfs", "-o", f"mode=0700,{options}", "tmpfs", str(point))
    try:
        yield point
    finally:
        case.close()
        subprocess.run(["umount", "-l", str(point)], check=False, capture_output=True)


def _mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        raise NotHereError(f"mount: {done.stderr.strip()}")


def _again(case: Case, point: Path, options: str, verdict: Verdict) -> Verdict:
    """With enough of everything the next start is right."""
    if verdict.end in (End.WRONG, End.HUNG):
        return verdict
    _mount("-o", f"remount,{options}", str(point))
    return case.next_is_right(verdict)


@row("disk full", 120, 2)
def full(case: Case) -> list[Verdict]:
    """A tmpfs that is too small, by little or by much."""
    with mounted(case, f"size={case.rng.randrange(4096, 2_500_000, 4096)}") as point:
        case.root = point / "root"
        verdict = case.judge(case.start(LOOK), EITHER, own=FULL)
        return [_again(case, point, "size=64m", verdict)]


@row("disk fills up in mid-fetch", 100, 2)
def fills(case: Case) -> list[Verdict]:
    """Somebody else takes what was free when it was looked at."""
    with mounted(case, "size=8m") as point:
        case.root = point / "root"
        script, began = held(case, LOOK)
        filler = point / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            for _ in range(10_000):
                file.write(bytes(4096))
        script.open()
        verdict = case.judge(began, EITHER, own=FULL)
        filler.unlink(missing_ok=True)
        return [_again(case, point, "size=64m", verdict)]


@row("out of inodes", 100, 2)
def inodes(case: Case) -> list[Verdict]:
    """A tmpfs with few inodes."""
    with mounted(case, f"size=64m,nr_inodes={case.rng.randrange(1, 24)}") as point:
        case.root = point / "root"
        verdict = case.judge(case.start(LOOK), EITHER, own=FULL)
        return [_again(case, point, "nr_inodes=1000", verdict)]


@row("read-only file system", 60, 1)
def read_only(case: Case) -> list[Verdict]:
    """From the beginning, or once everything or a part of it is in place."""
    with mounted(case, "size=64m") as point:
        case.root = point / "root"
        if case.rng.random() < 0.6:
            script, began = held(case, LOOK)
            if case.rng.random() < 0.5:
                began.kill()
            script.open()
            began.end()
            began.kill()
        for _ in range(100):
            done = subprocess.run(["mount", "-o", "remount,ro", str(point)], check=False, capture_output=True)
            if done.returncode == 0:
                break
            time.sleep(0.02)
        verdict = case.judge(case.start(LOOK), EITHER)
        return [_again(case, point, "rw", verdict)]


# System call -> errors that it may fail with, and how many calls of it a start makes, roughly.
CALLS: dict[str, tuple[tuple[str, ...], int]] = {
    "openat": (("EMFILE", "EIO", "ENOMEM", "EACCES"), 40),
    "read": (("EIO",), 60),
    "pread64": (("EIO",), 20),
    "write": (("EIO", "ENOSPC"), 4),
    "pwrite64": (("ENOSPC", "EIO"), 20),
    "fallocate": (("ENOSPC", "EIO", "EOPNOTSUPP"), 4),
    "ftruncate": (("ENOSPC", "EIO", "EINVAL"), 4),
    "mmap": (("ENOMEM",), 60),
    "mkdir": (("ENOSPC", "EACCES", "EROFS"), 6),
    "mkdirat": (("ENOSPC", "EACCES", "EROFS"), 6),
    "flock": (("ENOLCK", "ENOSYS", "EINTR"), 3),
    "pipe2": (("EMFILE", "ENFILE"), 2),
    "clone": (("EAGAIN", "ENOMEM"), 2),
    "fork": (("EAGAIN", "ENOMEM"), 2),
    "socket": (("EMFILE", "EACCES", "ENOBUFS"), 2),
    "connect": (("ECONNREFUSED", "ETIMEDOUT", "ENETUNREACH"), 2),
    "sendto": (("EPIPE", "ECONNRESET"), 4),
    "recvfrom": (("ECONNRESET", "ETIMEDOUT", "EIO"), 12),
    "setsockopt": (("EINVAL",), 3),
    "statfs": (("EIO",), 2),
    "fstatfs": (("EIO",), 2),
    "getdents64": (("EIO",), 6),
    "rename": (("ENOSPC", "EIO"), 4),
    "unlink": (("EIO", "EROFS"), 3),
    "lseek": (("EINVAL",), 20),
    "poll": (("EINTR",), 4),
    "wait4": (("ECHILD",), 3),
}
SAID = {
    "EMFILE": "Too many open files", "ENFILE": "Too many open files in system", "EIO": "Input/output error",
    "ENOMEM": "Cannot allocate memory", "EACCES": "Permission denied", "ENOSPC": "No space left",
    "EROFS": "Read-only file system", "EINVAL": "Invalid argument",
}  # fmt: skip


@row("system calls that fail", 600, 6)
def calls(case: Case) -> list[Verdict]:
    """One call, or some in a row, of one kind fails in the process or in its child."""
    if not shutil.which("strace"):
        raise NotHereError("there is no strace")
    rng = case.rng
    name = rng.choice(list(CALLS))
    errors, most = CALLS[name]
    # Most processes make few calls of a kind: the first ones are failed more often than the last.
    error, number = rng.choice(errors), int((most + 1) ** rng.random())
    when = f"{number}" if rng.random() < 0.7 else f"{number}..{number + rng.randrange(1, 4)}"
    began = case.start([["wait"], ["load"], ["observe", False]])
    if not began.waiting():
        return [case.judge(began, RIGHT)]
    log = case.folder / "calls"
    tracer = _attach(began.process.pid, name, error, when, log)
    began.go()
    said = SAID.get(error, error)
    # Python's own reading of a directory takes some of these for "there is no such module".
    verdict = case.judge(began, EITHER, own=(said, "MemoryError", "failed to map segment"))
    began.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        tracer.wait(5)
    tracer.kill()
    tracer.wait()
    injected = log.read_text(errors="replace").count("(INJECTED)") if log.exists() else 0
    if not injected and verdict.end is End.RIGHT:
        return []
    verdict = case.next_is_right(verdict)
    if verdict.end in (End.WRONG, End.HUNG):
        verdict = Verdict(verdict.end, f"{name} {error} at call {when}: {verdict.reason}")
    return [verdict]


def _attach(process: int, call: str, error: str, when: str, log: Path) -> subprocess.Popen[bytes]:
    command = ["strace", "-f", "-qq", "-o", str(log), "-p", str(process), "-e", f"trace=?{call}"]
    # The question mark: not every machine has every call.
    command += ["-e", f"inject=?{call}:error={error}:when={when}"]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    deadline = time.monotonic() + 10
    while "TracerPid:\t0\n" in Path(f"/proc/{process}/status").read_text():
        if tracer.poll() is not None or time.monotonic() > deadline:
            tracer.kill()
            said = tracer.stderr.read().decode().strip() if tracer.stderr else ""
            raise NotHereError(f"strace: {said}")
        time.sleep(0.002)
    return tracer


@row("index or location damaged in the function's zip", 100, 2)
def bundle(case: Case) -> list[Verdict]:
    """A byte that changed, a file that was cut or mixed up: the start refuses."""
    task = _copy(case)
    victim = task / "runtime_shim" / case.rng.choice(["index.json", "location.json"])
    content = bytearray(victim.read_bytes())
    victim.unlink()
    if case.rng.random() < 0.5:
        del content[case.rng.randrange(len(content)) :]
    else:
        where = case.rng.randrange(len(content))
        # Another character that JSON may have there: what does not parse is found in any case.
        content[where] = case.rng.choice([byte for byte in b"0123456789abcdef" if byte != content[where]])
    victim.write_bytes(content)
    # A character of the location may name another object or region: S3 then says that it is not there.
    allowed = CLEAR if victim.name == "index.json" else EITHER
    return [case.judge(_start_in(case, task), allowed)]


@row("decoder damaged in the function's zip", 30, 1)
def broken_decoder(case: Case) -> list[Verdict]:
    """It does not load, or crashes the process that loads it: an error, not a fork after the other."""
    task = _copy(case)
    victim = task / "runtime_shim/backend_c.so"
    if not victim.exists():
        raise NotHereError("the zip has none: the standard library decodes")
    content = victim.read_bytes()
    victim.unlink()
    victim.write_bytes(
        case.rng.choice([content[: len(content) // 2], b"nothing of the kind", content[:4096]])
    )
    return [case.judge(_start_in(case, task), EITHER)]


def _copy(case: Case) -> Path:
    return Path(shutil.copytree(case.world.functions["plain"], case.folder / "task", copy_function=os.link))


def _start_in(case: Case, task: Path) -> Start:
    world = replace(case.world, functions={"changed": task})
    variables = case.script()[1]
    began = start(world, case.root, LOOK, environment=variables, folder=case.folder, function="changed")
    case.owns(began)
    return began


@row("a loader's folder that is not ours", 100, 2)
def planted(case: Case) -> list[Verdict]:
    """A file, a link or somebody else's folder where the loader's should be: nothing outside is touched."""
    outside = case.folder / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"precious")
    root, rng = case.root, case.rng
    kind = rng.choice(["file", "dangling", "link", "mode", "owner", "inner"])
    if kind == "file":
        root.write_bytes(b"a file")
    elif kind == "dangling":
        root.symlink_to(case.folder / "nowhere" / "at-all")
    elif kind == "link":
        root.symlink_to(outside)
    elif kind in ("mode", "owner"):
        root.mkdir()
        root.chmod(0o777)
        if kind == "owner" and os.geteuid() == 0:
            os.chown(root, 12345, 12345)
    else:
        case.judge(case.start(LOOK), RIGHT)
        inside = sorted(path for path in root.rglob("*") if not path.is_dir())
        victim = rng.choice(inside)
        victim.unlink()
        victim.symlink_to(outside / "precious")
    verdict = case.judge(case.start(LOOK), EITHER)
    if (outside / "precious").read_bytes() != b"precious":
        return [Verdict(End.WRONG, f"{kind}: a file outside was written to")]
    if verdict.end in (End.WRONG, End.HUNG):
        return [Verdict(verdict.end, f"{kind}: {verdict.reason}")]
    return [verdict]
