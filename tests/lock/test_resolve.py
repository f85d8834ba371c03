"""lambdapack.lock.resolve: real resolutions by pip-tools, against a folder of small wheels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from lambdapack.errors import ConfigurationError, LambdapackError, ToolError
from lambdapack.lock import LockOptions, read_requirements, resolve
from lambdapack.model import Lock
from lambdapack.model.target import Target
from lambdapack.python import interpreter, toolchain, wheel_tags
from tests.support.locking import RUNNING, TARGET, versions
from tests.support.told import Told
from tests.support.wheelhouse import only_place, sdist, wheel

ABI = "cp{}{}".format(*TARGET.version)
OLD_GLIBC = Target("3.11")
TAG = f"{ABI}-{ABI}"


class World:
    """A folder of wheels, and the resolver that sees nothing else."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        self.cache = cache
        self.told = Told()

    def lock(self, *asked: str, target: Target = TARGET, **options: object) -> Lock:
        return resolve(
            read_requirements(asked, []),
            target,
            interpreter.find(target.python),
            options=LockOptions(**options),  # type: ignore[arg-type]
            cache_dir=self.cache,
            progress=self.told,
        )

    def error(self, *asked: str, target: Target = TARGET, **options: object) -> LambdapackError:
        with pytest.raises(LambdapackError) as caught:
            self.lock(*asked, target=target, **options)
        return caught.value


@pytest.fixture
def world(tmp_path: Path, lambdapack_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    # The tools come from the configured registry, before it is shut off.
    toolchain.ensure(RUNNING, lambdapack_cache)
    if OLD_GLIBC.python != RUNNING.python:
        toolchain.ensure(interpreter.find(OLD_GLIBC.python), lambdapack_cache)
    yield World(only_place(tmp_path / "wheels", monkeypatch), lambdapack_cache)


def test_pins_and_hashes_what_is_needed(world: World) -> None:
    """A lock holds the newest set that fits, dependencies too, each with the hash of its one file."""
    wheel(world.folder, "top", "1", needs=["Under_Neath>=1", "gone; python_version < '3'"])
    wheel(world.folder, "under-neath", "1")
    path = wheel(world.folder, "under-neath", "2")
    wheel(world.folder, "under-neath", "2", tag="cp36-cp36m-manylinux1_x86_64")
    lock = world.lock("top")
    assert versions(lock) == {"top": "1", "under-neath": "2"}
    assert lock.requested == ("top",)
    assert lock.pins[1].hashes == (f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}",)
    assert (lock.target, lock.glibc) == (TARGET, TARGET.glibc)


def test_the_same_question_has_the_same_digest(world: World, tmp_path: Path) -> None:
    """A lock depends on the requirements and the index, not on order, folder or an earlier run."""
    for name in ("a", "b", "c"):
        wheel(world.folder, name, "1")
    first = world.lock("a", "b", "c")
    second = World(world.folder, world.cache).lock("c", "b", "a")
    assert first.digest == second.digest


def test_tools_that_packages_depend_on_stay(world: World) -> None:
    """setuptools is a dependency like any other where something depends on it."""
    wheel(world.folder, "app", "1", needs=["setuptools"])
    wheel(world.folder, "setuptools", "70")
    assert versions(world.lock("app")) == {"app": "1", "setuptools": "70"}


def test_extras_constraints_and_hashes_are_respected(world: World, tmp_path: Path) -> None:
    """Extras add their dependencies, -c limits versions, and a hash in the input chooses the file."""
    wheel(world.folder, "app", "1", needs=["plain", "fancy; extra == 'pretty'"])
    wheel(world.folder, "fancy", "1")
    wheel(world.folder, "fancy", "2")
    plain = wheel(world.folder, "plain", "1")
    digest = hashlib.sha256(plain.read_bytes()).hexdigest()
    (tmp_path / "limits.txt").write_text("fancy<2\n")
    (tmp_path / "r.txt").write_text(f"app[pretty]\n-c limits.txt\nplain==1 --hash=sha256:{digest}\n")
    lock = resolve(
        read_requirements([], [tmp_path / "r.txt"]),
        TARGET,
        RUNNING,
        cache_dir=world.cache,
        progress=world.told,
    )
    assert versions(lock) == {"app": "1", "fancy": "1", "plain": "1"}
    (tmp_path / "r.txt").write_text(f"plain==1 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(ConfigurationError, match="none of the hashes of plain"):
        resolve(read_requirements([], [tmp_path / "r.txt"]), TARGET, RUNNING, cache_dir=world.cache)


def test_the_architecture_is_the_targets(world: World) -> None:
    """Wheels and markers are those of the target's architecture, whatever this machine is."""
    for machine, system in (("x86_64", "amd"), ("aarch64", "arm")):
        wheel(world.folder, "app", "1", tag=f"{TAG}-manylinux2014_{machine}",
              needs=[f"for-{system}; platform_machine == '{machine}'"])  # fmt: skip
        wheel(world.folder, f"for-{system}", "1")
    assert set(versions(world.lock("app"))) == {"app", "for-amd"}
    assert set(versions(world.lock("app", target=Target(TARGET.python, "arm64")))) == {"app", "for-arm"}


def test_the_c_library_is_the_runtimes(world: World) -> None:
    """A wheel for a newer glibc than the runtime's is passed over for an older version that fits."""
    abi = "cp311-cp311"
    wheel(world.folder, "app", "2", tag=f"{abi}-manylinux_2_28_x86_64")
    wheel(world.folder, "app", "1", tag=f"{abi}-manylinux_2_17_x86_64")
    assert versions(world.lock("app", target=OLD_GLIBC)) == {"app": "1"}
    assert versions(world.lock("app", target=OLD_GLIBC, glibc=(2, 28))) == {"app": "2"}
    assert world.told.warnings == []


def test_a_newer_c_library_is_the_last_resort(world: World) -> None:
    """Where nothing fits the runtime's glibc, the lock is made for a container image, with a warning."""
    wheel(world.folder, "app", "2", tag="cp311-cp311-manylinux_2_28_x86_64")
    lock = world.lock("app", target=OLD_GLIBC)
    assert (lock.glibc, versions(lock)) == ((2, 34), {"app": "2"})
    assert "not as a zip on python3.11" in world.told.warnings[0]
    assert "--python 3.12" in world.told.warnings[0]
    error = world.error("app", target=OLD_GLIBC, glibc=(2, 26))
    assert "a wheel for glibc 2.28 or newer" in error.message
    assert "--glibc 2.28" in str(error.hint)


def test_an_excluded_package_takes_its_own_dependencies_along(world: World) -> None:
    """Excluding a package drops it and what only it needs; what others need stays."""
    wheel(world.folder, "app", "1", needs=["boto3", "shared"])
    wheel(world.folder, "boto3", "1", needs=["botocore", "shared"])
    wheel(world.folder, "botocore", "1")
    wheel(world.folder, "shared", "1")
    assert set(versions(world.lock("app", exclude=frozenset({"Boto3"})))) == {"app", "shared"}
    assert "nothing is left" in world.error("boto3", exclude=frozenset({"boto3", "shared"})).message


def test_cuda_is_refused(world: World) -> None:
    """A resolution that needs CUDA, with no build for the CPU alone, is refused with the ways out."""
    wheel(world.folder, "torch", "2.1", needs=["nvidia-cublas-cu12==12", "triton"])
    wheel(world.folder, "nvidia-cublas-cu12", "12")
    wheel(world.folder, "triton", "3")
    error = world.error("torch")
    assert isinstance(error, ConfigurationError)
    assert "torch needs CUDA (nvidia-cublas-cu12, triton)" in error.message
    assert "+cpu" in str(error.hint)
    lock = world.lock("torch", exclude=frozenset({"nvidia-cublas-cu12", "triton"}))
    assert versions(lock) == {"torch": "2.1"}


def test_a_build_for_the_cpu_is_preferred_to_cuda(world: World) -> None:
    """Where pip can find +cpu builds, the newest that the requirements allow is taken, and said."""
    wheel(world.folder, "torch", "2.3", needs=["nvidia-cublas-cu12"])
    wheel(world.folder, "nvidia-cublas-cu12", "12")
    for version in ("2.1+cpu", "2.2+cpu"):
        wheel(world.folder, "torch", version)
    wheel(world.folder, "vision", "1", needs=["torch"])
    assert versions(world.lock("vision")) == {"torch": "2.2+cpu", "vision": "1"}
    assert "torch==2.2+cpu" in world.told.notes[0]
    assert versions(world.lock("torch<2.2"))["torch"] == "2.1+cpu"
    assert "needs CUDA" in world.error("torch>=2.3").message


def test_cuda_alone_makes_the_newer_c_library_worth_a_try(world: World) -> None:
    """A +cpu build that needs a newer glibc beats a CUDA build that fits the runtime's."""
    wheel(world.folder, "torch", "2.0", needs=["nvidia-x"], tag="cp311-cp311-manylinux1_x86_64")
    wheel(world.folder, "nvidia-x", "1")
    wheel(world.folder, "torch", "2.1+cpu", tag="cp311-cp311-manylinux_2_28_x86_64")
    lock = world.lock("torch", target=OLD_GLIBC)
    assert (lock.glibc, versions(lock)) == ((2, 34), {"torch": "2.1+cpu"})
    assert "CUDA alone" in world.told.warnings[0]
    assert "needs CUDA" in world.error("torch", target=OLD_GLIBC, glibc=(2, 26)).message


def test_an_unknown_package_is_named(world: World) -> None:
    """A name that no index knows is named, with who wants it."""
    wheel(world.folder, "app", "1", needs=["no-such-thing"])
    assert "no package 'no-such-thing' in the package index (wanted by app 1)" in world.error("app").message
    assert "(wanted by the command line)" in world.error("nothing-at-all").message


def test_an_impossible_pin_lists_the_nearest_versions(world: World) -> None:
    """A version that does not exist is answered with those around it and the newest."""
    for number in range(1, 10):
        wheel(world.folder, "app", f"1.{number}")
    message = world.error("app==1.4.5").message
    assert "there are: 1.2, 1.3, 1.4, 1.5, 1.6, 1.7; the newest is 1.9" in message


def test_an_sdist_alone_is_not_built(world: World) -> None:
    """A dependency that has no wheel is named, with the builder that can build it; nothing is built."""
    wheel(world.folder, "app", "1", needs=["rough"])
    sdist(world.folder, "rough", "1.0")
    error = world.error("app")
    assert "rough 1.0 has no wheel" in error.message
    assert "only an sdist" in error.message
    assert "(wanted by app 1)" in error.message
    assert "--builder docker" in str(error.hint)


@pytest.mark.parametrize(
    ("tag", "said", "way"),
    [
        ("cp39-cp39-manylinux2014_x86_64", "a wheel for Python 3.9", "--python 3.9"),
        (f"{TAG}-manylinux2014_aarch64", "a wheel for arm64", "--arch arm64"),
        (f"{TAG}-manylinux_2_39_x86_64", "a wheel for glibc 2.39 or newer", "--glibc 2.39"),
        (f"{TAG}-win_amd64", "a wheel for Windows", "another version"),
        (f"{TAG}-musllinux_1_2_x86_64", "a wheel for musl (Alpine)", "another version"),
        ("cp27-cp27m-manylinux1_x86_64", "a wheel for cp27", "another version"),
    ],
)
def test_wheels_for_something_else_are_described(world: World, tag: str, said: str, way: str) -> None:
    """What there is instead of a fitting wheel is said in words, with the option that would take it."""
    wheel(world.folder, "app", "1", tag=tag)
    error = world.error("app")
    assert said in error.message
    assert way in str(error.hint)


def test_a_conflict_names_who_wants_what(world: World) -> None:
    """Two wishes that exclude each other are both shown, with who has them."""
    wheel(world.folder, "left", "1", needs=["shared<2"])
    wheel(world.folder, "right", "1", needs=["shared>=2"])
    wheel(world.folder, "shared", "1")
    wheel(world.folder, "shared", "2")
    message = world.error("left", "right").message
    assert "no version of shared satisfies everybody" in message
    assert "left 1 wants shared<2" in message
    assert "right 1 wants shared>=2" in message


def test_a_conflict_is_one_even_where_a_version_has_no_wheel(world: World) -> None:
    """Wishes that no version meets are a conflict, not a missing wheel of the version that one allows."""
    wheel(world.folder, "shared", "2")
    wheel(world.folder, "shared", "1", tag="cp27-cp27m-manylinux1_x86_64")
    message = world.error("shared>=2", "shared<2").message
    assert "no version of shared satisfies everybody" in message


def test_a_conflict_with_a_constraint_names_it(world: World, tmp_path: Path) -> None:
    """A constraint that leaves nothing is named by its file and line; pip's own constraints count too."""
    wheel(world.folder, "app", "2")
    (tmp_path / "limits.txt").write_text("# ours\napp<2\n")
    (tmp_path / "r.txt").write_text("app>=2\n-c limits.txt\n")
    with pytest.raises(ConfigurationError, match=r"conflicts with .*limits\.txt:2"):
        resolve(read_requirements([], [tmp_path / "r.txt"]), TARGET, RUNNING, cache_dir=world.cache)


def test_pips_own_constraints_count(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A constraint file in pip's configuration limits the lock, as it will limit the installation."""
    wheel(world.folder, "app", "1")
    wheel(world.folder, "app", "2")
    (tmp_path / "site.txt").write_text("app<2\n")
    monkeypatch.setenv("PIP_CONSTRAINT", str(tmp_path / "site.txt"))
    assert versions(world.lock("app")) == {"app": "1"}


def test_a_package_for_another_python_says_so(world: World) -> None:
    """Requires-Python that excludes the target is told apart from a missing wheel."""
    wheel(world.folder, "app", "1", python="<3.6")
    assert "needs Python <3.6" in world.error("app").message


def test_an_index_that_cannot_be_reached_is_a_network_failure(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No answer is not 'no such package': exit status 3, even where another index has something."""
    wheel(world.folder, "app", "1")
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    for name in ("app", "other"):
        error = world.error(name)
        assert isinstance(error, ToolError)
        assert "could not be reached" in error.message
        assert len(str(error.detail).splitlines()) <= 6


def test_the_interpreter_must_be_of_the_targets_version(world: World) -> None:
    """Markers differ between versions, so another Python's answer would be wrong."""
    other = "3.12" if TARGET.python != "3.12" else "3.11"
    with pytest.raises(ConfigurationError, match=f"needs Python {other}"):
        resolve(read_requirements(["a"], []), Target(other), RUNNING, cache_dir=world.cache)


def test_tools_half_installed_are_not_trusted(tmp_path: Path) -> None:
    """A folder left by a killed installation is replaced; a finished one is taken as it is."""
    part = tmp_path / "tools" / ".lambdapack-new-killed" / "new"
    part.mkdir(parents=True)
    (part / "half").write_text("")
    fresh = toolchain.ensure(RUNNING, tmp_path)
    assert fresh.is_dir()
    assert not part.exists()
    assert not (fresh / "half").exists()
    assert {p.name for p in fresh.glob("piptools")} == {"piptools"}


def test_the_real_registry_has_numpy_for_both_c_libraries(lambdapack_cache: Path) -> None:
    """numpy for python3.11 (glibc 2.26) is older than for the same Python with glibc 2.34, and fits."""
    requirements = read_requirements(["numpy"], [])
    python = interpreter.find("3.11")
    old = resolve(requirements, OLD_GLIBC, python, cache_dir=lambdapack_cache)
    new = resolve(requirements, OLD_GLIBC, python, options=LockOptions((2, 34)), cache_dir=lambdapack_cache)
    assert old.glibc == (2, 26)
    assert tuple(map(int, versions(old)["numpy"].split("."))) < tuple(
        map(int, versions(new)["numpy"].split("."))
    )


@pytest.mark.parametrize("arch", ["x86_64", "arm64"])
def test_platform_tags_end_at_the_c_library(arch: str) -> None:
    """Every manylinux tag up to the glibc is allowed and none above it; musl never is."""
    target = Target("3.12", arch)
    machine = target.machine
    assert wheel_tags.fits(f"a-1-cp312-cp312-manylinux_2_34_{machine}.whl", target, (2, 34))
    assert wheel_tags.fits(f"a-1-cp37-abi3-manylinux2014_{machine}.whl", target, (2, 26))
    assert wheel_tags.fits("a-1-py3-none-any.whl", target, (2, 26))
    assert not wheel_tags.fits(f"a-1-cp312-cp312-manylinux_2_35_{machine}.whl", target, (2, 34))
    assert not wheel_tags.fits(f"a-1-cp312-cp312-musllinux_1_2_{machine}.whl", target, (2, 34))
    assert not wheel_tags.fits("a-1.tar.gz", target, (2, 34))
