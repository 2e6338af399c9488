# ruff: noqa: E501 - one case a line: a table is read by its columns
"""Cases of the rows about distributions, settings and traces; the first half of the table is in test_rows.py."""

from tests.unit.prerequisites.changes import (
    ARM,
    FAIL,
    INFO,
    NOT_APPLICABLE,
    PASS,
    SPECIALIZED,
    UNKNOWN,
    V1,
    WARN,
    Case,
    Change,
    both,
    edit,
    no_cloud_init,
    remove,
    vhd,
    write,
)
from tests.unit.prerequisites.machine import BIOS_TYPE, ESP_TYPE, KERNEL, LINUX_TYPE, ROOT_UUID, Machine, gpt, pe

from gallery_operator.prerequisites.container import MIB

MODULES = f"/usr/lib/modules/{KERNEL}/modules.dep"
GRUB = "/boot/grub/grub.cfg"
DEFAULTS = "/etc/default/grub"
OPTIONS = f"root=UUID={ROOT_UUID} ro "
NVME = {"features": {"DiskControllerTypes": "SCSI, NVMe"}}
FAST = {"features": {"IsAcceleratedNetworkSupported": "True"}}
TRUSTED = {"features": {"SecurityType": "TrustedLaunch"}}
IFCFG = "/etc/sysconfig/network-scripts/ifcfg-eth0"
ETH0 = "DEVICE=eth0\nONBOOT=yes\nBOOTPROTO=dhcp\nTYPE=Ethernet\nUSERCTL=no\nPEERDNS=yes\nIPV6INIT=no\n"
NIC = "/usr/lib/udev/rules.d/68-azure-sriov-nm-unmanaged.rules"
ZYPP = "/etc/zypp/repos.d/"
YUM = "/etc/yum.repos.d/"
LABELS = ("EFI-SYSTEM", "BIOS-BOOT", "USR-A", "USR-B", "OEM", "OEM-CONFIG", "ROOT")


def release(identifier: str, version: str = "") -> Change:
    return lambda machine: machine.release(identifier, version)


def kernel(version: str) -> Change:
    return lambda machine: machine.kernel(version)


def options(words: str) -> Change:
    return edit(GRUB, OPTIONS, f"{OPTIONS}{words} ")


def enable(unit: str) -> Change:
    return lambda machine: machine.enable(unit)


def drivers(*names: str) -> Change:
    """Only these modules are installed."""
    return write(MODULES, "".join(f"kernel/{each}.ko:\n" for each in names) or "a.ko:\n")


def builtin(*names: str) -> Change:
    return write(f"/usr/lib/modules/{KERNEL}/modules.builtin", "".join(f"kernel/{each}.ko\n" for each in names))


def lines(path: str, *texts: str) -> Change:
    """Add lines to a file."""
    return lambda machine: machine.write(path, machine.read(path) + "".join(f"{each}\n" for each in texts))


def repository(path: str, identifier: str, url: str = "http://x/", enabled: int = 1) -> Change:
    return write(path, f"[{identifier}]\nname=x\nbaseurl={url}\nenabled={enabled}\n")


def flatcar(*missing: str, guid: int = 1, first_boot: bool = True) -> Change:
    """A disk as flatcar/scripts lays it out, and the files of its OEM partition."""

    def change(machine: Machine) -> None:
        machine.release("flatcar", "4152.2.0")
        parts, names = [], []
        for index, name in enumerate(each for each in LABELS if each not in missing):
            kind = {"EFI-SYSTEM": ESP_TYPE, "BIOS-BOOT": BIOS_TYPE}.get(name, LINUX_TYPE)
            parts.append((kind, 1 + 64 * index, 64))
            names.append(name)
        machine.partition(parts)
        gpt(machine.disk, parts, names=names, guid=guid)
        machine.root_partition = len(parts)
        machine.write("/oem/oem-release", "ID=azure\n")
        machine.write(
            "/oem/grub.cfg", 'set oem_id="azure"\nset linux_console="console=ttyS0,115200n8 earlyprintk=ttyS0,115200"\n'
        )
        machine.write("/oem/sysext/oem-azure-4152.raw")
        if first_boot:
            machine.write_esp("/flatcar/first_boot", "")

    return change


def lvm_root(machine: Machine) -> None:
    """As Red Hat's images with RHUI: the root on a logical volume."""
    machine.root_mapper = "rootvg-rootlv"


def raid(machine: Machine) -> None:
    """A member of an md array (superblock 1.2, 4 KiB into the partition)."""
    machine.partition([(LINUX_TYPE, 65, 1000)])
    machine.disk.write(65 * MIB + 1024, bytes(1024))
    machine.disk.write(65 * MIB + 4096, b"\xfc\x4e\x2b\xa9".ljust(256, b"\0"))
    machine.root_partition = 0


def var_apart(machine: Machine) -> None:
    machine.write(
        "/etc/fstab",
        f"UUID={ROOT_UUID} / ext4 defaults 0 1\nPARTUUID=00000000-0000-0000-0000-000000000001 /var ext4 defaults 0 2\n",
    )


MORE: list[Case] = [
    # Storage
    Case("PRT012", "a partition", vhd(), PASS),
    Case("PRT012", "a logical volume", lvm_root, INFO, WARN, "LVM volume"),
    Case("PRT013", "one", vhd(), PASS),
    Case("PRT013", "/var apart", var_apart, INFO, WARN, "/var"),
    Case("PRT013", "another disk's", write("/etc/fstab", "/dev/sdc1 /var ext4 nofail 0 2\n"), PASS),
    Case("PRT015", "one disk", vhd(), PASS),
    Case("PRT015", "a RAID", raid, FAIL, FAIL, "RAID"),
    # Drivers
    Case("KRN006", "there", vhd(), PASS),
    Case("KRN006", "no balloon", drivers("hyperv-keyboard", "hyperv_fb"), INFO, WARN, "hv_balloon"),
    Case("KRN006", "no screen", drivers("hyperv-keyboard", "hv_balloon"), INFO, WARN, "hyperv_drm"),
    Case("KRN007", "there", vhd(), PASS, profile=FAST),
    Case("KRN007", "not declared", drivers(), NOT_APPLICABLE),
    Case("KRN007", "missing", drivers("mlx4_core", "mana"), WARN, WARN, "pci_hyperv, mlx5_core", profile=FAST),
    Case("KRN007", "the newest card's", drivers("pci-hyperv", "mlx5_core", "mlx4_core"), INFO, INFO, "mana", profile=FAST),
    Case("KRN008", "there", vhd(), PASS),
    Case("KRN008", "blocked, new cloud-init", write("/etc/modprobe.d/cis.conf", "install udf /bin/true\n"), WARN, WARN, "cis.conf:1"),
    Case("KRN008", "blocked, waagent", both(no_cloud_init, write("/etc/modprobe.d/cis.conf", "install udf /bin/false\n")), FAIL),
    Case("KRN008", "missing, old cloud-init", both(drivers("vfat"), lambda m: old_cloud_init(m)), FAIL, FAIL, "missing"),
    Case("KRN012", "there", drivers("ata_piix"), PASS, profile=V1),
    Case("KRN012", "missing", vhd(), WARN, WARN, profile=V1),
    Case("KRN020", "named", both(release("rhel", "9.4"), write("/etc/dracut.conf.d/azure.conf", 'add_drivers+=" hv_vmbus hv_netvsc hv_storvsc "\n')), PASS),
    Case("KRN020", "generic", both(release("rhel", "9.4"), write("/usr/lib/dracut/dracut.conf.d/02-generic.conf", 'hostonly="no"\n')), PASS),
    Case("KRN020", "built in", both(release("sles", "15.5"), builtin("hv_vmbus", "hv_netvsc", "hv_storvsc")), PASS),
    Case("KRN020", "not named", both(release("rhel", "9.4"), write("/etc/dracut.conf.d/azure.conf", 'add_drivers+=" hv_vmbus "\n')), INFO, INFO, "hv_netvsc"),
    Case("KRN021", "built in", builtin("nvme", "nvme-core"), PASS, profile=NVME),
    Case("KRN021", "a module", drivers("nvme", "nvme-core"), FAIL, FAIL, "nvme is a module", profile=NVME),
    Case("KRN021", "not declared", vhd(), NOT_APPLICABLE),
    Case("KRN022", "on the command line", options("nvme_core.io_timeout=240"), PASS, profile=NVME),
    Case("KRN022", "by udev", write("/usr/lib/udev/rules.d/80-azure-disk.rules", "x"), PASS, profile=NVME),
    Case("KRN022", "too short", options("nvme_core.io_timeout=30"), WARN, FAIL, "=30", profile=NVME),
    Case("KRN023", "possible", vhd(), PASS, profile=NVME),
    Case("KRN023", "V1", vhd(), FAIL, FAIL, "V1", profile={**NVME, **V1}),
    Case("KRN023", "confidential", vhd(), FAIL, profile={"features": {"DiskControllerTypes": "NVMe", "SecurityType": "ConfidentialVM"}}),
    Case("KRN023", "openSUSE", release("opensuse-leap", "15.6"), WARN, WARN, "opensuse", profile=NVME),
    Case("KRN026", "none", vhd(), PASS, profile=TRUSTED),
    Case("KRN026", "a module of DKMS", write(f"/usr/lib/modules/{KERNEL}/updates/dkms/x.ko.zst"), INFO, WARN, "x.ko", profile=TRUSTED),
    Case("KRN029", "missing", vhd(), PASS, profile=V1),
    Case("KRN029", "blocked", both(drivers("floppy"), write("/etc/modprobe.d/f.conf", "blacklist floppy\n")), PASS, profile=V1),
    Case("KRN029", "there", drivers("floppy"), INFO, INFO, profile=V1),
    Case("KRN030", "Azure's", vhd(), PASS),
    Case("KRN030", "KVM's", lambda m: m.initramfs("virtio_blk"), INFO, INFO, "virtio_blk"),
    # Kernels
    Case("KRN014", "mended", both(release("centos", "6.10"), kernel("2.6.32-754.el6.x86_64")), PASS),
    Case("KRN014", "off", both(release("centos", "6.4"), options("numa=off"), kernel("2.6.32-358.el6.x86_64")), PASS),
    Case("KRN014", "old", both(release("centos", "6.4"), kernel("2.6.32-358.el6.x86_64")), FAIL, FAIL, "2.6.32-358"),
    Case("KRN015", "new", vhd(), PASS),
    Case("KRN015", "old", kernel("3.7.10-1"), INFO, WARN),
    Case("KRN016", "UEK7", both(release("ol", "9.3"), kernel("5.15.0-101.103.2.1.el9uek.x86_64")), PASS),
    Case("KRN016", "UEK2", both(release("ol", "6.10"), kernel("2.6.39-400.312.2.el6uek.x86_64")), FAIL),
    Case("KRN017", "Debian's cloud kernel", vhd(), PASS),
    Case("KRN017", "Debian's usual one", kernel("6.1.0-9-amd64"), INFO, INFO),
    Case("KRN017", "Ubuntu's for Azure", both(release("ubuntu", "24.04"), kernel("6.8.0-1014-azure")), PASS),
    Case("KRN017", "Ubuntu's usual one", both(release("ubuntu", "24.04"), kernel("6.8.0-40-generic")), WARN, WARN),
    Case("KRN018", "installed", both(release("centos", "6.3"), write("/usr/lib/modules/2.6.32/extra/microsoft-hyper-v/hv_vmbus.ko")), PASS),
    Case("KRN018", "missing", release("centos", "6.3"), FAIL),
    Case("KRN018", "a later release", release("centos", "6.4"), NOT_APPLICABLE),
    Case("KRN027", "set", vhd(), PASS),
    Case("KRN027", "no CIFS", write(f"/boot/config-{KERNEL}", "CONFIG_WATCHDOG=y\n# CONFIG_CIFS is not set\n"), INFO, WARN, "CONFIG_CIFS"),
    Case("KRN027", "not known", remove(f"/boot/config-{KERNEL}"), UNKNOWN),
    Case("KRN028", "new", vhd(), PASS),
    Case("KRN028", "CentOS 7.6, mended", both(release("centos", "7"), kernel("3.10.0-957.21.3.el7.x86_64")), PASS),
    Case("KRN028", "CentOS 7.6", both(release("centos", "7"), kernel("3.10.0-957.5.1.el7.x86_64")), INFO, WARN, "957.21.3"),
    Case("KRN028", "CentOS 7.3, mended in its series", both(release("centos", "7"), kernel("3.10.0-514.66.2.el7.x86_64")), PASS),
    Case("KRN028", "Ubuntu", both(release("ubuntu", "18.04"), kernel("4.15.0-1046-azure")), INFO, WARN),
    Case("KRN028", "not in the table", kernel("4.12.9-test"), UNKNOWN),
    # Command line
    Case("CMD003", "Debian without", vhd(), PASS),
    Case("CMD003", "Debian with", options("rootdelay=300"), WARN, WARN, "rootdelay=300"),
    Case("CMD003", "RHEL with", both(release("rhel", "9.4"), options("rootdelay=300")), PASS),
    Case("CMD003", "RHEL without", release("rhel", "9.4"), INFO, WARN),
    Case("CMD003", "CentOS without", release("centos", "7"), WARN, WARN),
    Case("CMD004", "set", both(release("rhel", "8.9"), options("net.ifnames=0")), PASS),
    Case("CMD004", "not set", release("ol", "8.9"), WARN, WARN),
    Case("CMD006", "none", release("rhel", "8.9"), PASS),
    Case("CMD006", "auto", both(release("rhel", "8.9"), options("crashkernel=auto")), INFO, INFO),
    Case("CMD010", "in the defaults", both(release("rhel", "9.4"), write(DEFAULTS, 'GRUB_TERMINAL="serial console"\nGRUB_SERIAL_COMMAND="serial --speed=115200"\n')), PASS),
    Case("CMD010", "in grub.cfg", both(release("sles", "15.5"), lines(GRUB, "serial --speed=115200", "terminal_output serial console")), PASS),
    Case("CMD010", "no command", both(release("sles", "15.5"), write(DEFAULTS, 'GRUB_TERMINAL="serial"\n')), WARN, WARN, "GRUB_SERIAL_COMMAND"),
    Case("CMD010", "missing", release("rhel", "9.4"), WARN, WARN),
    Case("CMD011", "as wanted", write(DEFAULTS, 'GRUB_CMDLINE_LINUX="console=tty1 earlyprintk=ttyS0"\n'), PASS),
    Case("CMD011", "not made anew", write(DEFAULTS, 'GRUB_CMDLINE_LINUX="console=tty1 audit=1"\n'), WARN, WARN, "grub:1: audit=1"),
    Case("CMD011", "Debian's folder", both(write(DEFAULTS, 'A="audit=1"\n'), write("/etc/default/grub.d/50.cfg", 'GRUB_CMDLINE_LINUX="$A quiet"\n')), WARN, WARN, "50.cfg:1: audit=1"),
    Case("CMD011", "nothing wanted", vhd(), NOT_APPLICABLE),
    Case("CMD012", "they agree", both(release("rhel", "9.4"), write("/boot/loader/entries/a.conf", "linux /a\noptions ro quiet\n"), write("/boot/loader/entries/b.conf", "linux /b\noptions quiet ro\n")), PASS),
    Case("CMD012", "they differ", both(release("rhel", "9.4"), write("/boot/loader/entries/a.conf", "linux /a\noptions ro quiet\n"), write("/boot/loader/entries/b.conf", "linux /b\noptions ro\n")), WARN, WARN, "b.conf"),
    Case("CMD012", "no kernelopts", both(release("rhel", "8.9"), write("/boot/loader/entries/a.conf", "linux /a\noptions $kernelopts\n")), WARN, WARN, "grubenv"),
    Case("CMD012", "switched off", both(release("rhel", "8.9"), write(DEFAULTS, "GRUB_ENABLE_BLSCFG=false\n")), WARN, WARN, "grub:1"),
    Case("CMD014", "none", options("ip=dhcp"), PASS),
    Case("CMD014", "an address", options("ip=10.0.0.4::10.0.0.1:255.255.255.0:vm:eth0:off"), WARN, WARN, "10.0.0.4"),
    Case("CMD014", "a MAC address", options("ifname=eth0:00:11:22:33:44:55"), WARN, WARN),
    # Network
    Case("NET001", "cloud-init", vhd(), PASS, says="cloud-init"),
    Case("NET001", "ifupdown", both(no_cloud_init, write("/etc/network/interfaces", "auto lo\niface lo inet loopback\niface eth0 inet dhcp\n")), PASS, says="interfaces:3"),
    Case("NET001", "cloud-init leaves it alone", write("/etc/cloud/cloud.cfg.d/99.cfg", "network: {config: disabled}\n"), FAIL),
    Case("NET001", "netplan", both(no_cloud_init, write("/etc/netplan/1.yaml", "network: {ethernets: {eth0: {dhcp4: true}}}\n")), PASS),
    Case("NET001", "networkd", both(no_cloud_init, write("/etc/systemd/network/1.network", "[Match]\nName=e*\n[Network]\nDHCP=yes\n")), PASS),
    Case("NET001", "NetworkManager's default", both(no_cloud_init, enable("NetworkManager.service")), PASS),
    Case("NET001", "a profile with an address", both(no_cloud_init, enable("NetworkManager.service"), write("/etc/NetworkManager/system-connections/e.nmconnection", "[connection]\ntype=ethernet\n[ipv4]\nmethod=manual\n")), FAIL, FAIL, "method=manual"),
    Case("NET001", "ifcfg with an address", both(no_cloud_init, write(IFCFG, "BOOTPROTO=none\nIPADDR=10.0.0.4\n")), FAIL, FAIL, "BOOTPROTO=none"),
    Case("NET001", "nothing", no_cloud_init, FAIL),
    Case("NET002", "as asked", both(release("centos", "7"), write(IFCFG, ETH0)), PASS),
    Case("NET002", "missing", release("rhel", "7.9"), WARN, FAIL, "no /etc"),
    Case("NET002", "static", both(release("ol", "7.9"), write(IFCFG, ETH0.replace("dhcp", "static"))), WARN, FAIL, "BOOTPROTO=static"),
    Case("NET002", "a later release", release("rhel", "9.4"), NOT_APPLICABLE),
    Case("NET005", "masked", both(release("centos", "7"), write("/usr/lib/udev/rules.d/75-persistent-net-generator.rules", "x"), lambda m: m.link("/etc/udev/rules.d/75-persistent-net-generator.rules", "/dev/null")), PASS),
    Case("NET005", "there", both(release("centos", "7"), write("/usr/lib/udev/rules.d/75-persistent-net-generator.rules", "x")), WARN, FAIL),
    Case("NET006", "none", release("sles", "15.5"), PASS),
    Case("NET006", "ifcfg", both(release("sles", "15.5"), write("/etc/sysconfig/network/ifcfg-eth0", "x")), WARN, WARN),
    Case("NET007", "as asked", both(release("centos", "7"), write("/etc/sysconfig/network", "NETWORKING=yes\nHOSTNAME=localhost.localdomain\n")), PASS),
    Case("NET007", "off", both(release("centos", "7"), write("/etc/sysconfig/network", "NETWORKING=no\n")), WARN, FAIL, "NETWORKING=no"),
    Case("NET007", "missing", release("ol", "7.9"), WARN, FAIL),
    Case("NET009", "release 6 without", release("centos", "6.10"), PASS),
    Case("NET009", "release 6 with", both(release("centos", "6.10"), write("/usr/sbin/NetworkManager")), WARN, FAIL),
    Case("NET009", "release 9 with", both(release("rhel", "9.4"), write("/usr/sbin/NetworkManager"), enable("NetworkManager.service")), PASS),
    Case("NET009", "release 9 without", release("rhel", "9.4"), WARN, FAIL),
    Case("NET009", "release 9, disabled", both(release("rhel", "9.4"), write("/usr/sbin/NetworkManager")), WARN, FAIL, "NetworkManager.service"),
    Case("NET010", "there", write(NIC, "x"), PASS),
    Case("NET010", "RHEL without", both(release("rhel", "9.4"), enable("NetworkManager.service")), WARN, WARN),
    Case("NET010", "networkd without", enable("systemd-networkd.service"), INFO, INFO),
    Case("NET010", "nothing that manages", vhd(), NOT_APPLICABLE),
    Case("NET011", "no", both(release("sles", "15.5"), write("/etc/sysconfig/network/dhcp", 'DHCLIENT_SET_HOSTNAME="no"\n')), PASS),
    Case("NET011", "yes", both(release("opensuse-leap", "15.6"), write("/etc/sysconfig/network/dhcp", 'DHCLIENT_SET_HOSTNAME="yes"\n')), WARN, FAIL),
    Case("NET012", "300", both(write("/usr/sbin/dhclient"), write("/etc/dhcp/dhclient.conf", "timeout 300;\n")), PASS),
    Case("NET012", "60", both(write("/usr/sbin/dhclient"), write("/etc/dhcp/dhclient.conf", "timeout 60;\n")), INFO, WARN, "dhclient.conf:1"),
    Case("NET012", "not set", write("/usr/sbin/dhclient"), INFO, WARN),
    Case("NET014", "none", vhd(), PASS),
    Case("NET014", "a link", lambda m: m.link("/etc/resolv.conf", "../run/x"), PASS),
    Case("NET014", "one", write("/etc/resolv.conf", "nameserver 10.0.0.53\n"), WARN, WARN, "10.0.0.53"),
    Case("NET014", "Ubuntu's", both(release("ubuntu", "22.04"), write("/etc/resolv.conf", "nameserver 10.0.0.53\n")), NOT_APPLICABLE),
    Case("NET015", "none", vhd(), PASS),
    Case("NET015", "one", write("/var/lib/dhcp/dhclient.eth0.leases", "x"), WARN, WARN),
    Case("NET016", "none", vhd(), PASS),
    Case("NET016", "a firewall", write("/etc/nftables.conf", "ip daddr 168.63.129.16 drop\n"), INFO, INFO, "nftables.conf:1"),
    Case("NET016", "hosts", write("/etc/hosts", "169.254.169.254 metadata\n"), INFO, INFO),
    Case("SSH007", "a key", write("/root/.ssh/authorized_keys", "ssh-ed25519 AAAA\n"), PASS, profile=SPECIALIZED),
    Case("SSH007", "a password", edit("/etc/shadow", "root:*LOCK*", "root:$6$x"), PASS, profile=SPECIALIZED),
    Case("SSH007", "nobody", vhd(), WARN, WARN, "nobody", profile=SPECIALIZED),
    Case("SSH007", "no host keys", both(write("/root/.ssh/authorized_keys", "x\n"), no_cloud_init, lambda m: m.remove("/usr/sbin/waagent")), WARN, WARN, "host keys", profile=SPECIALIZED),
    # Agent
    Case("AGT007", "neither", vhd(), PASS),
    Case("AGT007", "not read any more", lines("/etc/waagent.conf", "Provisioning.UseCloudInit=y"), INFO, INFO, "waagent.conf:4"),
    Case("AGT007", "old agent", lambda m: agent_2_2_40(m), FAIL),
    Case("AGT007", "old agent, told", both(lambda m: agent_2_2_40(m), lines("/etc/waagent.conf", "Provisioning.Enabled=n", "Provisioning.UseCloudInit=y")), PASS),
    Case("AGT010", "on the resource disk", lines("/etc/waagent.conf", "ResourceDisk.EnableSwap=y", "ResourceDisk.Format=y", "ResourceDisk.SwapSizeMB=2048", "ResourceDisk.Filesystem=ext4", "ResourceDisk.MountPoint=/mnt/resource"), PASS),
    Case("AGT010", "of no size", lines("/etc/waagent.conf", "ResourceDisk.EnableSwap=y", "ResourceDisk.Format=y", "ResourceDisk.SwapSizeMB=0", "ResourceDisk.Filesystem=ext4", "ResourceDisk.MountPoint=/mnt/resource"), WARN, WARN, "SwapSizeMB=0"),
    Case("AGT010", "no swap", vhd(), NOT_APPLICABLE),
    Case("AGT012", "made anew", no_cloud_init, PASS),
    Case("AGT012", "kept", both(no_cloud_init, lines("/etc/waagent.conf", "Provisioning.RegenerateSshHostKeyPair=n")), WARN, WARN),
    Case("AGT014", "300", vhd(), PASS),
    Case("AGT014", "not set", edit("/etc/waagent.conf", "OS.RootDeviceScsiTimeout=300\n", ""), INFO, WARN),
    Case("AGT015", "all there", vhd(), PASS),
    Case("AGT015", "by env", write("/usr/sbin/waagent", "#!/usr/bin/env python3\n"), PASS),
    Case("AGT015", "no Python", remove("/usr/bin/python3"), FAIL, FAIL, "/usr/bin/python3"),
    Case("AGT015", "no parted", remove("/usr/sbin/parted"), WARN, WARN, "parted"),
    Case("AGT015", "no first line", write("/usr/sbin/waagent", "\x7fELF"), UNKNOWN),
    Case("AGT016", "there", both(release("centos", "7"), write("/usr/lib/python2.7/site-packages/pyasn1/__init__.py")), PASS),
    Case("AGT016", "missing", release("centos", "7"), INFO, INFO),
    Case("AGT017", "the agent's", vhd(), PASS),
    Case("AGT017", "azure-vm-utils", both(remove("/usr/lib/udev/rules.d/66-azure-storage.rules"), write("/usr/lib/udev/rules.d/80-azure-disk.rules", "x")), PASS),
    Case("AGT017", "missing", remove("/usr/lib/udev/rules.d/66-azure-storage.rules"), WARN, WARN, "66-azure"),
    Case("AGT018", "there", vhd(), PASS),
    Case("AGT018", "Debian without", remove("/usr/sbin/hv_kvp_daemon"), INFO, INFO),
    Case("AGT018", "RHEL without", both(release("rhel", "9.4"), remove("/usr/sbin/hv_vss_daemon")), WARN, WARN, "hv_vss_daemon"),
    Case("AGT019", "there", vhd(), PASS),
    Case("AGT019", "missing", remove("/usr/bin/growpart"), WARN, WARN, "growpart"),
    Case("AGT020", "there", both(release("debian", "13"), write("/usr/sbin/azure-nvme-id")), PASS),
    Case("AGT020", "missing", release("debian", "13"), INFO, INFO),
    Case("AGT020", "not shipped", vhd(), NOT_APPLICABLE),
    Case("AGT020", "RHEL before 9.8", release("rhel", "9.4"), NOT_APPLICABLE),
    Case("AGT020", "RHEL 9.7", release("rhel", "9.7"), NOT_APPLICABLE),
    Case("AGT020", "RHEL 9.8", release("rhel", "9.8"), INFO, INFO),
    Case("SSH003", "three minutes", edit("/etc/ssh/sshd_config", "ClientAliveInterval 180", "ClientAliveInterval 3m"), PASS),
    Case("SSH003", "235 seconds", edit("/etc/ssh/sshd_config", "ClientAliveInterval 180", "ClientAliveInterval 235"), PASS),
    Case("SSH003", "236 seconds", edit("/etc/ssh/sshd_config", "ClientAliveInterval 180", "ClientAliveInterval 236"), WARN, FAIL),
    Case("SSH003", "3 hours", edit("/etc/ssh/sshd_config", "ClientAliveInterval 180", "ClientAliveInterval 3h"), WARN, FAIL),
    # cloud-init
    Case("CLD005", "off", vhd(), PASS),
    Case("CLD005", "not set", edit("/etc/cloud/cloud.cfg", "datasource: {Azure: {apply_network_config: false}}", ""), INFO, INFO),
    Case("CLD006", "both", vhd(), PASS),
    Case("CLD006", "no mounts", edit("/etc/cloud/cloud.cfg", ", mounts", ""), WARN, WARN, "mounts"),
    Case("CLD006", "of 23", lambda m: cloud_init(m, "23.1"), NOT_APPLICABLE),
    Case("CLD007", "kept", vhd(), PASS),
    Case("CLD007", "not kept", edit("/etc/cloud/cloud.cfg", "output:", "x:"), INFO, INFO),
    Case("CLD008", "hyperv", vhd(), PASS),
    Case("CLD008", "as Red Hat's article writes it", edit("/etc/cloud/cloud.cfg", "reporting:", "Reporting:"), INFO, INFO, "small letters"),
    Case("CLD009", "22.4", vhd(), PASS),
    Case("CLD009", "20.1", lambda m: cloud_init(m, "20.1"), INFO, WARN, "20.1"),
    Case("CLD015", "none", vhd(), PASS),
    Case("CLD015", "a log", write("/var/log/cloud-init-output.log"), INFO, WARN),
    Case("CLD016", "none", vhd(), PASS),
    Case("CLD016", "a profile", write("/etc/NetworkManager/system-connections/cloud-init-eth0.nmconnection"), WARN, WARN),
    Case("CLD017", "default", vhd(), PASS),
    Case("CLD017", "only alice", write("/etc/cloud/cloud.cfg.d/1.cfg", "users: [alice]\n"), FAIL, FAIL, "1.cfg"),
    Case("CLD017", "no list", edit("/etc/cloud/cloud.cfg", "users: [default]", ""), FAIL, FAIL, "not set"),
    Case("CLD017", "an empty list", edit("/etc/cloud/cloud.cfg", "users: [default]", "users: {}"), FAIL, FAIL, "empty"),
    Case("CLD017", "nobody by default", edit("/etc/cloud/cloud.cfg", "default_user", "x"), FAIL),
    Case("CLD018", "right", write("/etc/cloud/cloud.cfg.d/00-azure-swap.cfg", "fs_setup: [{device: ephemeral0.1}, {device: ephemeral0.2}]\n"), PASS),
    Case("CLD018", "indented wrongly", write("/etc/cloud/cloud.cfg.d/00-azure-swap.cfg", "fs_setup:\n- device: ephemeral0.1\n    filesystem: ext4\n"), WARN, WARN, "no YAML"),
    Case("CLD018", "half", write("/etc/cloud/cloud.cfg.d/00-azure-swap.cfg", "fs_setup: [{device: ephemeral0.1}]\n"), WARN, WARN, "ephemeral0.2"),
    Case("CLD019", "Azure's", both(release("ubuntu", "22.04"), lines("/etc/cloud/cloud.cfg.d/91-azure.cfg", "system_info: {package_mirrors: [{failsafe: {primary: http://azure.archive.ubuntu.com/ubuntu}}]}")), PASS),
    Case("CLD019", "others", release("ubuntu", "22.04"), INFO, INFO),
    # Identities and traces
    Case("DPR011", "none", vhd(), PASS),
    Case("DPR011", "a seed", write("/var/lib/systemd/random-seed", "x"), INFO, WARN),
    Case("DPR013", "commented", both(release("sles", "15.5"), write("/etc/sudoers", "# Defaults targetpw\nroot ALL=(ALL:ALL) ALL\n")), PASS),
    Case("DPR013", "on", both(release("sles", "15.5"), write("/etc/sudoers", "Defaults targetpw   # ask\n")), WARN, FAIL, "sudoers:1"),
    Case("DPR013", "for all", both(release("opensuse-leap", "15.6"), write("/etc/sudoers.d/x", "ALL   ALL=(ALL) ALL\n")), WARN, FAIL),
    Case("DPR014", "none", vhd(), PASS),
    Case("DPR014", "a slice", write("/etc/systemd/system/waagent.service.d/10-Slice.conf"), INFO, INFO),
    Case("DPR015", "none", release("rhel", "9.4"), PASS),
    Case("DPR015", "registered", both(release("rhel", "9.4"), write("/etc/pki/consumer/cert.pem")), WARN, WARN),
    Case("DPR016", "none", release("sles", "15.5"), PASS),
    Case("DPR016", "registered", both(release("sles", "15.5"), write("/etc/zypp/credentials.d/SCCcredentials")), WARN, WARN),
    Case("DPR017", "none", vhd(), PASS),
    Case("DPR017", "kickstart", write("/root/anaconda-ks.cfg"), WARN, WARN),
    Case("DPR018", "empty", write("/var/log/wtmp"), PASS),
    Case("DPR018", "a login", write("/var/log/wtmp", "x"), INFO, INFO),
    Case("DPR018", "a journal", write("/var/log/journal/0123456789abcdef0123456789abcdef/system.journal"), INFO, INFO),
    Case("DPR019", "Debian's template", write("/etc/iscsi/initiatorname.iscsi", "GenerateName=yes\n"), PASS),
    Case("DPR019", "a name", write("/etc/iscsi/initiatorname.iscsi", "InitiatorName=iqn.1993-08.org.debian:01:x\n"), INFO, INFO),
    Case("DPR019", "NVMe", write("/etc/nvme/hostnqn", "x"), INFO, INFO),
    Case("DPR020", "none", vhd(), PASS, profile=SPECIALIZED),
    Case("DPR020", "a name", write("/etc/hostname", "web-1\n"), INFO, INFO, "web-1", profile=SPECIALIZED),
    # Time
    Case("TIM002", "the host's", vhd(), PASS, says="azure.conf:1"),
    Case("TIM002", "Debian without", remove("/etc/chrony/conf.d/azure.conf"), INFO, FAIL),
    Case("TIM002", "RHEL without", both(release("rhel", "9.4"), remove("/etc/chrony/conf.d/azure.conf")), WARN, FAIL),
    Case("TIM002", "RHEL with ptp0", both(release("rhel", "9.4"), write("/etc/chrony/conf.d/azure.conf", "refclock PHC /dev/ptp0 poll 3\n")), WARN, FAIL, "ptp0"),
    Case("TIM002", "RHEL 8 without", both(release("rhel", "8.0"), remove("/etc/chrony/conf.d/azure.conf")), WARN, FAIL),
    Case("TIM002", "RHEL 7 without", both(release("rhel", "7.9"), remove("/etc/chrony/conf.d/azure.conf")), INFO, FAIL),
    Case("TIM002", "Ubuntu 19.10 without", both(release("ubuntu", "19.10"), remove("/etc/chrony/conf.d/azure.conf")), WARN, FAIL),
    Case("TIM002", "Ubuntu 18.04 without", both(release("ubuntu", "18.04"), remove("/etc/chrony/conf.d/azure.conf")), INFO, FAIL),
    Case("TIM003", "always", vhd(), PASS),
    Case("TIM003", "three times", edit("/etc/chrony/chrony.conf", "1.0 -1", "1 3"), INFO, WARN, "chrony.conf:2"),
    Case("TIM003", "never", edit("/etc/chrony/chrony.conf", "makestep 1.0 -1\n", ""), INFO, WARN),
    Case("TIM004", "systemd's", vhd(), PASS),
    Case("TIM004", "missing", remove("/usr/lib/udev/rules.d/50-udev-default.rules"), WARN, WARN),
    Case("TIM005", "one", vhd(), PASS),
    Case("TIM005", "two", enable("systemd-timesyncd.service"), INFO, INFO),
    # Repositories
    Case("REP001", "Azure's", both(release("ubuntu", "24.04"), write("/etc/apt/sources.list.d/ubuntu.sources", "Types: deb\nURIs: http://azure.archive.ubuntu.com/ubuntu/\nSuites: noble noble-updates\n noble-security\n")), PASS),
    Case("REP001", "Arm64", both(release("ubuntu", "24.04"), write("/etc/apt/sources.list", "deb http://ports.ubuntu.com/ubuntu-ports noble-updates main\ndeb http://ports.ubuntu.com/ubuntu-ports noble-security main\n")), PASS, profile=ARM),
    Case("REP001", "no security", both(release("ubuntu", "22.04"), write("/etc/apt/sources.list", "deb [arch=amd64] http://azure.archive.ubuntu.com/ubuntu jammy-updates main\n")), WARN, FAIL, "-security"),
    Case("REP001", "another", both(release("ubuntu", "22.04"), write("/etc/apt/sources.list", "deb http://archive.ubuntu.com/ubuntu jammy main\n")), WARN, FAIL),
    Case("REP002", "Debian's", vhd(), PASS),
    Case("REP002", "a mirror inside", write("/etc/apt/sources.list", "deb http://mirror.internal/debian bookworm main\n"), INFO, FAIL),
    Case("REP002", "switched off", both(remove("/etc/apt/sources.list"), write("/etc/apt/sources.list.d/d.sources", "Types: deb\nURIs: http://deb.debian.org/debian\nSuites: bookworm\nEnabled: no\n")), INFO, FAIL),
    Case("REP003", "OpenLogic's", both(release("centos", "7"), repository(f"{YUM}CentOS-Base.repo", "base", "http://olcentgbl.trafficmanager.net/centos/7/os")), PASS),
    Case("REP003", "another", both(release("centos", "7"), repository(f"{YUM}CentOS-Base.repo", "base")), INFO, INFO),
    Case("REP003", "CentOS 6 caches all", both(release("centos", "6.10"), repository(f"{YUM}CentOS-Base.repo", "base", "http://olcentgbl.trafficmanager.net/")), INFO, INFO, "http_caching"),
    Case("REP004", "RHUI", both(release("rhel", "9.4"), repository(f"{YUM}rh-cloud.repo", "rhui-rhel-9-baseos")), PASS),
    Case("REP004", "none", release("rhel", "9.4"), INFO, WARN),
    Case("REP004", "Rocky's own", both(release("rocky", "9.4"), repository(f"{YUM}rocky.repo", "baseos")), PASS),
    Case("REP005", "all", both(release("sles", "15.5"), write("/etc/products.d/sle-module-public-cloud.prod"), repository(f"{ZYPP}p.repo", "SLES15-Pool"), repository(f"{ZYPP}u.repo", "SLES15-Updates")), PASS),
    Case("REP005", "registered at boot", both(release("sles", "15.5"), write("/usr/sbin/registercloudguest")), PASS),
    Case("REP005", "none", release("sles", "15.5"), INFO, WARN, "Public Cloud"),
    Case("REP006", "all", both(release("opensuse-leap", "15.6"), repository(f"{ZYPP}c.repo", "Cloud:Tools"), repository(f"{ZYPP}o.repo", "repo-oss"), repository(f"{ZYPP}u.repo", "repo-update")), PASS),
    Case("REP006", "one is off", both(release("opensuse-leap", "15.6"), repository(f"{ZYPP}c.repo", "Cloud:Tools", enabled=0), repository(f"{ZYPP}o.repo", "repo-oss"), repository(f"{ZYPP}u.repo", "repo-update")), INFO, FAIL, "Cloud:Tools"),
    Case("REP007", "enabled", both(release("ol", "7.9"), repository(f"{YUM}oracle.repo", "ol7_addons")), PASS),
    Case("REP007", "disabled", both(release("ol", "7.9"), repository(f"{YUM}oracle.repo", "ol7_addons", enabled=0)), WARN, WARN),
    # Distribution, versions
    Case("DST002", "Debian", vhd(), PASS),
    Case("DST002", "another", release("gentoo"), INFO, INFO, "gentoo"),
    Case("DST003", "maintained", vhd(), PASS),
    Case("DST003", "CentOS 7", release("centos", "7"), WARN, WARN),
    Case("DST003", "CentOS Stream 9", release("centos", "9"), PASS),
    Case("DST003", "Ubuntu 16.04", release("ubuntu", "16.04"), WARN, WARN),
    Case("SEC001", "3", vhd(), PASS),
    Case("SEC001", "RHEL 7's 1.0.2", both(remove("/usr/lib/x86_64-linux-gnu/libssl.so.3"), write("/usr/lib64/libssl.so.1.0.2k")), PASS),
    Case("SEC001", "1.0.1", both(remove("/usr/lib/x86_64-linux-gnu/libssl.so.3"), write("/usr/lib64/libssl.so.1.0.1e")), WARN, FAIL, "1.0.1"),
    Case("SEC001", "1.1.0", both(remove("/usr/lib/x86_64-linux-gnu/libssl.so.3"), write("/usr/lib/x86_64-linux-gnu/libssl.so.1.1"), write("/var/lib/dpkg/status", "Package: libssl1.1\nStatus: install ok installed\nVersion: 1.1.0l-1\n")), WARN, FAIL, "1.1.0"),
    Case("SEC001", "1.1 of no known letter", both(remove("/usr/lib/x86_64-linux-gnu/libssl.so.3"), write("/usr/lib64/libssl.so.1.1")), UNKNOWN),
    Case("SEC002", "3.11", vhd(), PASS),
    Case("SEC002", "3.6", both(remove("/usr/bin/python3.11"), write("/usr/libexec/platform-python3.6")), INFO, INFO, "3.6"),
    Case("SEC002", "none", remove("/usr/bin/python3.11", "/usr/bin/python3"), WARN, INFO),
    Case("SEC003", "none", vhd(), PASS),
    Case("SEC003", "mended", both(write("/opt/omi/bin/omiserver"), write("/var/lib/dpkg/status", "Package: omi\nStatus: install ok installed\nVersion: 1.6.8.1\n")), PASS),
    Case("SEC003", "open", both(write("/opt/omi/bin/omiserver"), write("/var/lib/dpkg/status", "Package: omi\nStatus: install ok installed\nVersion: 1.6.6.0\n")), WARN, FAIL),
    Case("SEC003", "not known", write("/opt/omi/bin/omiserver"), UNKNOWN),
    # Flatcar
    Case("FLC001", "all", flatcar(), PASS),
    Case("FLC001", "no OEM", flatcar("OEM"), FAIL, FAIL, "OEM"),
    Case("FLC001", "not Flatcar", vhd(), NOT_APPLICABLE),
    Case("FLC002", "Azure", flatcar(), PASS, says="oem-release:1"),
    Case("FLC002", "by GRUB", both(flatcar(), remove("/oem/oem-release")), PASS, says="grub.cfg:1"),
    Case("FLC002", "EC2", both(flatcar(), write("/oem/oem-release", "ID=ami\n"), write("/oem/grub.cfg", 'set oem_id="ec2"\n')), FAIL),
    Case("FLC003", "serial", flatcar(), PASS),
    Case("FLC003", "screen", both(flatcar(), write("/oem/grub.cfg", 'set linux_console="console=tty0"\n')), WARN, WARN),
    Case("FLC003", "not for ARM", flatcar(), WARN, WARN, "ttyAMA0", profile=ARM),
    Case("FLC004", "fresh", flatcar(), PASS),
    Case("FLC004", "booted", flatcar(first_boot=False), FAIL),
    Case("FLC005", "fresh", flatcar(), PASS),
    Case("FLC005", "booted", flatcar(guid=77), WARN, WARN),
    Case("FLC006", "an extension", flatcar(), PASS, says="oem-azure"),
    Case("FLC006", "missing", both(flatcar(), remove("/oem/sysext/oem-azure-4152.raw")), WARN, WARN),
    # Definition
    Case("DEF002", "all true", both(drivers("nvme", "mlx5_core")), PASS, profile={"features": {**NVME["features"], **FAST["features"], **TRUSTED["features"]}}),
    Case("DEF002", "nothing claimed", vhd(), NOT_APPLICABLE),
    Case("DEF002", "no driver", drivers(), WARN, WARN, "mlx5_core", profile=FAST),
    Case("DEF002", "not signed", lambda m: m.write_esp("/EFI/BOOT/BOOTX64.EFI", pe(signed=False)), WARN, WARN, "signed", profile=TRUSTED),
    Case("DEF002", "V1", vhd(), WARN, WARN, "V1", profile={**TRUSTED, **V1}),
]  # fmt: skip


def old_cloud_init(machine: Machine) -> None:
    cloud_init(machine, "20.1")


def cloud_init(machine: Machine, version: str) -> None:
    folder = machine.root / "usr/lib/python3/dist-packages"
    (folder / "cloud_init-22.4.2.egg-info").rename(folder / f"cloud_init-{version}.egg-info")


def agent_2_2_40(machine: Machine) -> None:
    folder = machine.root / "usr/lib/python3/dist-packages"
    (folder / "WALinuxAgent-2.7.3.0.egg-info").rename(folder / "WALinuxAgent-2.2.40.egg-info")
