"""From a file in any format to the disk in it. Used by ``prepare`` and by ``gallery-operator check``."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gallery_operator.contract import FailureCode
from gallery_operator.prerequisites.container import FOOTER_BYTES, ContainerFacts
from gallery_operator.worker import formats
from gallery_operator.worker.decompress import decompress
from gallery_operator.worker.disk import Disk
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.formats import FdSource, ImageInfo
from gallery_operator.worker.formats.inspect import Compression, DiskFormat
from gallery_operator.worker.imagedisk import open_disk
from gallery_operator.worker.layout import MIB, round_up
from gallery_operator.worker.onlooker import Onlooker
from gallery_operator.worker.sparse import SparseWriter
from gallery_operator.worker.tracking import Tracker

BLOB_BYTES = 8 << 40
"""Largest page blob, 8 TiB, the VHD's footer included."""

GENERATION_1_OS_BYTES = 2 << 40
"""Largest OS disk of a BIOS machine: an MBR addresses 2 TiB."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A disk image whose format is known.

    Attributes:
        info: What it holds.
        compression: How the file that it came from was compressed.
        file_size: Bytes of the (decompressed) file.
    """

    info: ImageInfo
    compression: Compression | None
    file_size: int

    def container(self, name: str | None = None) -> ContainerFacts:
        """Describe the file to the prerequisite checks."""
        vhd = self.info.vhd
        return ContainerFacts(
            format=self.info.format,
            virtual_size=self.info.virtual_size,
            file_size=self.file_size,
            footer=vhd.footer if vhd is not None else None,
            name=name,
            compression=self.compression,
        )


def container_limit(max_virtual_size: int) -> int:
    """Return how large a file may be that holds a disk of at most this size: formats have tables of their own."""
    return max_virtual_size + max_virtual_size // 256 + 64 * MIB


def require_size(size: int, most: int, *, least: int = 0, generation_1_os: bool) -> None:
    """Refuse a disk that Azure or the configuration does not take.

    Args:
        size: Bytes of the disk.
        most: The configured bound in bytes.
        least: The smallest disk that the destination takes, in bytes.
        generation_1_os: Whether it is the OS disk of a generation 1 (BIOS) image.

    Raises:
        WorkerError: ``TooLarge``, ``TooSmall``.
    """
    padded = round_up(size, MIB)
    if padded < least:
        message = f"The disk has {size} bytes; a managed disk has at least {least} (Azure's rule)."
        raise WorkerError(FailureCode.TOO_SMALL, message)
    if padded > most:
        message = f"The disk has {size} bytes; at most {most} are allowed here. Shrink it, or raise the limit."
        raise WorkerError(FailureCode.TOO_LARGE, message)
    if generation_1_os and padded > GENERATION_1_OS_BYTES:
        message = f"The OS disk has {size} bytes; generation 1 boots from at most 2 TiB. Use hyperVGeneration V2."
        raise WorkerError(FailureCode.TOO_LARGE, message)


def decompress_file(
    file: BinaryIO,
    kind: Compression,
    target: Path,
    limit: int,
    tracker: Tracker,
    onlooker: Onlooker | None = None,
) -> None:
    """Decompress into a sparse file.

    Args:
        file: The compressed file, at its start.
        kind: The method.
        target: The file to make.
        limit: Most bytes of output.
        tracker: Shows how far it is, in compressed bytes.
        onlooker: Gets all bytes too, as they are written.

    Raises:
        WorkerError: ``TooLarge`` beyond the limit, ``CorruptImage``, ``ScratchFull``.
    """
    tracker.start("Decompressing", os.fstat(file.fileno()).st_size)
    message = f"The {kind} data decompresses to more than {limit} bytes, the most that is accepted; refused as a bomb."
    writer = SparseWriter(target, limit=limit, too_large=message)
    try:
        for data in decompress(kind, file, tracker.advance):
            not_zero = writer.write(data)
            if onlooker is not None:
                onlooker.take(data) if not_zero else onlooker.skip(len(data))
        writer.sync()
    finally:
        writer.close()


def recognise(fd: int, declared: DiskFormat | None) -> ImageInfo:
    """Recognise an open, uncompressed image and check its headers.

    Raises:
        WorkerError: It is none, or not safe; see ``formats.inspect_image``.
    """
    return formats.inspect_image(FdSource(fd), declared)


@dataclass(frozen=True, slots=True)
class OpenedImage:
    """An image that is open.

    Attributes:
        disk: The disk in it; the caller closes it.
        image: The image.
    """

    disk: Disk
    image: ImageFile


def open_image(
    path: Path,
    work: Path,
    *,
    max_virtual_size: int = BLOB_BYTES - FOOTER_BYTES,
    declared: DiskFormat | None = None,
    tracker: Tracker | None = None,
) -> OpenedImage:
    """Open the disk in any supported image, for a look at a file outside a cluster.

    Args:
        path: The image.
        work: An empty folder for what must be decompressed; nothing else is written.
        max_virtual_size: Bound of the disk in bytes.
        declared: The format, when it is not to be recognised.
        tracker: Shows how far it is.

    Returns:
        The open image; files in ``work`` are the caller's to remove.

    Raises:
        WorkerError: As ``prepare`` would refuse it.
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        compression = formats.detect_compression(file.read(16))
        file.seek(0)
        if compression is not None:
            limit = container_limit(max_virtual_size)
            decompress_file(file, compression, work / "image", limit, tracker or Tracker("prepare"))
            path = work / "image"
    with path.open("rb") as file:
        fd = file.fileno()
        info = recognise(fd, declared)
        image = ImageFile(info, compression, FdSource(fd).size)
        require_size(info.virtual_size, max_virtual_size, generation_1_os=False)
        disk = open_disk(os.dup(fd), info)
    try:
        disk.require_whole()
    except BaseException:
        disk.close()
        raise
    return OpenedImage(disk, image)
