"""``python -m lambdapack.local.s3``: the S3 endpoint as a process.

Two ways to run it. By hand, with the keys on the command line: it prints its URL and serves until it
is interrupted. With ``--control``: commands come as JSON lines on stdin, each is answered by one line
on stdout, and the end of stdin ends the process, so that none outlives the program that started it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lambdapack.errors import LambdapackError
from lambdapack.local.link import Link, LinkSettings, read_faults
from lambdapack.local.s3.objects import Grant
from lambdapack.local.s3.server import S3Server
from lambdapack.local.s3.sigv4 import Credentials


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the endpoint, in one of the module's two ways."""
    options = _parser().parse_args(arguments)
    try:
        server = S3Server(options.root, _grants(options), port=options.port, host=options.host)
    except (LambdapackError, OSError, ValueError) as error:
        print(f"lambdapack.local.s3: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    threading.Thread(target=server.serve, daemon=True).start()
    if options.control:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print(json.dumps({"url": server.url}), flush=True)
        for line in sys.stdin:
            print(json.dumps(_obey(server, json.loads(line))), flush=True)
    else:
        print(server.url, flush=True)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
    server.close()
    # A normal exit would wait for threads that are in the middle of a long body.
    os._exit(0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lambdapack.local.s3", description=S3Server.__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder of BUCKET/KEY")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--control", action="store_true", help="take commands as JSON lines on stdin")
    parser.add_argument("--access-key", help="without it, only grants given by --control count")
    parser.add_argument("--secret-key", default="")
    parser.add_argument("--session-token", default="")
    parser.add_argument("--region", default="", help="the region that signatures must name; any by default")
    parser.add_argument("--allow", action="append", metavar="BUCKET/KEY", help="all objects by default")
    parser.add_argument("--read-only", action="store_true", help="refuse PUT, and hide what is missing")
    parser.add_argument("--bandwidth", type=float, metavar="MBIT", help="for all connections together")
    parser.add_argument("--latency", type=float, metavar="MS", help="before each first byte")
    parser.add_argument("--faults", type=Path, metavar="FILE", help="JSON list of faults")
    return parser


def _grants(options: argparse.Namespace) -> list[Grant]:
    if not options.access_key:
        return []
    faults = read_faults(json.loads(options.faults.read_text())) if options.faults else ()
    return [
        Grant(
            Credentials(options.access_key, options.secret_key, options.session_token, region=options.region),
            frozenset(options.allow) if options.allow else None,
            write=not options.read_only,
            list=not options.read_only,
            link=Link(LinkSettings(options.bandwidth, options.latency, faults)),
        )
    ]


def _obey(server: S3Server, command: dict[str, Any]) -> dict[str, Any]:
    """Execute one of ``Endpoint``'s commands; the answer."""
    try:
        verb = command["do"]
        if verb == "grant":
            grant = command["grant"]
            credentials, link = Credentials(**grant["credentials"]), Link(LinkSettings.from_dict(grant))
            server.grants[credentials.access_key] = Grant(credentials, frozenset(grant["read"]), link=link)
        elif verb == "revoke":
            server.revoke(command["access_key"])
        elif verb == "link":
            server.grants[command["access_key"]].link.set(LinkSettings.from_dict(command))
        elif verb == "log":
            entries = server.log.copy()
            if command["clear"]:
                del server.log[: len(entries)]
            return {"log": [asdict(entry) for entry in entries]}
        else:
            raise KeyError(verb)
    except (LambdapackError, KeyError, TypeError) as error:
        return {"error": f"{type(error).__name__}: {error}"}
    return {}


if __name__ == "__main__":
    main()
