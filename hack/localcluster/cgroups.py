"""The node's cgroups: the one part of it that no namespace takes away when it ends.

Below `gallery-operator/<instance>` there is `components` with the node's own processes and `pods` for the
kubelet. Two, because version 2 allows processes only in leaves.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path

from hack.localcluster.errors import ClusterError

# What the kubelet asks for where the kernel has it (cgroup_v2_manager_linux.go), plus io.
CONTROLLERS = ("cpu", "cpuset", "memory", "pids", "hugetlb", "io")
REMOVE_SECONDS = 15.0


@dataclass(frozen=True)
class Hierarchy:
    """A mounted cgroup hierarchy.

    Attributes:
        root: where it is mounted.
        version: 1 or 2.
    """

    root: Path
    version: int


def hierarchies(mountinfo: str) -> list[Hierarchy]:
    """The hierarchies in the text of /proc/self/mountinfo (proc(5)); a path mounted twice counts once."""
    found: dict[Path, Hierarchy] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        kind = after.split(" ", 1)[0]
        if kind in {"cgroup", "cgroup2"}:
            root = Path(before.split(" ")[4].replace("\\040", " "))
            found[root] = Hierarchy(root, 1 if kind == "cgroup" else 2)
    return list(found.values())


def mounted() -> list[Hierarchy]:
    """The hierarchies of this machine."""
    return hierarchies(Path("/proc/self/mountinfo").read_text())


def create(group: str, trees: list[Hierarchy]) -> list[Path]:
    """Makes the node's cgroups in every hierarchy.

    Returns:
        The folders whose `cgroup.procs` the node's first process has to join.

    Raises:
        ClusterError: the kernel refused, as it does inside a container without cgroups of its own.
    """
    joined: list[Path] = []
    only_version_1 = any(tree.version == 1 for tree in trees)
    try:
        for tree in trees:
            # Beside version 1 hierarchies, version 2 has no controllers and nobody here uses it.
            if tree.version == 2 and only_version_1:
                continue
            current = tree.root
            for part in Path(group).parts:
                _delegate(tree, current)
                current /= part
                _make(tree, current)
            _delegate(tree, current)
            for leaf in ("components", "pods"):
                _make(tree, current / leaf)
            joined.append(current / "components")
    except OSError as error:
        raise ClusterError(
            f"cannot make a cgroup ({error}). In a container this needs a privileged one with a cgroup namespace "
            "of its own; elsewhere see whether /sys/fs/cgroup is mounted read-only."
        ) from error
    return joined


def _make(tree: Hierarchy, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    # A version 1 cpuset starts empty and takes no process before it has processors and memory.
    for name in ("cpuset.cpus", "cpuset.mems"):
        file = folder / name
        if tree.version == 1 and file.exists() and not file.read_text().strip():
            file.write_text((folder.parent / name).read_text().strip())


def _delegate(tree: Hierarchy, folder: Path) -> None:
    """Lets the children of a version 2 cgroup use the controllers it has."""
    if tree.version != 2:
        return
    available = (folder / "cgroup.controllers").read_text().split()
    enabled = (folder / "cgroup.subtree_control").read_text().split()
    missing = [name for name in CONTROLLERS if name in available and name not in enabled]
    if missing:
        (folder / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in missing))


def remove(group: str, trees: list[Hierarchy]) -> None:
    """Removes the node's cgroups, once the last of their processes has ended.

    Raises:
        ClusterError: a process stays.
    """
    deadline = time.monotonic() + REMOVE_SECONDS
    for tree in trees:
        top = tree.root / group
        while top.exists():
            if _remove_tree(top):
                break
            if time.monotonic() > deadline:
                raise ClusterError(f"the cgroup {top} cannot be removed: processes in it do not end")
            time.sleep(0.05)
        for parent in top.parents:
            if parent == tree.root:
                break
            # Another instance may be in it.
            with contextlib.suppress(OSError):
                parent.rmdir()


def _remove_tree(top: Path) -> bool:
    """Removes a cgroup and those below it, the lowest first; says whether it succeeded."""
    folders = sorted((path for path in top.rglob("*") if path.is_dir()), key=lambda path: len(path.parts))
    for folder in [*reversed(folders), top]:
        try:
            folder.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True
