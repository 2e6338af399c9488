"""DEF001: the disk is what the image definition says."""

from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import EE, Outcome, failed, passed, unknown
from gallery_operator.prerequisites.readers.base import ReadError
from gallery_operator.prerequisites.registry import check

_WINDOWS = ("ntfs", "bitlocker")
_BCD = "/EFI/Microsoft/Boot/BCD"


@check(
    "DEF001",
    "the disk holds a Linux",
    levels=EE,
    source="Troubleshoot shared images (different OS type); Marketplace certification, incorrect OS mapping",
    remedy="Give the disk of a Linux installation; gallery-operator's checks and definitions are for osType Linux.",
)
def linux(guest: Guest) -> Outcome:
    """A Windows disk under a definition of osType Linux is never provisioned."""
    try:
        return passed(f"a Linux root on {guest.mounted.volume.name}")
    except ReadError as error:
        reason = str(error)
    windows = [each.name for each in guest.layout.volumes if each.probe.type in _WINDOWS]
    try:
        windows += [_BCD] if guest.esp.tree.is_file(_BCD) else []
    except ReadError:  # no EFI system partition says nothing about the system
        windows += []
    if windows:
        return failed(f"it looks like Windows: {', '.join(windows)}")
    return unknown(reason)
