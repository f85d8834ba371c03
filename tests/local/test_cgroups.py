"""Control groups of both versions, on a folder that looks like one of them."""

from __future__ import annotations

from pathlib import Path

from lambdapack.local.environment import cgroups


def test_version_1_groups_are_made_below_our_own(tmp_path: Path) -> None:
    """Each controller's group is a child of the one that we are in, where that can be seen."""
    own = tmp_path / "own"
    own.write_text("4:memory:/mine\n2:cpu,cpuacct:/not/visible\n1:name=systemd:/\n")
    (tmp_path / "memory" / "mine").mkdir(parents=True)
    (tmp_path / "cpu").mkdir()
    group = cgroups.create(cgroups.places("lambdapack-x", root=tmp_path, own=own))
    assert group.folders == {
        "cpu": tmp_path / "cpu" / "lambdapack-x",
        "memory": tmp_path / "memory" / "mine" / "lambdapack-x",
    }
    group.limit_memory(2**28)
    group.limit_cpu(0.5)
    group.limit_processes(1024)
    assert (group.folders["memory"] / "memory.limit_in_bytes").read_text() == str(2**28)
    assert (group.folders["cpu"] / "cpu.cfs_quota_us").read_text() == "10000"
    assert (group.folders["cpu"] / "cpu.cfs_period_us").read_text() == "20000"


def test_version_2_has_one_group_with_all_controllers(tmp_path: Path) -> None:
    """The controllers are switched on above it, and its files are version 2's."""
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids")
    group = cgroups.create(cgroups.places("lambdapack-x", root=tmp_path))
    assert set(group.folders.values()) == {tmp_path / "lambdapack" / "lambdapack-x"}
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"
    group.limit_memory(2**28)
    group.limit_cpu(2)
    group.limit_processes(1024)
    folder = group.folders["cpu"]
    assert (folder / "memory.max").read_text() == str(2**28)
    assert (folder / "memory.swap.max").read_text() == "0"
    assert (folder / "cpu.max").read_text() == "40000 20000"
    assert (folder / "pids.max").read_text() == "1024"
    (folder / "memory.events").write_text("low 0\noom 3\noom_kill 2\n")
    assert group.oom_kills() == 2
    assert group.procs == [str(folder / "cgroup.procs")]


def test_without_any_controller_there_is_no_group(tmp_path: Path) -> None:
    """A system without control groups is no error: nothing is limited, and nothing is claimed."""
    own = tmp_path / "own"
    own.write_text("")
    group = cgroups.create(cgroups.places("lambdapack-x", root=tmp_path, own=own))
    assert group.folders == {}
    assert group.procs == []
    group.limit_memory(1)
    group.limit_cpu(1)
    assert group.oom_kills() == 0


def test_removing_a_group_that_is_gone_succeeds(tmp_path: Path) -> None:
    """Cleaning up twice is the same as once."""
    assert cgroups.remove(tmp_path / "none")
