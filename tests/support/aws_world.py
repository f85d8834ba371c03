"""A stand-in for AWS that answers over real HTTP."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

BUCKET = "packs-of-ours"
"""A bucket of the tests' own, in ``REGION``."""
REGION = "eu-central-1"


@contextmanager
def empty_aws() -> Iterator[str]:
    """The address of a moto server with nothing in it: all servers of a process share one state."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - slow

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        urllib.request.urlopen(urllib.request.Request(f"{url}/moto-api/reset", method="POST")).close()
        yield url
    finally:
        server.stop()
