"""What functions have logged, kept for a while, as CloudWatch keeps Lambda's log groups."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from lambdapack.local.journal import Journal, JournalReader

_LIMIT = 4_000_000
"""Bytes of a version's file; the file before that has as many."""
_MESSAGE = 256_000
"""Characters that are kept of a line."""
_SUFFIX = ".jsonl"


@dataclass(frozen=True)
class LogEvent:
    """A line of a log.

    Attributes:
        time: When it was logged, with a time zone.
        stream: The environment's log stream, ``YYYY/MM/DD/[VERSION]ID``.
        message: The line, without its end.
    """

    time: datetime
    stream: str
    message: str

    @property
    def version(self) -> str:
        """The version whose environment the stream is."""
        return self.stream.partition("[")[2].partition("]")[0]


class LogReader:
    """Reads a function's log, and what has come since at each further call.

    Args:
        folder: The folder with the function's journals; it need not be there yet.
        since: Leave out what is older; it has a time zone.
        version: Read that version's alone; ``None`` for every version's.
    """

    def __init__(self, folder: Path, since: datetime, version: str | None) -> None:
        self._folder = folder
        self._since = since
        self._version = version
        self._readers: dict[str, JournalReader] = {}

    def read(self) -> list[LogEvent]:
        """The events that no call has given so far, by time."""
        for path in self._folder.glob(f"*{_SUFFIX}*"):
            version = path.name.partition(_SUFFIX)[0]
            if self._version in (None, version) and version not in self._readers:
                self._readers[version] = JournalReader(self._folder / f"{version}{_SUFFIX}")
        events = [event for reader in self._readers.values() for event in _events(reader.read())]
        # Sorted by time alone: events of the same moment stay in the order in which they were written.
        return sorted((event for event in events if event.time >= self._since), key=lambda event: event.time)

    def close(self) -> None:
        """Close the files."""
        for reader in self._readers.values():
            reader.close()


class LogStore:
    """A folder with a log a function and version. Safe to use from several processes.

    Args:
        root: The folder; made when needed.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def add(self, name: str, version: str, events: Sequence[LogEvent]) -> None:
        """Keep what a version of the function ``name`` has logged.

        Raises:
            ToolError: The disk is full.
        """
        if events:
            Journal(self._root / name / f"{version}{_SUFFIX}", _LIMIT).append(
                [_line(each) for each in events]
            )

    def reader(self, name: str, since: datetime, version: str | None) -> LogReader:
        """What reads a function's log; see ``LogReader``."""
        return LogReader(self._root / name, since, version)

    def keep(self, names: Collection[str]) -> None:
        """Forget the logs of all other functions."""
        for folder in self._root.glob("*"):
            if folder.name not in names:
                shutil.rmtree(folder, ignore_errors=True)


def events_of(log: str, stream: str, began: float, ended: float) -> list[LogEvent]:
    """The events of an invocation's log, one a line.

    Lines up to START have the time ``began``, the others the time ``ended``, in seconds since 1970: when
    each line came in between is not known.
    """
    times = [datetime.fromtimestamp(moment, timezone.utc) for moment in (began, ended)]
    events, started = [], False
    for line in log.rstrip("\n").split("\n") if log else ():
        events.append(LogEvent(times[started], stream, line[:_MESSAGE]))
        started = started or line.startswith("START RequestId: ")
    return events


def _line(event: LogEvent) -> bytes:
    return json.dumps([event.time.timestamp(), event.stream, event.message]).encode()


def _events(lines: Sequence[bytes]) -> Iterator[LogEvent]:
    for line in lines:
        # A full disk may have cut a line off.
        with contextlib.suppress(ValueError, TypeError):
            moment, stream, message = json.loads(line)
            yield LogEvent(datetime.fromtimestamp(moment, timezone.utc), stream, message)
