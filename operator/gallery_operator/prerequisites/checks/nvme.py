"""KRN021-KRN023: NVMe disks, where the definition declares them."""

from gallery_operator.prerequisites.checks.scopes import families
from gallery_operator.prerequisites.facts.kernel import Driver
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import EE, WE, WW, Outcome, failed, not_applicable, passed
from gallery_operator.prerequisites.registry import AppliesTo, check

_SOURCE = "Prepare a Red Hat, Oracle, SUSE, Ubuntu, Debian VHD for Azure, remote NVMe; Enable the NVMe interface"
_WHEN = "when the definition's DiskControllerTypes has NVMe"
_V2 = families(generation="V2", when=_WHEN)
_SUPPORTED = frozenset({"rhel", "centos", "oracle", "sles", "debian", "ubuntu"})
_NOT_DECLARED = not_applicable("the definition does not declare NVMe (DiskControllerTypes)")
_UDEV = "80-azure-disk.rules"


def declared(guest: Guest) -> bool:
    """Whether the definition says that the image works with NVMe disks."""
    return "nvme" in guest.profile.features.get("DiskControllerTypes", "").lower()


@check(
    "KRN021",
    "NVMe is declared: its drivers are built in or in the initramfs",
    levels=EE,
    source=_SOURCE,
    remedy={
        "": "echo 'add_drivers+=\" nvme nvme_core \"' > /etc/dracut.conf.d/nvme.conf; dracut -f",
        "debian": "printf 'nvme\\nnvme_core\\n' >> /etc/initramfs-tools/modules; update-initramfs -u -k all",
        "ubuntu": "printf 'nvme\\nnvme_core\\n' >> /etc/initramfs-tools/modules; update-initramfs -u -k all",
    },
    applies=_V2,
)
def drivers(guest: Guest) -> Outcome:
    """On sizes with NVMe the OS disk itself is an NVMe device."""
    if not declared(guest):
        return _NOT_DECLARED
    where = {each: guest.kernel.driver(each) for each in ("nvme", "nvme_core")}
    text = ", ".join(f"{name} is {place}" for name, place in where.items())
    ready = all(each in (Driver.BUILTIN, Driver.INITRAMFS) for each in where.values())
    return passed(text) if ready else failed(text)


@check(
    "KRN022",
    "NVMe is declared: requests may take 240 seconds",
    levels=WE,
    source=f"{_SOURCE}; azure-vm-utils (its udev rule sets 240000 ms)",
    remedy={
        "": "Add nvme_core.io_timeout=240 to the kernel command line (GRUB_CMDLINE_LINUX), or install azure-vm-utils.",
        "rhel": 'grubby --update-kernel=ALL --args="nvme_core.io_timeout=240"',
    },
    applies=_V2,
)
def timeout(guest: Guest) -> Outcome:
    """Remote disks may pause for longer than the kernel's 30 seconds; then it gives them up."""
    if not declared(guest):
        return _NOT_DECLARED
    rule = guest.udev_rule(_UDEV)
    if rule:
        return passed(rule)
    values = guest.boot.values("nvme_core.io_timeout")
    text = f"{guest.boot.source}: nvme_core.io_timeout={values[-1] if values else 'not set'}"
    enough = bool(values) and values[-1].isdecimal() and len(values[-1]) < 10 and int(values[-1]) >= 240
    return passed(text) if enough else failed(f"{text}, and there is no {_UDEV}")


@check(
    "KRN023",
    "NVMe is declared only where Azure has it",
    levels=EE,
    source="Enable the NVMe interface (enable-nvme-interface); SUSE article, note on openSUSE",
    remedy="Remove NVMe from the definition's disk controller types, or declare V2 and Standard or Trusted Launch.",
    applies=AppliesTo(when=_WHEN),
    cases=((WW, "the distribution is not in Azure's list"),),
)
def possible(guest: Guest) -> Outcome:
    """Azure has NVMe for Generation 2 only, and not for Confidential VMs."""
    if not declared(guest):
        return _NOT_DECLARED
    if guest.profile.hyper_v_generation != "V2":
        return failed("NVMe is declared for V1")
    kind = guest.profile.features.get("SecurityType", "Standard")
    if "confidential" in kind.lower():
        return failed(f"NVMe is declared together with SecurityType {kind}")
    if guest.family not in _SUPPORTED:
        return failed(f"{guest.family} is not in the list of distributions with NVMe", WW)
    return passed(f"V2, {kind}, {guest.family}")
