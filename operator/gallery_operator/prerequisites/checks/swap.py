"""PRT010, PRT011: swap space on the OS disk."""

from gallery_operator.prerequisites.checks.scopes import listed
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import WE, Outcome, failed, passed
from gallery_operator.prerequisites.readers.partitions import MBR_SWAP, SWAP_TYPE
from gallery_operator.prerequisites.registry import check

_SOURCE = (
    "Prepare Linux for imaging in Azure (create-upload-generic) and every distribution's article; Marketplace "
    "certification test 41; LISA verify_no_swap_on_osdisk"
)
_LEFTOVERS = ("/swapfile", "/swap.img", "/swap/swapfile", "/mnt/swapfile", "/mnt/resource/swapfile")
_UNITS = "/etc/systemd/system"


@check(
    "PRT010",
    "there is no swap partition or swap volume",
    levels=WE,
    source=_SOURCE,
    remedy="Remove the swap partition (or logical volume) and its line in /etc/fstab; let cloud-init make swap "
    "space on the resource disk.",
)
def swap_partition(guest: Guest) -> Outcome:
    """Swapping to the OS disk is remote, slow and billed; swap belongs on the local resource disk."""
    found = [
        each.name
        for each in guest.layout.volumes
        if each.probe.type == "swap" or (each.partition is not None and each.partition.type in (SWAP_TYPE, MBR_SWAP))
    ]
    return failed(f"swap space: {listed(found)}") if found else passed("no swap partition")


@check(
    "PRT011",
    "there is no swap file",
    levels=WE,
    source=_SOURCE,
    remedy={
        "": "swapoff -a; delete the swap file and its line in /etc/fstab (or its .swap unit).",
        "ubuntu": "swapoff -a; rm -f /swap.img /swapfile; sed -i '/\\sswap\\s/d' /etc/fstab",
    },
)
def swap_file(guest: Guest) -> Outcome:
    """A swap file on the OS disk is as slow as a swap partition, and is copied into every image."""
    tree = guest.tree
    found = [
        f"/etc/fstab:{each.line} swaps to {each.device}"
        for each in guest.fstab.entries
        if each.is_swap and each.device.startswith("/") and not each.device.startswith("/dev/")
    ]
    found += [
        f"{_UNITS}/{name}" for name in tree.names(_UNITS) if name.endswith(".swap") and tree.is_file(f"{_UNITS}/{name}")
    ]
    known = {each.device for each in guest.fstab.entries}
    found += [path for path in _LEFTOVERS if path not in known and tree.is_file(path)]
    return failed(listed(found)) if found else passed("no swap file")
