"""``make demo``: spaCy and an English model, from requirements to a warm invocation in the local cloud.

Every figure that it prints was measured in this run; it fails when any of them is wrong.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).parent / "spacy"
FOLDER = Path(__file__).parent.parent / "demo"
SENTENCE = "Ada Lovelace met Charles Babbage in London on 5 June 1833."
ENTITIES = {
    ("Ada Lovelace", "PERSON"),
    ("Charles Babbage", "PERSON"),
    ("London", "GPE"),
    ("5 June 1833", "DATE"),
}
PACK_MAX, HOT_MAX = 50_000_000, 45_000_000


def lambdapack(*arguments: str) -> Any:
    """Run one command in the demo's folder; returns its JSON document."""
    print(f"$ lambdapack {' '.join(arguments)}", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "lambdapack", *arguments, "--json"],
        cwd=FOLDER,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"demo: exit status {done.returncode}")
    return json.loads(done.stdout)


def check(holds: bool, rule: str) -> None:
    print(f"  {'ok' if holds else 'WRONG'}: {rule}")
    if not holds:
        raise SystemExit(f"demo: wrong: {rule}")


def row(name: str, value: str, remark: str = "") -> None:
    print(f"  {name:<28}{value:>12}  {remark}".rstrip())


def megabytes(size: int) -> str:
    return f"{size / 1_000_000:.1f} MB"


def build() -> None:
    report = lambdapack("build")
    slim, pack = report["slim"], report["pack"]
    row("installed", megabytes(slim["installed_bytes"]), f"{slim['installed_files']:,} files")
    row("slimmed", megabytes(slim["slimmed_bytes"]), f"{slim['slimmed_files']:,} files")
    row("pack", megabytes(pack["bytes"]), f"{pack['frames']} frames, sources included")
    row("hot, fetched first", megabytes(pack["hot_bytes"]), f"{pack['hot_frames']} frames")
    if report["reused"]:
        print("  an earlier build of the same inputs was reused")
    else:
        print("  seconds: " + ", ".join(f"{name} {took:.1f}" for name, took in report["seconds"].items()))
    check(report["trace"]["how"] == "traced", "the handler ran for the trace")
    check(slim["installed_bytes"] > 250_000_000, "installed, it is over Lambda's 250 MB")
    check(slim["slimmed_bytes"] < slim["installed_bytes"] / 1.5, "slimming takes a third and more")
    check(pack["bytes"] <= PACK_MAX, "the pack is at most 50 MB")
    check(pack["hot_bytes"] <= HOT_MAX, "its hot frames are at most 45 MB")
    check(lambdapack("verify")["sound"], "every digest of the pack is right")


def deploy() -> None:
    done = lambdapack("deploy")
    row("function zip", megabytes(done["zip"]["size"]), "code, shim, decoder and index")
    check(done["zip"]["size"] < 5_000_000, "the function's zip is under 5 MB")


def invoke() -> None:
    event = json.dumps({"text": SENTENCE})
    cold, warm = lambdapack("invoke", "--count", "2", "--payload", event)["invocations"]
    print(f"\n{SENTENCE}")
    for entity in cold["payload"]["entities"]:
        row(entity["text"], entity["label"])
    entities = {(entity["text"], entity["label"]) for entity in cold["payload"]["entities"]}
    check(entities == ENTITIES, "the entities are the people, the place and the date")
    check(warm["payload"] == cold["payload"], "the warm answer is the same")
    stats = cold["stats"]
    print("\nwhere the cold start's time went:")
    row("init", f"{cold['init_ms']:.0f} ms", "process, imports and the model, all told")
    row("  of it, imports waited", f"{stats['wait_ms']:.0f} ms", "for frames that were not there yet")
    requests = "1 request" if stats["requests"] == 1 else f"{stats['requests']} requests"
    fetched = f"{megabytes(stats['bytes'])} in {stats['frames']} frames, {requests}"
    row("  fetching, beside it", f"{stats['fetch_ms']:.0f} ms", fetched)
    row("first invocation", f"{cold['duration_ms']:.1f} ms", f"{cold['max_memory_mb']} MB of memory used")
    row("warm invocation", f"{warm['duration_ms']:.1f} ms")
    check(cold["cold"] and not warm["cold"], "the first start was cold, the second warm")
    check(stats["bytes"] > 0 and stats["frames"] > 0, "the pack came over the link")
    check(warm["init_ms"] is None and warm["stats"] is None, "a warm invocation fetches nothing")
    for line in warm["log"].splitlines() or ["no log"]:
        if line.startswith("REPORT"):
            print(f"  {line}")


def main() -> None:
    began = time.monotonic()
    FOLDER.mkdir(exist_ok=True)
    for name in ("app.py", "lambdapack.toml", "event.json"):
        shutil.copy(EXAMPLE / name, FOLDER / name)
    build()
    deploy()
    invoke()
    print(f"\ndemo: all right, in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
