"""Facts about configuration: unified kernel images, chrony, repositories, GRUB's defaults, network cards."""

import gzip
import struct
from pathlib import Path

import pytest
from tests.unit.prerequisites.machine import Machine, cpio, modules
from tests.unit.prerequisites.test_facts import Files

from gallery_operator.prerequisites.checks.kernel_version import _approved, numbers
from gallery_operator.prerequisites.facts.boot import read_boot, read_entries
from gallery_operator.prerequisites.facts.chrony import read_chrony
from gallery_operator.prerequisites.facts.grub_defaults import read_grub_defaults
from gallery_operator.prerequisites.facts.kernel import Driver, read_kernel
from gallery_operator.prerequisites.facts.network import read_interfaces
from gallery_operator.prerequisites.facts.repositories import read_repositories
from gallery_operator.prerequisites.facts.uki import sections
from gallery_operator.prerequisites.model import Status
from gallery_operator.prerequisites.readers.base import UnreadableError


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def uki(**contents: bytes) -> bytes:
    """An EFI program with these sections, as ukify(1) makes it."""
    head = bytearray(0x1000)
    head[:2] = b"MZ"
    struct.pack_into("<I", head, 60, 128)
    struct.pack_into("<4sHHIIIHH", head, 128, b"PE\0\0", 0x8664, len(contents), 0, 0, 0, 240, 0x22)
    body = b""
    for index, (name, data) in enumerate(contents.items()):
        entry = struct.pack("<8sIIII", f".{name}".encode(), len(data), 0, len(data), len(head) + len(body))
        head[392 + 40 * index : 392 + 40 * index + len(entry)] = entry
        body += data
    return bytes(head) + body


def test_a_unified_kernel_image(files: Files) -> None:
    archive = gzip.compress(cpio(["init", *modules("hv_vmbus")]))
    for version in ("6.9.1", "6.10.2"):
        files.write(
            f"/boot/efi/EFI/Linux/abc-{version}.efi",
            uki(linux=b"MZ", cmdline=b"root=UUID=x quiet\n\0", uname=version.encode(), initrd=archive),
        )
        files.write(f"/usr/lib/modules/{version}/modules.dep", "a.ko:\n")
    boot = read_boot(files.tree)
    assert (boot.version, boot.cmdline) == ("6.10.2", "root=UUID=x quiet")
    assert boot.source.endswith("abc-6.10.2.efi .cmdline")
    assert read_kernel(files.tree, boot).driver("hv-vmbus") is Driver.INITRAMFS


def test_a_unified_kernel_image_without_a_release_has_it_in_its_name(files: Files) -> None:
    files.write("/efi/EFI/Linux/fedora-6.8.0-1+3.efi", uki(linux=b"MZ", cmdline=b"ro"))
    boot = read_boot(files.tree)
    assert (boot.version, boot.cmdline, boot.slices) == ("6.8.0-1", "ro", ())


@pytest.mark.parametrize("data", [b"", b"MZ", b"MZ" + bytes(100), b"\x7fELF" * 100, uki(linux=b"x")[:400]])
def test_no_unified_kernel_image(files: Files, data: bytes) -> None:
    files.write("/x.efi", data)
    assert sections(files.tree, "/x.efi") in ({}, {".linux": (4096, 1)})


def test_chrony_includes(files: Files) -> None:
    files.write("/etc/chrony.conf", "! no\nsourcedir /a\nconfdir /b /c\ninclude /d*\nMakestep 1 3\n")
    files.write("/a/1.sources", "server x\n")
    files.write("/a/2.conf", "server not\n")
    files.write("/c/1.conf", "refclock PHC /dev/ptp_hyperv\n")
    files.write("/d1", "rtcsync\n")
    chrony = read_chrony(files.tree)
    found = [each.keyword for each in chrony.directives]
    assert found == ["server", "sourcedir", "refclock", "confdir", "rtcsync", "include", "makestep"]
    assert str(chrony.all("refclock")[0]) == "/c/1.conf:1: refclock PHC /dev/ptp_hyperv"


def test_chrony_that_includes_itself(files: Files) -> None:
    files.write("/etc/chrony.conf", "include /etc/chrony.conf\n")
    with pytest.raises(UnreadableError, match="too deeply"):
        read_chrony(files.tree)


def test_repositories(files: Files) -> None:
    files.write("/etc/apt/sources.list", "# x\ndeb-src http://s/ a main\ndeb [signed-by=/k] http://u/ suite main\n")
    files.write(
        "/etc/apt/sources.list.d/d.sources",
        "Types: deb deb-src\nURIs: http://d/\nSuites: one\n two\n\nTypes: deb\nURIs: http://off/\nEnabled: no\n",
    )
    files.write("/etc/yum.repos.d/r.repo", "[main]\ngpgcheck=1\n[Base]\nbaseurl = http://r/\n[off]\nenabled=0\n")
    found = {each.where: each for each in read_repositories(files.tree)}
    assert list(found) == [
        "/etc/apt/sources.list:3",
        "/etc/apt/sources.list.d/d.sources:1",
        "/etc/apt/sources.list.d/d.sources:6",
        "/etc/yum.repos.d/r.repo:3",
        "/etc/yum.repos.d/r.repo:5",
    ]
    assert found["/etc/apt/sources.list.d/d.sources:1"].suites == ("one", "two")
    assert [each.enabled for each in found.values()] == [True, True, False, True, False]
    assert found["/etc/yum.repos.d/r.repo:3"].mentions("base")


def test_grub_defaults(files: Files) -> None:
    files.write("/etc/default/grub", "# GRUB_X=1\nexport GRUB_A='a b'\nGRUB_B=\"$GRUB_A c $(id)\"\nif x; then\n")
    files.write("/etc/default/grub.d/9.cfg", "GRUB_A=z # why\n")
    found = read_grub_defaults(files.tree)
    assert found["GRUB_A"] == ("z", "/etc/default/grub.d/9.cfg:1")
    assert found["GRUB_B"] == ("a b c $(id)", "/etc/default/grub:3")
    assert set(found) == {"GRUB_A", "GRUB_B"}


def test_network_cards(files: Files) -> None:
    files.write("/etc/sysconfig/network-scripts/ifcfg-lo", "BOOTPROTO=none\n")
    files.write("/etc/sysconfig/network/ifcfg-eth0", "BOOTPROTO='dhcp4'\n")
    files.write("/etc/netplan/broken.yaml", "a: [\n")
    files.write("/usr/lib/systemd/network/80-container-host0.network", "[Network]\nDHCP=yes\n")
    files.write("/etc/systemd/network/5.network", "[Network]\nDHCP=ipv6\n")
    files.write("/etc/NetworkManager/system-connections/w.nmconnection", "[connection]\ntype=wifi\n")
    assert [(each.program, each.dhcp) for each in read_interfaces(files.tree)] == [
        ("wicked", True),
        ("systemd-networkd", False),
    ]


@pytest.mark.parametrize(
    ("release", "wanted"),
    [("6.1.0-9-cloud-amd64", (6, 1, 0, 9)), ("2.6.39-400.312.2.el6uek", (2, 6, 39, 400, 312, 2)), ("6.8+x", (6, 8))],
)
def test_numbers_of_a_kernel(release: str, wanted: tuple[int, ...]) -> None:
    assert numbers(release) == wanted


def test_entries_and_masked_rules(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.write("/boot/loader/entries/a.conf", "linux /a\noptions ro\n")
    machine.write("/usr/lib/udev/rules.d/9.rules", "x")
    machine.link("/etc/udev/rules.d/9.rules", "/dev/null")
    guest = machine.guest()
    assert [each.options for each in read_entries(guest.tree)] == ["ro"]
    assert guest.udev_rule("9.rules") is None
    assert machine.result("TIM004").status is Status.PASS


# Marketplace certification, "SACK vulnerability patch verification": approved kernels as the page has them.
APPROVED = [
    ("centos", "2.6.32-754.15.3.el6"),
    ("rhel", "3.10.0-327.79.2.el7"),
    ("rhel", "3.10.0-514.66.2.el7"),
    ("rhel", "3.10.0-693.50.3.el7"),
    ("rhel", "3.10.0-862.34.2.el7"),
    ("centos", "3.10.0-957.21.3.el7"),
    ("rhel", "4.18.0-80.4.2.el8"),
    ("oracle", "2.6.39-400.312.2.el6uek"),
    ("oracle", "3.8.13-118.35.2.el7uek"),
    ("oracle", "4.1.12-124.28.3.el7uek"),
    ("oracle", "4.14.35-1902.2.0.el7uek"),
    ("ubuntu", "4.4.0-151-generic"),
    ("ubuntu", "4.15.0-1049-azure"),
    ("ubuntu", "4.18.0-1023-azure"),
    ("ubuntu", "5.0.0-1010-azure"),
    ("sles", "3.0.101-108.95.2-default"),
    ("sles", "3.12.74-60.64.115.1-default"),
    ("sles", "4.4.121-92.114.1-default"),
    ("sles", "4.4.180-4.31.1-azure"),
    ("opensuse", "4.12.14-5.30.1-azure"),
    ("debian", "3.16.68-2"),
    ("debian", "4.9.168-1"),
    ("debian", "4.19.37-5"),
    ("flatcar", "4.19.43-flatcar"),
]


@pytest.mark.parametrize(("family", "release"), APPROVED)
def test_approved_kernels(family: str, release: str) -> None:
    version = numbers(release)
    wanted = _approved(family, release, version)
    assert wanted is not None
    assert wanted == version[: len(wanted)], "exactly this one is the oldest that is approved"
