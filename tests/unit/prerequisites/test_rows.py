# ruff: noqa: E501 - one case a line: a table is read by its columns
"""Every row of the catalogue: a machine that passes it and one that does not, and a test that counts them."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.prerequisites.machine import (
    BIOS_TYPE,
    ESP_TYPE,
    KERNEL,
    LINUX_TYPE,
    ROOT_UUID,
    SWAP_TYPE,
    Machine,
    MemoryDisk,
    gpt,
    pe,
    vhd_footer,
)

from gallery_operator.prerequisites.catalogue import find, rows
from gallery_operator.prerequisites.container import GIB, MIB, ContainerFacts
from gallery_operator.prerequisites.model import Status

FAIL, WARN, INFO, PASS = Status.FAIL, Status.WARN, Status.INFO, Status.PASS
UNKNOWN, NOT_APPLICABLE = Status.UNKNOWN, Status.NOT_APPLICABLE
ATTENTION = {FAIL, WARN, INFO}

Change = Callable[[Machine], object]


@dataclasses.dataclass(frozen=True)
class Case:
    """A change to a good machine, and what a row says about it at both levels."""

    id: str
    name: str
    change: Change
    default: Status
    strict: Status | None = None
    says: str = ""
    profile: dict[str, str] = dataclasses.field(default_factory=dict)


V1 = {"hyper_v_generation": "V1"}
DATA = {"disk_role": "data"}
ARM = {"architecture": "Arm64"}
SPECIALIZED = {"os_state": "Specialized"}


def vhd(**changes: object) -> Change:
    return lambda machine: machine.vhd(**changes)


def footer(**changes: int) -> Change:
    return lambda machine: machine.vhd(footer=vhd_footer(machine.size, **changes))


def sized(size: int, **changes: object) -> Change:
    def change(machine: Machine) -> None:
        machine.container = ContainerFacts("raw", size, **changes)  # type: ignore[arg-type]

    return change


def container(kind: str, **changes: object) -> Change:
    return lambda m: setattr(m, "container", ContainerFacts(kind, m.size, m.size, **changes))  # type: ignore[arg-type]


def partition(*parts: tuple[str, int, int]) -> Change:
    return lambda machine: machine.partition(list(parts))


def write(path: str, content: str | bytes = "") -> Change:
    return lambda machine: machine.write(path, content)


def remove(*paths: str) -> Change:
    return lambda machine: [machine.remove(path) for path in paths]


def edit(path: str, old: str, new: str) -> Change:
    return lambda machine: machine.replace(path, old, new)


def both(*changes: Change) -> Change:
    return lambda machine: [change(machine) for change in changes]


def bad_primary(machine: Machine) -> None:
    machine.disk.write(512 + 60, b"\xff")


def bad_backup(machine: Machine) -> None:
    machine.disk.write(machine.size - 512 + 60, b"\xff")


def no_table(machine: Machine) -> None:
    machine.disk = MemoryDisk(machine.size)


def sectors_4096(machine: Machine) -> None:
    no_table(machine)
    machine.disk.write(4096, b"EFI PART")


def bios_without_code(machine: Machine) -> None:
    machine.bios()
    machine.disk.write(0, bytes(16))


def gpt_for_bios(machine: Machine, *extra: tuple[str, int, int]) -> None:
    machine.partition([*extra, (LINUX_TYPE, 65, 1000)])
    machine.disk.write(0, b"\xeb\x63\x90GRUB ")


def no_cloud_init(machine: Machine) -> None:
    machine.remove("/usr/bin/cloud-init")


def no_agent(machine: Machine) -> None:
    machine.remove("/usr/sbin/waagent")


def ntfs(machine: Machine) -> None:
    machine.partition([(LINUX_TYPE, 65, 1000)])
    machine.disk.write(65 * MIB, b"\xeb\x52\x90NTFS    ".ljust(2048, b"\0"))
    machine.root_partition = 0


def only_swap(machine: Machine) -> None:
    machine.partition([(LINUX_TYPE, 65, 1000)])
    machine.disk.write(65 * MIB + 1024, bytes(1024))
    machine.root_partition = 0


KEY = "ssh-ed25519 AAAA test\n"
USER = "root:x:0:0:root:/root:/bin/bash\nalice:x:1000:1000::/home/alice:/bin/bash\n"
UEFI = "/EFI/BOOT/BOOTX64.EFI"

CASES = [
    Case("VHD001", "fixed VHD", vhd(), PASS),
    Case("VHD001", "footer cut off", vhd(footer=bytes(512)), FAIL, FAIL, "conectix"),
    Case("VHD001", "raw as it is", container("raw", as_is=True), FAIL),
    Case("VHD001", "raw, converted", container("raw"), NOT_APPLICABLE),
    Case("VHD002", "VHD", vhd(), PASS),
    Case("VHD002", "VHDX as it is", container("vhdx", as_is=True), FAIL),
    Case("VHD002", "VHDX, converted", container("vhdx"), PASS),
    Case("VHD003", "fixed", vhd(), PASS),
    Case("VHD003", "differencing", footer(kind=4), FAIL, FAIL, "differencing"),
    Case("VHD003", "dynamic, converted", footer(kind=3), PASS),
    Case("VHD003", "dynamic as it is", lambda m: m.vhd(footer=vhd_footer(m.size, kind=3), as_is=True), FAIL),
    Case("VHD004", "right", vhd(), PASS),
    Case("VHD004", "wrong", lambda m: m.vhd(footer=m.footer[:100] + b"\1" + m.footer[101:]), FAIL),
    Case("VHD005", "aligned", vhd(), PASS),
    Case("VHD005", "one sector more, as it is", sized(GIB + 512, as_is=True), FAIL, FAIL, "512 bytes more"),
    Case("VHD005", "one sector more, padded", sized(GIB + 512), PASS, None, "1025 MiB"),
    Case("VHD006", "whole", vhd(), PASS),
    Case("VHD006", "truncated", lambda m: m.vhd(file_size=m.size), FAIL),
    Case("VHD006", "length not known", vhd(file_size=None), UNKNOWN),
    Case("VHD007", "1023 GiB", sized(1023 * GIB), PASS),
    Case("VHD007", "1024 GiB", sized(1024 * GIB), WARN, FAIL),
    Case("VHD008", "V2 of 4 TiB", sized(4096 * GIB), PASS),
    Case("VHD008", "V2 above 4 TiB", sized(4097 * GIB), FAIL),
    Case("VHD008", "V1 of 2 TiB", sized(2048 * GIB), PASS, profile=V1),
    Case("VHD008", "V1 above 2 TiB", sized(2049 * GIB), FAIL, profile=V1),
    Case("VHD009", "2 TiB", sized(2048 * GIB), PASS),
    Case("VHD009", "above 2 TiB", sized(2049 * GIB), WARN, FAIL),
    Case("VHD009", "above 2 TiB, shallow", sized(2049 * GIB, replication_mode="Shallow"), PASS),
    Case("VHD010", "1 GiB", sized(GIB), PASS),
    Case("VHD010", "500 MiB", sized(500 * MIB), WARN, WARN),
    Case("VHD010", "10 MiB", sized(10 * MIB), FAIL),
    Case("VHD010", "data disk of 20 MiB", sized(20 * MIB), PASS, profile=DATA),
    Case("VHD011", "as specified", vhd(), PASS),
    Case("VHD011", "other version", footer(version=0x20000), WARN, FAIL, "0x00020000"),
    Case("VHD011", "data offset of a dynamic disk", footer(offset=512), WARN, FAIL),
    Case("VHD012", "VHD", vhd(), PASS),
    Case("VHD012", "ISO", container("iso"), FAIL, FAIL, "install"),
    Case("VHD012", "qcow2 with xz, converted", container("qcow2", compression="xz"), PASS),
    Case("VHD012", "qcow2 as it is", container("qcow2", as_is=True), FAIL),
    Case("VHD012", "compressed VHD as it is", vhd(compression="gzip", as_is=True), FAIL),
    Case("VHD013", "plain", vhd(as_is=True), PASS),
    Case("VHD013", "percent", vhd(name="debian%2012.vhd", as_is=True), WARN, FAIL),
    Case("VHD014", "small", sized(GIB), PASS, profile=DATA),
    Case("VHD014", "1024 GiB", sized(1024 * GIB), FAIL, profile=DATA),
    Case("VHD015", "512", vhd(), PASS),
    Case("VHD015", "4096", sectors_4096, FAIL),
    Case("PRT001", "GPT", vhd(), PASS, None, "GPT with 2"),
    Case("PRT001", "nothing", no_table, FAIL, FAIL, "neither"),
    Case("PRT001", "beyond the end", partition((LINUX_TYPE, 65, 4000)), FAIL, FAIL, "not inside"),
    Case("PRT001", "overlap", partition((ESP_TYPE, 1, 100), (LINUX_TYPE, 65, 1000)), FAIL, FAIL, "overlap"),
    Case("PRT001", "no protective MBR", lambda m: m.disk.write(446, bytes(66)), FAIL, FAIL, "protective"),
    Case("PRT002", "valid", vhd(), PASS),
    Case("PRT002", "damaged first header", bad_primary, FAIL, WARN, "LBA 1"),
    Case("PRT002", "damaged entries", lambda m: m.disk.write(1024 + 130, b"x"), FAIL, WARN, "entries"),
    Case("PRT002", "damaged backup", bad_backup, WARN, WARN, "last sector"),
    Case("PRT002", "MBR", Machine.bios, NOT_APPLICABLE),
    Case("PRT003", "ESP", vhd(), PASS),
    Case("PRT003", "no ESP", partition((LINUX_TYPE, 65, 1000)), FAIL, FAIL, "C12A7328"),
    Case("PRT003", "MBR", Machine.bios, FAIL, FAIL, "the MBR"),
    Case("PRT003", "V1", Machine.bios, NOT_APPLICABLE, profile=V1),
    Case("PRT004", "there", vhd(), PASS),
    Case("PRT004", "missing", lambda m: (m.esp / UEFI[1:]).unlink(), FAIL, FAIL, "debian"),
    Case("PRT004", "not for this architecture", vhd(), FAIL, FAIL, "BOOTAA64", profile=ARM),
    Case("PRT005", "x64", vhd(), PASS),
    Case("PRT005", "no program", lambda m: m.write_esp(UEFI, b"hello"), FAIL, FAIL, "no EFI program"),
    Case("PRT005", "ARM in BOOTX64", lambda m: m.write_esp(UEFI, pe(0xAA64)), FAIL, FAIL, "Arm64"),
    Case("PRT005", "32 bit", lambda m: m.write_esp(UEFI, pe(0x14C, 0x10B)), FAIL, FAIL, "x86"),
    Case("PRT006", "shim and GRUB", vhd(), PASS),
    Case("PRT006", "shim alone", lambda m: (m.esp / "EFI/BOOT/grubx64.efi").unlink(), FAIL, WARN, "grubx64.efi"),
    Case("PRT006", "other disk", lambda m: m.write_esp("/EFI/debian/grub.cfg", f"search.fs_uuid {ESP_TYPE} root\n"), FAIL, WARN, "not on this disk"),
    Case("PRT006", "systemd-boot", lambda m: m.write_esp(UEFI, pe(payload=b"systemd-boot")), NOT_APPLICABLE),
    Case("PRT006", "GRUB with built-in configuration", lambda m: (m.write_esp(UEFI, pe(payload=b"GRUB")), (m.esp / "EFI/debian/grub.cfg").unlink()), PASS),
    Case("PRT007", "MBR with GRUB", Machine.bios, PASS, profile=V1),
    Case("PRT007", "no boot code", bios_without_code, FAIL, FAIL, "no boot code", profile=V1),
    Case("PRT007", "GPT without BIOS boot partition", gpt_for_bios, FAIL, FAIL, "21686148", profile=V1),
    Case("PRT007", "GPT with BIOS boot partition", lambda m: gpt_for_bios(m, (BIOS_TYPE, 1, 1)), PASS, profile=V1),
    Case("PRT008", "UEFI as V2", vhd(), PASS),
    Case("PRT008", "UEFI as V1", vhd(), FAIL, FAIL, "only in V2", profile=V1),
    Case("PRT008", "BIOS as V2", Machine.bios, FAIL, FAIL, "only in V1"),
    Case("PRT008", "BIOS as V1", Machine.bios, PASS, profile=V1),
    Case("PRT009", "sector 2048", vhd(), PASS),
    Case("PRT009", "sector 63", lambda m: gpt_early(m), INFO, FAIL, "sector 63"),
    Case("PRT010", "none", vhd(), PASS),
    Case("PRT010", "by type", partition((ESP_TYPE, 1, 64), (LINUX_TYPE, 65, 1000), (SWAP_TYPE, 1100, 100)), WARN, FAIL),
    Case("PRT010", "by signature", lambda m: m.disk.write(MIB + 4086, b"SWAPSPACE2"), WARN, FAIL),
    Case("PRT011", "none", vhd(), PASS),
    Case("PRT011", "in fstab", write("/etc/fstab", "/swap none swap sw 0 0\n"), WARN, FAIL, "/etc/fstab:1"),
    Case("PRT011", "left over", write("/swap.img", "x"), WARN, FAIL, "/swap.img"),
    Case("PRT011", "unit", write("/etc/systemd/system/var-swap.swap", "[Swap]\n"), WARN, FAIL, "var-swap"),
    Case("PRT014", "plain", vhd(), PASS),
    Case("PRT014", "LUKS for the root", both(partition((LINUX_TYPE, 65, 1000)), lambda m: luks(m, 65)), FAIL, FAIL, "partition 1"),
    Case("PRT014", "LUKS beside the root", both(partition((ESP_TYPE, 1, 64), (LINUX_TYPE, 65, 900), (BIOS_TYPE, 1000, 50)), lambda m: luks(m, 1000, keep=True)), PASS),
    Case("PRT016", "all read", vhd(), PASS),
    Case("PRT016", "one not", lambda m: m.notes.append("/srv: partition 3: luks is recognised, but not read"), INFO, INFO, "luks"),
    Case("PRT017", "clean", vhd(), PASS),
    Case("PRT017", "ext4 with a journal to replay", lambda m: m.disk.write(65 * MIB + 1024 + 0x60, b"\x04"), WARN, WARN, "partition 2"),
    Case("PRT017", "FAT in use", lambda m: m.disk.write(MIB + 65, b"\1"), WARN, WARN, "partition 1"),
    Case("PRT018", "last", vhd(), PASS),
    Case("PRT018", "not last", partition((ESP_TYPE, 1, 64), (LINUX_TYPE, 65, 900), (BIOS_TYPE, 1000, 50)), INFO, INFO, "partition 3"),
    Case("PRT019", "V2", vhd(), PASS, profile=ARM),
    Case("PRT019", "V1", vhd(), FAIL, profile={**ARM, **V1}),
    Case("KRN009", "a module", vhd(), PASS),
    Case("KRN009", "switched off", write("/etc/modprobe.d/cis.conf", "# CIS 1.1.1.8\ninstall vfat /bin/true\n"), FAIL, FAIL, "cis.conf:2"),
    Case("KRN009", "switched off, not needed", both(Machine.bios, write("/etc/fstab"), write("/etc/modprobe.d/cis.conf", "install vfat /bin/false\n")), WARN, WARN, profile=V1),
    Case("KRN009", "missing", write(f"/usr/lib/modules/{KERNEL}/modules.dep", "a.ko:\n"), FAIL),
    Case("KRN011", "there", vhd(), PASS),
    Case("KRN011", "no sd_mod", write(f"/usr/lib/modules/{KERNEL}/modules.builtin", "a.ko\n"), FAIL, FAIL, "sd_mod"),
    Case("KRN011", "no sr_mod", write(f"/usr/lib/modules/{KERNEL}/modules.dep", "a.ko:\n"), WARN, WARN, "sr_mod"),
    Case("KRN013", "nothing", write("/etc/modprobe.d/x.conf", "blacklist floppy\n"), PASS),
    Case("KRN013", "file", write("/usr/lib/modprobe.d/x.conf", "blacklist hv-netvsc\n"), FAIL, FAIL, "hv_netvsc"),
    Case("KRN013", "hidden by a file of the same name", both(write("/usr/lib/modprobe.d/x.conf", "blacklist udf\n"), write("/etc/modprobe.d/x.conf")), PASS),
    Case("KRN013", "command line", edit("/boot/grub/grub.cfg", "console=tty1", "module_blacklist=udf,floppy"), FAIL, FAIL, "module_blacklist"),
    Case("KRN024", "x64", vhd(), PASS),
    Case("KRN024", "declared otherwise", vhd(), FAIL, FAIL, "x64", profile=ARM),
    Case("KRN024", "32 bit", write("/usr/bin/env", b"\x7fELF\x01\x01\x01" + bytes(9) + b"\2\0\3\0"), UNKNOWN),
    Case("KRN025", "signed", vhd(), PASS),
    Case("KRN025", "not signed", lambda m: m.write_esp(UEFI, pe(signed=False)), WARN, WARN),
    Case("CMD002", "there", vhd(), PASS),
    Case("CMD002", "missing", edit("/boot/grub/grub.cfg", "earlyprintk=ttyS0", ""), WARN, WARN),
    Case("CMD005", "neither", vhd(), PASS),
    Case("CMD005", "quiet", edit("/boot/grub/grub.cfg", "console=tty1", "quiet"), WARN, WARN, "quiet"),
    Case("CMD005", "quiet on Ubuntu", both(write("/usr/lib/os-release", "ID=ubuntu\n"), edit("/boot/grub/grub.cfg", "console=tty1", "quiet splash")), NOT_APPLICABLE),
    Case("CMD007", "on", vhd(), PASS),
    Case("CMD007", "off, V2", edit("/boot/grub/grub.cfg", "console=tty1", "libata.atapi_enabled=0"), WARN, WARN),
    Case("CMD007", "off, V1", edit("/boot/grub/grub.cfg", "console=tty1", "libata.atapi_enabled=0"), FAIL, profile=V1),
    Case("CMD008", "UUID", vhd(), PASS),
    Case("CMD008", "vda", edit("/boot/grub/grub.cfg", f"UUID={ROOT_UUID}", "/dev/vda2"), FAIL),
    Case("CMD008", "sda", edit("/boot/grub/grub.cfg", f"UUID={ROOT_UUID}", "/dev/sda2"), WARN, WARN),
    Case("CMD009", "on the disk", vhd(), PASS),
    Case("CMD009", "on another", edit("/boot/grub/grub.cfg", ROOT_UUID, ESP_TYPE), FAIL, FAIL, ESP_TYPE),
    Case("CMD013", "none", vhd(), PASS),
    Case("CMD013", "disabled", edit("/boot/grub/grub.cfg", "console=tty1", "cloud-init=disabled"), FAIL),
    Case("CMD013", "NoCloud", edit("/boot/grub/grub.cfg", "console=tty1", "ds=nocloud"), FAIL, FAIL, "ds=nocloud"),
    Case("FST003", "good", vhd(), PASS),
    Case("FST003", "too short", write("/etc/fstab", "LABEL=x\n"), WARN, WARN, "/etc/fstab:1"),
    Case("FST003", "no such directory", write("/etc/fstab", "LABEL=x /nowhere ext4\n"), WARN, WARN, "/nowhere"),
    Case("FST005", "none", vhd(), PASS),
    Case("FST005", "cloud-init's", write("/etc/fstab", "/dev/disk/cloud/azure_resource-part1 /mnt auto defaults,nofail,comment=cloudconfig 0 2\n"), WARN, WARN),
    Case("FST006", "none", vhd(), PASS),
    Case("FST006", "NFS", write("/etc/fstab", "server:/x /home nfs defaults 0 0\n"), WARN, WARN, "nfs"),
    Case("FST006", "NFS with _netdev", write("/etc/fstab", "server:/x /home nfs _netdev 0 0\n"), PASS),
    Case("FST007", "no file", vhd(), PASS),
    Case("FST007", "a passphrase", write("/etc/crypttab", "secret UUID=x none luks\n"), WARN, WARN, "secret"),
    Case("FST007", "noauto", write("/etc/crypttab", "secret UUID=x none luks,noauto\n"), PASS),
    Case("NET003", "none", vhd(), PASS),
    Case("NET003", "ifcfg", write("/etc/sysconfig/network-scripts/ifcfg-eth0", "DEVICE=eth0\nHWADDR=00:11:22:33:44:55\n"), FAIL, FAIL, "ifcfg-eth0:2"),
    Case("NET003", "netplan", write("/etc/netplan/50-cloud-init.yaml", "network:\n  ethernets:\n    eth0:\n      match:\n        macaddress: 00:11:22:33:44:55\n"), FAIL),
    Case("NET004", "none", vhd(), PASS),
    Case("NET004", "rules", write("/etc/udev/rules.d/70-persistent-net.rules", 'SUBSYSTEM=="net", NAME="eth0"\n'), FAIL),
    Case("NET008", "networking", vhd(), PASS),
    Case("NET008", "none", lambda m: m.disable("networking.service"), FAIL, FAIL, "disabled"),
    Case("NET013", "empty", write("/usr/lib/os-release", "ID=ubuntu\n"), PASS),
    Case("NET013", "left", both(write("/usr/lib/os-release", "ID=ubuntu\n"), write("/etc/netplan/50-cloud-init.yaml", "network: {}\n")), WARN, WARN),
    Case("NET013", "not on Debian", write("/etc/netplan/50-cloud-init.yaml", "network: {}\n"), NOT_APPLICABLE),
    Case("SSH003", "180", vhd(), PASS),
    Case("SSH003", "the default", write("/etc/ssh/sshd_config", "# ClientAliveInterval 180\n"), WARN, FAIL, "default"),
    Case("SSH003", "an included file wins", write("/etc/ssh/sshd_config.d/1.conf", "ClientAliveInterval 10m\n"), WARN, FAIL, "1.conf:1"),
    Case("SSH003", "only for some", write("/etc/ssh/sshd_config", "Match User x\nClientAliveInterval 180\n"), WARN, FAIL),
    Case("SSH005", "cloud-init", vhd(), PASS),
    Case("SSH005", "a unit", both(no_cloud_init, no_agent, write("/usr/lib/systemd/system/sshd-keygen@.service")), PASS),
    Case("SSH005", "nothing", both(no_cloud_init, no_agent), FAIL),
    Case("AGT006", "disabled", edit("/etc/waagent.conf", "auto", "disabled"), PASS, profile=SPECIALIZED),
    Case("AGT006", "auto", vhd(), WARN, WARN, profile=SPECIALIZED),
    Case("AGT008", "off", vhd(), PASS),
    Case("AGT008", "on", write("/etc/waagent.conf", "ResourceDisk.Format=y\n"), WARN, WARN, "waagent.conf:1"),
    Case("AGT008", "on without cloud-init", both(no_cloud_init, write("/etc/waagent.conf", "ResourceDisk.Format=y\n")), NOT_APPLICABLE),
    Case("AGT009", "off", vhd(), PASS),
    Case("AGT009", "on", write("/etc/waagent.conf", "ResourceDisk.EnableSwap=y\n"), WARN, WARN),
    Case("AGT011", "on", vhd(), PASS),
    Case("AGT011", "off", edit("/etc/waagent.conf", "Enabled=y", "Enabled=n"), WARN, FAIL),
    Case("AGT013", "on", vhd(), PASS),
    Case("AGT013", "off", write("/etc/waagent.conf", "Extensions.Enabled=n\n"), WARN, WARN),
    Case("CLD010", "absent", vhd(), PASS),
    Case("CLD010", "Azure", write("/etc/cloud/ds-identify.cfg", "datasource: Azure\n"), PASS),
    Case("CLD010", "elsewhere", write("/etc/cloud/ds-identify.cfg", "datasource: NoCloud\n"), FAIL),
    Case("CLD010", "disabled", write("/etc/cloud/ds-identify.cfg", "policy: disabled\n"), FAIL),
    Case("CLD011", "none", vhd(), PASS),
    Case("CLD011", "pins None", write("/etc/cloud/cloud.cfg.d/99-installer.cfg", "datasource_list: [None]\n"), FAIL),
    Case("CLD011", "network", write("/etc/cloud/cloud.cfg.d/50-curtin-networking.cfg", "network: {}\n"), WARN, WARN),
    Case("CLD012", "clean", vhd(), PASS),
    Case("CLD012", "an instance", write("/var/lib/cloud/instances/i-1/sem/x"), WARN, FAIL, "instances"),
    Case("CLD013", "not set", vhd(), PASS),
    Case("CLD013", "set", write("/etc/cloud/cloud.cfg.d/1.cfg", "manual_cache_clean: true\n"), FAIL, FAIL, "1.cfg"),
    Case("CLD013", "marker", write("/var/lib/cloud/instance/manual-clean"), FAIL),
    Case("CLD014", "none", vhd(), PASS),
    Case("CLD014", "Azure is pinned", write("/var/lib/cloud/seed/nocloud/user-data"), WARN, WARN),
    Case("CLD014", "NoCloud is found first", both(write("/var/lib/cloud/seed/nocloud-net/user-data"), remove("/etc/cloud/cloud.cfg.d/91-azure.cfg")), FAIL),
    Case("DPR002", "none", vhd(), PASS),
    Case("DPR002", "log", write("/var/log/waagent.log", "x"), WARN, WARN),
    Case("DPR007", "none", vhd(), PASS),
    Case("DPR007", "a key", write("/root/.ssh/id_ed25519", "x"), WARN, WARN),
    Case("DPR008", "none", vhd(), PASS),
    Case("DPR008", "a token", write("/root/.azure/msal_token_cache.json", "{}"), WARN, WARN),
    Case("DPR010", "none", vhd(), PASS),
    Case("DPR010", "localhost", write("/etc/hostname", "localhost.localdomain\n"), PASS),
    Case("DPR010", "somebody's", write("/etc/hostname", "build-7\n"), INFO, WARN, "build-7"),
    Case("DPR012", "none", vhd(), PASS),
    Case("DPR012", "agent's", write("/etc/sudoers.d/waagent", "x ALL=(ALL) ALL\n"), WARN, WARN),
    Case("TIM001", "chrony", vhd(), PASS),
    Case("TIM001", "none", lambda m: m.disable("chrony.service"), WARN, WARN),
    Case("REP008", "none", vhd(), PASS),
    Case("REP008", "cdrom", write("/etc/apt/sources.list", "deb cdrom:[Debian 12]/ bookworm main\n"), WARN, WARN),
    Case("REP008", "cdrom in deb822", write("/etc/apt/sources.list.d/d.sources", "Types: deb\nURIs: cdrom:[x]/\n"), WARN, WARN),
    Case("KRN001", "Debian's names", vhd(), PASS),
    Case("KRN001", "kernel gone", remove(f"/boot/vmlinuz-{KERNEL}"), FAIL, FAIL, "does not exist"),
    Case("KRN001", "modules gone", edit("/boot/grub/grub.cfg", KERNEL, "9.9"), FAIL),
    Case("KRN001", "no kernel at all", remove(f"/boot/vmlinuz-{KERNEL}", "/boot/grub/grub.cfg"), FAIL, FAIL, "no kernel"),
    Case("KRN002", "in the initramfs", vhd(), PASS),
    Case("KRN002", "built in", both(lambda m: m.initramfs("virtio_blk"), write(f"/boot/config-{KERNEL}", "CONFIG_HYPERV=y\n")), PASS),
    Case("KRN002", "only a module", lambda m: m.initramfs("virtio_blk"), FAIL, FAIL, "outside"),
    Case("KRN002", "damaged initramfs", write(f"/boot/initrd.img-{KERNEL}", b"\x1f\x8bxxxx"), UNKNOWN),
    Case("KRN003", "in the initramfs", vhd(), PASS),
    Case("KRN003", "not in it", lambda m: m.initramfs("hv_vmbus"), FAIL, FAIL, "hv_storvsc"),
    Case("KRN004", "in the initramfs", vhd(), PASS),
    Case("KRN004", "only a module", lambda m: m.initramfs("hv_vmbus"), WARN, FAIL),
    Case("KRN004", "missing", both(lambda m: m.initramfs("hv_vmbus"), write(f"/usr/lib/modules/{KERNEL}/modules.dep", "a.ko:\n")), FAIL),
    Case("KRN005", "a module", vhd(), PASS),
    Case("KRN005", "missing", write(f"/usr/lib/modules/{KERNEL}/modules.dep", "a.ko:\n"), WARN, FAIL),
    Case("KRN010", "built in", vhd(), PASS),
    Case("KRN010", "missing", write(f"/usr/lib/modules/{KERNEL}/modules.builtin", "a.ko\n"), FAIL, FAIL, "ext4 is missing"),
    Case("KRN019", "there", vhd(), PASS),
    Case("KRN019", "missing", remove(f"/boot/initrd.img-{KERNEL}"), FAIL),
    Case("KRN019", "cut off", write(f"/boot/initrd.img-{KERNEL}", b"\x1f\x8b\x08\0\0"), UNKNOWN),
    Case("KRN019", "lzo", write(f"/boot/initrd.img-{KERNEL}", b"\x89\x4c\x5a\x4f" + bytes(9)), UNKNOWN, None, "lzo"),
    Case("KRN019", "none wanted", edit("/boot/grub/grub.cfg", "initrd", "#"), PASS),
    Case("CMD001", "ttyS0", vhd(), PASS),
    Case("CMD001", "no serial console", edit("/boot/grub/grub.cfg", "console=ttyS0,115200", "quiet"), WARN, FAIL, "grub.cfg:2"),
    Case("CMD001", "not for ARM", vhd(), WARN, FAIL, "ttyAMA0", profile=ARM),
    Case("CMD001", "no command line", remove("/boot/grub/grub.cfg"), UNKNOWN),
    Case("FST001", "UUID", vhd(), PASS),
    Case("FST001", "sda", edit("/etc/fstab", f"UUID={ROOT_UUID}", "/dev/sda2"), WARN, WARN, "/etc/fstab:1"),
    Case("FST001", "vdb", write("/etc/fstab", "/dev/vdb /srv ext4 defaults 0 2\n"), FAIL, FAIL, "/dev/vdb"),
    Case("FST001", "vdb with nofail", write("/etc/fstab", "/dev/vdb /srv ext4 nofail 0 2\n"), WARN, WARN),
    Case("FST002", "all there", vhd(), PASS),
    Case("FST002", "other disk", write("/etc/fstab", "LABEL=srv /srv ext4 defaults 0 2\n"), FAIL, FAIL, "LABEL=srv"),
    Case("FST002", "other disk with nofail", write("/etc/fstab", "LABEL=srv /srv ext4 nofail 0 2\n"), PASS),
    Case("FST004", "the root", vhd(), PASS),
    Case("FST004", "the ESP", edit("/etc/fstab", ROOT_UUID, "6A5E-12D3"), FAIL, FAIL, "partition 1"),
    Case("FST004", "other disk", edit("/etc/fstab", ROOT_UUID, ESP_TYPE), FAIL, FAIL, "not on this disk"),
    Case("FST004", "no line", write("/etc/fstab", "# nothing\n"), NOT_APPLICABLE),
    Case("SSH001", "there", vhd(), PASS),
    Case("SSH001", "missing", remove("/usr/sbin/sshd"), FAIL),
    Case("SSH002", "enabled", vhd(), PASS),
    Case("SSH002", "disabled", lambda m: m.disable("ssh.service"), FAIL, FAIL, "disabled"),
    Case("SSH002", "masked", lambda m: m.link("/etc/systemd/system/ssh.service", "/dev/null"), FAIL, FAIL, "masked"),
    Case("SSH002", "socket", both(lambda m: m.disable("ssh.service"), lambda m: m.enable("ssh.socket", "sockets.target")), PASS),
    Case("SSH004", "none", vhd(), PASS),
    Case("SSH004", "made anew by cloud-init", write("/etc/ssh/ssh_host_rsa_key", "x"), WARN, WARN, "cloud-init"),
    Case("SSH004", "kept", both(write("/etc/ssh/ssh_host_rsa_key"), edit("/etc/cloud/cloud.cfg", "true", "false"), edit("/etc/waagent.conf", "auto", "cloud-init")), FAIL),
    Case("SSH006", "none", vhd(), PASS),
    Case("SSH006", "root's", write("/root/.ssh/authorized_keys", KEY), FAIL, FAIL, "/root/.ssh"),
    Case("SSH006", "a user's", both(write("/etc/passwd", USER), write("/home/alice/.ssh/authorized_keys", KEY)), FAIL, FAIL, "alice"),
    Case("SSH006", "cloud-init's notice", write("/root/.ssh/authorized_keys", 'command="echo \'Please login as the user \\"debian\\"\'" ' + KEY), PASS),
    Case("AGT001", "both", vhd(), PASS),
    Case("AGT001", "none", both(no_agent, no_cloud_init), FAIL),
    Case("AGT001", "specialized", both(no_agent, no_cloud_init), NOT_APPLICABLE, profile={"os_state": "Specialized"}),
    Case("AGT002", "there", vhd(), PASS),
    Case("AGT002", "missing", no_agent, WARN, FAIL),
    Case("AGT003", "enabled", vhd(), PASS),
    Case("AGT003", "disabled", lambda m: m.disable("walinuxagent.service"), WARN, WARN),
    Case("AGT003", "disabled and it provisions", both(lambda m: m.disable("walinuxagent.service"), no_cloud_init), FAIL),
    Case("AGT004", "recent", vhd(), PASS),
    Case("AGT004", "old", both(lambda m: old_agent(m), edit("/etc/waagent.conf", "Enabled=y", "Enabled=n")), WARN, FAIL, "2.2.41"),
    Case("AGT004", "old but updates itself", lambda m: old_agent(m), PASS),
    Case("AGT005", "auto", vhd(), PASS),
    Case("AGT005", "waagent and cloud-init", edit("/etc/waagent.conf", "auto", "waagent"), FAIL, FAIL, "cloud-init is enabled"),
    Case("AGT005", "cloud-init without it", both(edit("/etc/waagent.conf", "auto", "cloud-init"), no_cloud_init), FAIL),
    Case("AGT005", "disabled", edit("/etc/waagent.conf", "auto", "disabled"), WARN, WARN),
    Case("CLD001", "there", vhd(), PASS),
    Case("CLD001", "missing", no_cloud_init, WARN, FAIL),
    Case("CLD001", "missing but wanted", both(no_cloud_init, edit("/etc/waagent.conf", "auto", "cloud-init")), FAIL),
    Case("CLD002", "enabled", vhd(), PASS),
    Case("CLD002", "one stage not", lambda m: m.disable("cloud-final.service", "cloud-init.target"), FAIL, FAIL, "cloud-final"),
    Case("CLD002", "names since 24.3", lambda m: [m.enable(f"{each}.service", "cloud-init.target") for each in ("cloud-init-main", "cloud-init-network")], PASS),
    Case("CLD003", "on", vhd(), PASS),
    Case("CLD003", "off", write("/etc/cloud/cloud-init.disabled"), FAIL),
    Case("CLD003", "masked", lambda m: m.link("/etc/systemd/system/cloud-init.service", "/dev/null"), FAIL),
    Case("CLD004", "pinned", vhd(), PASS),
    Case("CLD004", "excluded", write("/etc/cloud/cloud.cfg.d/99-other.cfg", "datasource_list: [NoCloud]\n"), FAIL, FAIL, "99-other"),
    Case("CLD004", "one of several", write("/etc/cloud/cloud.cfg.d/99-other.cfg", "datasource_list: [NoCloud, Azure]\n"), WARN, WARN),
    Case("CLD004", "no list", remove("/etc/cloud/cloud.cfg.d/91-azure.cfg"), WARN, WARN),
    Case("CLD004", "no YAML", write("/etc/cloud/cloud.cfg.d/99-other.cfg", "datasource_list: [\n"), UNKNOWN),
    Case("DPR001", "absent", vhd(), PASS),
    Case("DPR001", "provisioned", write("/var/lib/waagent/provisioned"), FAIL),
    Case("DPR001", "something", write("/var/lib/waagent/ovf-env.xml"), WARN, WARN),
    Case("DPR003", "none", vhd(), PASS),
    Case("DPR003", "long", write("/root/.bash_history", "x" * 1025), FAIL, FAIL, "1025 bytes"),
    Case("DPR003", "short", write("/root/.bash_history", "x" * 1024), WARN, FAIL),
    Case("DPR003", "empty", write("/root/.bash_history"), PASS),
    Case("DPR004", "locked", vhd(), PASS),
    Case("DPR004", "hash", edit("/etc/shadow", "*LOCK*", "$6$abc"), WARN, FAIL),
    Case("DPR004", "empty", edit("/etc/shadow", "*LOCK*", ""), WARN, FAIL, "empty"),
    Case("DPR004", "no shadow", remove("/etc/shadow"), UNKNOWN),
    Case("DPR005", "none", vhd(), PASS),
    Case("DPR005", "hash", edit("/etc/shadow", "daemon:*", "daemon:$6$abc"), FAIL, FAIL, "daemon"),
    Case("DPR005", "root's empty one", edit("/etc/shadow", "*LOCK*", ""), FAIL, FAIL, "empty"),
    Case("DPR005", "locked hash", edit("/etc/shadow", "daemon:*", "daemon:!$6$abc"), PASS),
    Case("DPR006", "none", vhd(), PASS),
    Case("DPR006", "alice", write("/etc/passwd", USER), WARN, WARN, "alice (1000)"),
    Case("DPR006", "without a shell", write("/etc/passwd", USER.replace("alice:/bin/bash", "alice:/usr/sbin/nologin")), PASS),
    Case("DPR009", "empty", vhd(), PASS),
    Case("DPR009", "uninitialized", write("/etc/machine-id", "uninitialized\n"), PASS),
    Case("DPR009", "set", write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n"), WARN, WARN),
    Case("DPR009", "D-Bus's", write("/var/lib/dbus/machine-id", "0123456789abcdef\n"), WARN, WARN),
    Case("DST001", "Debian", vhd(), PASS, None, "debian 12"),
    Case("DST001", "missing", remove("/usr/lib/os-release"), FAIL),
    Case("DST001", "without an ID", write("/usr/lib/os-release", "NAME=x\n"), FAIL),
    Case("DEF001", "Linux", vhd(), PASS),
    Case("DEF001", "Windows", ntfs, FAIL, FAIL, "Windows"),
    Case("DEF001", "nothing known", only_swap, UNKNOWN),
]  # fmt: skip


def luks(machine: Machine, start: int, *, keep: bool = False) -> None:
    """A LUKS header; the root is gone unless it is kept."""
    machine.disk.write(start * MIB, b"LUKS\xba\xbe\0\2".ljust(2048, b"\0"))
    if not keep:
        machine.root_partition = 0


def gpt_early(machine: Machine) -> None:
    """A partition at sector 63, as tools of the 1990s made them (in an MBR)."""
    machine.bios()
    machine.disk.write(446 + 8, (63).to_bytes(4, "little"))


def old_agent(machine: Machine) -> None:
    folder = machine.root / "usr/lib/python3/dist-packages"
    (folder / "WALinuxAgent-2.7.3.0.egg-info").rename(folder / "WALinuxAgent-2.2.41.egg-info")


@pytest.mark.parametrize("case", CASES, ids=[f"{case.id} {case.name}" for case in CASES])
def test_row(case: Case, tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    case.change(machine)

    default = machine.result(case.id, **case.profile)
    strict = machine.result(case.id, "Strict", **case.profile)

    assert (default.status, strict.status) == (case.default, case.strict or case.default), default.message
    assert case.says in default.message
    if default.status in ATTENTION:
        assert default.message
        assert default.remedy, "a finding without a remedy helps nobody"
        row = find(case.id)
        assert row is not None
        named = {(each.default, each.strict) for each in (row.levels, *(levels for levels, _ in row.cases))}
        assert (default.severity, strict.severity) in named, "the catalogue does not say this severity"


def test_every_row_has_a_machine_that_passes_and_one_that_does_not() -> None:
    passing = {case.id for case in CASES if case.default is PASS}
    failing = {case.id for case in CASES if case.default in ATTENTION}
    wanted = {row.id for row in rows()}

    assert wanted - passing == set()
    assert wanted - failing == set()
    assert {case.id for case in CASES} == wanted


def test_the_good_machine_has_no_finding(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.vhd()

    for level in ("Default", "Strict"):
        report = machine.check(level)
        assert [each.id for each in report.results if each.status in {*ATTENTION, UNKNOWN}] == []
        assert report.verdict == "ok"
        assert (report.distribution, report.architecture) == ("debian 12", "x64")


def test_no_unknown_row_is_hidden_by_the_gpt_helper(tmp_path: Path) -> None:
    """The helper that writes tables is right: the reader finds no fault in what it writes."""
    machine = Machine(tmp_path)
    disk = MemoryDisk(machine.size)
    gpt(disk, machine.parts)
    assert machine.guest().table.faults == ()
