"""Makes words.txt from the modules' own documentation: every word that Python's standard library explains."""

import pydoc_data.topics
import re
from pathlib import Path

words = set(re.findall(r"\b[a-z]{3,}\b", " ".join(pydoc_data.topics.topics.values())))
words.add("vocabulary")
Path(__file__).with_name("words.txt").write_text("\n".join(sorted(words)) + "\n", encoding="utf-8")
