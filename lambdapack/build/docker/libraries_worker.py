"""Run in the image by its own Python, 3.8 to 3.14, standard library alone: where are shared libraries?

    python -I libraries_worker.py < REQUEST

REQUEST is JSON: ``ask``, a list of ``{"name", "folders"}``; or ``list``: true, for everything that a program
would find. Answers ``{name: [path, package]}``, searched as ld.so(8) does: LD_LIBRARY_PATH, the folders (the
RUNPATH of what needs it), the linker's cache, the default folders. Builds for newer processors alone, which
the cache names too, are left out.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False

import json
import os
import re
import subprocess

if TYPE_CHECKING:
    from typing import Any

_LINE = re.compile(r"^\s+(\S+) \(([^)]*)\) => (\S+)$")
_CONFIGURATION = "/etc/ld.so.conf"
# Amazon Linux's, then Debian's.
_MULTIARCH = os.uname().machine + "-linux-gnu"
_DEFAULT = ("/lib64", "/usr/lib64", "/lib/" + _MULTIARCH, "/usr/lib/" + _MULTIARCH, "/lib", "/usr/lib")
_HEADER_BYTES = 20


def header(path: str) -> bytes:
    """Class, byte order and machine of an ELF file; nothing for any other."""
    try:
        with open(path, "rb") as file:
            data = file.read(_HEADER_BYTES)
    except OSError:
        return b""
    return data[4:6] + data[18:20] if data[:4] == b"\x7fELF" else b""


def said(command: list[str]) -> str:
    """What a command prints; nothing where it does not work."""
    plain = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=plain, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace") if done.returncode == 0 else ""


def cached() -> dict[str, list[str]]:
    """Soname -> paths, from the dynamic linker's cache."""
    found: dict[str, list[str]] = {}
    for program in ("/sbin/ldconfig", "/usr/sbin/ldconfig", "ldconfig"):
        for line in said([program, "-p"]).splitlines():
            parts = _LINE.match(line)
            if parts and "hwcap" not in parts.group(2):
                found.setdefault(parts.group(1), []).append(parts.group(3))
        if found:
            break
    return found


def configured(path: str = _CONFIGURATION, depth: int = 0) -> list[str]:
    """Folders that ld.so.conf names."""
    import glob

    found = []
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.partition("#")[0].split() for line in file]
    except OSError:
        return []
    for words in lines:
        if words[:1] == ["include"] and depth < 4:
            for pattern in words[1:]:
                for one in sorted(glob.glob(os.path.join(os.path.dirname(path), pattern))):
                    found += configured(one, depth + 1)
        elif words and words[0].startswith("/"):
            found += words
    return found


def package(path: str) -> str:
    """The package that owns a file, with its version; empty where nobody knows."""
    name = said(["rpm", "-qf", "--qf", "%{NAME}-%{VERSION}-%{RELEASE}", path])
    if name:
        return name
    for one in dict.fromkeys((path, os.path.realpath(path), path.replace("/usr/lib", "/lib", 1))):
        owner = said(["dpkg-query", "-S", one]).partition(":")[0]
        if owner:
            version = said(["dpkg-query", "-W", "-f", "${Version}", owner])
            return owner + "-" + version if version else owner
    return ""


def search(names: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Where each is, for those that are anywhere."""
    machine = header(sys.executable)
    cache = cached()
    first = [one for one in os.environ.get("LD_LIBRARY_PATH", "").split(":") if one.startswith("/")]
    last = [*configured(), *_DEFAULT]
    found = {}
    for one in names:
        name = one["name"]
        places = [os.path.join(folder, name) for folder in (*first, *one["folders"])]
        places += cache.get(name, []) + [os.path.join(folder, name) for folder in last]
        for place in places:
            if header(place) == machine:
                path = os.path.realpath(place)
                found[name] = [path, package(path)]
                break
    return found


def everything() -> dict[str, list[str]]:
    """All that programs of this image find without a search path of their own."""
    folders = [one for one in os.environ.get("LD_LIBRARY_PATH", "").split(":") if one.startswith("/")]
    names = set(cached())
    for folder in (*folders, *configured(), *_DEFAULT):
        try:
            names.update(name for name in os.listdir(folder) if ".so" in name)
        except OSError:
            continue
    return search([{"name": name, "folders": []} for name in sorted(names)])


def main() -> None:
    """Answer the request on standard input."""
    request = json.loads(sys.stdin.read())
    answer = everything() if request.get("list") else search(request["ask"])
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
