"""All checks on trees laid out as the documents of the distributions say, on the file systems that they ship with."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.integration.prerequisites.distributions import centos_7, red_hat, suse, ubuntu
from tests.integration.prerequisites.test_filesystems import guest_on
from tests.integration.prerequisites.test_images import check, ids

from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import Status


def accepted(disk: Path, name: str, **profile: str) -> Guest:
    """The checks accept it, and know everything about it."""
    report = check(disk, **profile)
    messages = {each.id: each.message for each in report.results if each.status in (Status.FAIL, Status.UNKNOWN)}
    assert messages == {}
    assert (report.distribution, report.architecture, report.notes) == (name, "x64", ())
    return guest_on(disk)


@pytest.mark.parametrize(
    ("identifier", "version"), [("rhel", "9.4"), ("almalinux", "9.4"), ("rocky", "9.4"), ("ol", "9.4")]
)
def test_tree_laid_out_as_red_hats_documents_say_on_xfs_and_lvm(identifier: str, version: str, tmp_path: Path) -> None:
    with accepted(red_hat(tmp_path, identifier, version), f"{identifier} {version}") as guest:
        assert guest.family == ("oracle" if identifier == "ol" else "rhel")
        assert guest.mounted.volume.mapper == "rootvg-rootlv"
        assert {each.probe.type for each in guest.layout.volumes if each.mapper} == {"xfs"}
        # Each is on a volume of its own.
        for path in ("/boot", "/usr", "/var", "/boot/efi"):
            assert guest.tree.file_system(path)[1] == path
        assert guest.boot.kernel == "/boot/vmlinuz-5.14.0-427.13.1.el9_4.x86_64"
        assert guest.boot.source.startswith("/boot/loader/entries/5b1e-5.14")
        assert guest.boot.values("root") == ["/dev/mapper/rootvg-rootlv"]


def test_tree_laid_out_as_canonicals_documents_say_on_ext4(tmp_path: Path) -> None:
    disk = ubuntu(tmp_path)
    with accepted(disk, "ubuntu 24.04") as guest:
        assert guest.mounted.volume.name == "partition 1"
        assert guest.tree.file_system("/boot")[1] == "/boot"
        assert guest.boot.kernel == "/boot/vmlinuz-6.8.0-1014-azure"
        assert guest.boot.initrds == ("/boot/initrd.img-6.8.0-1014-azure",)
    # One image for both generations, as Canonical's are
    assert ids(check(disk, hyper_v_generation="V1"), Status.FAIL) == set()


def test_tree_laid_out_as_centos_7_documents_say_on_xfs(tmp_path: Path) -> None:
    with accepted(centos_7(tmp_path), "centos 7", hyper_v_generation="V1") as guest:
        assert guest.table.scheme == "mbr"
        assert guest.mounted.volume.name == "partition 2"
        assert guest.mounted.file_system.type == "xfs"
        assert guest.boot.kernel == "/boot/vmlinuz-3.10.0-1160.118.1.el7.x86_64"
        assert guest.boot.initrds == ("/boot/initramfs-3.10.0-1160.118.1.el7.x86_64.img",)


@pytest.mark.parametrize(("identifier", "version"), [("sles", "15.6"), ("opensuse-leap", "15.6")])
def test_tree_laid_out_as_suses_documents_say_on_btrfs(identifier: str, version: str, tmp_path: Path) -> None:
    with accepted(suse(tmp_path, identifier, version), f"{identifier} {version}") as guest:
        assert guest.mounted.file_system.type == "btrfs"
        assert guest.tree.is_dir("/.snapshots/1/snapshot/etc")
        for path in ("/var", "/home", "/boot/grub2/x86_64-efi"):
            assert guest.tree.file_system(path)[1] == path
        assert guest.boot.kernel == "/boot/vmlinuz-6.4.0-150600.23.25-default"
        assert guest.boot.initrds == ("/boot/initrd-6.4.0-150600.23.25-default",)


@pytest.mark.parametrize(
    ("make", "generation", "finding"),
    [(lambda folder: red_hat(folder, "rhel", "9.4"), "V1", "PRT007"), (centos_7, "V2", "PRT003")],
)
def test_the_other_generation_is_a_finding(
    make: Callable[[Path], Path], generation: str, finding: str, tmp_path: Path
) -> None:
    assert finding in ids(check(make(tmp_path), hyper_v_generation=generation), Status.FAIL)


def test_a_driver_of_the_root_that_the_initramfs_lacks_is_a_finding(tmp_path: Path) -> None:
    """XFS and LVM are modules of Red Hat's kernel; without them in the initramfs the root is not found."""
    report = check(red_hat(tmp_path, "rhel", "9.4", drivers=()))
    assert "KRN010" in ids(report, Status.FAIL)
    message = next(each.message for each in report.results if each.id == "KRN010")
    assert message == "xfs is missing; dm_mod is missing"
