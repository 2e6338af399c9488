"""Which format a file has, and whether it may be read."""

from dataclasses import dataclass
from typing import Literal

from gallery_operator.contract import FailureCode
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.formats import qcow2, vhd, vhdx, vmdk
from gallery_operator.worker.formats.source import ByteSource, BytesSource, unsupported
from gallery_operator.worker.formats.vhd import Vhd

DiskFormat = Literal["raw", "vhd", "vhdx", "qcow2", "vmdk"]
Compression = Literal["gzip", "xz", "zstd", "bzip2"]

_COMPRESSIONS: tuple[tuple[bytes, Compression], ...] = (
    (b"\x1f\x8b\x08", "gzip"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
)

_DISK_MAGICS: tuple[tuple[bytes, DiskFormat], ...] = (
    (qcow2.MAGIC, "qcow2"),
    (vmdk.MAGIC, "vmdk"),
    (vhdx.MAGIC, "vhdx"),
)

# What people upload by mistake, with what to do about it: (offset, magic, what it is, advice).
_FOREIGN: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"# Disk DescriptorFile", "a VMDK descriptor without its data", "export it as one monolithicSparse file"),
    (0, b"COWD", "an old VMware COW disk", "convert it with qemu-img"),
    (64, b"\x7f\x10\xda\xbe", "a VirtualBox VDI disk", "convert it with qemu-img convert -O qcow2"),
    (0, b"QED\0", "a QED disk", "convert it with qemu-img convert -O qcow2"),
    (0, b"WithoutFreeSpace", "a Parallels disk", "convert it with qemu-img"),
    (0, b"WithouFreSpacExt", "a Parallels disk", "convert it with qemu-img"),
    (32769, b"CD001", "an ISO 9660 (CD) image", "give the installed disk, not the installation medium"),
    (0, b"PK\x03\x04", "a zip archive", "give the disk file that is in it"),
    (257, b"ustar", "a tar archive (OVA files are such)", "give the disk file that is in it"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-zip archive", "give the disk file that is in it"),
    (0, b"LZIP", "an lzip file", "use gzip, xz, zstd or bzip2"),
    (0, b"\x04\x22\x4d\x18", "an lz4 file", "use gzip, xz, zstd or bzip2"),
    (0, b"\x7fELF", "a program", "give a disk image"),
    (0, b"MSWIM\0\0\0", "a Windows WIM image", "give a disk image"),
    (0, b"!<arch>\n", "a package or archive", "give a disk image"),
    (0, b"\xed\xab\xee\xdb", "an RPM package", "give a disk image"),
)  # fmt: skip

_MBR_SIGNATURE = b"\x55\xaa"
_GPT_SIGNATURE = b"EFI PART"

HEAD_BYTES = 64 * 1024
"""How much of the start of a file ``refuse_early`` wants."""


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What a file holds.

    Attributes:
        format: Its format.
        virtual_size: Bytes of the disk in it, before rounding up to whole MiB.
        fixed_vhd: A VHD whose disk is simply its bytes up to the footer.
        vhd: The VHD that was recognised.
    """

    format: DiskFormat
    virtual_size: int
    fixed_vhd: bool = False
    vhd: Vhd | None = None

    @property
    def is_plain(self) -> bool:
        """Whether the disk's bytes are in the file as they are, from offset 0."""
        return self.format == "raw" or self.fixed_vhd


def detect_compression(head: bytes) -> Compression | None:
    """Tell by which method a file is compressed, or None."""
    for magic, name in _COMPRESSIONS:
        if head.startswith(magic) and (name != "bzip2" or head[3:4] in b"123456789"):
            return name
    return None


def inspect_image(source: ByteSource, declared: DiskFormat | None = None) -> ImageInfo:
    """Recognise a file's format by its own bytes and check that it is safe to convert.

    Args:
        source: The whole file, decompressed.
        declared: The format the user names. ``raw`` is believed: nothing will ever parse a raw disk as
            anything else. Any other must agree with what the bytes say.

    Returns:
        What it holds.

    Raises:
        WorkerError: ``UnsafeImage``, ``UnsupportedFormat``, ``CorruptImage`` or ``NotADisk``.
    """
    if source.size == 0:
        raise WorkerError(FailureCode.NOT_A_DISK, "The file is empty.")
    if declared == "raw":
        return ImageInfo("raw", source.size)
    info = _recognise(source)
    if declared is not None and info.format != declared:
        raise unsupported(f"The disk was declared as {declared}, but its bytes say {info.format}. Correct spec.source.")
    if info.virtual_size == 0:
        raise WorkerError(FailureCode.NOT_A_DISK, f"The {info.format} image holds a disk of 0 bytes.")
    return info


def refuse_early(head: bytes, declared: DiskFormat | None = None) -> None:
    """Refuse from the first bytes what would be refused anyway, before the rest is fetched.

    Args:
        head: The first bytes of the file, decompressed; up to ``HEAD_BYTES`` are looked at.
        declared: The format the user names.

    Raises:
        WorkerError: As ``inspect_image`` would.
    """
    if declared == "raw":
        return
    source = BytesSource(head)
    if head.startswith(qcow2.MAGIC) and len(head) >= 4096:
        qcow2.virtual_size(source)
    _refuse_foreign(source)


def is_plain_start(head: bytes, declared: DiskFormat | None = None) -> bool:
    """Whether a file that begins so may be a raw disk or a fixed VHD, whose zeros need no room in a sparse file."""
    if declared is not None:
        return declared in ("raw", "vhd") and not head.startswith(vhd.MAGIC)
    return not head.startswith((qcow2.MAGIC, vmdk.MAGIC, vhdx.MAGIC, vhd.MAGIC))


def require_bootable_disk(source: ByteSource, role: Literal["os", "data"]) -> None:
    """Check that a raw disk can be a disk at all.

    An OS disk needs an MBR or GPT signature. A data disk may hold a bare file system, or nothing.

    Raises:
        WorkerError: ``NotADisk``.
    """
    if role == "data":
        return
    head = source.pread(1024, 0)
    if head[510:512] == _MBR_SIGNATURE or head[512:520] == _GPT_SIGNATURE:
        return
    if source.pread(8, 4096) == _GPT_SIGNATURE:
        raise unsupported("The disk is laid out for sectors of 4096 bytes; Azure's VHDs have 512.")
    raise WorkerError(FailureCode.NOT_A_DISK, f"This is no OS disk: {_looks_like(head)}.")


def _recognise(source: ByteSource) -> ImageInfo:
    head = source.pread(16, 0)
    for magic, name in _DISK_MAGICS:
        if head.startswith(magic):
            parser = {"qcow2": qcow2, "vmdk": vmdk, "vhdx": vhdx}[name]
            return ImageInfo(name, parser.virtual_size(source))
    found = vhd.read_vhd(source)
    if found is not None:
        return ImageInfo("vhd", found.size, found.disk_type == vhd.FIXED, found)
    if head.startswith(vhd.MAGIC):
        message = "The file starts as a dynamic VHD but has no footer at its end; it is cut off."
        raise WorkerError(FailureCode.CORRUPT_IMAGE, message)
    _refuse_foreign(source)
    if detect_compression(head) is not None:
        raise unsupported("The file is compressed twice; compress it once.")
    return ImageInfo("raw", source.size)


def _refuse_foreign(source: ByteSource) -> None:
    for offset, magic, what, advice in _FOREIGN:
        if source.pread(len(magic), offset) == magic:
            raise unsupported(f"The file is {what}; {advice}.")
    start = source.pread(512, 0).lstrip()[:64].lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<error")):
        raise WorkerError(
            FailureCode.NOT_A_DISK,
            "The file is a web page or an XML document, not a disk: the link probably leads to a login or error page.",
        )


def _looks_like(head: bytes) -> str:
    if not any(head):
        return "its first sectors are all zero, there is no MBR or GPT partition table"
    sample = head[:256]
    if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in sample):
        return "it is a text, without MBR or GPT partition table"
    return "it has neither an MBR nor a GPT partition table (signature 55 AA at byte 510, or EFI PART at 512)"
