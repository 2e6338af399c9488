"""File systems that were copied while the kernel had them mounted, and XFS as RHEL 7's first releases made it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.integration.prerequisites.filesystems import MIB, disk_with, empty, need, run, write_proto
from tests.integration.prerequisites.test_btrfs import fill_root, mounted
from tests.integration.prerequisites.test_filesystems import assert_same, guest_on

from gallery_operator.contract import PrerequisitesConfig
from gallery_operator.prerequisites.checker import check_guest
from gallery_operator.prerequisites.model import CheckResult, Status
from gallery_operator.prerequisites.readers.base import UnreadableError

MAKERS = {
    "ext4": ("mkfs.ext4", "-q", "-F"),
    "xfs": ("mkfs.xfs", "-q"),
    "btrfs": ("mkfs.btrfs", "-q"),
}


def clean_check(disk: Path) -> CheckResult:
    with guest_on(disk) as guest:
        return check_guest(guest, PrerequisitesConfig(), {"PRT017"}).results[0]


def synced(path: Path) -> None:
    """fsync: on Btrfs this alone makes a log tree."""
    with path.open("ab") as file:
        file.write(b"more\n")
        file.flush()
        os.fsync(file.fileno())


@pytest.mark.parametrize("kind", MAKERS)
def test_a_copy_of_a_mounted_file_system_is_dirty(kind: str, tmp_path: Path) -> None:
    need(*(each[0] for each in MAKERS.values()))
    image = empty(tmp_path / "fs", 320 * MIB)
    run(*MAKERS[kind], image)
    with mounted(image, tmp_path / "mount") as top:
        fill_root(top, "debian")
        os.sync()
        synced(top / "etc/os-release")
        shutil.copyfile(image, tmp_path / "copy")
    for name, status in (("copy", Status.WARN), ("fs", Status.PASS)):
        disk_with(tmp_path / name, tmp_path / f"{name}.disk")
        result = clean_check(tmp_path / f"{name}.disk")
        assert result.status is status, (name, result)
        if status is Status.WARN:
            assert f"partition 1 ({kind}); read without the changes" in result.message
        with guest_on(tmp_path / f"{name}.disk") as guest:
            if kind == "xfs" and name == "copy":
                # The directories were never written anywhere but to the log.
                with pytest.raises(UnreadableError, match=r"no /etc .* it was not unmounted"):
                    guest.tree.exists("/etc")
            else:
                assert guest.os_release.id == "debian"
    if kind == "xfs":
        need("xfs_logprint")
        for name, word in (("copy", "<DIRTY>"), ("fs", "<CLEAN>")):
            said = subprocess.run(["xfs_logprint", "-t", tmp_path / name], capture_output=True, text=True, check=False)
            assert word in said.stdout


@pytest.mark.parametrize("options", [["-m", "crc=0"], ["-m", "crc=0", "-n", "ftype=0"], ["-s", "size=4096"], []])
def test_formats_of_xfs(options: list[str], tmp_path: Path) -> None:
    """Version 4 (RHEL 7 before 7.3 and its predecessors), without types in directories, with 4 KiB sectors, today's."""
    need("mkfs.xfs")
    folder = tmp_path / "source"
    for name in ("etc", "usr/lib", "many"):
        (folder / name).mkdir(parents=True)
    (folder / "etc/os-release").write_text('ID="centos"\nVERSION_ID="7"\n')
    (folder / "usr/lib/large").write_bytes(os.urandom(3 * MIB))
    (folder / "lib").symlink_to("usr/lib")
    (folder / "long").symlink_to("x" * 900)
    for number in range(800):
        (folder / f"many/file-with-a-rather-long-name-{number:04}").write_text(str(number))
    image = empty(tmp_path / "fs", 320 * MIB)
    run("mkfs.xfs", "-q", *options, "-p", write_proto(folder, tmp_path / "proto"), image)
    disk_with(image, tmp_path / "disk")
    with guest_on(tmp_path / "disk") as guest:
        assert_same(guest.tree, folder)
        assert guest.os_release.name == "centos 7"
    assert clean_check(tmp_path / "disk").status is Status.PASS


def test_a_journal_on_another_device_is_unknown(tmp_path: Path) -> None:
    need("mkfs.xfs")
    image, log = empty(tmp_path / "fs", 320 * MIB), empty(tmp_path / "log", 80 * MIB)
    run("mkfs.xfs", "-q", "-l", f"logdev={log},size=64m", image)
    disk_with(image, tmp_path / "disk")
    result = clean_check(tmp_path / "disk")
    assert (result.status, "another device" in result.message) == (Status.UNKNOWN, True)
