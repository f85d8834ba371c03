"""Fuzz one target with atheris: ``python tests/fuzz/fuzz_run.py index|pack|place [options of libFuzzer]``.

New inputs are kept in ``.lambdapack/fuzz/TARGET``, or the folder that a first option ``--found=FOLDER``
names; the corpus in the repository is only read. A crash is written there as ``crash-…``; move it to
``tests/fuzz/corpus/TARGET`` once it is mended, so that it stays a test.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))

import atheris  # noqa: E402 - after sys.path

with atheris.instrument_imports(include=["lambdapack.pack", "runtime_shim"]):
    from tests.fuzz import fuzz_mutators, fuzz_targets


def main() -> None:
    """Run until libFuzzer ends, which exits the process."""
    name, *options = sys.argv[1:]
    run, mutate = fuzz_targets.TARGETS[name], fuzz_mutators.MUTATORS[name]

    def custom(data: bytes, max_size: int, seed: int) -> bytes:
        chance = random.Random(seed)
        if chance.randrange(3) == 0:
            return bytes(atheris.Mutate(data, max_size))
        changed = mutate(bytes(data), chance)
        return changed if len(changed) <= max_size else bytes(data)

    found = HERE.parent.parent / ".lambdapack/fuzz" / name
    if options and options[0].startswith("--found="):
        found = Path(options.pop(0).partition("=")[2])
    found.mkdir(parents=True, exist_ok=True)
    # Leaks are not looked for: the interpreter's own arenas are taken for such.
    defaults = [f"-artifact_prefix={found}/", "-max_len=20000", "-timeout=60", "-rss_limit_mb=2048"]
    defaults += ["-detect_leaks=0"]
    arguments = [sys.argv[0], *defaults, *options, str(found), str(HERE / "corpus" / name)]
    atheris.Setup(arguments, run, custom_mutator=custom)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
