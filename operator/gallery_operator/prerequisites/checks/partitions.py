"""PRT001, PRT002, PRT009: the partition table."""

from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import EE, EW, IE, WW, Outcome, failed, not_applicable, passed
from gallery_operator.prerequisites.readers.partitions import SECTOR
from gallery_operator.prerequisites.registry import check

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
