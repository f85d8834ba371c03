"""This machine's end of the line to a container: hands secrets in, and local folders out on request."""

from __future__ import annotations

import json
import mimetypes
import os
import re
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from html import escape, unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

_FRAME = struct.Struct(">BxxxL")
_STDOUT = 1
_SECONDS_TO_BEGIN = 120
_CHUNK = 1 << 18
_COMPLAINT = 2000
_ARCHIVES = (".whl", ".tar.gz", ".zip", ".tar.bz2", ".tgz", ".tar.xz")
_LINK = re.compile(rb"href\s*=\s*[\"']([^\"']+)", re.IGNORECASE)
_FILE_LINK = re.compile(rb"file://(/[^\"'\s>]*)", re.IGNORECASE)


class Relay:
    """Speaks with ``relay_worker`` over the container's standard streams.

    Args:
        stream: The socket that the engine attached.
        folders: Local folders that pip may see; ``True`` for an index, ``False`` for a folder of files.
            Beside them only what the pages of an index link to is handed out.
        secrets: The container's folder for secrets.

    Attributes:
        python, version, machine: Of the container's Python: its path, its version and its processor.
        complaint: The last that the container wrote to its standard error.
    """

    def __init__(self, stream: Any, folders: Mapping[Path, bool], secrets: str) -> None:
        self.python = ""
        self.version = ""
        self.machine = ""
        self.complaint = ""
        self._stream = stream
        self._folders = {path.resolve(): index for path, index in folders.items()}
        self._secrets = secrets
        self._prefix = ""
        self._linked: set[str] = set()
        self._heard = threading.Condition()
        self._kept: set[str] = set()
        self._ended = False
        self._thread = threading.Thread(target=self._listen, name="lambdapack-relay", daemon=True)

    def begin(self) -> bool:
        """Wait for the container's first message; ``False`` where the container ended without a message."""
        self._thread.start()
        with self._heard:
            self._heard.wait_for(lambda: self._ended or self._prefix, _SECONDS_TO_BEGIN)
        return bool(self._prefix)

    def keep(self, name: str, content: bytes) -> str:
        """Write a file that only the container's memory holds; returns the path there."""
        with self._heard:
            self._kept.discard(name)
        self._send({"event": "keep", "name": name, "length": len(content)}, [content])
        with self._heard:
            self._heard.wait_for(lambda: self._ended or name in self._kept, _SECONDS_TO_BEGIN)
        return f"{self._secrets}/{name}"

    def url(self, path: Path) -> str:
        """The address by which the container gets the local ``path``."""
        return self._prefix + quote(str(path.resolve()))

    def unmasked(self, text: str) -> str:
        """``text`` with the relay's addresses written as what they stand for."""
        return text.replace(self._prefix, "file://") if self._prefix else text

    def close(self) -> None:
        """Let the container end."""
        self._ended = True
        with suppress(OSError):
            self._stream.close()

    def _listen(self) -> None:
        try:
            # The errors of a stream that either side closed.
            with suppress(OSError, ValueError):
                for message in self._messages():
                    self._heed(message)
        finally:
            self._end()

    def _end(self) -> None:
        with self._heard:
            self._ended = True
            self._heard.notify_all()

    def _heed(self, message: Mapping[str, Any]) -> None:
        if message["event"] == "get":
            self._answer(str(message["path"]), message["range"])
            return
        with self._heard:
            if message["event"] == "kept":
                self._kept.add(str(message["name"]))
            else:
                self.python, self.version = str(message["python"]), str(message["version"])
                self.machine = str(message["machine"])
                self._prefix = f"http://127.0.0.1:{message['port']}/{message['token']}"
            self._heard.notify_all()

    def _messages(self) -> Iterator[Mapping[str, Any]]:
        """Lines of the container's standard output; its standard error goes to ``complaint``."""
        pending = b""
        while head := self._read(_FRAME.size):
            stream, length = _FRAME.unpack(head)
            data = self._read(length)
            if stream != _STDOUT:
                self.complaint = (self.complaint + data.decode(errors="replace"))[-_COMPLAINT:]
                continue
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                yield json.loads(line)

    def _read(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            recv = getattr(self._stream, "recv", None) or self._stream.read
            piece: bytes = recv(length - len(data))
            if not piece:
                return b""
            data += piece
        return data

    def _send(self, head: Mapping[str, Any], body: Iterator[bytes] | list[bytes]) -> None:
        # SocketIO writes what fits; the socket behind it writes everything.
        socket = getattr(self._stream, "_sock", self._stream)
        try:
            socket.sendall(json.dumps(head).encode() + b"\n")
            for data in body:
                socket.sendall(data)
        except OSError:
            self._end()

    def _answer(self, asked: str, wanted: str | None) -> None:
        path = Path(os.path.normpath(unquote(asked.partition("?")[0])))
        page = self._page(path)
        linked = str(path).removesuffix(".metadata") in self._linked
        if page is not None:
            self._reply(200, {"Content-Type": "text/html"}, len(page), [page])
        elif (linked or self._root(path) is not None) and path.is_file():
            self._file(path, wanted)
        else:
            self._reply(404, {}, 0, [])

    def _reply(
        self, status: int, headers: Mapping[str, str], length: int, body: Iterator[bytes] | list[bytes]
    ) -> None:
        self._send({"event": "answer", "status": status, "headers": headers, "length": length}, body)

    def _root(self, path: Path) -> Path | None:
        resolved = path.resolve()
        return next((root for root in self._folders if resolved.is_relative_to(root)), None)

    def _page(self, path: Path) -> bytes | None:
        """The page of an index, or the list of a folder; ``None`` where ``path`` is neither."""
        root = self._root(path)
        if root is None:
            return None
        index = path / "index.html" if path.is_dir() else path
        if index.is_file() and index.suffix in (".html", ".htm"):
            page = index.read_bytes()
            self._linked.update(_targets(page, index.parent))
            prefix = self._prefix.encode()
            return _FILE_LINK.sub(lambda match: prefix + match[1], page)
        if not path.is_dir() or self._folders[root]:
            return None
        names = sorted(file.name for file in path.iterdir() if file.name.endswith(_ARCHIVES))
        # Without the slash at the end of a page's address, a relative link would lead elsewhere.
        links = (f'<a href="{self.url(path)}/{quote(name)}">{escape(name)}</a>\n' for name in names)
        return f"<!DOCTYPE html><html><body>\n{''.join(links)}</body></html>\n".encode()

    def _file(self, path: Path, wanted: str | None) -> None:
        size = path.stat().st_size
        headers = {
            "Content-Type": mimetypes.guess_type(path.name)[0] or "application/octet-stream",
            "Accept-Ranges": "bytes",
        }
        part = re.fullmatch(r"bytes=(\d*)-(\d*)", wanted or "")
        if part is None or not (part[1] or part[2]):
            self._reply(200, headers, size, _pieces(path, 0, size))
            return
        start = int(part[1]) if part[1] else max(0, size - int(part[2]))
        stop = min(size, int(part[2]) + 1) if part[1] and part[2] else size
        if start >= stop:
            self._reply(416, {"Content-Range": f"bytes */{size}"}, 0, [])
            return
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        self._reply(206, headers, stop - start, _pieces(path, start, stop))


def _targets(page: bytes, folder: Path) -> Iterator[str]:
    """Local paths that a page links to."""
    for match in _LINK.finditer(page):
        link = unquote(unescape(match[1].decode(errors="replace")).partition("#")[0].partition("?")[0])
        local = link[len("file://") :] if link.startswith("file://") else link
        if "://" not in local:
            yield os.path.normpath(folder / local)


def _pieces(path: Path, start: int, stop: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while start < stop and (data := file.read(min(_CHUNK, stop - start))):
            start += len(data)
            yield data
