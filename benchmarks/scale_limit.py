"""S3's request limit, as the simulations of benchmarks.scale hold it."""

from __future__ import annotations

from collections import deque

__all__ = ["SLOW_DOWN", "Limit"]

_BODY = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message>"
    b"<RequestId>4442587FB7D0A2F9</RequestId><HostId>c2NhbGU=</HostId></Error>"
)
SLOW_DOWN = (
    b"HTTP/1.1 503 Slow Down\r\nx-amz-request-id: 4442587FB7D0A2F9\r\nContent-Type: application/xml\r\n"
    b"Transfer-Encoding: chunked\r\nConnection: close\r\nServer: AmazonS3\r\n\r\n"
    b"%x\r\n%s\r\n0\r\n\r\n" % (len(_BODY), _BODY)
)
"""A refusal as S3 sends it: chunked, and the connection ends with it. There is no Retry-After."""


class Limit:
    """At most ``rate * window`` requests in *any* ``window`` seconds; what is refused does not count.

    AWS documents the rate alone. This is the strictest reading of it: nothing is saved up while idle,
    unlike with a token bucket, which would let twice as much through in its first second.

    Args:
        rate: Requests a second; ``None`` for no limit.
        window: Seconds over which they are counted.
    """

    def __init__(self, rate: float | None, window: float = 1.0) -> None:
        self.room = None if rate is None else int(rate * window)
        self.window = window
        self.admitted = 0
        self.refused = 0
        self._recent: deque[float] = deque()

    def admit(self, now: float) -> bool:
        """Count a request at ``now`` (seconds, never falling); whether it is answered."""
        recent = self._recent
        while recent and recent[0] <= now - self.window:
            recent.popleft()
        if self.room is not None and len(recent) >= self.room:
            self.refused += 1
            return False
        recent.append(now)
        self.admitted += 1
        return True
