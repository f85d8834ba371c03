"""Rows: what happens to processes, and what handlers do."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from typing import Any

from .case import LOOK, Case, damage, row
from .endpoint import Script
from .model import EITHER, RIGHT, End, Verdict, differences
from .rows_s3 import setting
from .world import HUNG, Start


def held(case: Case, steps: list[list[Any]], **variables: str) -> tuple[Script, Start]:
    """A start that is in mid-fetch: the endpoint holds back what follows some random byte."""
    stored = case.world.pack.index.frame_stored_start
    eager = stored[case.world.pack.index.eager]
    script, credentials = case.script(gate=case.rng.randrange(eager))
    began = case.start(steps, {**credentials, **variables})
    deadline = time.monotonic() + HUNG
    while not script.reached.wait(0.01) and time.monotonic() < deadline:
        if began.process.poll() is not None:
            break
    if case.rng.random() < 0.6:
        # What has arrived may be placed by then, or be on its way there.
        time.sleep(case.rng.random() * 0.15)
    return script, began


@row("no fault at all, cold and warm", 20, 1)
def control(case: Case) -> list[Verdict]:
    """What holds the others to account: with nothing injected everything is right."""
    first = case.start([["load"], ["observe", True], ["assets"]], function="assets")
    verdict = case.judge(first, RIGHT, results=2)
    return [case.next_is_right(verdict)]


@row("killed: the whole group", 150, 3)
def kill_group(case: Case) -> list[Verdict]:
    """Up to four starts in a row are killed in mid-fetch; the next one is right."""
    times = case.rng.randrange(1, 5)
    variables = setting(case)
    for _ in range(times):
        if case.rng.random() < 0.3:
            began = case.start(LOOK, {**case.script(pace=0.003)[1], **variables})
            time.sleep(case.rng.random() * 0.2)
            began.kill()
            continue
        script, began = held(case, LOOK, **variables)
        began.kill()
        script.open()
    return [case.next_is_right()] * times


@row("killed: the child alone", 200, 4)
def kill_child(case: Case) -> list[Verdict]:
    """The process that fetches dies; who waits for it takes over."""
    script, began = held(case, LOOK, **setting(case))
    children = began.children()
    if not children:
        began.kill()
        script.open()
        return [case.next_is_right()]
    os.kill(case.rng.choice(children), case.rng.choice([signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM]))
    script.open()
    return [case.next_is_right(case.judge(began, RIGHT))]


@row("killed: every child, as often as it comes", 30, 1)
def kill_children(case: Case) -> list[Verdict]:
    """No child lives for long: right without one, or an error in time."""
    script, began = held(case, LOOK)
    script.open()
    killed = 0
    while began.process.poll() is None and time.monotonic() - began.began < HUNG:
        for child in began.children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
                killed += 1
        time.sleep(0.002)
    return [case.next_is_right(case.judge(began, EITHER))] * max(1, min(killed, 5))


@row("killed: the parent alone", 120, 3)
def kill_parent(case: Case) -> list[Verdict]:
    """Its child is left over, at work or before a dead connection: the next start does not wait for it."""
    script, began = held(case, LOOK)
    os.kill(began.process.pid, signal.SIGKILL)
    began.process.wait()
    following = case.start(LOOK)
    if case.rng.random() < 0.6:
        # It goes on for a moment, with the lock, while the next start waits for it.
        time.sleep(case.rng.random() * 0.3)
        script.open()
    return [case.judge(following, RIGHT)]


@row("frozen and thawed, connections dead", 150, 3)
def freeze(case: Case) -> list[Verdict]:
    """The whole environment sleeps in mid-fetch; when it wakes its connections are gone."""
    script, began = held(case, LOOK, **setting(case))
    began.signal(signal.SIGSTOP)
    script.drop()
    time.sleep(case.rng.random() * 0.2)
    script.open()
    began.signal(signal.SIGCONT)
    return [case.judge(began, RIGHT)]


@row("out of memory", 100, 2)
def memory(case: Case) -> list[Verdict]:
    """RLIMIT_AS a little above what the process has: somewhere there is no more."""
    more = case.rng.randrange(0, 48 * 1024 * 1024, 4096)
    steps = [["limit_memory", more], *LOOK]
    own = ("MemoryError", "Cannot allocate memory", "failed to map segment", "can't start new thread")
    # CPython loses some of them itself, importlib.metadata swallows others: so it is without the loader, too.
    own += ("without setting an exception", "without exception set", "No package metadata was found")
    verdict = case.judge(case.start(steps), EITHER, own=own)
    return [case.next_is_right(verdict)]


@row("out of descriptors", 100, 2)
def descriptors(case: Case) -> list[Verdict]:
    """RLIMIT_NOFILE so low that some open, pipe or socket fails."""
    steps = [["limit_files", case.rng.randrange(3, 20)], *LOOK]
    verdict = case.judge(case.start(steps), EITHER, own=("Too many open files",))
    return [case.next_is_right(verdict)]


@row("no file may be large", 40, 1)
def file_size(case: Case) -> list[Verdict]:
    """RLIMIT_FSIZE: a write in the middle of a file fails, which no look at free space foresees."""
    steps = [["limit_size", case.rng.randrange(0, 2_000_000)], *LOOK]
    return [case.next_is_right(case.judge(case.start(steps), EITHER, own=("File too large",)))]


@row("forked before, after and in mid-fetch", 150, 3)
def forked(case: Case) -> list[Verdict]:
    """User code forks at any moment: both sides are right."""
    pace = case.rng.choice([0.0, 0.003])
    _, variables = case.script(pace=pace)
    steps: list[list[Any]] = case.rng.choice(
        [
            [["fork", [["load"], ["observe", True]]]],
            [["load"], ["fork", [["observe", True]]]],
            [["load"], ["first"], ["fork", [["observe", False]]]],
            [["load"], ["ready"], ["fork", [["observe", True]]]],
        ]
    )
    return [case.judge(case.start(steps, {**variables, **setting(case)}), RIGHT, results=2)]


@row("threads, and os.wait() for whatever child", 80, 2)
def reaped(case: Case) -> list[Verdict]:
    """Children are the user's to reap, signals and threads the user's to use."""
    _, variables = case.script(pace=0.002)
    steps: list[list[Any]] = [["load"], case.rng.choice([["reap"], ["threads", 6]]), ["observe", True]]
    return [case.judge(case.start(steps, {**variables, **setting(case)}), RIGHT)]


@row("handler raises in mid-fetch", 150, 3)
def raising(case: Case) -> list[Verdict]:
    """Init fails by the user's own code; the next init, at once, is right."""
    _, variables = case.script(pace=case.rng.choice([0.0, 0.003, 0.02]))
    first = [["first"]] if case.rng.random() < 0.5 else []
    began = case.start([["load"], *first, ["fail"]], {**variables, **setting(case)})
    if began.end() is None:
        return [Verdict(End.HUNG, "the process whose handler raised does not end")]
    if "by the handler" not in began.out:
        return [Verdict(End.WRONG, f"not the handler's own error: {began.out[-300:]} {began.err[-300:]}")]
    return [case.next_is_right()]


@row("handler empties /tmp", 120, 3)
def emptied(case: Case) -> list[Verdict]:
    """Before everything is there, between invocations, again and again: all that was there still is."""
    rng = case.rng
    times = rng.randrange(1, 4)
    has_assets = rng.random() < 0.3
    look: list[list[Any]] = [["observe", True], *([["assets"]] if has_assets else [])]
    steps: list[list[Any]] = [["load"], *([["ready"]] if rng.random() < 0.5 else [])]
    steps += look if rng.random() < 0.5 else []
    for _ in range(times):
        steps += [["empty", rng.choice(["tree", "walk", "big", "rm"])], *look]
    results = sum(step[0] in ("observe", "assets") for step in steps)
    _, variables = case.script(pace=rng.choice([0.0, 0.002]))
    began = case.start(steps, variables, function="assets" if has_assets else "plain")
    return [case.next_is_right(case.judge(began, RIGHT, results=results))] * times


@row("handler closes descriptors", 150, 3)
def closing(case: Case) -> list[Verdict]:
    """Its own files, which got the numbers that were free, hold just what it wrote to them."""
    rng = case.rng
    before: list[list[Any]] = rng.choice([[], [["ready"]], [["first"]], [["observe", False]]])
    again: list[list[Any]] = [["close_all"], ["write_own", 4]] if rng.random() < 0.3 else []
    steps: list[list[Any]] = [
        ["load"], *before, ["close_all"], ["write_own", rng.randrange(1, 30)], ["observe", True],
        ["check_own"], ["observe", False], ["check_own"],
    ]  # fmt: skip
    if again:
        steps = [["load"], *before, *again[:1], ["observe", True], ["write_own", 8], ["observe", False]]
        steps += [["check_own"]]
    _, variables = case.script(pace=rng.choice([0.0, 0.002]))
    results = sum(step[0] == "observe" for step in steps)
    return [
        case.judge(case.start(steps, {**variables, **setting(case, streaming=True)}), RIGHT, results=results)
    ]


@row("deletions and cuts between starts", 100, 2, False)
@row("cut and given its length back between starts", 30, 1, True)
def damaged_between(case: Case, extend: bool) -> list[Verdict]:
    """Six starts, and before each but the first something is damaged."""
    variables = setting(case)
    verdicts: list[Verdict] = []
    done: list[str] = []
    verdict = case.judge(case.start(LOOK, {**case.script()[1], **variables}), RIGHT)
    for _ in range(5):
        if verdict.end is not End.RIGHT:
            break
        times = case.rng.randrange(1, 4)
        done = [damage(case.root, case.rng, mapped=False, extend=extend) for _ in range(times)]
        verdict = case.judge(case.start(LOOK, {**case.script()[1], **variables}), RIGHT)
        verdicts += [verdict] * times
    return [explained(one, done) for one in verdicts or [verdict]]


def explained(verdict: Verdict, done: list[str]) -> Verdict:
    """With what was damaged before it."""
    return verdict if verdict.end is End.RIGHT else Verdict(verdict.end, f"{done}: {verdict.reason}")


@row("deletions and cuts below a living process", 60, 2, False)
@row("cut and given its length back below a living process", 20, 1, True)
def damaged_living(case: Case, extend: bool) -> list[Verdict]:
    """Twenty times something is damaged, and each time the process looks again."""
    times = 20
    rounds: list[list[Any]] = [["wait"], ["observe", True]] * times
    variables = {**case.script()[1], **setting(case, streaming=True)}
    began = case.start([["load"], ["observe", True], *rounds], variables)
    done: list[str] = []
    for _ in range(times):
        if not began.waiting():
            break
        done.append(damage(case.root, case.rng, mapped=True, extend=extend))
        began.go()
    verdict = case.judge(began, RIGHT, results=times + 1)
    if verdict.end is End.RIGHT:
        return [verdict] * times
    return [Verdict(End.RIGHT)] * (len(done) - 1) + [explained(verdict, done[-1:])]


@row("deletions and cuts in mid-fetch", 120, 3)
def damaged_during(case: Case) -> list[Verdict]:
    """Somebody else in the environment damages what has arrived while the rest is on its way."""
    script, began = held(case, LOOK, **setting(case, streaming=True))
    times = case.rng.randrange(1, 4)
    done = [damage(case.root, case.rng, mapped=True) for _ in range(times)]
    script.open()
    verdict = case.next_is_right(case.judge(began, RIGHT))
    return [explained(verdict, done)] * times


@row("clocks that jump", 120, 3)
def clocks(case: Case) -> list[Verdict]:
    """The wall clock is set forth and back, or is somewhere else each time."""
    rng = case.rng

    def jump() -> list[Any]:
        if rng.random() < 0.3:
            return ["wild_clock", rng.randrange(100)]
        return ["clock", rng.choice([-1e6, -3600, -60, 60, 3600, 1e6])]

    before = [jump()] if rng.random() < 0.5 else []
    steps: list[list[Any]] = [*before, ["load"], jump(), ["observe", False], jump(), ["observe", True]]
    script, began = held(case, steps)
    children = began.children()
    if children and rng.random() < 0.5:
        os.kill(children[0], signal.SIGKILL)
    script.open()
    return [case.judge(began, RIGHT, results=2)] * (len(before) + 2)


@row("16 racers forked by one parent", 40, 1)
def racers(case: Case) -> list[Verdict]:
    """All begin in the same instant: each is right, and each frame is asked for once."""
    script, variables = case.script(pace=case.rng.choice([0.0, 0.002]))
    began = case.start([["fork_all", 16, [["load"], ["observe", False]]]], variables)
    verdict = case.judge(began, RIGHT, results=16)
    return [_once(case, script, verdict, 1)] * 16


def _once(case: Case, script: Script, verdict: Verdict, most: int) -> Verdict:
    often = {frame: times for frame, times in case.world.requested(script.log).items() if times > most}
    if verdict.end is End.RIGHT and often:
        return Verdict(End.WRONG, f"frame -> requests, of which {most} are allowed: {often}")
    return verdict


@row("16 racers, some killed", 40, 1)
def racers_killed(case: Case) -> list[Verdict]:
    """Whoever is not killed is right; a frame is asked for again only where its fetcher died."""
    script, began = held(case, [["fork_all", 16, [["load"], ["observe", False]]]])
    said = [line for line in began.out.splitlines() if line.startswith("CHILDREN ")]
    if not said:
        return [case.judge(began, RIGHT, results=16)]
    victims = case.rng.sample(json.loads(said[0].partition(" ")[2]), case.rng.randrange(1, 5))
    for victim in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
    script.open()
    if began.end() is None:
        return [Verdict(End.HUNG, f"{len(victims)} of 16 killed")] * len(victims)
    return [_survivors(case, began, script, len(victims))] * len(victims)


def _survivors(case: Case, began: Start, script: Script, killed: int) -> Verdict:
    lines = began.out.splitlines()
    seen = [json.loads(line.partition(" ")[2]) for line in lines if line.startswith("RESULT ")]
    bad = [line for line in lines if line.startswith(("ERROR", "CHILD "))]
    bad += [found for value in seen if (found := differences(case.world, value))]
    if bad or len(seen) < 16 - killed:
        return Verdict(End.WRONG, f"{killed} of 16 killed, {len(seen)} answered: {bad[:2]}")
    return _once(case, script, Verdict(End.RIGHT), 1 + killed)


@row("8 starts at once", 40, 1)
def starts_at_once(case: Case) -> list[Verdict]:
    """Processes that have nothing in common but the folder."""
    _, variables = case.script(pace=case.rng.choice([0.0, 0.002]))
    kill = case.rng.random() < 0.5
    began = [case.start(LOOK, variables) for _ in range(8)]
    if kill:
        time.sleep(case.rng.random() * 0.1)
        began.pop(0).kill()
    return [case.judge(one, RIGHT) for one in began]


@row("10,000 warm invocations with freezes", 1, 0, 10_000, 500, slow=True)
@row("400 warm invocations with freezes", 4, 1, 400, 50)
def long_life(case: Case, count: int, each: int) -> list[Verdict]:
    """No growth of memory, descriptors, threads or files."""
    began = case.start([["load"], ["ready"], ["live", count, each]])
    held_at: list[dict[str, int]] = []
    for _ in range(count // each):
        if not began.waiting(120):
            return [Verdict(End.WRONG, f"ended early: {began.out[-300:]} {began.err[-300:]}")]
        held_at.append(json.loads(began.out.rpartition("HOLDS ")[2].splitlines()[0]))
        began.signal(signal.SIGSTOP)
        time.sleep(0.01)
        began.signal(signal.SIGCONT)
        began.go()
    if began.end(1000) != 0:
        return [Verdict(End.WRONG, f"{began.out[-300:]} {began.err[-300:]}")]
    early, late = held_at[min(2, len(held_at) - 1)], held_at[-1]
    grown = {name: late[name] - early[name] for name in early}
    # The allocator of any program moves by a few pages; what leaks does so with every invocation.
    if any(more > (1024 if name == "memory" else 0) for name, more in grown.items()):
        return [Verdict(End.WRONG, f"growth (memory in KiB): {grown}")]
    return [Verdict(End.RIGHT)] * len(held_at)


@row("self-test", 1, 0, hidden=True)
def self_test(case: Case) -> list[Verdict]:
    """What the harness must notice: a wrong byte, an error of somebody else's, a process that hangs."""
    wrong = case.start([["say_wrong"]])
    raised = case.start([["fail"]])
    hanging = case.start([["sleep", 60]])
    return [case.judge(wrong, EITHER), case.judge(raised, EITHER), _in_short(hanging)]


def _in_short(began: Start) -> Verdict:
    assert began.end(2) is None
    return Verdict(End.HUNG, began.notes[0])
