"""Runs the benchmark's driver and takes down when the shim does what, without a hook in the shim.

Every module that is imported is timed; those of the shim get their functions wrapped as soon as they are
loaded. The process and its fetching child print ``WATERFALL (pid, marks, cpu, cpu of children)`` as they
end. A mark is ``(kind, name, depth, start, end, cpu at start, cpu at end, bytes, frame)``: seconds of the
monotonic clock, which processes share, and seconds of the thread's own CPU time.
"""

import os
import sys
import time
from _thread import get_ident

now = time.monotonic
cpu = time.thread_time
started = now(), cpu()
out = os.dup(1)
marks = []
importing = []
real_fork, real_exit, real_times = os.fork, os._exit, os.times
main_thread = get_ident()
bootstrap = sys.modules["_frozen_importlib"]
real_load = bootstrap._load_unlocked


def mark(kind, name, start, spent, *about):
    size, frame = about or (0, -1)
    # Another thread's marks would not nest in these.
    if get_ident() == main_thread:
        marks.append((kind, name, len(importing), start, now(), spent, cpu(), size, frame))


def timed(kind, name, function):
    def wrapper(*args, **kwargs):
        start, spent = now(), cpu()
        try:
            return function(*args, **kwargs)
        finally:
            mark(kind, name, start, spent)

    return wrapper


def sized(kind, function, position):
    """The same for what works on the bytes in one of its arguments."""

    def wrapper(*args):
        start, spent = now(), cpu()
        try:
            return function(*args)
        finally:
            mark(kind, "", start, spent, len(args[position]), -1)

    return wrapper


def load(spec):
    start, spent = now(), cpu()
    importing.append(spec.name)
    try:
        module = real_load(spec)
    finally:
        importing.pop()
        mark("import", spec.name, start, spent)
    attach = PROBES.get(spec.name)
    if attach is not None:
        attach(module)
    return module


def attach_start(module):
    pack = module.Pack
    pack.start = timed("shim", "lock, journal, fork", pack.start)
    real_wait = pack.wait_frame

    def wait_frame(self, frame):
        start, spent = now(), cpu()
        # Only what really waits comes here, so this look at the caller costs nothing that counts.
        file = sys._getframe(1).f_locals.get("file")
        try:
            real_wait(self, frame)
        finally:
            wanted = self.index.paths[file] if isinstance(file, int) else ""
            mark("wait", wanted, start, spent, 0, frame)

    pack.wait_frame = wait_frame
    if hasattr(pack, "_prepare"):  # not in the shim of an earlier commit
        pack._prepare = timed("prepare", "", pack._prepare)
    shim = sys.modules["runtime_shim"]
    shim._decoder = timed("decoder", "", shim._decoder)
    shim.ready = timed("ready", "", shim.ready)


def attach_child(module):
    module.quieten = timed("child", "quieten", module.quieten)


def attach_disk(module):
    place = module.Place
    place.__init__ = timed("shim", "place: journal and arena", place.__init__)
    real_put = place.put

    def put(self, frame, data):
        start, spent = now(), cpu()
        try:
            real_put(self, frame, data)
        finally:
            mark("write", "", start, spent, len(data), frame)

    place.put = put


def attach_fetch(module):
    module.sha256 = sized("verify", module.sha256, 0)
    module.decompress = sized("decompress", module.decompress, 2)
    module.Slot.__init__ = timed("buffers", "", module.Slot.__init__)
    module.Fetcher.run = timed("fetch", "", module.Fetcher.run)


def attach_s3(module):
    module.Source.connect = timed("connect", "", module.Source.connect)
    module.sign = timed("sign", "", module.sign)
    module.Connection.request = timed("request", "", module.Connection.request)
    module.Connection.read_into = sized("receive", module.Connection.read_into, 1)


def attach_index(module):
    module.decode = timed("shim", "decode the index", module.decode)


def attach_importer(module):
    contents = module.Contents
    contents.__init__ = timed("shim", "paths by name", contents.__init__)
    attach_install(module)


def attach_install(module):
    module.install = timed("shim", "finder and views", module.install)


PROBES = {
    "runtime_shim._child": attach_child,
    "runtime_shim._disk": attach_disk,
    "runtime_shim._fetch": attach_fetch,
    "runtime_shim._importer": attach_importer,
    "runtime_shim._index": attach_index,
    "runtime_shim._s3": attach_s3,
    "runtime_shim._start": attach_start,
    "runtime_shim._views": attach_install,
}


def fork():
    start = now()
    child = real_fork()
    if not child:
        del marks[:], importing[:]
        marks.append(("forked", "", 0, start, now(), 0.0, cpu(), 0, -1))
    return child


def times():
    """The benchmark's driver asks for them first right after the first answer."""
    if "answered" not in [kind for kind, *_ in marks]:
        mark("answered", "", now(), cpu())
    return real_times()


def leave(status):
    mark("leave", "", now(), cpu())
    spent, children = time.process_time(), 0.0
    if "ready" in [kind for kind, *_ in marks]:
        import resource

        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        children = used.ru_utime + used.ru_stime
    text = "\nWATERFALL %r\n" % ((os.getpid(), marks, spent, children),)
    data = text.encode()
    while data:
        data = data[os.write(out, data) :]
    real_exit(status)


bootstrap._load_unlocked = load
os.fork, os._exit, os.times = fork, leave, times
marks.append(("began", "", 0, started[0], now(), started[1], cpu(), 0, -1))
beside = os.path.join(os.path.dirname(os.path.abspath(__file__)), "plain_driver.py")
with open(beside) as file:
    source = file.read()
exec(compile(source, beside, "exec"), {"__name__": "__main__", "__file__": beside})
