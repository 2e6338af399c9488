"""FST001-FST007: /etc/fstab and /etc/crypttab."""

import re

from gallery_operator.prerequisites.checks.scopes import ETC, GENERALIZED_ETC
from gallery_operator.prerequisites.facts.fstab import FstabEntry, find_volume
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import (
    EE,
    WW,
    Outcome,
    failed,
    gravest,
    not_applicable,
    passed,
    unknown,
)
from gallery_operator.prerequisites.registry import check

_FOREIGN = re.compile(r"/dev/(?:vd|xvd|hd)[a-z]+\d*$")
_UNSTABLE = re.compile(r"/dev/(?:sd[a-z]+\d*|nvme\d+n\d+(?:p\d+)?)$")
_UUID = "Write UUID=… in the place of the device's name; blkid prints it. Check with: findmnt --verify"
_OPTICAL = re.compile(r"/dev/(?:sr\d+|cdrom\d*|dvd|fd\d+)$")


def _devices(guest: Guest) -> list[FstabEntry]:
    return [each for each in guest.fstab.entries if not each.is_pseudo and not each.is_network]


@check(
    "FST001",
    "fstab names its devices by UUID or label",
    levels=WW,
    source="Prepare a Red Hat, Oracle, SUSE, Ubuntu, Debian VHD for Azure (fstab must not use /dev/sd* or /dev/nvme*)",
    remedy=_UUID,
    applies=ETC,
    cases=((EE, "/dev/vd*, /dev/xvd* or /dev/hd*, which do not exist on Azure, without nofail or noauto"),),
)
def device_names(guest: Guest) -> Outcome:
    """Names of disks change between sizes of VMs, and virtio and Xen names do not exist at all.

    Boot waits for a device that does not come, and ends in emergency mode.
    """
    found = []
    for each in _devices(guest):
        text = f"/etc/fstab:{each.line} {each.device} on {each.mount_point}"
        if _FOREIGN.match(each.device):
            found.append(failed(text, WW if each.optional else EE))
        elif _UNSTABLE.match(each.device):
            found.append(failed(text, WW))
    return gravest(found, WW) if found else passed(f"{len(_devices(guest))} devices")


@check(
    "FST002",
    "every UUID and label in fstab is on the disk",
    levels=EE,
    source="Prepare a Red Hat, Oracle, SUSE, Ubuntu VHD for Azure (findmnt --verify)",
    remedy="Remove the line or give it nofail; check with: findmnt --verify",
    applies=ETC,
)
def devices_exist(guest: Guest) -> Outcome:
    """A line for a file system that is not there stops the boot in emergency mode, unless it has nofail."""
    found = []
    for each in _devices(guest):
        tag = each.tag
        if tag is None or each.optional or _OPTICAL.match(each.device):
            continue
        text = f"/etc/fstab:{each.line} {each.device} for {each.mount_point}"
        if tag[0] == "ID":
            found.append(unknown(f"{text} names hardware"))
        elif find_volume(each, guest.layout.volumes) is None:
            found.append(failed(f"{text} is not on this disk"))
    outcome = gravest(found, EE)
    return outcome if found else passed("all are on this disk")


@check(
    "FST004",
    "the line for / is the real root file system",
    levels=EE,
    source="LISA verify_os_partition_identifier; derived",
    remedy="Set the UUID of the line for / to what blkid prints for the root file system.",
    applies=ETC,
)
def root_line(guest: Guest) -> Outcome:
    """Fstab copied from another disk makes the root stay read-only, or another one be checked and mounted."""
    entry = guest.fstab.root()
    if entry is None:
        return not_applicable("fstab has no line for /")
    text = f"/etc/fstab:{entry.line} {entry.device}"
    root = guest.mounted.volume
    found = find_volume(entry, guest.layout.volumes)
    if found is root:
        return passed(f"{text} is {root.name}")
    if found is None:
        return failed(f"{text} is not on this disk; the root is {root.name} (UUID={root.probe.uuid})")
    return failed(f"{text} is {found.name}, but the root is {root.name}")


@check(
    "FST003",
    "every line of fstab can be read, and its mount point exists",
    levels=WW,
    source="Prepare a Red Hat, Oracle, SUSE, Ubuntu VHD for Azure (findmnt --verify)",
    remedy="Correct the line or make the directory; check with: findmnt --verify",
    applies=ETC,
)
def syntax(guest: Guest) -> Outcome:
    """A line with a missing field is skipped, and a mount point that is missing fails its mount."""
    found = list(guest.fstab.faults)
    for each in guest.fstab.entries:
        if each.is_swap or each.mount_point in ("none", "swap") or each.is_pseudo:
            continue
        if not each.mount_point.startswith("/"):
            found.append(f"/etc/fstab:{each.line} mounts on {each.mount_point}")
        elif not guest.tree.lexists(each.mount_point):
            found.append(f"/etc/fstab:{each.line} {each.mount_point} does not exist")
    return failed("; ".join(found)) if found else passed(f"{len(guest.fstab.entries)} lines")


@check(
    "FST005",
    "fstab has no lines that cloud-init wrote for an earlier VM",
    levels=WW,
    source="cloud-init, cleanup_fstab; derived",
    remedy="sed -i '/comment=cloudconfig/d' /etc/fstab",
    applies=GENERALIZED_ETC,
)
def ephemeral_lines(guest: Guest) -> Outcome:
    """cloud-init writes them anew for each VM; old ones name disks that may not be there."""
    found = [
        f"/etc/fstab:{each.line} {each.device}"
        for each in guest.fstab.entries
        if "comment=cloudconfig" in each.options or each.device.startswith("/dev/disk/cloud/")
    ]
    return failed("; ".join(found)) if found else passed("no line of cloud-init")


@check(
    "FST006",
    "boot does not wait for network file systems",
    levels=WW,
    source="derived: systemd waits for what fstab mounts",
    remedy="Add _netdev,nofail to the options of the line.",
    applies=ETC,
)
def network_lines(guest: Guest) -> Outcome:
    """A server that the VM cannot reach must not keep it from booting."""
    found = [
        f"/etc/fstab:{each.line} {each.type} on {each.mount_point}"
        for each in guest.fstab.entries
        if each.is_network and not each.optional and "_netdev" not in each.options
    ]
    return failed("; ".join(found)) if found else passed("none without nofail or _netdev")


@check(
    "FST007",
    "nothing encrypted must be opened at boot",
    levels=WW,
    source="derived: nobody is there to type a passphrase",
    remedy="Remove the line from /etc/crypttab, or give it noauto.",
    applies=ETC,
)
def crypttab(guest: Guest) -> Outcome:
    """A line of crypttab without a key file asks for a passphrase on the console."""
    if not guest.tree.is_file("/etc/crypttab"):
        return passed("there is no /etc/crypttab")
    found = []
    for number, line in guest.tree.lines("/etc/crypttab"):
        words = line.split()
        options = words[3].split(",") if len(words) > 3 else []
        if not {"noauto", "nofail"} & set(options):
            found.append(f"/etc/crypttab:{number} {words[0]}")
    return failed("; ".join(found)) if found else passed("no line is opened at boot")
