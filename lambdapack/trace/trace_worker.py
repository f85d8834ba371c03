"""Run by ``start_worker`` in the target's own Python, 3.8 to 3.15: what does a program touch?

A child process runs the code; this process watches the tree with inotify, which sees every open: Python's,
the dynamic linker's and other native code's. An audit hook in the child tells which of them Python made.
Where inotify is not to be had or lost count, the hook and ``/proc/self/maps`` have to do: then opens by
native code are not seen, and the result says so.
"""

from __future__ import annotations

import builtins
import os
import sys

TYPE_CHECKING = False  # typing costs 10 ms

if TYPE_CHECKING:
    from typing import Any

_CODE_NAME = "<traced code>"
_IN_OPEN = 0x00000020
_IN_ISDIR = 0x40000000
_IN_Q_OVERFLOW = 0x00004000
_IN_NONBLOCK = 0x00000800
_EVENT_HEAD = 16  # wd, mask, cookie, length of the name
_BUFFER = 1 << 20
_PR_SET_CHILD_SUBREAPER = 36
_PT_LOAD, _PT_DYNAMIC = 1, 2
_DT_NEEDED, _DT_STRTAB, _DT_SONAME = 1, 5, 14
_POLL_SECONDS = 0.02
_ENOSYS = 38
_TASK = "/var/task"
_MEMORY_SECONDS = 0.05
_MIB = 1 << 20


def run_code(request: dict[str, Any], opened: int, mapped: int, imported: int) -> None:
    """Run the code in this process; never returns. The exit status is 0 when it ended well."""
    status = 70
    before = frozenset(sys.modules)
    try:
        status = _run_code(request, opened)
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        os.write(imported, "\0".join(_stdlib(before)).encode())
        try:
            with open("/proc/self/maps", "rb") as maps:
                os.write(mapped, maps.read())
        except OSError:
            pass
    finally:
        # Lambda runs no exit handlers either, and a thread may be waiting for ever.
        os._exit(status)


def _run_code(request: dict[str, Any], opened: int) -> int:
    import signal

    os.setsid()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGIO):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    root = request["root"]
    sys.path[:0] = [root, *request["search"]]
    sys.argv = ["-c"]
    os.chdir(request["start"])
    if request.get("assets"):
        # As the shim reads it where there is no pack.
        named = ["%s=%s" % pair for pair in sorted(request["assets"].items())]
        os.environ["LAMBDAPACK_ASSETS"] = os.pathsep.join(named)
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.environ["LAMBDA_TASK_ROOT"] = request["task"]
    _take_shared_memory()
    sys.addaudithook(_recorder(root, opened))
    return _execute(request["code"])


def _take_shared_memory() -> None:
    """Let Python's semaphores and shared memory fail as in Lambda, which has no /dev/shm.

    A program that meets this error goes another way and reads other files. To take /dev/shm itself away needs
    rights that builds have on some machines only, and on all of them the same files are to be hot. Nor does
    every C library give this error without it.
    """

    def refuse(*args: Any, **options: Any) -> Any:
        raise OSError(_ENOSYS, os.strerror(_ENOSYS))

    try:
        import _multiprocessing  # type: ignore[import-not-found]  # not in typeshed

        real: Any = _multiprocessing.SemLock
        refused = type("SemLock", (real,), {"__new__": refuse, "__module__": real.__module__})
        _multiprocessing.SemLock = refused
    except (ImportError, AttributeError):
        pass  # a Python without them
    try:
        import _posixshmem  # type: ignore[import-not-found]  # not in typeshed

        _posixshmem.shm_open = refuse
    except ImportError:
        pass


def _stdlib(before: frozenset[str]) -> list[str]:
    """The public modules of the standard library that are there now and were not ``before``, in order.

    The names of others differ between builds of the same Python.
    """
    library = os.path.dirname(os.__file__) + "/"
    names = []
    for name, module in list(sys.modules.items()):
        spec = getattr(module, "__spec__", None)
        origin = getattr(spec, "origin", None)
        if name in before or getattr(spec, "name", None) != name or not isinstance(origin, str):
            continue
        inside = origin.startswith(library) and "/site-packages/" not in origin
        if (inside or origin in ("built-in", "frozen")) and not ("." + name).count("._"):
            names.append(name)
    return names


def _execute(code: str) -> int:
    import types

    main = types.ModuleType("__main__")
    main.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = main
    try:
        exec(compile(code, _CODE_NAME, "exec", dont_inherit=True), main.__dict__)
    except SystemExit as stop:
        if stop.code is None or isinstance(stop.code, int):
            return min(stop.code or 0, 255) & 0xFF
        sys.stderr.write("%s\n" % stop.code)
        return 1
    except BaseException as error:
        import linecache
        import traceback

        linecache.cache[_CODE_NAME] = (len(code), None, code.splitlines(True), _CODE_NAME)
        traceback.print_exception(type(error), error, _own_frames(error))
        return 1
    return 0


def _own_frames(error: BaseException) -> Any:
    """The traceback from the traced code's first frame on."""
    frame = error.__traceback__
    while frame is not None and frame.tb_frame.f_code.co_filename != _CODE_NAME:
        frame = frame.tb_next
    return frame


def _recorder(root: str, opened: int) -> Any:
    """An audit hook that writes each path below ``root`` that Python opens, once."""
    below = root + os.sep
    seen = set()
    write, abspath, fsencode = os.write, os.path.abspath, os.fsencode

    def hook(event: str, arguments: Any) -> None:
        if event != "open":
            return
        path = arguments[0]
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if not isinstance(path, str) or path in seen:
            return
        seen.add(path)
        full = abspath(path)
        if full.startswith(below):
            write(opened, fsencode(full[len(below) :]) + b"\0")

    return hook


class Watch:
    """An inotify watch on every folder of a tree."""

    def __init__(self, root: str) -> None:
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        self.problem = ""
        self.files: dict[str, None] = {}
        self._root = root
        self._folders: dict[int, str] = {}
        self._fd = libc.inotify_init1(_IN_NONBLOCK)
        if self._fd < 0:
            self.problem = "inotify: " + os.strerror(ctypes.get_errno())
            return
        for folder, _, _ in os.walk(root):
            number = libc.inotify_add_watch(self._fd, os.fsencode(folder), _IN_OPEN)
            if number < 0:
                self.problem = "inotify: " + os.strerror(ctypes.get_errno())
                break
            self._folders[number] = os.path.relpath(folder, root)
        self.drain()  # the walk's own opens
        self.files.clear()

    def wait(self, seconds: float) -> None:
        """Wait until something is opened, at most ``seconds``."""
        import select

        select.select([self._fd] if self._fd >= 0 else [], [], [], seconds)

    def drain(self) -> None:
        """Read what has happened."""
        while self._fd >= 0:
            try:
                data = os.read(self._fd, _BUFFER)
            except BlockingIOError:
                return
            self._take(data)

    def _take(self, data: bytes) -> None:
        import struct

        position = 0
        while position < len(data):
            number, mask, _, length = struct.unpack_from("iIII", data, position)
            name = data[position + _EVENT_HEAD : position + _EVENT_HEAD + length].rstrip(b"\0")
            position += _EVENT_HEAD + length
            if mask & _IN_Q_OVERFLOW:
                self.problem = "inotify: more files were opened at once than its queue holds"
            elif name and not mask & _IN_ISDIR and number in self._folders:
                path = os.path.normpath(os.path.join(self._folders[number], os.fsdecode(name)))
                self.files[path] = None


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Run the code in a child process and watch the tree meanwhile.

    The result has its wait ``status`` (``None`` when its time was up, or it was ``over`` its memory), the
    ``problem`` that inotify had,
    the paths below the root that were ``watched``, ``opened`` by Python and ``mapped``, in order, name and
    path of each ``foreign`` library, which no other file that was mapped asks for, and ``stdlib`` modules.
    """
    request = _placed(request)
    opened, mapped, imported = [_unnamed(request["log"] + end) for end in (".opened", ".mapped", ".imported")]
    with opened, mapped, imported:
        ready, go = os.pipe()
        # Before inotify's imports, so that the code finds a fresh interpreter.
        pid = os.fork()
        if not pid:
            os.close(go)
            if not os.read(ready, 1):
                os._exit(1)
            run_code(request, opened.fileno(), mapped.fileno(), imported.fileno())
        os.close(ready)
        status, over = None, False
        try:
            watch = Watch(request["root"])
            _adopt()
            os.write(go, b"g")
            os.close(go)
            status, over = _await(pid, watch, request["timeout"], (request["memory"] or 0) * _MIB)
        finally:
            _kill(pid, reaped=status is not None)
        watch.drain()
        for file in (opened, mapped, imported):
            file.seek(0)
        maps, below = mapped.read(), request["root"] + "/"
        return {
            "status": status,
            "over": over,
            "problem": watch.problem,
            "watched": list(watch.files),
            "opened": [os.fsdecode(path) for path in opened.read().split(b"\0")[:-1]],
            "mapped": [path[len(below) :] for path in _mapped(maps, b"") if path.startswith(below)],
            "foreign": _foreign(request, maps),
            "stdlib": [name for name in imported.read().decode().split("\0") if name],
        }


def _placed(request: dict[str, Any]) -> dict[str, Any]:
    """The request with ``task``, the folder with the function's code, and ``start``, the working folder.

    Both are /var/task where the sandbox shows the code there. In an image ``search`` names other folders.
    """
    search = request["search"]
    task = [*search, request["cwd"]][0]
    try:
        shown = os.path.samefile(_TASK, task)
    except OSError:
        shown = False
    if not shown:
        return dict(request, task=task, start=request["cwd"])
    return dict(request, task=_TASK, start=_TASK, search=[_TASK if path == task else path for path in search])


def _unnamed(path: str) -> Any:
    """A file that is gone when it is closed; tempfile's own would be imported already for the program."""
    file = open(path, "w+b")  # noqa: SIM115 - the caller closes it
    os.unlink(path)
    return file


def _await(pid: int, watch: Watch, timeout: float, memory: int) -> tuple[int | None, bool]:
    """The child's wait status, ``None`` when its time was up; whether it held more than ``memory`` bytes."""
    import time

    deadline = time.monotonic() + timeout
    look, over = 0.0, 0
    while True:
        watch.wait(_POLL_SECONDS)
        watch.drain()
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status, False
        now = time.monotonic()
        if now > deadline:
            return None, False
        if memory and now > look:
            look = now + _MEMORY_SECONDS
            over = over + 1 if _is_over(memory) else 0
            # A process that is just being started has its parent's memory for a moment.
            if over == 2:
                return None, True


def _is_over(memory: int) -> bool:
    """Whether the processes below this one hold more than so many bytes that the kernel cannot take back."""
    members = _children(os.getpid())
    for pid in members:
        members += _children(pid)
    held = sum(_held(pid, "status", ("RssAnon:", "RssShmem:")) for pid in members)
    if held > memory:
        # What processes share counts once; to look at that takes longer.
        held = sum(_held(pid, "smaps_rollup", ("Pss_Anon:", "Pss_Shmem:")) for pid in members) or held
    return held > memory


def _held(pid: int, file: str, fields: tuple[str, str]) -> int:
    """The sum in bytes of two fields, in KiB, of a file below /proc; 0 if there is no such process."""
    try:
        with open("/proc/%d/%s" % (pid, file), encoding="latin-1") as lines:
            return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(fields))
    except OSError:
        return 0


def _adopt() -> None:
    """Become the parent of what the child leaves behind, to find also what left its process group."""
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _kill(pid: int, reaped: bool) -> None:
    """End the child and what it started."""
    import signal

    try:
        os.killpg(pid, signal.SIGKILL)
    except OSError:
        pass
    if not reaped:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    # The children of a child that has died are the next ones.
    while left := _children(os.getpid()):
        for child in left:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for thread in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/children" % (pid, thread), encoding="ascii") as file:
                found += map(int, file.read().split())
    except OSError:
        pass
    return found


def _foreign(request: dict[str, Any], maps: bytes) -> list[list[str]]:
    """Name and path of the mapped libraries that the program must have opened by name.

    They are neither Python's nor the program's own, and what needs them is no header of a mapped file.
    """
    own = [request["root"], *request["search"], *request.get("assets", {}).values()]
    own += [os.path.dirname(request["cwd"]), os.path.dirname(os.path.realpath(os.__file__))]
    own += [os.environ[name] for name in ("HOME", "TMPDIR") if os.environ.get(name, "/") != "/"]
    names = {}
    needed = {os.path.realpath(sys.executable)}
    for path in _mapped(maps, b"x"):
        name, libraries = _linkage(path)
        needed.update(map(os.path.basename, libraries))
        if not any(path == folder or path.startswith(folder + os.sep) for folder in own):
            names[path] = name or os.path.basename(path)
    return [[name, path] for path, name in sorted(names.items()) if name not in needed and path not in needed]


def _mapped(maps: bytes, mode: bytes) -> list[str]:
    """Files of which something is mapped with ``mode``, ``x`` for what is executable."""
    paths: dict[str, None] = {}
    for line in maps.splitlines():
        fields = line.split(None, 5)
        if len(fields) == 6 and mode in fields[1] and fields[5].startswith(b"/"):
            paths[os.fsdecode(fields[5])] = None
    return list(paths)


def _linkage(path: str) -> tuple[str, list[str]]:
    """SONAME and NEEDED entries of a 64-bit little-endian ELF file; empty for any other file."""
    import struct

    try:
        with open(path, "rb") as file:
            data = file.read()
        if data[:6] != b"\x7fELF\x02\x01":
            return "", []
        offset, size, count = struct.unpack_from("<Q14xHH", data, 32)
        headers = [struct.unpack_from("<IIQQQQ", data, offset + size * number) for number in range(count)]
        entries = []
        for kind, _, start, _, _, length in headers:
            if kind == _PT_DYNAMIC:
                entries = list(struct.iter_unpack("<QQ", data[start : start + length - length % 16]))
        strings = dict(entries)[_DT_STRTAB]
        for kind, _, start, address, _, length in headers:
            if kind == _PT_LOAD and address <= strings < address + length:
                strings += start - address
                break
        values: dict[int, list[str]] = {_DT_NEEDED: [], _DT_SONAME: []}
        for tag, value in entries:
            if tag in values:
                end = data.index(b"\0", strings + value)
                values[tag].append(os.fsdecode(data[strings + value : end]))
    except (OSError, KeyError, ValueError, struct.error):
        return "", []
    return "".join(values[_DT_SONAME][:1]), values[_DT_NEEDED]
