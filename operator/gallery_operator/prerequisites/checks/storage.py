"""PRT012, PRT013, PRT015: how the root is stored."""

from gallery_operator.prerequisites.checks.scopes import listed
from gallery_operator.prerequisites.facts.fstab import find_volume
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import EE, IW, Outcome, failed, passed
from gallery_operator.prerequisites.readers.base import ReadError
from gallery_operator.prerequisites.registry import check

_GEN = "Prepare Linux for imaging in Azure (create-upload-generic)"
_PARTS = ("/usr", "/var", "/home", "/opt", "/tmp", "/srv", "/var/log", "/var/tmp")  # noqa: S108 - mount points


@check(
    "PRT012",
    "the root is a plain partition",
    levels=IW,
    source=f"{_GEN} (standard partitions rather than LVM); Red Hat article (LVM is supported); osbuild (RHUI images "
    "use rootvg)",
    remedy="Install without LVM; or leave it: it is supported, but two volume groups of one name cannot be repaired on "
    "one VM.",
)
def lvm(guest: Guest) -> Outcome:
    """To repair a VM its disk is attached to another one; if that was made from the same image, the names clash."""
    volume = guest.mounted.volume
    return failed(f"the root is {volume.name}") if volume.mapper else passed(volume.name)


@check(
    "PRT013",
    "the system is on one partition",
    levels=IW,
    source="Marketplace certification test 42",
    remedy="Install with one partition for / (beside /boot and the EFI system partition).",
)
def one_partition(guest: Guest) -> Outcome:
    """Only the last partition grows with the disk; certification recommends a single one."""
    root = guest.mounted.volume
    # Subvolumes of one Btrfs are one partition; what is on another disk is not of this image.
    apart = [
        f"/etc/fstab:{each.line} {each.mount_point} is {volume.name}"
        for each in guest.fstab.entries
        if each.mount_point in _PARTS
        and (volume := find_volume(each, guest.layout.volumes)) is not None
        and volume.name != root.name
    ]
    return failed(listed(apart)) if apart else passed("one partition")


@check(
    "PRT015",
    "the root needs no further disk",
    levels=EE,
    source="derived: an image is one disk",
    remedy="Move the root to one disk: mdadm --fail and --remove, or pvmove and vgreduce, before the disk is taken.",
)
def one_disk(guest: Guest) -> Outcome:
    """A RAID or a volume group over several disks is not complete on the one that is imported."""
    raids = [each.name for each in guest.layout.volumes if each.probe.type == "mdraid"]
    spread = [each for each in guest.layout.notes if "physical volumes" in each]
    spread += [
        f"{each.name}: Btrfs over {each.probe.devices} devices"
        for each in guest.layout.volumes
        if each.probe.type == "btrfs" and each.probe.devices > 1
    ]
    try:
        return passed(guest.mounted.volume.name)
    except ReadError:
        if raids or spread:
            return failed("; ".join([*(f"{each} is part of a RAID" for each in raids), *spread]))
        raise
