"""Find the word that was meant: RapidFuzz over a list of words that is an asset."""

from pathlib import Path

import runtime_shim  # first: streams the pack into place while the rest is imported

from rapidfuzz import process  # isort: skip

WORDS = Path(runtime_shim.path("words")).read_text(encoding="utf-8").split()


def handler(event, context):
    found = process.extractOne(event["word"], WORDS)
    return {"word": found[0], "score": round(found[1], 1), "of": len(WORDS)}
