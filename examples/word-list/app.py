"""Find the word that was meant: RapidFuzz over a list of words that is an asset."""

from pathlib import Path

import runtime_shim  # first: streams the pack into place while the rest is imported

from rapidfuzz import process  # isort: skip

WORDS = Path(runtime_shim.path("words")).read_text(encoding="utf-8").split()


def handler(event, context):
    word, score, _ = process.extractOne(event["word"], WORDS)
    return {"word": word, "score": round(score, 1), "of": len(WORDS)}
