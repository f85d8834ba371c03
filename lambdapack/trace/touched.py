"""Files that real starts fetched on demand: from the functions' logs into the next build."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from lambdapack.errors import ConfigurationError

_HEAD = (
    "# Files of the pack that count as touched by the trace: see [trace] touched.\n"
    "# Written by `lambdapack trace --from-logs`, which adds to it; lines may be removed.\n"
)


def logged(lines: Iterable[str]) -> Iterator[str]:
    """The files that the shim's lines in a log name, each as often as it is named.

    A line may have text around its JSON, which may also be the message of a log in JSON.
    """
    for line in lines:
        at = line.find("{")
        if at < 0 or "on_demand_files" not in line:
            continue
        try:
            document = json.loads(line[at : line.rindex("}") + 1])
        except ValueError:
            continue
        if isinstance(document, dict) and "lambdapack" not in document:
            yield from logged(value for value in document.values() if isinstance(value, str))
            continue
        files = document.get("on_demand_files") if isinstance(document, dict) else None
        yield from (path for path in files or () if isinstance(path, str) and _inside(path))


def read_touched(text: str) -> tuple[str, ...]:
    """The paths in the text of a file of them, sorted.

    Raises:
        ConfigurationError: A line is no path in a pack.
    """
    lines = [line.strip() for line in text.splitlines()]
    paths = {line for line in lines if line and not line.startswith("#")}
    for path in sorted(paths):
        if not _inside(path):
            raise ConfigurationError(
                f"{path!r} is not a path in a pack: it is to be relative, without '.' and '..' parts",
                hint="mend the file that [trace] touched names",
            )
    return tuple(sorted(paths))


def write_touched(paths: Iterable[str]) -> str:
    """The text of a file of ``paths``."""
    return _HEAD + "".join(f"{path}\n" for path in sorted(set(paths)))


def _inside(path: str) -> bool:
    return path.isprintable() and not {"", ".", ".."}.intersection(path.split("/"))
