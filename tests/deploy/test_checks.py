"""What is refused before AWS is asked: here, packs for a newer C library than the runtime's."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from lambdapack import elf
from lambdapack.deploy.checks import check_glibc, check_spec, packed_index
from lambdapack.errors import CheckError, ConfigurationError
from lambdapack.model import FunctionAsset, FunctionSpec, Location
from lambdapack.model.target import Target
from runtime_shim._index import Index


def make_index(glibc: str, paths: list[str], classes: str) -> Index:
    zeros = [0] * len(paths)
    return Index(
        target="python3.11/x86_64", lock="0" * 64, tool="test", glibc=glibc, hot=1, eager=1,
        frame_stored=[10], frame_size=[1024], frame_sha256=["0" * 64], paths=paths, classes=classes,
        sizes=zeros, offsets=zeros,
        executable=[], needs={}, native={},
    )  # fmt: skip


def spec(python: str = "3.11") -> FunctionSpec:
    return FunctionSpec("demo", "app.handler", Target(python), Path("function.zip"), None, None)


def test_what_has_no_place_in_s3_is_refused(tmp_path: Path) -> None:
    """A pack and each asset that a function would have to look for, all in one message."""
    asset = FunctionAsset("model", "a" * 64, tmp_path, tmp_path, None)
    function = replace(spec(), pack_id="b" * 64, assets=(asset,))
    with pytest.raises(ConfigurationError) as caught:
        check_spec(function)
    assert caught.value.message == (
        f"deploying demo: there is no zip at function.zip; pack {'b' * 64} has no place in S3 (lambdapack "
        "push gives it one); the asset model has no place in S3 (lambdapack push gives it one)"
    )


@pytest.mark.parametrize(("count", "taken"), [(20, True), (21, False)])
def test_as_many_assets_are_taken_as_a_policy_holds(tmp_path: Path, count: int, taken: bool) -> None:
    """Twenty; one more is refused with what helps."""
    (tmp_path / "function.zip").touch()
    location = Location("bucket", "key", "eu-west-1")
    assets = tuple(FunctionAsset(f"a{n}", "a" * 64, tmp_path, tmp_path, location) for n in range(count))
    function = replace(spec(), zip_path=tmp_path / "function.zip", assets=assets)
    if taken:
        check_spec(function)
    else:
        with pytest.raises(ConfigurationError, match="21 assets, more than 20: join some into folders"):
            check_spec(function)


def extension() -> bytes:
    """A real shared object."""
    folder = Path(zstandard.__file__).parent
    return next(folder.glob("backend_c.*.so")).read_bytes()


@pytest.mark.parametrize(
    ("glibc", "python", "loads"),
    [("", "3.11", True), ("2.26", "3.11", True), ("2.27", "3.11", False), ("2.34", "3.12", True),
     ("2.35", "3.12", False), ("2.9", "3.11", True)],
)  # fmt: skip
def test_glibc_is_compared_by_number(glibc: str, python: str, loads: bool) -> None:
    """python3.10 and 3.11 have glibc 2.26, later ones 2.34; 2.9 is older than both."""
    index = make_index(glibc, [], "")
    if loads:
        check_glibc(spec(python), index)
    else:
        with pytest.raises(CheckError, match=f"asks for glibc {glibc}") as caught:
            check_glibc(spec(python), index)
        assert "--python 3.12" in (caught.value.hint or "")


def test_files_that_ask_for_too_much_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the pack at hand, the message names the shared objects and what each asks for."""
    data = extension()
    (tmp_path / "x.so").write_bytes(data)
    needs = elf.read(tmp_path / "x.so").glibc
    assert needs is not None
    monkeypatch.setattr(Target, "glibc", (needs[0], needs[1] - 1))
    pack = tmp_path / "pack.tar.zst"
    pack.write_bytes(make_pack({"b/native.so": data, "a/data.bin": data, "a/native.so": data}))
    version = ".".join(map(str, needs))
    index = make_index(version, ["b/native.so", "a/data.bin", "a/native.so"], "xdx")
    with pytest.raises(CheckError) as caught:
        check_glibc(spec(), index, pack)
    assert f"(a/native.so {version}, b/native.so {version})" in caught.value.message
    pack.write_bytes(pack.read_bytes()[:100])
    with pytest.raises(CheckError, match=f"asks for glibc {version},"):
        check_glibc(spec(), index, pack)


def make_pack(files: dict[str, bytes]) -> bytes:
    """Two zstd frames and a skippable one, as a pack has them."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    stream = buffer.getvalue()
    half = len(stream) // 2
    skippable = (0x184D2A50).to_bytes(4, "little") + (4).to_bytes(4, "little") + b"skip"
    return zstandard.compress(stream[:half]) + zstandard.compress(stream[half:]) + skippable


def test_what_is_not_a_zip_is_a_configuration_error(tmp_path: Path) -> None:
    """A file that is no function's zip is named."""
    path = tmp_path / "function.zip"
    path.write_bytes(b"not a zip")
    with pytest.raises(ConfigurationError, match="is not a function's zip"):
        packed_index(path)
