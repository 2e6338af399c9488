# ruff: noqa: E501 - contents of files as they are, a line a line
"""A machine under construction: a folder for its files and a sparse raw disk, both of which a test can spoil."""

import dataclasses
import gzip
import struct
import uuid
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from gallery_operator.contract import GuestProfile, PrerequisitesConfig
from gallery_operator.prerequisites.checker import check_guest
from gallery_operator.prerequisites.container import GIB, MIB, ContainerFacts, footer_checksum
from gallery_operator.prerequisites.facts.esp import Esp
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import CheckReport, CheckResult
from gallery_operator.prerequisites.mounts import Mounted
from gallery_operator.prerequisites.readers.folder import FolderFileSystem
from gallery_operator.prerequisites.readers.layout import Volume
from gallery_operator.prerequisites.tree import Tree

KERNEL = "6.1.0-9-cloud-amd64"
ROOT_UUID = "5c3a1f0e-6d1b-4b57-9a53-0d7c8e21f4aa"
ESP_ID = "6a5e-12d3"
ESP_TYPE = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
LINUX_TYPE = "0fc63daf-8483-4772-8e79-3d69d8477de4"
BIOS_TYPE = "21686148-6449-6e6f-744e-656564454649"
SWAP_TYPE = "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"
SECTOR = 512

BOOT_DRIVERS = ("hv_vmbus", "hv_storvsc", "hv_netvsc")


OTHER_DRIVERS = (
    "hv_utils", "vfat", "sr_mod", "udf", "hv_balloon", "hyperv-keyboard", "hyperv_drm", "pci-hyperv", "mlx5_core",
    "mlx4_core", "mana",
)  # fmt: skip
AGENT = "Provisioning.Agent=auto\nAutoUpdate.Enabled=y\nOS.RootDeviceScsiTimeout=300\n"
PROGRAMS = (
    "sbin/sshd", "bin/python3.11", "bin/openssl", "sbin/sfdisk", "sbin/fdisk", "sbin/mkfs", "sbin/parted",
    "sbin/chpasswd", "bin/sudo", "bin/sed", "bin/grep", "bin/ip", "sbin/hv_kvp_daemon", "sbin/hv_vss_daemon",
    "bin/growpart", "sbin/sgdisk", "bin/cloud-init",
)  # fmt: skip
CLOUD = """\
ssh_deletekeys: true
users: [default]
system_info: {default_user: {name: debian}}
cloud_init_modules: [seed_random, disk_setup, mounts]
output: {all: '| tee -a /var/log/cloud-init-output.log'}
reporting: {telemetry: {type: hyperv}}
datasource: {Azure: {apply_network_config: false}}
"""


class MemoryDisk:
    """A disk that is mostly zeros: only the pieces that were written are kept."""

    path = None

    def __init__(self, size: int) -> None:
        self.size = size
        self._sectors: dict[int, bytes] = {}

    def write(self, offset: int, data: bytes) -> None:
        for number in range(offset // SECTOR, -(-(offset + len(data)) // SECTOR)):
            old = self._sectors.get(number, bytes(SECTOR))
            start = max(0, offset - number * SECTOR)
            piece = data[max(0, number * SECTOR - offset) :][: SECTOR - start]
            self._sectors[number] = old[:start] + piece + old[start + len(piece) :]

    def pread(self, length: int, offset: int) -> bytes:
        length = max(0, min(length, self.size - offset))
        first, last = offset // SECTOR, -(-(offset + length) // SECTOR)
        data = b"".join(self._sectors.get(each, bytes(SECTOR)) for each in range(first, last))
        return data[offset - first * SECTOR :][:length]


def gpt(
    disk: MemoryDisk,
    parts: Iterable[tuple[str, int, int]],
    *,
    protective: bool = True,
    names: Sequence[str] = (),
    guid: int = 7,
) -> None:
    """Write a GPT with (type, first MiB, MiB) partitions, both headers and a protective MBR."""
    array = bytearray(128 * 128)
    for index, (kind, start, size) in enumerate(parts):
        first, last = start * MIB // SECTOR, (start + size) * MIB // SECTOR - 1
        struct.pack_into("<16s16sQQQ72s", array, index * 128, uuid.UUID(kind).bytes_le,
                         uuid.UUID(int=index + 1).bytes_le, first, last, 0, (names[index] if names else f"part{index + 1}").encode("utf-16-le"))  # fmt: skip
    last_lba = disk.size // SECTOR - 1
    for mine, other, entries in ((1, last_lba, 2), (last_lba, 1, last_lba - 32)):
        disk.write(mine * SECTOR, gpt_header(mine, other, entries, last_lba, zlib.crc32(array), guid))
        disk.write(entries * SECTOR, bytes(array))
    if protective:
        disk.write(446, struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xEE, b"\xff\xff\xff", 1, min(last_lba, 0xFFFFFFFF)))
        disk.write(510, b"\x55\xaa")


def gpt_header(mine: int, other: int, entries: int, last_lba: int, array_crc: int, guid: int = 7) -> bytes:
    raw = bytearray(struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, 0, 0, mine, other, 34, last_lba - 33,
                                uuid.UUID(int=guid).bytes_le, entries, 128, 128, array_crc))  # fmt: skip
    struct.pack_into("<I", raw, 16, zlib.crc32(raw))
    return bytes(raw).ljust(SECTOR, b"\0")


def mbr(disk: MemoryDisk, parts: Iterable[tuple[int, int, int, bool]]) -> None:
    """Write an MBR with (type, first MiB, MiB, active) partitions."""
    for index, (kind, start, size, active) in enumerate(parts):
        entry = struct.pack("<B3sB3sII", 0x80 if active else 0, bytes(3), kind, bytes(3), start * MIB // SECTOR,
                            size * MIB // SECTOR)  # fmt: skip
        disk.write(446 + 16 * index, entry)
    disk.write(510, b"\x55\xaa")


def ext4_superblock(identifier: str = ROOT_UUID, label: str = "root") -> bytes:
    raw = bytearray(1024)
    raw[0x38:0x3A] = b"\x53\xef"
    raw[0x68:0x78] = uuid.UUID(identifier).bytes
    raw[0x78 : 0x78 + len(label)] = label.encode()
    return bytes(raw)


def fat_sector(serial: str = ESP_ID) -> bytes:
    raw = bytearray(512)
    raw[67:71] = bytes.fromhex(serial.replace("-", ""))[::-1]
    raw[71:82] = b"ESP        "
    raw[82:90] = b"FAT32   "
    raw[510:512] = b"\x55\xaa"
    return bytes(raw)


def vhd_footer(size: int, *, kind: int = 2, version: int = 0x10000, offset: int | None = None) -> bytes:
    raw = bytearray(512)
    data_offset = (0xFFFFFFFFFFFFFFFF if kind == 2 else 512) if offset is None else offset
    struct.pack_into(">8sIIQI4sI4sQQ", raw, 0, b"conectix", 2, version, data_offset, 0, b"test", 0, b"Wi2k", size, size)
    struct.pack_into(">I", raw, 60, kind)
    struct.pack_into(">I", raw, 64, footer_checksum(bytes(raw)))
    return bytes(raw)


def cpio(names: Iterable[str], *, trailer: bool = True) -> bytes:
    """An archive ("newc") of empty files."""
    found = b""
    for name in (*names, *(["TRAILER!!!"] if trailer else [])):
        encoded = name.encode() + b"\0"
        header = b"070701" + b"".join(
            b"%08x" % each for each in (1, 0o100644, 0, 0, 1, 0, 0, 0, 0, 0, 0, len(encoded), 0)
        )
        found += header + encoded + bytes(-(len(header) + len(encoded)) % 4)
    return found


def modules(*names: str) -> list[str]:
    return [f"usr/lib/modules/{KERNEL}/kernel/drivers/{name}.ko" for name in names]


def pe(
    machine: int = 0x8664, magic: int = 0x20B, payload: bytes = b"\n.sbat\nshim,4,\n", *, signed: bool = True
) -> bytes:
    raw = bytearray(1024)
    raw[:2] = b"MZ"
    struct.pack_into("<I", raw, 60, 128)
    struct.pack_into("<4sHHIIIHH", raw, 128, b"PE\0\0", machine, 0, 0, 0, 0, 240, 0x22)
    struct.pack_into("<H", raw, 152, magic)
    # Directory 4 (certificates) of a PE32+ optional header
    struct.pack_into("<II", raw, 152 + 112 + 32, 0x1000, 256 if signed else 0)
    return bytes(raw) + payload


class Machine:
    """A prepared Debian on a GPT disk, Generation 2, generalized: every check passes until a test changes it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.esp = folder / "esp"
        self.size = 2 * GIB
        self.parts: list[tuple[str, int, int]] = [(ESP_TYPE, 1, 64), (LINUX_TYPE, 65, 1000)]
        self.disk = MemoryDisk(self.size)
        self.container: ContainerFacts | None = None
        self.footer = vhd_footer(self.size)
        self.root_partition = 2
        self.root_mapper: str | None = None
        self.notes: list[str] = []
        self._files()
        self.partition()

    # The disk.

    def partition(self, parts: list[tuple[str, int, int]] | None = None, *, size: int | None = None) -> None:
        """Start the disk anew with a GPT."""
        self.size = size or self.size
        self.parts = parts if parts is not None else self.parts
        self.disk = MemoryDisk(self.size)
        gpt(self.disk, self.parts)
        for kind, start, _ in self.parts:
            if kind == ESP_TYPE:
                self.disk.write(start * MIB, fat_sector())
            if kind == LINUX_TYPE:
                self.disk.write(start * MIB + 1024, ext4_superblock())

    def release(self, identifier: str, version: str) -> None:
        """Call it another distribution."""
        self.write("/usr/lib/os-release", f'ID={identifier}\nVERSION_ID="{version}"\n')

    def kernel(self, version: str) -> None:
        """Boot another kernel, with the same modules."""
        for source in (self.root / "boot").glob(f"*{KERNEL}*"):
            source.rename(source.with_name(source.name.replace(KERNEL, version)))
        folder = self.root / "usr/lib/modules"
        (folder / KERNEL).rename(folder / version)
        text = self.read("/boot/grub/grub.cfg")
        self.write("/boot/grub/grub.cfg", text.replace(KERNEL, version))

    def bios(self) -> None:
        """Make it a disk that boots by BIOS from an MBR."""
        self.disk = MemoryDisk(self.size)
        self.disk.write(0, b"\xeb\x63\x90GRUB ")
        mbr(self.disk, [(0x83, 1, 1000, True)])
        self.disk.write(MIB + 1024, ext4_superblock())
        self.root_partition = 1

    def vhd(self, **changes: object) -> None:
        """Put the disk into a fixed VHD."""
        facts = {"format": "vhd", "virtual_size": self.size, "file_size": self.size + 512, "footer": self.footer,
                 "name": "debian-12.vhd"}  # fmt: skip
        self.container = ContainerFacts(**{**facts, **changes})  # type: ignore[arg-type]

    # The files.

    def write(self, path: str, content: str | bytes = "", mode: int = 0o644) -> None:
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        target.chmod(mode)

    def read(self, path: str) -> str:
        return (self.root / path.lstrip("/")).read_text()

    def replace(self, path: str, old: str, new: str) -> None:
        text = self.read(path)
        assert old in text
        self.write(path, text.replace(old, new))

    def link(self, path: str, target: str) -> None:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        file.symlink_to(target)

    def remove(self, path: str) -> None:
        (self.root / path.lstrip("/")).unlink()

    def write_esp(self, path: str, content: str | bytes) -> None:
        target = self.esp / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)

    def initramfs(self, *drivers: str) -> None:
        self.write(f"/boot/initrd.img-{KERNEL}", gzip.compress(cpio(["init", *modules(*drivers)]), mtime=0))

    def enable(self, unit: str, target: str = "multi-user.target") -> None:
        self.write(f"/usr/lib/systemd/system/{unit}", "[Unit]\n[Install]\nWantedBy=x\n")
        self.link(f"/etc/systemd/system/{target}.wants/{unit}", f"/lib/systemd/system/{unit}")

    def disable(self, unit: str, target: str = "multi-user.target") -> None:
        self.remove(f"/etc/systemd/system/{target}.wants/{unit}")

    def _files(self) -> None:
        self.root.mkdir(parents=True)
        for folder in ("usr/lib", "usr/bin", "usr/sbin", "etc", "boot/efi", "root", "var/lib", "home"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        for name in ("bin", "sbin", "lib"):
            self.link(f"/{name}", f"usr/{name}")
        self.write("/usr/lib/os-release", 'ID=debian\nVERSION_ID="12"\n')
        self.link("/etc/os-release", "../usr/lib/os-release")
        self.write("/usr/bin/env", b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 2, 62))
        self.write(
            "/etc/fstab", f"UUID={ROOT_UUID} / ext4 defaults 0 1\nUUID={ESP_ID.upper()} /boot/efi vfat umask=0077 0 1\n"
        )
        self.write("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1::/usr/sbin:/usr/sbin/nologin\n")
        self.write("/etc/shadow", "root:*LOCK*:14600::::::\ndaemon:*:20000:0:99999:7:::\n", 0o640)
        self.write("/etc/machine-id", "")
        self._boot_files()
        self._services()

    def _boot_files(self) -> None:
        self.write(f"/boot/vmlinuz-{KERNEL}", b"kernel")
        self.initramfs(*BOOT_DRIVERS)
        self.write("/boot/grub/grub.cfg", f"menuentry 'Debian' {{\n\tlinux /boot/vmlinuz-{KERNEL} root=UUID={ROOT_UUID} ro "
                   f"console=tty1 console=ttyS0,115200 earlyprintk=ttyS0\n\tinitrd /boot/initrd.img-{KERNEL}\n}}\n")  # fmt: skip
        self.write(
            f"/usr/lib/modules/{KERNEL}/modules.builtin", "kernel/fs/ext4/ext4.ko\nkernel/drivers/scsi/sd_mod.ko\n"
        )
        self.write(
            f"/usr/lib/modules/{KERNEL}/modules.dep",
            "".join(f"kernel/drivers/hv/{each}.ko:\n" for each in (*BOOT_DRIVERS, *OTHER_DRIVERS)),
        )
        self.write(f"/boot/config-{KERNEL}", "CONFIG_WATCHDOG=y\nCONFIG_CIFS=m\n")
        self.write_esp("/EFI/BOOT/BOOTX64.EFI", pe())
        self.write_esp("/EFI/BOOT/grubx64.efi", pe(payload=b"\ngrub,3,\n"))
        self.write_esp("/EFI/debian/grub.cfg", f"search.fs_uuid {ROOT_UUID} root\nset prefix=($root)'/boot/grub'\n")

    def _services(self) -> None:
        for name in PROGRAMS:
            self.write(f"/usr/{name}", "", 0o755)
        self.link("/usr/bin/python3", "python3.11")
        self.write("/usr/lib/x86_64-linux-gnu/libssl.so.3")
        self.write("/etc/ssh/sshd_config", "Include /etc/ssh/sshd_config.d/*.conf\nClientAliveInterval 180\n")
        for name in ("ssh", "networking", "chrony"):
            self.enable(f"{name}.service")
        self.write("/usr/sbin/waagent", "#!/usr/bin/python3\n", 0o755)
        self.write("/usr/lib/python3/dist-packages/WALinuxAgent-2.7.3.0.egg-info/PKG-INFO")
        self.write("/etc/waagent.conf", AGENT)
        self.enable("walinuxagent.service")
        self.write("/usr/lib/python3/dist-packages/cloud_init-22.4.2.egg-info/PKG-INFO")
        self.write("/etc/cloud/cloud.cfg", CLOUD)
        self.write("/etc/cloud/cloud.cfg.d/91-azure.cfg", "datasource_list: [ Azure ]\n")
        for stage in ("cloud-init-local", "cloud-init", "cloud-config", "cloud-final"):
            self.enable(f"{stage}.service", "cloud-init.target")
        self.write("/etc/chrony/chrony.conf", "confdir /etc/chrony/conf.d\nmakestep 1.0 -1\n")
        self.write("/etc/chrony/conf.d/azure.conf", "refclock PHC /dev/ptp_hyperv poll 3 dpoll -2 offset 0 stratum 2\n")
        self.write("/usr/lib/udev/rules.d/50-udev-default.rules", 'ATTR{clock_name}=="hyperv", SYMLINK+="ptp_hyperv"\n')
        for name in ("66-azure-storage", "99-azure-product-uuid"):
            self.write(f"/usr/lib/udev/rules.d/{name}.rules", "# rule\n")
        self.write("/etc/apt/sources.list", "deb http://deb.debian.org/debian bookworm main\n")

    # The checks.

    def guest(self, **profile: object) -> Guest:
        tree = Tree(FolderFileSystem(self.root))
        guest = Guest(self.disk, GuestProfile(**profile), self.container, tree)  # type: ignore[arg-type]
        by_number = {each.partition.number: each for each in guest.layout.volumes if each.partition}
        # The files are those of the folder, the rest is what the disk says.
        root: Volume | None = by_number.get(self.root_partition)
        if root is not None and self.root_mapper is not None:
            root = dataclasses.replace(root, name=f"LVM volume {self.root_mapper}", mapper=self.root_mapper)
        if root is not None:
            guest._mounted = Mounted(tree, root, _Ext4Folder(self.root), tuple(self.notes))  # type: ignore[misc]
        esp = next((each for each in by_number.values() if each.probe.type == "vfat"), None)
        if esp is not None:
            guest.esp = Esp(esp, Tree(FolderFileSystem(self.esp, ignore_case=True)))
        return guest

    def check(self, level: str = "Default", ignore: tuple[str, ...] = (), **profile: object) -> CheckReport:
        config = PrerequisitesConfig(level=level, ignore=ignore)  # type: ignore[arg-type]
        return check_guest(self.guest(**profile), config)

    def result(self, check_id: str, level: str = "Default", **profile: object) -> CheckResult:
        config = PrerequisitesConfig(level=level)  # type: ignore[arg-type]
        return check_guest(self.guest(**profile), config, {check_id}).results[0]


class _Ext4Folder(FolderFileSystem):
    type = "ext4"  # type: ignore[assignment]
