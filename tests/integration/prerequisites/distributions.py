"""Trees laid out as the distributions' documents describe them, on the tables and file systems that they ship with.

Not installed systems: the files that the checks read, as the documents say they look (facts of the prerequisites).
"""

import shutil
from pathlib import Path

from tests.integration.prerequisites.filesystems import (
    MIB,
    copy_sparse,
    empty,
    lvm_with,
    make_file_system,
    need,
    run,
)
from tests.integration.prerequisites.test_btrfs import make_default, mounted, subvolume
from tests.unit.prerequisites.machine import BOOT_DRIVERS, ESP_ID, ROOT_UUID, Machine

BOOT_UUID = "0b4b3a52-9c0e-4d5b-8f1a-3f2f4e6d7a10"
ESP_TYPE = "U"
BIOS_BOOT = "21686148-6449-6E6F-744E-656564454649"
LVM = "E6D6D379-F507-44C2-A23C-238F2A3DF928"
CONSOLE = "console=tty1 console=ttyS0,115200n8 earlyprintk=ttyS0"
XFS_MIB = 320
"""mkfs.xfs makes none below 300 MiB."""

ESP = f"UUID={ESP_ID.upper()} /boot/efi vfat umask=0077,shortname=winnt 0 2\n"
GRUB_HEADER = """\
set pager=1
if [ -f ${config_directory}/grubenv ]; then
  load_env -f ${config_directory}/grubenv
elif [ -s $prefix/grubenv ]; then
  load_env
fi
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
   set next_entry=
   save_env next_entry
   set boot_once=true
else
   set default="${saved_entry}"
fi
"""


def start(folder: Path, identifier: str, version: str, kernel: str, initrd: str, *drivers: str) -> Machine:
    """A prepared machine with the names of a distribution.

    ``initrd`` has ``{}`` for the kernel's release; ``drivers`` are those of its root in the initramfs.
    """
    machine = Machine(folder)
    machine.initramfs(*BOOT_DRIVERS, *drivers)
    machine.release(identifier, version)
    old = next((machine.root / "boot").glob("initrd.img-*"))
    machine.kernel(kernel)
    old.with_name(f"initrd.img-{kernel}").rename(old.with_name(initrd.format(kernel)))
    shutil.rmtree(machine.root / "boot/grub")
    shutil.rmtree(machine.esp / "EFI/debian")
    machine.enable("NetworkManager.service")
    machine.write("/usr/sbin/NetworkManager", "", 0o755)
    return machine


def images(machine: Machine, work: Path, esp_mib: int, *, apart: dict[str, tuple[str, int, str]]) -> dict[str, Path]:
    """File systems: the ESP, and the folders in ``apart`` (type, MiB, UUID) taken out of the root; ``/`` is last."""
    found: dict[str, Path] = {}
    work.mkdir()
    (machine.root / "boot/efi").mkdir(parents=True, exist_ok=True)
    if esp_mib:
        make_file_system("vfat", machine.esp, work / "esp", esp_mib * MIB, ESP_ID.replace("-", ""))
        found["esp"] = work / "esp"
    for path, (kind, mebibytes, uuid) in apart.items():
        source = machine.root
        if path != "/":
            source = work / f"folder{path.replace('/', '-')}"
            shutil.move(machine.root / path.lstrip("/"), source)
            (machine.root / path.lstrip("/")).mkdir()
        image = work / f"image{path.replace('/', '-')}"
        make_file_system(kind, source, image, mebibytes * MIB, uuid)
        found[path] = image
    return found


def put_together(disk: Path, mebibytes: int, table: str, parts: dict[int, Path]) -> Path:
    """A disk with a table and images at offsets in MiB."""
    need("sfdisk")
    empty(disk, mebibytes * MIB)
    run("sfdisk", "--quiet", disk, input=table)
    for offset, image in parts.items():
        copy_sparse(image, disk, offset * MIB)
    return disk


def red_hat(folder: Path, identifier: str, version: str, drivers: tuple[str, ...] = ("xfs", "dm_mod")) -> Path:
    """RHEL, AlmaLinux, Rocky, Oracle Linux: XFS on LVM, /boot apart, entries of the Boot Loader Specification."""
    kernel = "5.14.0-427.13.1.el9_4.x86_64"
    machine = start(folder, identifier, version, kernel, "initramfs-{}.img", *drivers)
    vendor = {"rhel": "redhat", "ol": "redhat"}.get(identifier, identifier)
    stub = (f"search --no-floppy --root-dev-only --fs-uuid --set=dev {BOOT_UUID}\n"
            "set prefix=($dev)/grub2\nexport $prefix\nconfigfile $prefix/grub.cfg\n")  # fmt: skip
    machine.write_esp(f"/EFI/{vendor}/grub.cfg", stub)
    machine.write("/boot/grub2/grub.cfg", f"{GRUB_HEADER}insmod part_gpt\ninsmod xfs\ninsmod blscfg\nblscfg\n")
    for number, release in enumerate((kernel, "0-rescue-5b1e")):
        machine.write(
            f"/boot/loader/entries/5b1e-{release}.conf",
            f"title Linux ({release})\nversion {release}\nlinux /vmlinuz-{release}\ninitrd /initramfs-{release}.img\n"
            f"options root=/dev/mapper/rootvg-rootlv ro crashkernel=1G-4G:192M {CONSOLE} $tuned_params\n"
            f"grub_users $grub_users\ngrub_arg --unrestricted\ngrub_class {identifier}{number}\n",
        )
    machine.write("/boot/vmlinuz-0-rescue-5b1e", "rescue")
    machine.write("/boot/grub2/grubenv", f"# GRUB Environment Block\nsaved_entry=5b1e-{kernel}\n".ljust(1024, "#"))
    machine.write(
        "/etc/fstab",
        f"/dev/mapper/rootvg-rootlv / xfs defaults 0 0\nUUID={BOOT_UUID} /boot xfs defaults 0 0\n{ESP}"
        "/dev/mapper/rootvg-usrlv /usr xfs defaults 0 0\n/dev/mapper/rootvg-varlv /var xfs defaults 0 0\n",
    )
    apart = {"/boot": ("xfs", XFS_MIB, BOOT_UUID), "/usr": ("xfs", XFS_MIB, ""), "/var": ("xfs", XFS_MIB, "")}
    made = images(machine, folder / "images", 64, apart={**apart, "/": ("xfs", XFS_MIB, ROOT_UUID)})
    group = folder / "images/pv"
    lvm_with(made["/"], group, more={"usrlv": made["/usr"], "varlv": made["/var"]}, names=("rootvg", "rootlv"))
    size = group.stat().st_size // MIB
    table = (
        f"label: gpt\nstart=1MiB, size=64MiB, type={ESP_TYPE}\nstart=66MiB, size=2MiB, type={BIOS_BOOT}\n"
        f"start=70MiB, size={XFS_MIB}MiB\nstart=400MiB, size={size}MiB, type={LVM}\n"
    )
    parts = {1: made["esp"], 70: made["/boot"], 400: group}
    return put_together(folder / "disk", 402 + size, table, parts)


def ubuntu(folder: Path) -> Path:
    """Ubuntu 24.04: ext4, /boot on partition 16, the ESP on 15, GRUB for BIOS on 14."""
    kernel = "6.8.0-1014-azure"
    machine = start(folder, "ubuntu", "24.04", kernel, "initrd.img-{}")
    machine.write_esp(
        "/EFI/ubuntu/grub.cfg",
        f"search.fs_uuid {BOOT_UUID} root\nset prefix=($root)'/grub'\nconfigfile $prefix/grub.cfg\n",
    )
    shutil.copytree(machine.esp / "EFI/ubuntu", machine.esp / "EFI/BOOT", dirs_exist_ok=True)
    entry = (
        f'\tif [ "${{initrdfail}}" = 1 ]; then\n\t  linux\t/vmlinuz-{kernel} root=UUID={ROOT_UUID} ro {CONSOLE}\n'
        f"\t  initrd\t/initrd.img-{kernel}\n\telse\n"
        f"\t  linux\t/vmlinuz-{kernel} root=PARTUUID=00000000-0000-0000-0000-000000000000 ro {CONSOLE} panic=-1\n\tfi\n"
    )
    header = GRUB_HEADER.replace('default="${saved_entry}"', 'default="0"')
    machine.write(
        "/boot/grub/grub.cfg",
        f"{header}menuentry 'Ubuntu' --class ubuntu $menuentry_id_option 'gnulinux-simple' {{\n{entry}}}\n"
        f"submenu 'Advanced options for Ubuntu' {{\n\tmenuentry 'Ubuntu, with Linux {kernel}' {{\n{entry}\t}}\n}}\n",
    )
    machine.write("/etc/fstab", f"UUID={ROOT_UUID} / ext4 discard,errors=remount-ro 0 1\n"
                  f"UUID={BOOT_UUID} /boot ext4 defaults 0 2\n{ESP}")  # fmt: skip
    machine.remove("/etc/apt/sources.list")
    machine.write(
        "/etc/apt/sources.list.d/ubuntu.sources",
        "Types: deb\nURIs: http://azure.archive.ubuntu.com/ubuntu/\nSuites: noble noble-updates noble-security\n"
        "Components: main\n",
    )
    made = images(
        machine, folder / "images", 106, apart={"/boot": ("ext4", 120, BOOT_UUID), "/": ("ext4", 300, ROOT_UUID)}
    )
    table = (
        f"label: gpt\n1 : start=240MiB, size=300MiB\n14 : start=1MiB, size=4MiB, type={BIOS_BOOT}\n"
        f"15 : start=5MiB, size=106MiB, type={ESP_TYPE}\n16 : start=112MiB, size=120MiB\n"
    )
    disk = put_together(folder / "disk", 542, table, {5: made["esp"], 112: made["/boot"], 240: made["/"]})
    with disk.open("r+b") as file:
        file.write(b"\xeb\x63\x90GRUB ")
    return disk


def centos_7(folder: Path) -> Path:
    """CentOS 7: an MBR, BIOS, XFS (version 5) for /boot and the root, ifcfg files."""
    kernel = "3.10.0-1160.118.1.el7.x86_64"
    machine = start(folder, "centos", "7", kernel, "initramfs-{}.img", "xfs")
    machine.write(
        "/boot/grub2/grub.cfg",
        f"{GRUB_HEADER}menuentry 'CentOS Linux ({kernel}) 7 (Core)' --class centos $menuentry_id_option 'gnulinux' {{\n"
        f"\tset root='hd0,msdos1'\n\tsearch --no-floppy --fs-uuid --set=root {BOOT_UUID}\n"
        f"\tlinux16 /vmlinuz-{kernel} root=UUID={ROOT_UUID} ro rootdelay=300 net.ifnames=0 {CONSOLE}\n"
        f"\tinitrd16 /initramfs-{kernel}.img\n}}\n"
        "menuentry 'CentOS Linux (0-rescue) 7 (Core)' {\n\tlinux16 /vmlinuz-0-rescue ro\n}\n",
    )
    title = f"CentOS Linux ({kernel}) 7 (Core)"
    machine.write("/boot/grub2/grubenv", f"# GRUB Environment Block\nsaved_entry={title}\n".ljust(1024, "#"))
    machine.write("/etc/sysconfig/network", "NETWORKING=yes\nHOSTNAME=localhost.localdomain\n")
    machine.write(
        "/etc/sysconfig/network-scripts/ifcfg-eth0",
        "DEVICE=eth0\nONBOOT=yes\nBOOTPROTO=dhcp\nTYPE=Ethernet\nUSERCTL=no\nPEERDNS=yes\nIPV6INIT=no\n",
    )
    machine.write("/etc/fstab", f"UUID={ROOT_UUID} / xfs defaults 0 0\nUUID={BOOT_UUID} /boot xfs defaults 0 0\n")
    apart = {"/boot": ("xfs", XFS_MIB, BOOT_UUID), "/": ("xfs", XFS_MIB, ROOT_UUID)}
    made = images(machine, folder / "images", 0, apart=apart)
    second = 1 + XFS_MIB
    table = (
        f"label: dos\nstart=1MiB, size={XFS_MIB}MiB, type=83, bootable\nstart={second}MiB, size={XFS_MIB}MiB, type=83\n"
    )
    disk = put_together(folder / "disk", second + XFS_MIB + 1, table, {1: made["/boot"], second: made["/"]})
    with disk.open("r+b") as file:
        file.write(b"\xeb\x63\x90GRUB ")
    return disk


def suse(folder: Path, identifier: str, version: str) -> Path:
    """SLES and openSUSE: Btrfs, the root is snapshot 1, the default subvolume; /var and others beside it."""
    need("mkfs.btrfs", "btrfs", "mount")
    kernel = "6.4.0-150600.23.25-default"
    machine = start(folder, identifier, version, kernel, "initrd-{}", "btrfs")
    vendor = "opensuse" if "opensuse" in identifier else "sles"
    machine.write_esp(
        f"/EFI/{vendor}/grub.cfg",
        f'set btrfs_relative_path="yes"\nsearch --fs-uuid --set=root {ROOT_UUID}\n'
        "set prefix=(${root})/boot/grub2\nsource ${prefix}/grub.cfg\n",
    )
    machine.write(
        "/boot/grub2/grub.cfg",
        f'set btrfs_relative_path="yes"\nexport btrfs_relative_path\n{GRUB_HEADER}'
        "serial --speed=115200\nterminal_output serial console\n"
        f"menuentry 'SLES {version}' --class sles $menuentry_id_option 'gnulinux-simple-{ROOT_UUID}' {{\n"
        f"\tsearch --no-floppy --fs-uuid --set=root {ROOT_UUID}\n"
        f"\tlinux\t/boot/vmlinuz-{kernel} root=UUID={ROOT_UUID} ${{extra_cmdline}} rootdelay=300 {CONSOLE} "
        "net.ifnames=0\n"
        f"\tinitrd\t/boot/initrd-{kernel}\n}}\n",
    )
    beside = ("var", "home", "opt", "srv", "root", "boot/grub2/x86_64-efi")
    machine.write(
        "/etc/fstab",
        f"UUID={ROOT_UUID} / btrfs defaults 0 0\n"
        + "".join(f"UUID={ROOT_UUID} /{each} btrfs subvol=/@/{each} 0 0\n" for each in beside)
        + f"UUID={ROOT_UUID} /.snapshots btrfs subvol=/@/.snapshots 0 0\n{ESP}",
    )
    made = images(machine, folder / "images", 64, apart={})
    image = empty(folder / "images/root", 500 * MIB)
    run("mkfs.btrfs", "-q", "-U", ROOT_UUID, image)
    with mounted(image, folder / "mount", ",compress=zstd") as top:
        subvolume(top / "@")
        subvolume(top / "@/.snapshots")
        (top / "@/.snapshots/1").mkdir()
        root = subvolume(top / "@/.snapshots/1/snapshot")
        (top / "@/boot/grub2").mkdir(parents=True)
        for each in beside:
            subvolume(top / "@" / each)
        shutil.copytree(machine.root, root, symlinks=True, dirs_exist_ok=True)
        for each in beside:
            source = root / each
            if source.is_dir():
                shutil.copytree(source, top / "@" / each, symlinks=True, dirs_exist_ok=True)
                shutil.rmtree(source)
            source.mkdir(parents=True)
        (root / ".snapshots").mkdir()
        make_default(top, root)
    table = (
        f"label: gpt\nstart=1MiB, size=2MiB, type={BIOS_BOOT}\nstart=3MiB, size=64MiB, type={ESP_TYPE}\n"
        "start=68MiB, size=500MiB\n"
    )
    return put_together(folder / "disk", 570, table, {3: made["esp"], 68: image})
