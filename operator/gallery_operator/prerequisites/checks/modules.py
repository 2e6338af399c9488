"""KRN009, KRN011, KRN013, KRN024, KRN025: drivers that must load, and programs that must run."""

from gallery_operator.prerequisites.checks.scopes import ETC, listed
from gallery_operator.prerequisites.facts.esp import read_pe
from gallery_operator.prerequisites.facts.kernel import Driver
from gallery_operator.prerequisites.facts.modprobe import Disabled
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import EE, WW, Outcome, failed, not_applicable, passed, unknown
from gallery_operator.prerequisites.registry import AppliesTo, check

_NEEDED = ("hv_vmbus", "hv_storvsc", "hv_netvsc", "hv_utils", "sr_mod", "udf", "vfat")
_UNBLOCK = "Remove the line (from /etc/modprobe.d or the kernel command line) and make the initramfs anew."
_SECURE = ("TrustedLaunch", "ConfidentialVM", "TrustedLaunchSupported", "ConfidentialVmSupported")


@check(
    "KRN009",
    "FAT can be mounted",
    levels=EE,
    source="Prepare Linux for imaging in Azure (disabling vfat causes provisioning and boot failures); VFAT article",
    remedy="Remove the lines about vfat from /etc/modprobe.d: grep -r vfat /etc/modprobe.d",
    cases=((WW, "Generation 1, and fstab mounts no FAT"),),
)
def vfat(guest: Guest) -> Outcome:
    """Hardening guides switch FAT off; then the EFI system partition does not mount, and boot stops."""
    blocked = [str(each) for each in guest.disabled_modules if each.module in ("vfat", "fat") and each.how == "install"]
    where = guest.kernel.loadable("vfat")
    if not blocked and where is not Driver.MISSING:
        return passed(f"vfat is {where}")
    needed = guest.profile.hyper_v_generation == "V2" or any(each.type == "vfat" for each in guest.fstab.entries)
    return failed(listed(blocked) or f"vfat is {where}", EE if needed else WW)


@check(
    "KRN011",
    "SCSI disks and the provisioning DVD have their drivers",
    levels=EE,
    source="derived: Hyper-V's disks are SCSI; Linux VM provisioning (boot-time attached DVD)",
    remedy="Put sd_mod into the initramfs (dracut add_drivers, /etc/initramfs-tools/modules), and install the kernel's "
    "package of extra modules for sr_mod.",
    cases=((WW, "sr_mod is missing: provisioning data on the DVD cannot be read"),),
    applies=ETC,
)
def scsi(guest: Guest) -> Outcome:
    """hv_storvsc finds a SCSI disk, and sd_mod makes a block device of it."""
    disk, dvd = guest.kernel.driver("sd_mod"), guest.kernel.loadable("sr_mod")
    if disk not in (Driver.BUILTIN, Driver.INITRAMFS):
        return failed(f"sd_mod is {disk}")
    return failed(f"sr_mod is {dvd}", WW) if dvd is Driver.MISSING else passed(f"sd_mod is {disk}, sr_mod is {dvd}")


@check(
    "KRN013",
    "nothing keeps Azure's drivers from loading",
    levels=EE,
    source="Support article on disabled vfat; derived",
    remedy=_UNBLOCK,
)
def not_blocked(guest: Guest) -> Outcome:
    """A driver on a blacklist is not loaded for its device, be it in the initramfs or not."""
    found: list[Disabled] = [each for each in guest.disabled_modules if each.module in _NEEDED]
    return failed(listed([str(each) for each in found])) if found else passed("no line names one")


@check(
    "KRN024",
    "the guest is 64-bit and of the declared architecture",
    levels=EE,
    source="Marketplace certification 9 and test 49; LISA verify_azure_64bit_os",
    remedy="Set the architecture of the image definition to the guest's, or install the 64-bit distribution.",
)
def architecture(guest: Guest) -> Outcome:
    """Programs of another architecture do not run, and Azure runs 64-bit guests only."""
    found = guest.architecture
    if found is None:
        return unknown("no known program was found, or it is for another machine than x64 and Arm64")
    declared = guest.profile.architecture
    return passed(found) if found == declared else failed(f"the guest is {found}, declared is {declared}")


@check(
    "KRN025",
    "the boot loader is signed for Secure Boot",
    levels=WW,
    source="Trusted Launch for Azure VMs, Secure Boot",
    remedy={
        "": "Install the distribution's signed boot loader: shim, and grub2-efi-x64 in its signed form.",
        "debian": "apt-get install shim-signed grub-efi-amd64-signed; grub-install --force-extra-removable",
        "ubuntu": "apt-get install shim-signed grub-efi-amd64-signed",
    },
    applies=AppliesTo(disk_roles=frozenset({"os"}), generations=frozenset({"V2"})),
    cases=((EE, "the definition declares Trusted Launch or Confidential VM"),),
)
def signed(guest: Guest) -> Outcome:
    """Trusted Launch is the default of new Generation 2 VMs, and its Secure Boot starts signed programs only."""
    esp = guest.esp
    path = esp.loader(guest.profile.architecture)
    program = read_pe(esp.tree, path) if path else None
    if path is None or program is None:
        return not_applicable("there is no fallback boot loader (see PRT004)")
    if program.signed:
        return passed(f"{path} has a certificate table")
    declared = guest.profile.features.get("SecurityType", "") in _SECURE
    return failed(f"{path} has no certificate table", EE if declared else WW)
