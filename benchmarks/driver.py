"""Stands in for Lambda's runtime client, the same for every way: import, call, call again, tell.

Run by the target's Python inside the execution environment. Prints ``BENCH-INIT`` when it has the
handler and ``BENCH <json>`` at the end.
"""

import os
import sys
import time
from _ctypes import call_function, dlopen, dlsym  # ctypes itself would cost each way 10 ms

now = time.monotonic
began = now()
sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])


def numbers(path):
    """The ``name: number`` lines of a file of /proc."""
    found = {}
    try:
        with open(path) as file:
            for line in file:
                name, _, value = line.partition(":")
                if value.split()[:1] and value.split()[0].isdigit():
                    found[name] = int(value.split()[0])
    except OSError:
        pass
    return found


def adopt():
    """Become the parent of orphans: lambdapack's fetching process is one, whose figures would be nobody's."""
    set_child_subreaper = 36
    call_function(dlsym(dlopen(None, os.RTLD_NOW), "prctl"), (set_child_subreaper, 1, 0, 0, 0))


def reap():
    """Wait a while for children to end: only then their CPU time and bytes are added to this process's."""
    until = now() + 2
    try:
        while now() < until:
            if not os.waitpid(-1, os.WNOHANG)[0]:
                time.sleep(0.005)
    except ChildProcessError:
        pass


def main():
    from importlib import import_module

    adopt()
    event = {"command": "workload.handler"}
    name, _, function = os.environ["_HANDLER"].rpartition(".")
    handler = getattr(import_module(name), function)
    ready = now()
    os.write(1, b"\nBENCH-INIT\n")
    answer = handler(event, None)
    answered = now()
    own_cpu = sum(os.times()[:2])
    reap()
    child_cpu = sum(os.times()[2:4])
    memory = numbers("/proc/self/status")
    written = numbers("/proc/self/io").get("write_bytes", -1)
    warm = warm_calls(handler, event)
    shim = sys.modules.get("runtime_shim")
    import json

    document = {
        "began": began,
        "dependencies": getattr(sys.modules.get("mark"), "ready", None),
        "ready": ready,
        "answered": answered,
        "answer": answer,
        "cpu": own_cpu + child_cpu,
        "child_cpu": child_cpu,
        "peak": memory.get("VmHWM", 0) * 1024,
        "written": written,
        "warm_us": warm,
        "stats": shim.stats() if shim else {},
    }
    os.write(1, ("\nBENCH %s\n" % json.dumps(document)).encode())
    # A daemon's threads, atexit handlers and destructors are not what is measured.
    os._exit(0)


def warm_calls(handler, event):
    """Microseconds of the fastest tenth of warm calls: what is added to each of them would show."""
    calls = int(os.environ.get("BENCH_WARM", "0"))
    times = []
    os.write(1, b"\nBENCH-WARM\n")
    for _ in range(calls):
        start = time.perf_counter()
        handler(event, None)
        times.append(time.perf_counter() - start)
    os.write(1, b"\nBENCH-WARM\n")
    times.sort()
    return times[len(times) // 10] * 1e6 if times else None


main()
