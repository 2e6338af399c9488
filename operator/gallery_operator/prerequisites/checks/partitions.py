"""PRT001, PRT002, PRT009, PRT014, PRT016-PRT019: the partition table and what lies in it."""

from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import EE, EW, IE, II, WW, Outcome, failed, not_applicable, passed, unknown
from gallery_operator.prerequisites.readers.base import ReadError
from gallery_operator.prerequisites.readers.partitions import SECTOR
from gallery_operator.prerequisites.registry import AppliesTo, check

_FIRST_FREE_SECTORS = 2048


@check(
    "PRT001",
    "the partition table can be read, and its partitions are inside the disk",
    levels=EE,
    source="derived: nothing boots from a disk whose table cannot be read",
    remedy="Look at the table with: sgdisk --verify DISK (GPT) or sfdisk --verify DISK (MBR), and repair it.",
)
def valid_table(guest: Guest) -> Outcome:
    """A disk that was cut off, or a table with overlapping partitions, destroys data or does not boot."""
    table = guest.table
    if table.faults:
        return failed("; ".join(table.faults))
    kind = "GPT" if table.is_gpt else "MBR"
    return passed(f"{kind} with {len(table.partitions)} partitions")


@check(
    "PRT002",
    "both headers of the GPT are valid",
    levels=EW,
    source="derived; Azure Linux VM UEFI boot failures (repair of a GPT)",
    remedy="Move the backup header to the end of the disk and write both anew: sgdisk --move-second-header DISK",
    cases=((WW, "only the backup header at the end of the disk is missing or wrong"),),
)
def gpt_headers(guest: Guest) -> Outcome:
    """A disk that was resized as a file keeps its backup header in the old place.

    A damaged first header leaves it to luck what the firmware makes of the disk.
    """
    gpt = guest.table.gpt
    if gpt is None:
        return not_applicable("there is no GPT")
    if gpt.primary_fault is not None:
        return failed(f"GPT header at LBA 1: {gpt.primary_fault}")
    if gpt.backup_fault is not None:
        return failed(f"backup header in the last sector: {gpt.backup_fault}", WW)
    return passed("both headers are valid")


@check(
    "PRT009",
    "the first MiB of the disk holds no partition",
    levels=IE,
    source="Azure Marketplace VM certification FAQ: VM images must have 1MB free space",
    remedy="Partition the disk with the first partition at sector 2048 or later, as today's tools do.",
)
def first_mib(guest: Guest) -> Outcome:
    """Certification wants the first 2048 sectors free of partitions."""
    starts = [each.start // SECTOR for each in guest.table.partitions]
    if not starts:
        return not_applicable("there are no partitions")
    first = min(starts)
    text = f"the first partition starts at sector {first}"
    return passed(text) if first >= _FIRST_FREE_SECTORS else failed(text)


@check(
    "PRT014",
    "the root file system is not encrypted",
    levels=EE,
    source="derived: nobody is there to type a passphrase when a VM boots",
    remedy="Install onto a plain file system; Azure encrypts disks by itself (server-side encryption).",
)
def not_encrypted(guest: Guest) -> Outcome:
    """A root that must be opened with a passphrase never comes up unattended."""
    encrypted = [each.name for each in guest.layout.volumes if each.probe.type in ("luks", "bitlocker")]
    if not encrypted:
        return passed("no LUKS, no BitLocker")
    try:
        root = guest.mounted.volume.name
    except ReadError:
        return failed(f"no root but on {', '.join(encrypted)}, which is encrypted")
    return passed(f"the root is {root}; encrypted is {', '.join(encrypted)}")


@check(
    "PRT016",
    "every file system that the guest mounts can be read",
    levels=II,
    source="gallery-operator: what cannot be read is not judged",
    remedy="Use ext4, XFS, FAT, or Btrfs on one device, on plain partitions or linear LVM.",
)
def readable(guest: Guest) -> Outcome:
    """What lies on a file system that cannot be read is unknown, never passed."""
    return failed("; ".join(guest.notes)) if guest.notes else passed("all were read")


@check(
    "PRT017",
    "the file systems were unmounted",
    levels=WW,
    source="Azure Linux VM UEFI boot failures, scenario 2 (FAT); derived",
    remedy="Shut the machine down before its disk is copied, or mend the file systems: e2fsck -f, fsck.fat -a, and for "
    "XFS and Btrfs mount and unmount them once",
)
def clean(guest: Guest) -> Outcome:
    """A disk that was copied while in use may lack what was not written yet.

    Journals are not replayed here: such a disk is read as it stands, and the other checks see its files as they were
    before the last changes.
    """

    def named(dirty: bool | None) -> str:
        found = (each for each in guest.layout.volumes if each.probe.dirty is dirty)
        return ", ".join(f"{each.name} ({each.probe.type})" for each in found)

    if named(True):
        return failed(f"not unmounted: {named(True)}; read without the changes that are in the journal only")
    if named(None):
        return unknown(f"the journal of {named(None)} is damaged, or on another device")
    return passed("all are clean")


@check(
    "PRT018",
    "the root is the last partition",
    levels=II,
    source="derived: growpart extends a partition into free space behind it",
    remedy="Put the root partition last, so that it grows with the disk that a deployment asks for.",
)
def last(guest: Guest) -> Outcome:
    """Azure lets a deployment ask for a larger OS disk; only the last partition can use it."""
    root = guest.mounted.volume.partition
    if root is None:
        return not_applicable("the root is on no partition of its own")
    end = max(guest.table.partitions, key=lambda each: each.start)
    if end is root:
        return passed(f"partition {root.number}")
    return failed(f"partition {end.number} is behind the root, partition {root.number}")


@check(
    "PRT019",
    "Arm64 is Generation 2",
    levels=EE,
    source="derived: Azure has Arm64 VMs of Generation 2 only",
    remedy="Declare the image definition with hyperVGeneration V2.",
    applies=AppliesTo(disk_roles=frozenset({"os"}), architectures=frozenset({"Arm64"})),
)
def arm_generation(guest: Guest) -> Outcome:
    """There is no BIOS on Arm64."""
    generation = guest.profile.hyper_v_generation
    return passed(generation) if generation == "V2" else failed(f"declared {generation}")
