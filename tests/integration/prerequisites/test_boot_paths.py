"""Paths of grub.cfg on a Btrfs with subvolumes: GRUB itself says (grub-fstest) whether it finds them."""

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.integration.prerequisites.filesystems import disk_with, need
from tests.integration.prerequisites.test_btrfs import fill_root, image_of, make_default, mounted, subvolume
from tests.integration.prerequisites.test_filesystems import guest_on

from gallery_operator.contract import PrerequisitesConfig
from gallery_operator.prerequisites.checker import check_guest
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import CheckResult, Status

VERSION = "6.4.0-150600.23-default"


def kernel_in(root: Path, path: str, more: str = "") -> None:
    """A kernel, its modules, and a grub.cfg that starts ``path``."""
    (root / "boot/grub2").mkdir(parents=True)
    (root / f"boot/vmlinuz-{VERSION}").write_text("kernel")
    (root / "boot/vmlinuz").symlink_to(f"vmlinuz-{VERSION}")
    (root / f"boot/initrd-{VERSION}").write_text("initrd")
    (root / f"usr/lib/modules/{VERSION}").mkdir(parents=True)
    (root / f"usr/lib/modules/{VERSION}/modules.dep").write_text("kernel/x.ko:\n")
    folder = path.rpartition("/")[0]
    (root / "boot/grub2/grub.cfg").write_text(
        f"{more}set default=0\nmenuentry 'SLES' {{\n  linux {path} ro\n  initrd {folder}/initrd-{VERSION}\n}}\n"
    )


def kernel_check(guest: Guest) -> CheckResult:
    return check_guest(guest, PrerequisitesConfig(), {"KRN001"}).results[0]


def grub_finds(disk: Path, path: str) -> bool:
    need("grub-fstest")
    done = subprocess.run(["grub-fstest", disk, "cat", f"(loop0,gpt1){path}"], capture_output=True, check=False)
    return done.stdout == b"kernel"


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (f"/@/boot/vmlinuz-{VERSION}", True),
        ("/@/boot/vmlinuz", True),
        (f"/boot/vmlinuz-{VERSION}", False),
        (f"/@other/boot/vmlinuz-{VERSION}", False),
    ],
)
@pytest.mark.parametrize("default", [False, True])
def test_a_path_is_looked_for_from_the_top(path: str, found: bool, default: bool, tmp_path: Path) -> None:
    image, point = image_of(tmp_path), tmp_path / "mount"
    with mounted(image, point) as top:
        root = subvolume(top / "@")
        fill_root(root, "sles")
        kernel_in(root, path)
        (root / "etc/fstab").write_text("LABEL=x / btrfs subvol=@ 0 0\n")
        if default:
            make_default(top, root)
    disk_with(image, tmp_path / "disk")
    assert grub_finds(tmp_path / "disk", path) is found
    with guest_on(tmp_path / "disk") as guest:
        result = kernel_check(guest)
        assert (result.status is Status.PASS) is found, result
        if found:
            assert guest.boot.kernel.startswith("/boot/vmlinuz")
            assert guest.boot.initrds == (f"/boot/initrd-{VERSION}",)
        else:
            assert result.status is Status.FAIL
            assert f"/boot/grub2/grub.cfg:3 starts {path}" in result.message
            assert "not exist in the top-level subvolume" in result.message
            assert ("only below the subvolume that is mounted as /" in result.message) is path.startswith("/boot")


def test_opensuse_looks_in_the_default_subvolume(tmp_path: Path) -> None:
    """A tree as SLES lays it out: its GRUB takes paths from the default subvolume (btrfs_relative_path)."""
    image, point = image_of(tmp_path), tmp_path / "mount"
    with mounted(image, point) as top:
        subvolume(top / "@")
        subvolume(top / "@/.snapshots")
        for number in (1, 7):
            (top / f"@/.snapshots/{number}").mkdir()
            root = subvolume(top / f"@/.snapshots/{number}/snapshot")
            fill_root(root, "sles")
            kernel_in(root, f"/boot/vmlinuz-{VERSION}", 'set btrfs_relative_path="yes"\nexport btrfs_relative_path\n')
        make_default(top, root)
    disk_with(image, tmp_path / "disk")
    with guest_on(tmp_path / "disk") as guest:
        assert kernel_check(guest).status is Status.PASS
        assert guest.boot.kernel == f"/boot/vmlinuz-{VERSION}"


def test_a_kernel_of_another_subvolume_is_named(tmp_path: Path) -> None:
    image, point = image_of(tmp_path), tmp_path / "mount"
    with mounted(image, point) as top:
        old, root = subvolume(top / "@old"), subvolume(top / "@")
        for each in (old, root):
            fill_root(each, "sles")
            kernel_in(each, f"/@old/boot/vmlinuz-{VERSION}")
    disk_with(image, tmp_path / "disk")
    assert grub_finds(tmp_path / "disk", f"/@old/boot/vmlinuz-{VERSION}")
    with guest_on(tmp_path / "disk") as guest:
        result = kernel_check(guest)
        assert result.status is Status.FAIL
        assert "in a subvolume of the Btrfs that the guest does not mount" in result.message


def test_boot_may_be_a_subvolume_of_its_own(tmp_path: Path) -> None:
    image, point = image_of(tmp_path), tmp_path / "mount"
    with mounted(image, point) as top:
        root, boot = subvolume(top / "@"), subvolume(top / "@boot")
        fill_root(root, "debian")
        kernel_in(root, f"/@boot/vmlinuz-{VERSION}")
        for each in (root / "boot").iterdir():
            shutil.move(each, boot / each.name)
        (root / "etc/fstab").write_text("LABEL=x / btrfs subvol=@ 0 0\nLABEL=linux /boot btrfs subvol=@boot 0 0\n")
        subprocess.run(["btrfs", "filesystem", "label", top, "linux"], check=True)
    disk_with(image, tmp_path / "disk")
    assert grub_finds(tmp_path / "disk", f"/@boot/vmlinuz-{VERSION}")
    with guest_on(tmp_path / "disk") as guest:
        assert kernel_check(guest).status is Status.PASS
        assert guest.boot.initrds == (f"/boot/initrd-{VERSION}",)
