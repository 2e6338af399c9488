"""The checks on Debian installed on other tables, firmware and file systems: BIOS, XFS, Btrfs, LVM, in use."""

import functools
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.integration.prerequisites.filesystems import empty, need, run
from tests.integration.prerequisites.test_images import assert_same_tree, check, ids
from tests.support.disks import disk_image

from gallery_operator.contract import GuestProfile
from gallery_operator.prerequisites.disk import FileDisk
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import CheckReport, Status
from gallery_operator.prerequisites.readers.layout import Volume
from gallery_operator.prerequisites.readers.lvm import metadata

pytestmark = [pytest.mark.images, pytest.mark.timeout(900)]

DISKS = {
    "debian-12-gen1-mbr": {"hyper_v_generation": "V1"},
    "debian-12-gen1-xfs": {"hyper_v_generation": "V1"},
    "debian-12-btrfs": {},
    "debian-12-lvm": {},
    "debian-12-specialized": {"os_state": "Specialized"},
}


@functools.cache
def report_of(name: str, **profile: str) -> CheckReport:
    return check(disk_image(name), **profile)


@pytest.mark.parametrize("name", DISKS)
def test_a_prepared_disk_passes(name: str) -> None:
    report = report_of(name, **DISKS[name])
    assert (report.verdict, report.distribution, report.architecture) == ("ok", "debian 12", "x64")
    assert ids(report, Status.FAIL) == ids(report, Status.UNKNOWN) == set()
    assert report.notes == ()


@pytest.mark.parametrize("name", ["debian-12-gen1-mbr", "debian-12-gen1-xfs"])
def test_a_bios_disk_is_no_generation_2(name: str) -> None:
    report = report_of(name, hyper_v_generation="V2")
    assert "PRT003" in ids(report, Status.FAIL)


@pytest.mark.parametrize("name", ["debian-12-btrfs", "debian-12-lvm"])
def test_a_uefi_disk_is_no_generation_1(name: str) -> None:
    report = report_of(name, hyper_v_generation="V1")
    assert {"PRT007", "PRT008"} & ids(report, Status.FAIL)


def test_an_identity_is_a_finding_where_the_disk_is_said_to_be_generalized() -> None:
    report = report_of("debian-12-specialized", os_state="Generalized")
    assert {"DPR005", "SSH004"} <= ids(report, Status.FAIL) | ids(report, Status.WARN)


def test_separate_file_systems_are_mounted() -> None:
    with Guest(FileDisk(disk_image("debian-12-btrfs")), GuestProfile()) as guest:
        assert guest.mounted.file_system.type == "btrfs"
        assert guest.tree.is_file("/var/lib/dpkg/status")
        assert guest.tree.is_file("/boot/efi/EFI/BOOT/BOOTX64.EFI")
        assert guest.boot.values("rootflags") == ["subvol=@"]
        assert "linux\t/@/boot/vmlinuz-" in guest.tree.text("/boot/grub/grub.cfg")
    with Guest(FileDisk(disk_image("debian-12-lvm")), GuestProfile()) as guest:
        assert guest.mounted.volume.mapper == "vg-root"
        assert guest.mounted.file_system.type == "xfs"
        assert guest.boot.kernel.startswith("/boot/vmlinuz-")
        assert "linux\t/vmlinuz-" in guest.tree.text("/boot/grub/grub.cfg")


# The second witness: the kernel of this machine mounts the same file system.


@contextmanager
def kernel_sees(disk: Path, offset: int, point: Path, options: str) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    point.mkdir()
    done = subprocess.run(
        ["mount", "-o", f"ro,loop,offset={offset}{options}", disk, point], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"this machine cannot mount it: {done.stderr.strip()}")
    try:
        yield point
    finally:
        run("umount", point)


def root_offset(guest: Guest, volume: Volume) -> int:
    """Where the root begins on the disk; this kernel may know no LVM, but its one linear volume is in one piece."""
    if volume.partition is not None:
        return volume.partition.start
    pv = next(each for each in guest.layout.volumes if each.probe.type == "lvm" and each.partition is not None)
    assert pv.partition is not None
    text = metadata(pv.region)
    first, extent, piece = (
        int(match[1])
        for pattern in (r"pe_start = (\d+)", r"extent_size = (\d+)", r'stripes = \[\s*"pv0", (\d+)')
        if (match := re.search(pattern, text))
    )
    return pv.partition.start + (first + extent * piece) * 512


@pytest.mark.parametrize(
    ("name", "options", "point"),
    [
        ("debian-12-gen2", ",noload", "/"),
        ("debian-12-gen1-xfs", ",norecovery", "/"),
        ("debian-12-btrfs", ",subvol=@", "/"),
        ("debian-12-btrfs", ",subvol=@var", "/var"),
        ("debian-12-lvm", ",norecovery", "/"),
    ],
)
def test_the_kernel_reads_the_same_over_the_whole_tree(name: str, options: str, point: str, tmp_path: Path) -> None:
    """Same names, bytes, modes, owners and links, of everything that is installed."""
    disk = disk_image(name)
    with (
        Guest(FileDisk(disk), GuestProfile()) as guest,
        kernel_sees(disk, root_offset(guest, guest.mounted.volume), tmp_path / "mount", options) as top,
    ):
        seen = assert_same_tree(guest, top, Path(point))
    assert seen > (1_000 if point != "/" else 5_000 if "btrfs" in name else 10_000)


def test_btrfs_restore_reads_the_same_over_the_whole_tree(tmp_path: Path) -> None:
    """A second witness that needs no mount: btrfs-progs' own reader. It forgets modes and owners of empty folders."""
    need("btrfs")
    disk = disk_image("debian-12-btrfs")
    with Guest(FileDisk(disk), GuestProfile()) as guest:
        partition = guest.mounted.volume.partition
        assert partition is not None
        empty(tmp_path / "fs", partition.size)
        run("dd", f"if={disk}", f"of={tmp_path / 'fs'}", "bs=1M", f"skip={partition.start >> 20}",
            f"count={partition.size >> 20}", "conv=sparse,notrunc", "status=none")  # fmt: skip
        (tmp_path / "out").mkdir()
        run("btrfs", "restore", "--symlinks", tmp_path / "fs", tmp_path / "out")
        seen = [
            assert_same_tree(guest, tmp_path / "out" / subvolume, Path(point), bits=0, devices=False)
            for subvolume, point in (("@", "/"), ("@var", "/var"), ("@home", "/home"))
        ]
    assert sum(seen) > 10_000
