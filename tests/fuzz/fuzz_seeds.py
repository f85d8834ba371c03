"""Write the seeds of the corpus: ``python tests/fuzz/fuzz_seeds.py``. The same bytes on every machine."""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))

from lambdapack import pack  # noqa: E402
from tests.fuzz.fuzz_mutators import MUTATORS  # noqa: E402
from tests.support import packing  # noqa: E402 - after sys.path

CORPUS = HERE / "corpus"
_SMALL = {**packing.SAMPLE, "demo/data.bin": bytes(range(256)) * 9, "demo/é.txt": b"accent"}
_TREES: dict[str, dict[str, bytes]] = {
    "one": {"hi.py": b"print('hi')\n"},
    "empty-file": {"a/empty": b"", "a/b/c.py": b""},
    "bands": _SMALL,
}


def main() -> None:
    """Each tree as an index and as a pack, and fixed random bytes for layouts."""
    for target in MUTATORS:
        (CORPUS / target).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, files in _TREES.items():
            touched = [path for path in packing.SAMPLE_TOUCHED if path in files]
            made = pack.write(
                packing.tree(Path(folder, name, "tree"), files, executable=list(files)[:1]),
                packing.trace(*touched, native=["demo/data.bin"] if "demo/data.bin" in files else []),
                packing.LOCK, Path(folder, name, "pack"), level=1,
            )  # fmt: skip
            (CORPUS / "index" / name).write_bytes(made.index_path.read_bytes())
            (CORPUS / "pack" / name).write_bytes(made.path.read_bytes())
    chance = random.Random(8)
    for number in range(12):
        (CORPUS / "place" / f"layout-{number:02}").write_bytes(chance.randbytes(20 + 12 * number))


if __name__ == "__main__":
    main()
