"""Downloads one address as pip would: its certificates, proxies, credentials and retries.

    python -I fetch_worker.py < REQUEST

REQUEST is a JSON object: ``url``, ``path`` (where to write), ``options`` (pip's, on indexes). Prints one JSON
object: ``{"sha256"}``, or ``{"error", "network"}``. Uses what pip-tools uses of pip, by the same names.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any


def main() -> None:
    """Answer one request."""
    from pip._internal.exceptions import PipError
    from pip._vendor.requests.exceptions import HTTPError, RequestException

    request = json.load(sys.stdin)
    try:
        answer: dict[str, Any] = {"sha256": fetch(request)}
    except HTTPError as error:
        status = error.response.status_code
        answer = {"error": "the server answered {}".format(status), "network": status >= 500}
    except (RequestException, PipError) as error:
        answer = {"error": type(error).__name__, "network": True}
    print(json.dumps(answer))


def fetch(request: dict[str, Any]) -> str:
    """Write the file and return its SHA-256."""
    from pip._internal.commands import create_command

    command = create_command("download")
    options, _ = command.parse_args([*request["options"], "nothing"])
    digest = hashlib.sha256()
    with command._build_session(options) as session:
        response = session.get(request["url"], headers={"Accept-Encoding": "identity"}, stream=True)
        response.raise_for_status()
        with open(request["path"], "wb") as file:
            for chunk in response.iter_content(1 << 18):
                digest.update(chunk)
                file.write(chunk)
    return digest.hexdigest()


if __name__ == "__main__":
    main()
