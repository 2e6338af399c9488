"""The node's cgroups, on folders that stand in for the kernel's."""

from pathlib import Path

import pytest
from hack.localcluster import cgroups
from hack.localcluster.cgroups import Hierarchy
from hack.localcluster.errors import ClusterError

VERSION_1 = """\
25 30 0:22 / /sys/fs/cgroup rw,nosuid shared:9 - tmpfs tmpfs rw,mode=755
26 25 0:23 / /sys/fs/cgroup/cpu,cpuacct rw shared:10 - cgroup cgroup rw,cpu,cpuacct
27 25 0:24 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
28 25 0:25 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
29 1 8:1 / / rw - ext4 /dev/sda1 rw
"""
VERSION_2 = "35 24 0:30 / /sys/fs/cgroup rw,nosuid,nodev shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"


def test_reads_both_versions_from_mountinfo() -> None:
    assert cgroups.hierarchies(VERSION_1) == [
        Hierarchy(Path("/sys/fs/cgroup/cpu,cpuacct"), 1),
        Hierarchy(Path("/sys/fs/cgroup/memory"), 1),
        Hierarchy(Path("/sys/fs/cgroup/unified"), 2),
    ]
    assert cgroups.hierarchies(VERSION_2) == [Hierarchy(Path("/sys/fs/cgroup"), 2)]


def v2_folder(folder: Path, available: str, enabled: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cgroup.controllers").write_text(available)
    (folder / "cgroup.subtree_control").write_text(enabled)


def test_version_2_delegates_what_is_there_and_not_enabled_yet(tmp_path: Path) -> None:
    # The kernel fills the files of a new cgroup; here they are there from the beginning.
    v2_folder(tmp_path, "cpuset cpu io memory hugetlb pids rdma misc\n", "cpu memory pids\n")
    v2_folder(tmp_path / "gallery-operator", "cpu memory pids\n", "")
    v2_folder(tmp_path / "gallery-operator/x", "cpu memory pids\n", "cpu memory pids\n")
    joined = cgroups.create("gallery-operator/x", [Hierarchy(tmp_path, 2)])
    assert joined == [tmp_path / "gallery-operator/x/components"]
    assert (tmp_path / "gallery-operator/x/pods").is_dir()
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpuset +hugetlb +io"
    assert (tmp_path / "gallery-operator/cgroup.subtree_control").read_text() == "+cpu +memory +pids"
    assert (tmp_path / "gallery-operator/x/cgroup.subtree_control").read_text() == "cpu memory pids\n"


def test_version_1_cpuset_gets_processors_and_memory_of_its_parent(tmp_path: Path) -> None:
    (tmp_path / "cpuset.cpus").write_text("0-1\n")
    (tmp_path / "cpuset.mems").write_text("0\n")
    inner = tmp_path / "gallery-operator/x/components"
    for folder in (tmp_path / "gallery-operator", tmp_path / "gallery-operator/x", inner):
        folder.mkdir()
        (folder / "cpuset.cpus").write_text("\n")
        (folder / "cpuset.mems").write_text("\n")
    cgroups.create("gallery-operator/x", [Hierarchy(tmp_path, 1)])
    assert (inner / "cpuset.cpus").read_text() == "0-1"
    assert (inner / "cpuset.mems").read_text() == "0"


def test_version_2_beside_version_1_is_left_alone(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    assert cgroups.create("g/x", [Hierarchy(one, 1), Hierarchy(two, 2)]) == [one / "g/x/components"]
    assert list(two.iterdir()) == []


def test_says_what_to_do_where_the_kernel_refuses(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="privileged"):
        cgroups.create("g/x", [Hierarchy(tmp_path / "not there", 1)])


def test_remove_takes_everything_of_its_own_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "g/x/pods/kubepods/burstable/pod1").mkdir(parents=True)
    (tmp_path / "g/y").mkdir()
    cgroups.remove("g/x", [Hierarchy(tmp_path, 1)])
    assert not (tmp_path / "g/x").exists()
    assert (tmp_path / "g/y").exists()
    cgroups.remove("g/y", [Hierarchy(tmp_path, 1)])
    assert list(tmp_path.iterdir()) == []


def test_remove_says_which_cgroup_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "REMOVE_SECONDS", 0.1)
    (tmp_path / "g/x").mkdir(parents=True)
    (tmp_path / "g/x/busy").write_text("a file makes rmdir fail as a process does")
    with pytest.raises(ClusterError, match="g/x cannot be removed"):
        cgroups.remove("g/x", [Hierarchy(tmp_path, 1)])
