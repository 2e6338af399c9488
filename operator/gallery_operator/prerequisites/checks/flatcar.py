"""FLC001-FLC006: Flatcar, whose images differ from all others."""

import re
from collections.abc import Iterator

from gallery_operator.prerequisites.checks.scopes import families, listed
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import EE, WW, Outcome, failed, passed
from gallery_operator.prerequisites.readers.base import NotFoundError
from gallery_operator.prerequisites.registry import check

_FLATCAR = families("flatcar")
_GENERALIZED = families("flatcar", state="Generalized")
_IMAGE = (
    "Build the image for Azure: ./build_image; ./image_to_vm.sh --format=azure; or take the published one "
    "(flatcar_production_azure_image.vhd)."
)
_SOURCE = "flatcar/scripts, disk_layout.json and oem-azure; Prepare a Flatcar VHD for Azure (--format=azure)"
_LABELS = ("EFI-SYSTEM", "BIOS-BOOT", "USR-A", "USR-B", "OEM", "OEM-CONFIG", "ROOT")
_OEM = ("/oem", "/usr/share/oem")
_ESP = ("/boot", "/boot/efi", "/efi")
_FIRST_GUID = "00000000-0000-0000-0000-000000000001"
_MAX_BYTES = 64 * 1024


def _oem(guest: Guest, name: str) -> Iterator[str]:
    """Paths of a file of the OEM partition."""
    return (f"{folder}/{name}" for folder in _OEM if guest.tree.is_file(f"{folder}/{name}"))


def _oem_lines(guest: Guest, *names: str) -> list[tuple[str, str]]:
    """(``file:line``, line) of files of the OEM partition."""
    return [
        (f"{path}:{number}", line)
        for name in names
        for path in _oem(guest, name)
        if guest.tree.stat(path).size <= _MAX_BYTES
        for number, line in guest.tree.lines(path)
    ]


@check(
    "FLC001",
    "Flatcar has all its partitions",
    levels=EE,
    source=_SOURCE,
    remedy=_IMAGE,
    applies=_FLATCAR,
)
def labels(guest: Guest) -> Outcome:
    """It finds them by their names in the GPT, and updates itself from one to the other."""
    found = {each.name for each in guest.table.partitions}
    missing = [each for each in _LABELS if each not in found]
    return failed(f"the GPT lacks {', '.join(missing)}") if missing else passed(", ".join(_LABELS))


@check(
    "FLC002",
    "Flatcar's OEM partition is for Azure",
    levels=EE,
    source=_SOURCE,
    remedy=_IMAGE,
    applies=_FLATCAR,
)
def oem(guest: Guest) -> Outcome:
    """It says where Ignition looks for its configuration, and brings the agent."""
    for where, line in _oem_lines(guest, "oem-release", "grub.cfg"):
        if re.match(r"ID=[\"']?azure[\"']?$|set\s+oem_id=[\"']?azure[\"']?$", line):
            return passed(f"{where}: {line}")
    return failed("neither oem-release nor grub.cfg of the OEM partition says azure")


@check(
    "FLC003",
    "Flatcar speaks on the serial console",
    levels=WW,
    source=_SOURCE,
    remedy='In grub.cfg of the OEM partition: set linux_console="console=ttyS0,115200n8 earlyprintk=ttyS0,115200" '
    "(on arm64 console=ttyAMA0,115200n8)",
    applies=_FLATCAR,
)
def console(guest: Guest) -> Outcome:
    """Azure's boot diagnostics show what is written there (CMD001 for other distributions)."""
    wanted = "console=ttyAMA0" if guest.profile.architecture == "Arm64" else "console=ttyS0"
    for where, line in _oem_lines(guest, "grub.cfg"):
        if "linux_console" in line and wanted in line:
            return passed(f"{where}: {line}")
    return failed(f"grub.cfg of the OEM partition sets no linux_console with {wanted}")


@check(
    "FLC004",
    "Flatcar was never booted",
    levels=EE,
    source="Flatcar documentation, boot process",
    remedy="touch flatcar/first_boot in the EFI system partition, or take a fresh image.",
    applies=_GENERALIZED,
)
def first_boot(guest: Guest) -> Outcome:
    """Ignition runs only where this file is; without it no user, key or unit of the deployment is made."""
    for folder in _ESP:
        if guest.tree.is_file(f"{folder}/flatcar/first_boot"):
            return passed(f"{folder}/flatcar/first_boot")
    try:
        if guest.esp.tree.is_file("/flatcar/first_boot"):
            return passed("flatcar/first_boot")
    except NotFoundError:
        return failed("there is no EFI system partition")
    return failed("flatcar/first_boot is not in the EFI system partition")


@check(
    "FLC005",
    "Flatcar's disk has not got its own number yet",
    levels=WW,
    source="Flatcar documentation, boot process (the number is made anew at first boot)",
    remedy=f"sgdisk --disk-guid={_FIRST_GUID} DISK, or take a fresh image.",
    applies=_GENERALIZED,
)
def disk_guid(guest: Guest) -> Outcome:
    """The first boot knows by it that the disk is new; two disks of one number confuse a repair."""
    gpt = guest.table.gpt
    found = gpt.disk_guid if gpt is not None else "none"
    return passed(found) if found == _FIRST_GUID else failed(f"the disk's GUID is {found}")


@check(
    "FLC006",
    "Flatcar's agent is on its OEM partition",
    levels=WW,
    source=_SOURCE,
    remedy=_IMAGE,
    applies=_FLATCAR,
)
def agent(guest: Guest) -> Outcome:
    """The agent is an extension of the system there; /etc is filled at boot, so rows about /etc do not apply."""
    found = [path for folder in _OEM for path in guest.tree.glob(f"{folder}/*azure*.raw")]
    found += [path for folder in _OEM for path in guest.tree.glob(f"{folder}/sysext/*azure*.raw")]
    found += list(_oem(guest, "bin/waagent"))
    return passed(listed(found)) if found else failed("the OEM partition has neither oem-azure.raw nor bin/waagent")
