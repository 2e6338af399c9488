"""KRN006-KRN008, KRN012, KRN020, KRN026, KRN029, KRN030: further drivers, and how they stay."""

import re

from gallery_operator.prerequisites.checks.scopes import FLATCAR, RED_HAT, SUSE, families, listed
from gallery_operator.prerequisites.facts.kernel import Driver
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import EE, II, IW, WW, Outcome, failed, not_applicable, passed
from gallery_operator.prerequisites.readers.base import ReadError
from gallery_operator.prerequisites.registry import GENERALIZED, AppliesTo, check

_GEN = "Prepare Linux for imaging in Azure (create-upload-generic)"
_AZURE_KERNEL = {
    "": "Install a kernel (or its package of extra modules) that has them.",
    "ubuntu": "apt-get install linux-azure",
    "rhel": "dnf install kernel-modules kernel-modules-extra",
    "sles": "zypper install kernel-default (kernel-default-base lacks drivers)",
    "debian": "apt-get install linux-image-amd64",
}
_BOOT_DRIVERS = ("hv_vmbus", "hv_netvsc", "hv_storvsc")
_OTHERS = ("virtio_blk", "virtio_scsi", "virtio_pci", "vmw_pvscsi", "mptspi", "xen_blkfront")
_SECURE = ("TrustedLaunch", "ConfidentialVM", "TrustedLaunchSupported", "ConfidentialVmSupported")


def _missing(guest: Guest, *names: str) -> list[str]:
    return [each for each in names if guest.kernel.loadable(each) is Driver.MISSING]


@check(
    "KRN006",
    "the drivers of Hyper-V's smaller devices are there",
    levels=IW,
    source=f"{_GEN}, drivers of Hyper-V; LISA verify_hyperv_modules (which leaves hid_hyperv out on Azure)",
    remedy=_AZURE_KERNEL,
)
def small_devices(guest: Guest) -> Outcome:
    """Memory ballooning, keyboard and screen; a VM on Azure works without them, but tests of images ask for them."""
    missing = _missing(guest, "hv_balloon", "hyperv_keyboard")
    missing += ["hyperv_fb or hyperv_drm"] if len(_missing(guest, "hyperv_fb", "hyperv_drm")) == 2 else []
    text = f"kernel {guest.kernel.version}"
    return failed(f"{text} lacks {', '.join(missing)}") if missing else passed(f"{text} has them")


@check(
    "KRN007",
    "accelerated networking is declared: its drivers are there",
    levels=WW,
    source="Azure Compute Gallery, image features; azure-vm-utils, udev rules (which name the drivers)",
    remedy=_AZURE_KERNEL,
    applies=AppliesTo(when="when the definition has IsAcceleratedNetworkSupported"),
    cases=((II, "only mlx4_core or mana is missing: cards of older and of the newest sizes"),),
)
def accelerated(guest: Guest) -> Outcome:
    """Without the driver of the card all packets go the slow way, through the host."""
    if guest.profile.features.get("IsAcceleratedNetworkSupported", "").lower() != "true":
        return not_applicable("the definition does not declare IsAcceleratedNetworkSupported")
    needed, rare = _missing(guest, "pci_hyperv", "mlx5_core"), _missing(guest, "mlx4_core", "mana")
    if needed or rare:
        text = f"kernel {guest.kernel.version} lacks {', '.join(needed + rare)}"
        return failed(text, WW if needed else II)
    return passed("pci_hyperv, mlx5_core, mlx4_core, mana")


@check(
    "KRN008",
    "UDF can be mounted",
    levels=EE,
    source=f"{_GEN} (notes); Using cloud-init in Azure (without a UDF driver); Linux VM provisioning",
    remedy="Remove the lines about udf from /etc/modprobe.d (grep -r udf /etc/modprobe.d), and install the kernel's "
    "package of extra modules.",
    applies=GENERALIZED,
    cases=((WW, "cloud-init 21.2 or newer provisions: it needs the DVD only for passwords and custom data"),),
)
def udf(guest: Guest) -> Outcome:
    """The provisioning data is on a DVD with this file system; hardening guides switch it off."""
    blocked = [str(each) for each in guest.disabled_modules if each.module == "udf"]
    where = guest.kernel.loadable("udf")
    if not blocked and where is not Driver.MISSING:
        return passed(f"udf is {where}")
    version = guest.cloud_init.version
    modern = guest.cloud_init.installed and (version is None or version >= (21, 2))
    return failed(listed(blocked) or f"udf is {where}", WW if modern else EE)


@check(
    "KRN012",
    "Generation 1: the IDE controller of the provisioning DVD has its driver",
    levels=WW,
    source="Support for Generation 2 VMs on Azure (disk controllers: IDE); derived",
    remedy=_AZURE_KERNEL,
    applies=families(state="Generalized", generation="V1"),
)
def ide(guest: Guest) -> Outcome:
    """The DVD with the provisioning data is an IDE device in Generation 1."""
    found = [each for each in ("ata_piix", "ata_generic") if each not in _missing(guest, each)]
    return passed(", ".join(found)) if found else failed("neither ata_piix nor ata_generic is there")


@check(
    "KRN020",
    "the next kernel's initramfs gets Azure's drivers too",
    levels=II,
    source="Prepare a Red Hat VHD for Azure, known issues; SUSE 1; CentOS article",
    remedy="echo 'add_drivers+=\" hv_vmbus hv_netvsc hv_storvsc \"' > /etc/dracut.conf.d/azure.conf",
    applies=families(*RED_HAT, *SUSE),
)
def persistent(guest: Guest) -> Outcome:
    """Dracut puts in what the building machine needs; on another hypervisor that is not what Azure needs."""
    if all(guest.kernel.driver(each) is Driver.BUILTIN for each in _BOOT_DRIVERS):
        return passed("they are built in")
    named: set[str] = set()
    paths = ["/etc/dracut.conf", *guest.tree.glob("/etc/dracut.conf.d/*.conf")]
    paths += guest.tree.glob("/usr/lib/dracut/dracut.conf.d/*.conf")
    for path in paths:
        for _, line in guest.tree.lines(path) if guest.tree.is_file(path) else []:
            match = re.match(r"(?P<key>(add|force)_drivers|hostonly)\s*\+?=\s*[\"']?(?P<value>[^\"']*)", line)
            if match and match["key"] == "hostonly" and match["value"].strip() == "no":
                return passed(f"{path}: hostonly=no")
            if match and match["key"] != "hostonly":
                named |= set(match["value"].split())
    lost = [each for each in _BOOT_DRIVERS if each not in named]
    return failed(f"dracut's configuration does not name {', '.join(lost)}") if lost else passed("dracut adds them")


@check(
    "KRN026",
    "Secure Boot is declared: no drivers from outside the distribution's kernel",
    levels=IW,
    source="Trusted Launch for Azure VMs (unsigned drivers do not load)",
    remedy="Sign the modules with a key that the firmware knows, or remove them: dkms status; dkms remove MODULE --all",
    applies=families(generation="V2", when="when the definition's SecurityType has Secure Boot"),
)
def foreign(guest: Guest) -> Outcome:
    """With Secure Boot the kernel loads only modules that are signed with a key it knows."""
    if guest.profile.features.get("SecurityType", "") not in _SECURE:
        return not_applicable("the definition declares no SecurityType with Secure Boot")
    folders = [f"{guest.kernel.folder}/{each}" for each in ("extra", "updates")]
    found = [path for each in folders for path, _ in guest.tree.walk(each, 20_000) if ".ko" in path]
    return failed(listed(found)) if found else passed("neither extra nor updates has modules")


@check(
    "KRN029",
    "Generation 1: the floppy driver is kept from loading",
    levels=II,
    source="LISA floppy; osbuild, Azure images of Red Hat",
    remedy="echo 'blacklist floppy' > /etc/modprobe.d/blacklist-floppy.conf",
    applies=families(generation="V1"),
)
def floppy(guest: Guest) -> Outcome:
    """Generation 1 shows a floppy drive without a floppy, and the kernel waits for it in vain."""
    if any(each.module == "floppy" for each in guest.disabled_modules):
        return passed("floppy is blocked")
    where = guest.kernel.loadable("floppy")
    return passed("floppy is missing") if where is Driver.MISSING else failed(f"floppy is {where}")


@check(
    "KRN030",
    "the initramfs is not made for another hypervisor",
    levels=II,
    source=f"{_GEN}, Install kernel modules without Hyper-V",
    remedy="See KRN002; or make a generic initramfs: dracut -f --no-hostonly; MODULES=most in "
    "/etc/initramfs-tools/initramfs.conf.",
    applies=AppliesTo(except_distributions=FLATCAR),
)
def other_hypervisor(guest: Guest) -> Outcome:
    """Says why Azure's drivers are not in the initramfs: it has those of the machine it was made on instead."""
    inside = guest.kernel.in_initramfs
    if inside is None or isinstance(inside, ReadError):
        return not_applicable("there is no initramfs that can be read")
    azure = [each for each in _BOOT_DRIVERS if guest.kernel.driver(each) in (Driver.BUILTIN, Driver.INITRAMFS)]
    others = [each for each in _OTHERS if each in inside]
    if others and not azure:
        return failed(f"it has {', '.join(others)}, and none of {', '.join(_BOOT_DRIVERS)}")
    return passed(f"it has {', '.join(azure)}" if azure else "it has no other hypervisor's drivers either")
