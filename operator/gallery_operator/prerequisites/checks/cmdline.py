"""CMD001, CMD002, CMD005, CMD007-CMD009, CMD013: the kernel command line."""

import re

from gallery_operator.prerequisites.checks.scopes import ETC, FLATCAR, GENERALIZED_ETC
from gallery_operator.prerequisites.facts.fstab import FstabEntry, find_volume
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import EE, WE, WW, Outcome, failed, not_applicable, passed
from gallery_operator.prerequisites.registry import AppliesTo, check

_LINE = "console=tty1 console=ttyS0 earlyprintk=ttyS0"
_ADD = "Add {} to GRUB_CMDLINE_LINUX in /etc/default/grub, then write grub.cfg anew (update-grub, or grub2-mkconfig)."
_REMOVE = "Remove {} from /etc/default/grub, then write grub.cfg anew (update-grub, grub2-mkconfig, or grubby)."


@check(
    "CMD001",
    "the kernel speaks on the serial console",
    levels=WE,
    source="Prepare Linux for imaging in Azure (create-upload-generic) 1 and every distribution's article; "
    "Marketplace certification test 40; LISA verify_serial_console_is_enabled",
    remedy={
        "": f'Add "{_LINE}" to GRUB_CMDLINE_LINUX in /etc/default/grub (on arm64 console=ttyAMA0), then: '
        "grub2-mkconfig -o /boot/grub2/grub.cfg",
        "debian": f'Add "{_LINE}" to GRUB_CMDLINE_LINUX in /etc/default/grub, then: update-grub',
        "ubuntu": f'Add "{_LINE}" to GRUB_CMDLINE_LINUX_DEFAULT in /etc/default/grub, then: update-grub',
        "rhel": f'grubby --update-kernel=ALL --args="{_LINE}"',
    },
    applies=ETC,
)
def serial_console(guest: Guest) -> Outcome:
    """Azure's boot diagnostics and serial console show what the kernel writes to the first serial port.

    It is the only way to see why a VM does not come up.
    """
    wanted = "ttyAMA0" if guest.profile.architecture == "Arm64" else "ttyS0"
    consoles = guest.boot.values("console")
    where = guest.boot.source
    if any(each.split(",")[0] == wanted for each in consoles):
        return passed(f"{where}: console={wanted}")
    there = ", ".join(f"console={each}" for each in consoles) or "no console="
    return failed(f"{where}: {there}, wanted console={wanted}")


@check(
    "CMD002",
    "the kernel's first messages go to the serial console",
    levels=WW,
    source="Prepare Linux for imaging in Azure (create-upload-generic) 1; Marketplace certification test 40",
    remedy=_ADD.format("earlyprintk=ttyS0"),
    applies=AppliesTo(disk_roles=frozenset({"os"}), architectures=frozenset({"x64"}), except_distributions=FLATCAR),
)
def early_messages(guest: Guest) -> Outcome:
    """Without it a kernel that dies early leaves no trace."""
    values = guest.boot.values("earlyprintk")
    if any("ttyS0" in each for each in values):
        return passed(f"{guest.boot.source}: earlyprintk={values[0]}")
    return failed(f"{guest.boot.source}: no earlyprintk=ttyS0")


@check(
    "CMD005",
    "nothing hides the kernel's messages",
    levels=WW,
    source="Prepare Linux for imaging in Azure (create-upload-generic) 1; Red Hat, SUSE articles. Ubuntu's own example "
    "keeps quiet and splash",
    remedy=_REMOVE.format("rhgb, quiet and splash=silent"),
    applies=AppliesTo(disk_roles=frozenset({"os"}), except_distributions=frozenset({"ubuntu", "flatcar"})),
)
def not_quiet(guest: Guest) -> Outcome:
    """In the cloud all logs belong on the serial port."""
    found = sorted({"rhgb", "quiet", "splash=silent"} & set(guest.boot.words()))
    return failed(f"{guest.boot.source}: {', '.join(found)}") if found else passed("neither rhgb nor quiet")


@check(
    "CMD007",
    "the provisioning DVD is not switched off",
    levels=EE,
    source="Prepare a SUSE VHD for Azure (openSUSE); LISA verify_grub",
    remedy=_REMOVE.format("libata.atapi_enabled=0 and reserve=0x1f0,0x8"),
    cases=((WW, "Generation 2, whose DVD is a SCSI device"),),
    applies=ETC,
)
def dvd(guest: Guest) -> Outcome:
    """These options, from images for other platforms, keep the IDE controller's DVD away."""
    found = [
        f"{name}={value}"
        for name, bad in (("libata.atapi_enabled", "0"), ("reserve", "0x1f0,0x8"))
        for value in guest.boot.values(name)
        if value == bad
    ]
    if not found:
        return passed("neither libata.atapi_enabled=0 nor reserve=")
    return failed(f"{guest.boot.source}: {', '.join(found)}", EE if guest.profile.hyper_v_generation == "V1" else WW)


@check(
    "CMD008",
    "root= names the file system by UUID or label",
    levels=EE,
    source="derived from the rule for fstab; LISA verify_os_partition_identifier",
    remedy="Set root=UUID=… (blkid prints it) and write the boot loader's configuration anew.",
    cases=((WW, "/dev/sd* or /dev/nvme*, whose numbers change with the size of the VM"),),
    applies=ETC,
)
def root_name(guest: Guest) -> Outcome:
    """Virtio and Xen names of disks do not exist on Azure."""
    roots = guest.boot.values("root")
    if not roots:
        return not_applicable("the command line has no root=")
    root = roots[-1]
    text = f"{guest.boot.source}: root={root}"
    if re.match(r"/dev/(vd|xvd|hd)[a-z]", root):
        return failed(text)
    return failed(text, WW) if re.match(r"/dev/(sd[a-z]|nvme\d)", root) else passed(text)


@check(
    "CMD009",
    "root= is on this disk",
    levels=EE,
    source="derived: the kernel waits for it for ever",
    remedy="Set root=UUID=… to what blkid prints for the root file system, and write the configuration anew.",
    applies=ETC,
)
def root_exists(guest: Guest) -> Outcome:
    """A command line from another disk searches for that disk's root."""
    roots = guest.boot.values("root")
    entry = FstabEntry(0, roots[-1] if roots else "", "/", "auto", ())
    if entry.tag is None and not entry.device.startswith("/dev/mapper/"):
        return not_applicable("root= names no UUID, label or volume")
    text = f"{guest.boot.source}: root={entry.device}"
    found = find_volume(entry, guest.layout.volumes)
    return passed(f"{text} is {found.name}") if found is not None else failed(f"{text} is not on this disk")


@check(
    "CMD013",
    "the command line does not send cloud-init elsewhere",
    levels=EE,
    source="cloud-init, ds-identify",
    remedy=_REMOVE.format("cloud-init=disabled, ds= and ci.ds="),
    applies=GENERALIZED_ETC,
)
def cloud_init_options(guest: Guest) -> Outcome:
    """Options for other platforms, or for testing, keep cloud-init from finding Azure."""
    found = [f"cloud-init={each}" for each in guest.boot.values("cloud-init") if each == "disabled"]
    for option in ("ds", "ci.ds", "ci.datasource"):
        found += [f"{option}={each}" for each in guest.boot.values(option) if "azure" not in each.lower()]
    return failed(f"{guest.boot.source}: {', '.join(found)}") if found else passed("no such option")
