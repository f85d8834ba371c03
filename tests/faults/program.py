"""What a faulted process runs: the steps that ``FAULTS_STEPS`` names, one after the other.

The target's own Python runs it (3.8 and later), with nothing but the standard library and the shim. What
it sees of the pack goes to its output as ``RESULT {...}``, an error as ``ERROR {...}``.
"""

from __future__ import annotations

import os
import sys
import time
import zlib

ROOT = os.environ["LAMBDAPACK_ROOT"]
OWN = os.environ.get("FAULTS_OWN", "")
"""Folder for files of its own."""
LAZY = ["torture.lazy%d" % number for number in range(4)]
HOT = ["torture", "torture.first", "torture.sub.second"]
DATA = ["big.bin", "rest.bin", "native.bin", "data.txt", "empty", "nested/more.txt"]
_real_time = time.time


def say(word, value):
    import json

    put("%s %s\n" % (word, json.dumps(value, sort_keys=True)))


def put(line):
    # What is said must get out, whatever is made to fail.
    for _ in range(6):
        try:
            os.write(1, line.encode())
            return
        except OSError:
            pass


def digest(data):
    # What makes sure that a result is right, and not who attacks it: cheap.
    return "%d:%08x" % (len(data), zlib.crc32(data))


def see(full):
    """Everything that is in the pack, as a program sees it, each time anew."""
    seen = {}
    for name in [name for name in sys.modules if name.split(".")[0] == "torture"]:
        if name != "torture._ext":
            del sys.modules[name]
    for name in HOT + LAZY:
        __import__(name)
        seen[name] = digest(sys.modules[name].VALUE.encode())
    import torture
    import torture._ext

    # Not by attribute: the package was imported anew, and its extension, as everywhere, was not.
    seen["ext"] = sys.modules["torture._ext"].__name__
    folder = os.path.dirname(torture.__file__)
    for name in DATA:
        with open(folder + "/" + name, "rb") as file:
            seen[name] = digest(file.read())
        seen["size " + name] = os.stat(folder + "/" + name).st_size
    seen["listing"] = sorted(name for name in os.listdir(folder) if name != "__pycache__")
    seen["source"] = digest(torture.__loader__.get_source("torture").encode())
    if full:
        see_more(seen, torture)
    return seen


def see_more(seen, torture):
    """What costs imports of its own."""
    import linecache
    from importlib import metadata
    from pkgutil import get_data

    linecache.clearcache()
    first = sys.modules["torture.first"]
    seen["lines"] = digest("".join(linecache.getlines(first.__file__)).encode())
    seen["version"] = metadata.version("torture")
    found = metadata.distribution("torture").entry_points
    seen["plugins"] = sorted("%s=%s" % (one.name, one.value) for one in found)
    seen["get_data"] = digest(get_data("torture", "nested/more.txt"))
    with open(sys.modules["torture._ext"].__file__, "rb") as file:
        seen["library"] = digest(file.read())
    if sys.version_info >= (3, 9):
        from importlib import resources

        text = resources.files("torture").joinpath("nested/more.txt").read_bytes()
        seen["resource"] = digest(text)


def see_assets(full):
    """The assets of the function."""
    import runtime_shim

    seen = {}
    for name in ("model", "late"):
        path = runtime_shim.path(name)
        for found in sorted(os.listdir(path)):
            with open(path + "/" + found, "rb") as file:
                seen["asset %s/%s" % (name, found)] = digest(file.read())
    return seen


class Steps:
    """Each method is a step."""

    def __init__(self):
        self.own = {}

    def load(self):
        plain = os.environ.get("FAULTS_PLAIN")
        if plain:
            sys.path.insert(1, plain)
        else:
            __import__(os.environ.get("FAULTS_LOADER", "runtime_shim"))

    def ready(self):
        import runtime_shim

        runtime_shim.ready()

    def observe(self, full=False):
        say("RESULT", see(full))

    def assets(self):
        say("RESULT", see_assets(False))

    def first(self):
        __import__("torture.first")

    def wait(self):
        put("WAITING\n")
        os.read(0, 1)

    def fail(self):
        raise ValueError("by the handler")

    def persist(self, times, steps):
        """Do ``steps`` until they succeed: who gets an error tries again."""
        for left in reversed(range(times)):
            try:
                for name, *arguments in steps:
                    getattr(self, name)(*arguments)
                return
            except Exception as error:
                if not left or type(error).__name__ != "PackError":
                    raise
                time.sleep(0.02)

    def say_wrong(self):
        """What the harness's own test wants."""
        say("RESULT", {"data.txt": digest(b"not that")})

    def sleep(self, seconds):
        time.sleep(seconds)

    def clock(self, offset):
        time.time = lambda: _real_time() + offset

    def wild_clock(self, seed):
        """A clock that is somewhere else each time that it is asked."""
        import random

        jumps = random.Random(seed)
        time.time = lambda: _real_time() + jumps.uniform(-1e5, 1e5)

    def limit_memory(self, more):
        import resource

        with open("/proc/self/statm") as file:
            now = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + more, resource.RLIM_INFINITY))

    def limit_files(self, most):
        import resource

        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    def limit_size(self, most):
        """No file may get larger than this; SIGXFSZ is ignored by Python: EFBIG."""
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))

    def close_all(self):
        os.closerange(3, 512)

    def write_own(self, count):
        """Files of its own, which get the descriptors that are free."""
        for number in range(count):
            path = "%s/own%d-%d" % (OWN, os.getpid(), len(self.own))
            file = open(path, "wb", buffering=0)
            content = b"mine %d\n" % number * (number + 1) * 50
            file.write(content)
            self.own[path] = (file, content)

    def check_own(self):
        for path, (file, content) in self.own.items():
            with open(path, "rb") as again:
                if again.read() != content:
                    say("FOREIGN", path)
            file.write(b"end")
            self.own[path] = (file, content + b"end")

    def empty(self, how):
        """Tidy /tmp, in the ways that the web advises."""
        import shutil

        if how == "tree":
            shutil.rmtree(ROOT, ignore_errors=True)
        elif how == "walk":
            for folder, _, names in os.walk(ROOT, topdown=False):
                for name in names:
                    try:
                        os.remove(folder + "/" + name)
                    except OSError:
                        pass
        elif how == "big":
            import subprocess

            subprocess.call(["find", ROOT, "-type", "f", "-size", "+50k", "-delete"])
        else:
            import subprocess

            subprocess.call(["rm", "-rf", ROOT])

    def reap(self):
        """Wait for every child, as a program does that believes they are all its own."""
        import signal

        signal.signal(signal.SIGCHLD, lambda *_: None)
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            try:
                if os.waitpid(-1, os.WNOHANG)[0]:
                    return
            except ChildProcessError:
                return
            time.sleep(0.005)

    def fork(self, steps):
        """Do ``steps`` in a child and here."""
        child = os.fork()
        if not child:
            run(self, steps)
            os._exit(0)
        run(self, steps)
        status = os.waitpid(child, 0)[1]
        if status:
            say("CHILD", status)

    def fork_all(self, count, steps):
        """``count`` children that begin at the same instant, as Managed Instances' workers."""
        reading, writing = os.pipe()
        children = []
        for _ in range(count):
            child = os.fork()
            if not child:
                os.close(writing)
                os.read(reading, 1)
                os.close(reading)
                run(self, steps)
                os._exit(0)
            children.append(child)
        os.close(reading)
        say("CHILDREN", children)
        os.close(writing)
        for child in children:
            try:
                status = os.waitpid(child, 0)[1]
            except ChildProcessError:
                continue
            if status and status != 9:
                say("CHILD", status)

    def threads(self, count):
        """Threads that use the pack at once; each module and file must come whole."""
        import threading

        failed = []

        def use():
            try:
                for name in HOT + LAZY:
                    __import__(name)
                    digest(sys.modules[name].VALUE.encode())
            except BaseException as error:
                failed.append(error)

        workers = [threading.Thread(target=use) for _ in range(count)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if failed:
            raise failed[0]

    def live(self, count, each):
        """``count`` warm invocations; a line of what the process holds after every ``each``."""
        for number in range(1, count + 1):
            see(number % 100 == 0)
            if number % each == 0:
                say("HOLDS", holds())
                put("WAITING\n")
                os.read(0, 1)


def holds():
    """Memory in KiB, descriptors, threads, and files below the root and /tmp of this process."""
    import gc

    gc.collect()
    with open("/proc/self/status") as file:
        lines = dict(line.split(":", 1) for line in file)
    files = sum(len(names) for _, _, names in os.walk(os.environ["TMPDIR"]))
    return {
        "memory": int(lines["VmRSS"].split()[0]),
        "threads": int(lines["Threads"]),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "files": files,
    }


def run(steps, wanted):
    """Do the steps; an error is told with the place where it was raised."""
    try:
        for name, *arguments in wanted:
            getattr(steps, name)(*arguments)
    except BaseException as error:
        tell(error)
        os._exit(3)


def tell(error):
    places = []
    trace = error.__traceback__
    while trace is not None:
        places.append(trace.tb_frame.f_code.co_filename)
        trace = trace.tb_next
    last = places[-1]
    # What a library raises that the shim called is the shim's to put into words; an import that fails for
    # want of a descriptor is Python's.
    where = "import" if last.startswith("<frozen") else "else"
    if where == "else" and any("runtime_shim" in place for place in places):
        where = "shim"
    text = "%s" % (error,)
    say("ERROR", {"type": type(error).__name__, "text": text[:1500], "where": where, "last": last})
    if os.environ.get("FAULTS_VERBOSE"):
        import traceback

        traceback.print_exception(type(error), error, error.__traceback__)


if __name__ == "__main__":
    import json as _json

    run(Steps(), _json.loads(os.environ["FAULTS_STEPS"]))
    put("DONE\n")
