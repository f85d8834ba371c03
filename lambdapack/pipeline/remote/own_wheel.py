"""The lambdapack that runs here as a wheel, so that the very same one runs elsewhere."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import zipfile
from importlib import metadata
from pathlib import Path

from lambdapack.errors import ConfigurationError
from lambdapack.files import walk

_NAME = "lambdapack"
_PACKAGES = ("lambdapack", "runtime_shim", "build_images")
_WHEEL = "Wheel-Version: 1.0\nGenerator: lambdapack\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_FIXED_TIME = (1980, 1, 1, 0, 0, 0)


def write_wheel(folder: Path) -> Path:
    """Write a wheel of the packages that this process runs into ``folder``; the same bytes every time.

    The files are those that this process imports, whether they were installed or lie in a checkout. What
    they need, and how the commands are called, is what the installation says.

    Raises:
        ConfigurationError: lambdapack is not installed, so that nothing says what it needs.
    """
    try:
        installed = metadata.distribution(_NAME)
    except metadata.PackageNotFoundError:
        raise ConfigurationError(
            "sending lambdapack to where the build runs: it is not installed here, so nothing says what it "
            "needs",
            hint="install it: pip install lambdapack, or pip install -e . in a checkout",
        ) from None
    info = f"{_NAME}-{installed.version}.dist-info"
    contents = {name: path.read_bytes() for name, path in _modules().items()}
    for name in ("METADATA", "entry_points.txt"):
        contents[f"{info}/{name}"] = (installed.read_text(name) or "").encode()
    contents[f"{info}/WHEEL"] = _WHEEL.encode()
    record = [f"{name},{_hash(data)},{len(data)}\n" for name, data in sorted(contents.items())]
    contents[f"{info}/RECORD"] = "".join([*record, f"{info}/RECORD,,\n"]).encode()
    path = folder / f"{_NAME}-{installed.version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(contents.items()):
            archive.writestr(entry(name), data)
    return path


def entry(name: str, *, executable: bool = False) -> zipfile.ZipInfo:
    """A file in a zip whose bytes depend on nothing but its content."""
    info = zipfile.ZipInfo(name, _FIXED_TIME)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = (0o100755 if executable else 0o100644) << 16
    # A zip says on which system it was made; it is the same one everywhere.
    info.create_system = 3
    return info


def _modules() -> dict[str, Path]:
    """Name in the wheel -> file, of the packages as this process imports them."""
    found = {}
    for package in _PACKAGES:
        spec = importlib.util.find_spec(package)
        for root in map(Path, (spec and spec.submodule_search_locations) or ()):
            for name in walk(root):
                if "__pycache__/" not in name:
                    found[f"{package}/{name}"] = root / name
    return found


def _hash(data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()
    return f"sha256={digest.rstrip('=')}"
