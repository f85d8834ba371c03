"""Downloads one address as pip would: its certificates, proxies, credentials and retries.

    python -I fetch_worker.py < REQUEST

REQUEST is a JSON object: ``url``, ``path`` (where to write), ``options`` (pip's), ``etag`` (of the file that
is kept already, or empty). Prints one JSON object: ``{"sha256", "etag"}``,
``{"unchanged"}``, or ``{"error", "network"}``. Uses what pip-tools uses of pip, by the same names.
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
        answer = fetch(request)
    except HTTPError as error:
        status = error.response.status_code
        answer = {"error": "the server answered {}".format(status), "network": status >= 500}
    except (RequestException, PipError) as error:
        answer = {"error": type(error).__name__, "network": True}
    print(json.dumps(answer))


def fetch(request: dict[str, Any]) -> dict[str, Any]:
    """Write the file, unless the server says that it is unchanged; returns the answer."""
    from pip._internal.commands import create_command

    command = create_command("download")
    options, _ = command.parse_args([*request["options"], "nothing"])
    digest = hashlib.sha256()
    # Without max-age, pip's own cache may answer in place of the server.
    headers = {"Accept-Encoding": "identity", "Cache-Control": "max-age=0"}
    if request["etag"]:
        headers["If-None-Match"] = request["etag"]
    with command._build_session(options) as session:
        response = session.get(request["url"], headers=headers, stream=True)
        response.raise_for_status()
        if response.status_code == 304:
            return {"unchanged": True}
        etag = response.headers.get("ETag", "")
        with open(request["path"], "wb") as file:
            for chunk in response.iter_content(1 << 18):
                digest.update(chunk)
                file.write(chunk)
    # A weak ETag may stay the same although bytes change.
    return {"sha256": digest.hexdigest(), "etag": "" if etag.startswith("W/") else etag}


if __name__ == "__main__":
    main()
