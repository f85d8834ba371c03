"""Binaries for another machine: refused where something would load them, after slimming, and nowhere else."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import pytest

from lambdapack.elf import read
from lambdapack.errors import ToolError
from lambdapack.install import LocalWorkshop, check_binaries, portable_files
from lambdapack.model import Lock, Trace, Tree
from lambdapack.model.target import Target
from lambdapack.pipeline.options import BuildOptions
from lambdapack.slim import SlimOptions, SlimResult, slim
from lambdapack.trace import Program, TraceOptions
from tests.support.installed import OWN, make_tree, own
from tests.support.system_libraries import compile_c
from tests.support.told import Told
from tests.support.wheelhouse import MACHINES, elf

OWN_MACHINE = own().machine
HERE = Target(OWN, "x86_64" if OWN_MACHINE == "x86_64" else "arm64")
OTHER = "aarch64" if OWN_MACHINE == "x86_64" else "x86_64"
SUFFIX = f".{HERE.cache_tag}-{HERE.machine}-linux-gnu.so"
Files = Mapping[str, str | bytes]


def installed(root: Path, files: Files, tag: str = "cp312-cp312-manylinux2014_x86_64") -> Tree:
    """A tree of one distribution from a wheel of that tag."""
    wheel = {"pkg-1.dist-info/WHEEL": f"Wheel-Version: 1.0\nTag: {tag}\n"}
    return make_tree(root, {"pkg": {"pkg/__init__.py": "", **wheel, **files}}, HERE)


def checked(root: Path, files: Files, tag: str = "cp312-cp312-manylinux2014_x86_64") -> list[str]:
    """What is warned of."""
    told = Told()
    tree = installed(root, files, tag)
    check_binaries(tree, portable=portable_files(tree), glibc=(2, 26), progress=told)
    return told.warnings


def slimmed(tree: Tree, work: Path, *, code: str = "pass", drop: tuple[str, ...] = ()) -> SlimResult:
    """What a build does with a tree."""
    work.mkdir()
    build = BuildOptions((), (), tree.target, work / "out", trace=TraceOptions(code=code))
    program = Program(
        build.trace, Lock(tree.target, (2, 26), (), ()), LocalWorkshop(own(), work), work, Told()
    )
    trace = program.trace(tree) if code != "pass" else Trace((), frozenset(), "traced", code)
    return slim(tree, trace, SlimOptions(drop=drop), program=program, work=work, progress=Told())


@pytest.mark.parametrize("name", [f"pkg/x{SUFFIX}", "pkg/x.abi3.so", "pkg/x.so"])
def test_an_extension_for_another_machine_is_refused(name: str, tmp_path: Path) -> None:
    """Whatever of the target's suffixes it has; the error names file, machine, target and way out."""
    with pytest.raises(ToolError, match=f"is for {OTHER}, and the pack is for {HERE}") as caught:
        checked(tmp_path / "tree", {name: elf(OTHER)})
    assert name in caught.value.message
    assert f"--drop '{name}'" in str(caught.value.hint)


def test_a_damaged_extension_is_refused_and_other_damage_is_not(tmp_path: Path) -> None:
    """A file in ELF form that is cut short matters where Python would import it."""
    assert checked(tmp_path / "data", {"pkg/core.1234": elf(OWN_MACHINE)[:40]}) == []
    with pytest.raises(ToolError, match="is not a sound ELF file"):
        checked(tmp_path / "code", {"pkg/x.so": elf(OWN_MACHINE)[:40]})


def test_what_an_object_needs_is_refused_where_only_another_machine_has_it(tmp_path: Path) -> None:
    """The dynamic linker skips libraries for another machine: one for the target beside it is enough."""
    right = compile_c(
        "int f(void) { return 1; }", tmp_path / "libf.so.1", "-shared", "-fPIC", "-Wl,-soname,libf.so.1"
    )
    user = compile_c(
        "int f(void); int g(void) { return f(); }", tmp_path / "user.so", "-shared", "-fPIC",
        "-Xlinker", str(right),
    )  # fmt: skip
    files = {f"pkg/user{SUFFIX}": user.read_bytes(), "pkg.libs/libf.so.1": elf(OTHER)}
    with pytest.raises(ToolError, match=r"pkg\.libs/libf\.so\.1 is for"):
        checked(tmp_path / "alone", files)
    (said,) = checked(tmp_path / "both", {**files, "pkg/lib/libf.so.1": right.read_bytes()})
    assert said.startswith(f"pkg.libs/libf.so.1 is a shared library for {OTHER}")


def test_programs_for_other_machines_are_warned_of_in_one_line_a_machine(tmp_path: Path) -> None:
    """A position-independent program has an interpreter: it is no library, whatever its name."""
    program = bytearray(
        compile_c("int main(void) { return 0; }", tmp_path / "a", "-pie", "-fPIE").read_bytes()
    )
    struct.pack_into("<H", program, 18, MACHINES[OTHER])
    names = [f"pkg/bin/tool{number}" for number in range(4)] + ["pkg/bin/tool4.so"]
    files = {**{name: elf(OTHER, "exec") for name in names[:4]}, names[4]: bytes(program)}
    (said,) = checked(tmp_path / "tree", files)
    assert said.startswith("pkg/bin/tool0, pkg/bin/tool1, pkg/bin/tool2 and 2 more are programs for ")
    assert read(tmp_path / "tree" / names[4]).program


def test_what_no_loader_takes_is_not_spoken_of(tmp_path: Path) -> None:
    """Object files, data in ELF form, code for a GPU: in any folder, under any name."""
    files: dict[str, str | bytes] = {
        "pkg/kernel_gpu_64.ir": elf("EM_NONE"),
        "pkg/kernel.cubin": elf("EM_CUDA", "exec"),
        "pkg/probe.bpf": elf(OTHER, "rel"),
        "pkg/start.so": elf(OTHER, "rel"),
    }
    assert checked(tmp_path / "tree", files) == []


def test_a_foreign_binary_in_a_portable_wheel_is_data(tmp_path: Path) -> None:
    """A wheel for any machine may carry helpers for several; that is warned of, not refused."""
    files = {"pkg/mine.so": elf(OWN_MACHINE), "pkg/theirs.so": elf(OTHER)}
    (said,) = checked(tmp_path / "tree", files, "py3-none-any")
    assert said.startswith(f"pkg/theirs.so is a shared library for {OTHER}")


def test_what_slimming_drops_is_not_refused(tmp_path: Path) -> None:
    """Neither by a rule (a test fixture in ELF form) nor by the user's pattern."""
    tree = installed(tmp_path / "tree", {"pkg/tests/x.so": elf(OTHER), "pkg/helper.so": elf(OTHER)})
    with pytest.raises(ToolError, match=r"pkg/helper\.so is for"):
        slimmed(tree, tmp_path / "refused")
    made = slimmed(tree, tmp_path / "done", drop=("pkg/helper.so",))
    assert not list(made.tree.root.rglob("*.so"))


def test_a_trace_that_fails_for_a_foreign_extension_says_so(tmp_path: Path) -> None:
    """The dynamic linker's own words are that there is no such file."""
    tree = installed(tmp_path / "tree", {"pkg/x.so": elf(OTHER), "pkg/y.so": elf(OTHER)})
    with pytest.raises(ToolError, match=rf"pkg/x\.so is for {OTHER}"):
        slimmed(tree, tmp_path / "work", code="import pkg.x")
