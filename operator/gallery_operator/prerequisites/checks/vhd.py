"""VHD001-VHD015: the file that the disk came in.

gallery-operator pads the disk and writes its own footer, so what it converts is no finding; a footer that
contradicts its file is one in any case, because it speaks of a damaged file.
"""

from gallery_operator.prerequisites.container import (
    GIB,
    MIB,
    VHD_COOKIE,
    ContainerFacts,
    VhdFooter,
    parse_footer,
)
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import (
    EE,
    WE,
    WW,
    Outcome,
    failed,
    not_applicable,
    passed,
    unknown,
)
from gallery_operator.prerequisites.registry import EVERY_DISK, AppliesTo, check

_FIXED, _DYNAMIC, _DIFFERENCING = 2, 3, 4
_TYPE_NAMES = {_FIXED: "fixed", _DYNAMIC: "dynamic", _DIFFERENCING: "differencing"}
_FOOTER_VERSION = 0x00010000
_NO_OFFSET = 0xFFFFFFFFFFFFFFFF

_CONVERT = (
    "Convert it: qemu-img convert -O vpc -o subformat=fixed,force_size IN OUT.vhd (with the size a multiple "
    "of 1 MiB), or give the file to gallery-operator, which converts it."
)
_REMAKE = "Download or build the file again; its footer does not belong to its bytes."
_RESIZE = (
    "Resize the raw disk to a whole MiB (qemu-img resize -f raw DISK SIZE), then convert it with "
    "-o subformat=fixed,force_size."
)
_CERT = "Azure Marketplace VM certification FAQ, VHD specifications"
_GEN = "Prepare Linux for imaging in Azure (create-upload-generic), General Linux installation notes"

_NO_CONTAINER = not_applicable("the disk was given without the file it came in")
_OURS = not_applicable("gallery-operator writes the footer of what it uploads")


def _gib(size: int) -> str:
    return f"{size / GIB:.2f} GiB"


def _footer(guest: Guest) -> VhdFooter | Outcome:
    """The source's footer, or the outcome when there is none to judge."""
    container = guest.container
    if container is None:
        return _NO_CONTAINER
    if container.format != "vhd":
        return _OURS if not container.as_is else not_applicable("there is no VHD footer (see VHD001)")
    footer = parse_footer(container.footer)
    return footer if footer is not None else not_applicable("there is no VHD footer (see VHD001)")


def _size(guest: Guest) -> int:
    """Bytes of the disk as Azure would see it: padded by us to a whole MiB, or as it is."""
    container = guest.container
    size = guest.disk.size if container is None else container.virtual_size
    if container is not None and container.as_is:
        return size
    return -(-size // MIB) * MIB


@check(
    "VHD001",
    "the file ends with a VHD footer",
    levels=EE,
    source=_CERT,
    remedy=_CONVERT,
    applies=EVERY_DISK,
)
def footer_present(guest: Guest) -> Outcome:
    """Azure recognises a disk by the cookie ``conectix`` at the start of its last 512 bytes."""
    container = guest.container
    if container is None:
        return _NO_CONTAINER
    if container.format != "vhd" and not container.as_is:
        return _OURS
    if container.footer is None or container.footer[:8] != VHD_COOKIE:
        return failed(f"the last 512 bytes do not start with 'conectix' (format: {container.format})")
    return passed("the last 512 bytes start with 'conectix'")


@check(
    "VHD002",
    "the file is not a VHDX",
    levels=EE,
    source=f"{_GEN}; Generation 2 VM FAQ",
    remedy=_CONVERT,
    applies=EVERY_DISK,
)
def not_vhdx(guest: Guest) -> Outcome:
    """Azure takes VHD only; Hyper-V Manager and many tools make VHDX by default."""
    container = guest.container
    if container is None:
        return _NO_CONTAINER
    if container.format != "vhdx":
        return passed(f"the format is {container.format}")
    return failed("the file is a VHDX") if container.as_is else passed("VHDX, converted to VHD")


@check(
    "VHD003",
    "the VHD is of fixed size",
    levels=EE,
    source=f"{_GEN}; {_CERT}",
    remedy=_CONVERT,
    applies=EVERY_DISK,
)
def fixed(guest: Guest) -> Outcome:
    """Azure refuses dynamic and differencing VHDs. A differencing one lacks its parent's data as well."""
    footer = _footer(guest)
    if isinstance(footer, Outcome):
        return footer
    name = _TYPE_NAMES.get(footer.disk_type, "unknown")
    text = f"footer: disk type {footer.disk_type} ({name})"
    if footer.disk_type == _FIXED:
        return passed(text)
    if footer.disk_type == _DYNAMIC and guest.container is not None and not guest.container.as_is:
        return passed(f"{text}, converted to a fixed one")
    return failed(text)


@check(
    "VHD004",
    "the footer's checksum is right",
    levels=EE,
    source="VHD specification 1.0, Hard Disk Footer Format",
    remedy=_REMAKE,
    applies=EVERY_DISK,
)
def checksum(guest: Guest) -> Outcome:
    """The checksum is the one's complement of the sum of the footer's bytes; a wrong one means damage."""
    footer = _footer(guest)
    if isinstance(footer, Outcome):
        return footer
    if footer.checksum == footer.computed_checksum:
        return passed(f"{footer.checksum:#010x}")
    return failed(f"the footer says {footer.checksum:#010x}, its bytes say {footer.computed_checksum:#010x}")


@check(
    "VHD005",
    "the disk's size is a whole number of MiB",
    levels=EE,
    source=f"{_GEN}, Resize VHDs",
    remedy=_RESIZE,
    applies=EVERY_DISK,
)
def aligned(guest: Guest) -> Outcome:
    """Azure: "unsupported virtual size; the size must be a whole number (in MBs)"."""
    container = guest.container
    if container is None:
        return _NO_CONTAINER
    size = container.virtual_size
    rest = size % MIB
    if rest == 0:
        return passed(f"{size} bytes are {size // MIB} MiB")
    if not container.as_is:
        return passed(f"{size} bytes are filled up with zeros to {_size(guest) // MIB} MiB")
    return failed(f"{size} bytes are {rest} bytes more than {size // MIB} MiB")


@check(
    "VHD006",
    "the file is as long as its footer says",
    levels=EE,
    source=_CERT,
    remedy=_REMAKE,
    applies=EVERY_DISK,
)
def complete(guest: Guest) -> Outcome:
    """A fixed VHD is its disk and 512 bytes; anything else was cut off or has something added."""
    footer = _footer(guest)
    if isinstance(footer, Outcome):
        return footer
    if footer.disk_type != _FIXED:
        return not_applicable("the file of a VHD that is not fixed has any length")
    length = guest.container.file_size if guest.container is not None else None
    if length is None:
        return unknown("the length of the file is not known")
    if length == footer.current_size + 512:
        return passed(f"{length} bytes")
    return failed(f"the file has {length} bytes, its footer says {footer.current_size} + 512")


@check(
    "VHD007",
    "the OS disk is at most 1023 GiB",
    levels=WE,
    source=f"{_GEN}; {_CERT} (OS disk 1-1023 GB)",
    remedy="Make the disk smaller; Azure grows it at deployment to what the VM asks for.",
)
def usual_size(guest: Guest) -> Outcome:
    """The documents' limit for an OS disk; larger ones exist for Generation 2, but not in Marketplace."""
    size = _size(guest)
    return passed(_gib(size)) if size <= 1023 * GIB else failed(f"{_gib(size)} are more than 1023 GiB")


@check(
    "VHD008",
    "the OS disk is not larger than its generation allows",
    levels=EE,
    source="Support for Generation 2 VMs (generation-2), capabilities table and FAQ",
    remedy="Make the disk smaller (2 TiB for V1, 4 TiB for V2), or declare it V2 if it boots by UEFI.",
)
def generation_size(guest: Guest) -> Outcome:
    """Generation 1 boots from at most 2 TiB, Generation 2 from at most 4 TiB."""
    generation = guest.profile.hyper_v_generation
    limit = 2048 * GIB if generation == "V1" else 4096 * GIB
    size = _size(guest)
    if size <= limit:
        return passed(f"{_gib(size)} of {limit // GIB} GiB for {generation}")
    return failed(f"{_gib(size)} are more than {limit // GIB} GiB, the limit of {generation}")


@check(
    "VHD009",
    "the disk is small enough for full replication",
    levels=WE,
    source="Troubleshoot shared images (exceeds the max size 2048); Azure Compute Gallery, Shallow replication",
    remedy="Make the disk smaller than 2 TiB, or use replicationMode Shallow.",
    applies=EVERY_DISK,
)
def replication_size(guest: Guest) -> Outcome:
    """A gallery replicates at most 2048 GiB a disk with mode Full, 32 TiB with Shallow."""
    mode = guest.container.replication_mode if guest.container is not None else "Full"
    limit = 2048 * GIB if mode == "Full" else 32 * 1024 * GIB
    size = _size(guest)
    if size <= limit:
        return passed(f"{_gib(size)} of {limit // GIB} GiB for {mode}")
    return failed(f"{_gib(size)} are more than {limit // GIB} GiB, the limit of mode {mode}")


@check(
    "VHD010",
    "the disk is large enough",
    levels=EE,
    source=_CERT,
    remedy="Make the disk at least 20 MiB (an OS disk at least 1 GiB).",
    applies=EVERY_DISK,
    cases=((WW, "an OS disk of at least 20 MiB, but below 1 GiB"),),
)
def least_size(guest: Guest) -> Outcome:
    """A VHD must have 20 MiB at least; for Linux 1 GiB is recommended."""
    size = _size(guest)
    if size < 20 * MIB:
        return failed(f"{size} bytes are less than 20 MiB")
    if guest.profile.disk_role == "os" and size < GIB:
        return failed(f"{size // MIB} MiB are less than 1 GiB", WW)
    return passed(_gib(size))


@check(
    "VHD011",
    "the footer's version and data offset are those of a fixed VHD",
    levels=WE,
    source=f"{_GEN}, note on qemu-img 2.2.1 to 2.5; VHD specification 1.0",
    remedy=_CONVERT,
    applies=EVERY_DISK,
)
def well_formed(guest: Guest) -> Outcome:
    """qemu-img 2.2.1 to 2.5 wrote VHDs that Azure does not take."""
    footer = _footer(guest)
    if isinstance(footer, Outcome):
        return footer
    if footer.version != _FOOTER_VERSION:
        return failed(f"footer: version {footer.version:#010x} instead of {_FOOTER_VERSION:#010x}")
    if footer.disk_type == _FIXED and footer.data_offset != _NO_OFFSET:
        return failed(f"footer: data offset {footer.data_offset:#x} instead of all ones for a fixed disk")
    return passed(f"version {footer.version:#010x}, made by {footer.creator!r}")


@check(
    "VHD012",
    "the file is a VHD, or something that can be made one",
    levels=EE,
    source="derived: Azure takes fixed VHDs only",
    remedy=_CONVERT,
    applies=EVERY_DISK,
)
def convertible(guest: Guest) -> Outcome:
    """An installation medium is not a disk, and compressed or foreign files are not taken as they are."""
    container = guest.container
    if container is None:
        return _NO_CONTAINER
    what = _describe(container)
    if container.format == "iso":
        return failed("the file is an ISO 9660 image: install from it, and give the installed disk")
    if container.as_is and (container.format != "vhd" or container.compression):
        return failed(f"Azure does not take {what}")
    return passed(what if container.format == "vhd" else f"{what}, made a fixed VHD by gallery-operator")


def _describe(container: ContainerFacts) -> str:
    if container.compression:
        return f"{container.format} compressed with {container.compression}"
    return container.format


@check(
    "VHD013",
    "the file's name has no % and no quotes",
    levels=WE,
    source="Azure Marketplace VM certification FAQ, Download failure",
    remedy="Rename the file or blob.",
    applies=EVERY_DISK,
)
def name(guest: Guest) -> Outcome:
    """Certification cannot download a blob whose name has such characters."""
    container = guest.container
    if container is None or container.name is None or not container.as_is:
        return not_applicable("the name of the blob is chosen at the destination")
    bad = sorted(set(container.name) & set("%\"'"))
    return failed(f"the name {container.name} contains {' '.join(bad)}") if bad else passed(container.name)


@check(
    "VHD014",
    "the data disk is at most 1023 GiB",
    levels=EE,
    source=f"Create a gallery image version (image-version), Prerequisites; {_CERT}",
    remedy="Make the data disk smaller, or split it.",
    applies=AppliesTo(disk_roles=frozenset({"data"})),
)
def data_size(guest: Guest) -> Outcome:
    """A data disk of an image version made from a VHD is limited to 1 TB (1023 GiB in Marketplace)."""
    size = _size(guest)
    return passed(_gib(size)) if size <= 1023 * GIB else failed(f"{_gib(size)} are more than 1023 GiB")


@check(
    "VHD015",
    "the disk is laid out for sectors of 512 bytes",
    levels=EE,
    source="Upload a VHD to Azure (disks-upload-vhd): VHDs have 512-byte sectors; derived",
    remedy="Partition the disk with 512-byte logical sectors; a table for 4096-byte sectors is not found.",
    applies=EVERY_DISK,
)
def sector_size(guest: Guest) -> Outcome:
    """A GPT made on a disk with 4096-byte sectors is in another place, and nothing on it can be found."""
    if guest.table.efi_at_4096:
        return failed("the GPT header is at byte 4096, where a disk with 4096-byte sectors has it")
    return passed("no table for 4096-byte sectors")
