"""Trees laid out as Flatcar documents them: an empty root, and /usr on the one of two partitions that is active."""

import struct
from pathlib import Path

import pytest
from tests.integration.prerequisites.filesystems import MIB, copy_sparse, empty, make_file_system, run
from tests.integration.prerequisites.test_filesystems import guest_on
from tests.integration.prerequisites.test_images import check
from tests.unit.prerequisites.machine import BOOT_DRIVERS, OTHER_DRIVERS, pe

from gallery_operator.prerequisites.model import Status
from gallery_operator.prerequisites.readers.base import UnreadableError

SIZE = 1024 * MIB
USR = "5DFBF5F4-2848-4BAC-AA5E-0D9A20B745A6"
TABLE = (
    "label: gpt\nlabel-id: 00000000-0000-0000-0000-000000000001\n"
    "start=1MiB, size=64MiB, type=U, name=EFI-SYSTEM\n"
    "start=66MiB, size=2MiB, type=21686148-6449-6E6F-744E-656564454649, name=BIOS-BOOT\n"
    f'start=70MiB, size=128MiB, type={USR}, name=USR-A, attrs="{{a}}"\n'
    f'start=200MiB, size=128MiB, type={USR}, name=USR-B, attrs="{{b}}"\n'
    "start=440MiB, size=128MiB, name=OEM\n"
    "start=570MiB, size=64MiB, name=OEM-CONFIG\n"
    "start=640MiB, size=128MiB, type=3884DD41-8582-4404-B9A8-E9B84F2DF50E, name=ROOT\n"
)
# Attributes of flatcar/scripts' disk_util for a fresh image: priority 1, started with success; and none.
FRESH = "GUID:48,56"
NONE = ""


VERSION = "6.6.95-flatcar"


def kernel(version: str) -> bytes:
    """A kernel that says its release, as x86 ones do; nothing else of it is read."""
    raw = bytearray(4096)
    raw[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", raw, 0x20E, 0x400)
    text = f"{version} (build@pony) #1 SMP".encode()
    raw[0x600 : 0x600 + len(text)] = text
    return bytes(raw)


def usr_files(name: str) -> dict[str, str | bytes]:
    """What the checks read of /usr; each partition says which it is by its version."""
    drivers = "".join(f"kernel/drivers/{each}.ko:\n" for each in (*BOOT_DRIVERS, *OTHER_DRIVERS, "nvme"))
    return {
        "lib/os-release": f'ID=flatcar\nVERSION_ID="{name}"\n',
        "bin/env": b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 2, 62),
        "share/x": "",
        f"boot/config-{VERSION}": "CONFIG_WATCHDOG=y\nCONFIG_CIFS=m\n",
        f"lib/modules/{VERSION}/modules.dep": drivers,
        f"lib/modules/{VERSION}/modules.builtin": "kernel/fs/ext4/ext4.ko\nkernel/fs/btrfs/btrfs.ko\n",
    }


def flatcar(
    tmp_path: Path, kind: str = "btrfs", a: str = FRESH, b: str = NONE, *, broken: str = "", release: str = VERSION
) -> Path:
    """A disk as flatcar/scripts' disk_layout.json says; USR-B has a file system only where it is used."""
    disk = empty(tmp_path / "disk", SIZE)
    run("sfdisk", "--quiet", disk, input=TABLE.format(a=a, b=b))
    esp: dict[str, str | bytes] = {
        "flatcar/first_boot": "",
        "flatcar/vmlinuz-a": kernel(release),
        # build_library/grub_install.sh: shim, and a GRUB with its configuration inside
        "EFI/boot/bootx64.efi": pe(),
        "EFI/boot/grubx64.efi": pe(payload=b"\ngrub,3,\n"),
        "flatcar/grub/grub.cfg.tar": "",
    }
    oem: dict[str, str | bytes] = {
        "oem-release": "ID=azure\n",
        "grub.cfg": 'set oem_id="azure"\nset linux_console="console=ttyS0,115200n8 earlyprintk=ttyS0,115200"\n',
        "sysext/oem-azure-4459.raw": "",
    }
    parts = [("esp", esp, "vfat", 64, 1), ("oem", oem, kind, 128, 440), ("root", {}, "ext4", 128, 640)]
    for name, start, used in (("USR-A", 70, True), ("USR-B", 200, b)):
        if used and name != broken:
            parts.append((name, usr_files(name), kind, 128, start))
    for name, files, file_system, mebibytes, start in parts:
        folder = tmp_path / name
        folder.mkdir()
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content.encode() if isinstance(content, str) else content)
        make_file_system(file_system, folder, tmp_path / f"{name}.img", mebibytes * MIB)
        copy_sparse(tmp_path / f"{name}.img", disk, start * MIB)
    return disk


@pytest.mark.parametrize("kind", ["btrfs", "ext4"])
def test_the_checks_accept_the_tree(kind: str, tmp_path: Path) -> None:
    disk = flatcar(tmp_path, kind)
    report = check(disk)
    assert {each.id: each.message for each in report.results if each.status in (Status.FAIL, Status.UNKNOWN)} == {}
    assert {each.id for each in report.results if each.id.startswith("FLC") and each.status is not Status.PASS} == set()
    with guest_on(disk) as guest:
        assert (guest.boot.kernel, guest.boot.version) == ("/boot/flatcar/vmlinuz-a", VERSION)


def test_a_kernel_for_another_usr_is_a_finding(tmp_path: Path) -> None:
    report = check(flatcar(tmp_path, "ext4", release="5.15.0-flatcar"))
    message = next(each.message for each in report.results if each.id == "KRN001" and each.status is Status.FAIL)
    assert message == f"/boot/flatcar/vmlinuz-a are kernels 5.15.0-flatcar, /usr is made for {VERSION}"


@pytest.mark.parametrize("kind", ["btrfs", "ext4"])
def test_tree_laid_out_as_flatcar_documents_it(kind: str, tmp_path: Path) -> None:
    """An empty root, /usr on USR-A, the ESP on /boot, the OEM partition."""
    with guest_on(flatcar(tmp_path, kind)) as guest:
        assert guest.mounted.volume.partition is not None
        assert guest.mounted.volume.partition.name == "ROOT"
        assert guest.os_release.id == "flatcar"
        assert guest.os_release.version == "USR-A"
        assert guest.tree.text("/oem/oem-release") == "ID=azure\n"
        assert guest.tree.is_file("/boot/flatcar/first_boot")
        assert guest.notes == ()


@pytest.mark.parametrize(
    ("a", "b", "active"),
    [
        # After an update: B has the higher priority and may be tried once
        ("GUID:48,56", "GUID:49,52", "USR-B"),
        # The try was used up without success: A again
        ("GUID:48,56", "GUID:49", "USR-A"),
        # B was started with success
        ("GUID:48,56", "GUID:49,56", "USR-B"),
        # A has the higher priority of two good ones
        ("GUID:48,49,56", "GUID:48,56", "USR-A"),
        # No attribute at all, as a table that was copied by a tool that knows none
        (NONE, "GUID:63", "USR-A"),
    ],
)
def test_the_partition_that_grub_starts_is_usr(a: str, b: str, active: str, tmp_path: Path) -> None:
    with guest_on(flatcar(tmp_path, "ext4", a, b)) as guest:
        assert guest.os_release.version == active


def test_an_active_partition_that_cannot_be_read_is_not_replaced_by_the_other(tmp_path: Path) -> None:
    with guest_on(flatcar(tmp_path, "ext4", "GUID:48,56", "GUID:49,56", broken="USR-B")) as guest:
        with pytest.raises(UnreadableError, match="partition 4: no file system"):
            guest.tree.exists("/usr/lib/os-release")
        assert guest.notes == ("/usr: partition 4: no file system is recognised",)
