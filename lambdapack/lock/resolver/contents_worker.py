"""Reads the directories of wheels without the wheels: the zip's last bytes, with pip's session and finder.

    python -I contents_worker.py < REQUEST

REQUEST is a JSON object: ``tools`` (the folder of the driver's package), ``options`` (pip's, with those for
the target), ``pins`` (``name``, ``version``, ``hashes``). Prints a line of JSON a pin, in no order: ``name``,
``version`` and ``files`` (path, size, compressed, loaded), ``metadata`` and ``fetched`` (whether the whole
wheel had to be), or ``error``. Uses what pip-tools uses of pip, by the same names.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import struct
import sys
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

_CONNECTIONS = 6
_LARGE = 100_000
"""A shared object below this size is not looked into: stripping saves little of such."""
_HEAD = 4096
_PT_LOAD = 1


def main() -> None:
    """Answer one request."""
    request = json.load(sys.stdin)
    sys.path.insert(0, request["tools"])
    from pip._internal.cli.cmdoptions import make_target_python
    from pip._internal.commands import create_command

    command = create_command("download")
    options, _ = command.parse_args([*request["options"], "nothing"])
    with command._build_session(options) as session, ThreadPoolExecutor(_CONNECTIONS) as pool:
        finder = command._build_package_finder(
            options, session, target_python=make_target_python(options), ignore_requires_python=True
        )
        futures = [pool.submit(answer, session, finder, pin) for pin in request["pins"]]
        for future in as_completed(futures):
            print(json.dumps(future.result()), flush=True)


def answer(session: Any, finder: Any, pin: Any) -> Any:
    """What is in the wheel of ``pin``."""
    from pip._internal.exceptions import PipError
    from pip._vendor.requests.exceptions import RequestException

    about = {"name": pin["name"], "version": pin["version"]}
    try:
        link = find(finder, pin)
        if link is None:
            return {**about, "error": "the index has no wheel with a locked hash"}
        return {**about, **read(session, link)}
    except (RequestException, PipError, OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        return {**about, "error": "{}: {}".format(type(error).__name__, error)}


def find(finder: Any, pin: Any) -> Any:
    """The link to the file that ``pin`` names by its hash; a folder of wheels tells no hash beforehand."""
    wanted = set(pin["hashes"])
    candidates = [c for c in finder.find_all_candidates(pin["name"]) if str(c.version) == pin["version"]]
    for candidate in candidates:
        link = candidate.link
        if link.hash_name == "sha256" and "sha256:" + link.hash in wanted:
            return link
    for candidate in candidates:
        link = candidate.link
        if not link.hash and link.is_file and digest(link.file_path) in wanted:
            return link
    unhashed = [c.link for c in candidates if not c.link.hash and not c.link.is_file]
    return unhashed[0] if len(unhashed) == 1 else None


def digest(path: str) -> str:
    """The hash of a file, as in a lock."""
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while data := file.read(1 << 20):
            found.update(data)
    return "sha256:" + found.hexdigest()


def read(session: Any, link: Any) -> Any:
    """The directory of the wheel at ``link``: by ranges, else of the whole wheel."""
    fetches: Any = importlib.import_module("driver.fetches")
    if link.is_file:
        return directory(link.file_path, fetched=False)
    try:
        return directory(
            io.BufferedReader(fetches.RemoteFile(session, link.url_without_fragment)), fetched=False
        )
    except fetches.UNREADABLE:
        with tempfile.TemporaryFile() as file:
            answer = session.get(
                link.url_without_fragment, headers={"Accept-Encoding": "identity"}, stream=True
            )
            answer.raise_for_status()
            for chunk in answer.iter_content(1 << 18):
                file.write(chunk)
            return directory(file, fetched=True)


def directory(file: Any, *, fetched: bool) -> Any:
    """Name and sizes of each file, and the METADATA."""
    with zipfile.ZipFile(file) as wheel:
        entries = [entry for entry in wheel.infolist() if not entry.is_dir()]
        names = [e.filename for e in entries if e.filename.endswith(".dist-info/METADATA")]
        shortest = min(names, key=lambda name: name.count("/"))
        return {
            "files": [
                (entry.filename, entry.file_size, entry.compress_size, loaded(wheel, entry))
                for entry in entries
            ],
            "metadata": wheel.read(shortest).decode("utf-8", "replace"),
            "fetched": fetched,
        }


def loaded(wheel: Any, entry: Any) -> int:
    """Bytes up to the end of what a shared object's program headers load: debuggers' symbols lie behind."""
    size = int(entry.file_size)
    if size < _LARGE or ".so" not in entry.filename.rpartition("/")[2]:
        return size
    with wheel.open(entry) as file:
        head = file.read(_HEAD)
    # ELF, 64 bits, little-endian, as on both of Lambda's processors.
    if head[:6] != b"\x7fELF\x02\x01":
        return size
    (start,) = struct.unpack_from("<Q", head, 32)
    length, count = struct.unpack_from("<HH", head, 54)
    end = 0
    for at in range(start, min(start + length * count, len(head) - 55), length or 1):
        kind, _, offset, _, _, filled = struct.unpack_from("<IIQQQQ", head, at)
        if kind == _PT_LOAD:
            end = max(end, offset + filled)
    return end if 0 < end <= size else size


if __name__ == "__main__":
    main()
