"""Small wheels and sdists, written from their description into a folder that pip can search."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import struct
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

MACHINES = {"x86_64": 62, "aarch64": 183, "EM_NONE": 0, "EM_386": 3, "EM_CUDA": 190}
KINDS = {"rel": 1, "exec": 2, "dyn": 3}


def wheel(
    folder: Path,
    name: str,
    version: str,
    *,
    needs: Sequence[str] = (),
    tag: str = "py3-none-any",
    files: Mapping[str, bytes] | None = None,
    python: str | None = None,
    entry_points: str | None = None,
    metadata_first: bool = False,
) -> Path:
    """Write a wheel; without ``files`` it holds one module of its own name."""
    plain = name.replace("-", "_")
    info = f"{plain}-{version}.dist-info"
    lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
    lines += [f"Requires-Dist: {need}" for need in needs]
    lines += [f"Provides-Extra: {extra}" for extra in re.findall(r"extra == '(\w+)'", " ".join(needs))]
    lines += [f"Requires-Python: {python}"] if python else []
    purelib = "true" if tag.endswith("-any") else "false"
    python_tags, abi, platforms = tag.split("-")
    tags = [f"Tag: {p}-{abi}-{platform}" for p in python_tags.split(".") for platform in platforms.split(".")]
    content = dict(files) if files is not None else {f"{plain}.py": b"VERSION = '%s'\n" % version.encode()}
    content[f"{info}/METADATA"] = ("\n".join(lines) + "\n").encode()
    head = f"Wheel-Version: 1.0\nRoot-Is-Purelib: {purelib}\n"
    content[f"{info}/WHEEL"] = (head + "\n".join(tags) + "\n").encode()
    if entry_points:
        content[f"{info}/entry_points.txt"] = entry_points.encode()
    content[f"{info}/RECORD"] = _record(content, f"{info}/RECORD")
    path = folder / f"{plain}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member in sorted(content, key=lambda m: m.startswith(info), reverse=metadata_first):
            archive.writestr(member, content[member])
    return path


def sdist(folder: Path, name: str, version: str) -> Path:
    """Write an sdist whose build would fail: it must never be tried."""
    path = folder / f"{name}-{version}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for member, text in {
            "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            "setup.py": "raise SystemExit('an sdist was built')\n",
        }.items():
            data = text.encode()
            entry = tarfile.TarInfo(f"{name}-{version}/{member}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def elf(machine: str, kind: str = "dyn") -> bytes:
    """The smallest sound ELF file for ``machine``, a shared object: a header and nothing else."""
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    return ident + struct.pack(
        "<HHIQQQIHHHHHH", KINDS[kind], MACHINES[machine], 1, 0, 0, 0, 0, 64, 56, 0, 64, 0, 0
    )


def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave this machine's configuration of pip out."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


def only_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make ``folder``, and let pip look nowhere else."""
    folder.mkdir()
    offline(monkeypatch)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def _record(content: Mapping[str, bytes], itself: str) -> bytes:
    rows = []
    for member, data in content.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.append(f"{member},sha256={digest},{len(data)}")
    return "\n".join([*rows, f"{itself},,", ""]).encode()
