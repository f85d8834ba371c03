"""Run in the image by its own Python, 3.8 to 3.15, standard library alone: where are shared libraries?

    python -I libraries_worker.py < REQUEST

REQUEST is JSON: ``ask``, a list of ``{"name", "folders"}``; or ``list``: true, for everything that a program
would find. Answers ``{name: [path, package, package URL]}``, searched as ld.so(8) does: LD_LIBRARY_PATH, the
folders (the RUNPATH of what needs it), the linker's cache, the default folders. Builds for newer processors
alone, which the cache names too, are left out.
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
    """Class, byte order and machine of an ELF file; empty for any other file."""
    try:
        with open(path, "rb") as file:
            data = file.read(_HEADER_BYTES)
    except OSError:
        return b""
    return data[4:6] + data[18:20] if data[:4] == b"\x7fELF" else b""


def output(command: list[str]) -> str:
    """What a command prints; empty where it fails."""
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
    paths: dict[str, list[str]] = {}
    for program in ("/sbin/ldconfig", "/usr/sbin/ldconfig", "ldconfig"):
        for line in output([program, "-p"]).splitlines():
            parts = _LINE.match(line)
            if parts and "hwcap" not in parts.group(2):
                paths.setdefault(parts.group(1), []).append(parts.group(3))
        if paths:
            break
    return paths


def configured(path: str = _CONFIGURATION, depth: int = 0) -> list[str]:
    """Folders that ld.so.conf names."""
    import glob

    folders = []
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.partition("#")[0].split() for line in file]
    except OSError:
        return []
    for words in lines:
        if words[:1] == ["include"] and depth < 4:
            for pattern in words[1:]:
                for included in sorted(glob.glob(os.path.join(os.path.dirname(path), pattern))):
                    folders += configured(included, depth + 1)
        elif words and words[0].startswith("/"):
            folders += words
    return folders


def package(path: str, release: str = "/etc/os-release") -> tuple[str, str]:
    """The package that owns a file, with its version, and its package URL; empty where that is unknown."""
    form = "%{NAME} %{VERSION}-%{RELEASE} %{ARCH} %{EPOCH}\n"
    fields = output(["rpm", "-qf", "--qf", form, path]).partition("\n")[0].split()
    if len(fields) == 4:
        name, version, arch, epoch = fields
        return name + "-" + version, package_url("rpm", [name, version, arch, epoch], release)
    for known in dict.fromkeys((path, os.path.realpath(path), path.replace("/usr/lib", "/lib", 1))):
        name = output(["dpkg-query", "-S", known]).partition(":")[0]
        if name:
            fields_of_deb = output(["dpkg-query", "-W", "-f", "${Version} ${Architecture}\n", name])
            version, _, arch = fields_of_deb.partition("\n")[0].partition(" ")
            if not version:
                return name, ""
            return name + "-" + version, package_url("deb", [name, version, arch, ""], release)
    return "", ""


def package_url(kind: str, fields: list[str], release: str) -> str:
    """``pkg:rpm/amzn/libgomp@11.5.0-5.amzn2023?arch=x86_64&distro=amzn-2023``, which scanners look up."""
    from urllib.parse import quote

    name, version, arch, epoch = fields
    system = operating_system(release)
    if "ID" not in system:
        return ""
    distro = "-".join(system[key] for key in ("ID", "VERSION_ID") if key in system)
    qualifiers = {"arch": arch, "distro": distro, "epoch": epoch if epoch.strip("0").isdigit() else ""}
    query = "&".join(key + "=" + quote(value, safe="") for key, value in qualifiers.items() if value)
    named = "/".join(quote(part, safe="") for part in (kind, system["ID"], name))
    return "pkg:" + named + "@" + quote(version, safe="") + "?" + query


def operating_system(path: str) -> dict[str, str]:
    """What os-release(5) says of the image."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            pairs = [line.strip().partition("=") for line in file]
    except OSError:
        return {}
    return {key: value.strip("\"'") for key, equals, value in pairs if equals and value.strip("\"'")}


def library_path() -> list[str]:
    """Absolute folders of LD_LIBRARY_PATH."""
    folders = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    return [folder for folder in folders if folder.startswith("/")]


def search(queries: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Path, package and package URL of each library that is anywhere, by name."""
    machine = header(sys.executable)
    cache = cached()
    last = [*configured(), *_DEFAULT]
    origins = {}
    for query in queries:
        name = query["name"]
        places = [os.path.join(folder, name) for folder in (*library_path(), *query["folders"])]
        places += cache.get(name, []) + [os.path.join(folder, name) for folder in last]
        for place in places:
            if header(place) == machine:
                path = os.path.realpath(place)
                origins[name] = [path, *package(path)]
                break
    return origins


def everything() -> dict[str, list[str]]:
    """All libraries that programs of this image find without a search path of their own."""
    names = set(cached())
    for folder in (*library_path(), *configured(), *_DEFAULT):
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
