"""What a shift leaves in the alias's note, for the command after it.

::

    lambdapack: 7 > 8, canary:10%,5m, step 0, 2026-03-01T12:00:00Z | what a person wrote there
    lambdapack: 7 > 8, canary:10%,5m, step 0, 2026-03-01T12:00:00Z, undone: its calls fail | what a person ...
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone

from lambdapack.errors import ConfigurationError
from lambdapack.model import Routing, Shift

# https://docs.aws.amazon.com/lambda/latest/api/API_UpdateAlias.html
NOTE_MAX = 256
"""Characters of an alias's description."""
_REASON_MAX = 140
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_WRITTEN = re.compile(
    r"lambdapack: (?P<before>[\w$-]+) > (?P<after>[\w$-]+), (?P<shift>[a-z]+(?::\d+%,\d+[smh])?), "
    r"step (?P<step>\d{1,2}), (?P<since>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)"
    r"(?:, undone: (?P<undone>[^|]*?))?(?: \| (?P<others>.*))?\Z",
    re.DOTALL,
)


@dataclass(frozen=True)
class Note:
    """How far a shift is, or why it was undone.

    Attributes:
        before: The version that had all calls.
        after: The version that is to have them.
        shift: How calls go over.
        step: Which of ``shift.weights`` holds, from 0.
        since: Since when, in whole seconds.
        undone: Why the shift was undone; ``None`` while it goes on.
        others: What the alias's note was before the shift: a person's own description.
    """

    before: str
    after: str
    shift: Shift
    step: int
    since: datetime
    undone: str | None = None
    others: str = ""

    def __str__(self) -> str:
        """The note, in at most ``NOTE_MAX`` characters: others' words are cut first."""
        since = self.since.astimezone(timezone.utc).strftime(_TIME)
        text = f"lambdapack: {self.before} > {self.after}, {self.shift}, step {self.step}, {since}"
        if self.undone is not None:
            text += f", undone: {_cut(_plain(self.undone), _REASON_MAX)}"
        if self.others:
            text += " | " + _cut(self.others, NOTE_MAX - len(text) - 3)
        return text

    @property
    def where(self) -> str:
        """The step, for people."""
        return (
            f"step {self.step + 1} of {len(self.shift.weights)}, version {self.after} has "
            f"{self.routing.weight * 100:g} % of the calls"
        )

    @property
    def routing(self) -> Routing:
        """Where calls go while the step holds."""
        return Routing(self.before, self.after, self.shift.weights[self.step])


def read(text: str) -> Note | None:
    """The note that ``text`` is; ``None`` where a person wrote it, or nothing is written."""
    match = _WRITTEN.match(text)
    if match is None:
        return None
    try:
        shift = Shift.parse(match["shift"])
        since = datetime.strptime(match["since"], _TIME).replace(tzinfo=timezone.utc)
    except (ConfigurationError, ValueError):
        return None
    step = int(match["step"])
    if step >= len(shift.weights):
        return None
    return Note(match["before"], match["after"], shift, step, since, match["undone"], match["others"] or "")


def others_of(text: str) -> str:
    """What people wrote into a note: the whole of it, but for what a shift added."""
    note = read(text)
    return text if note is None else note.others


def _plain(reason: str) -> str:
    """A reason on one line, without the bar that ends it."""
    return " ".join(reason.replace("|", "/").split())


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else text[: max(0, room - 1)] + "…"
