"""Disk image formats: what a file is, and whether it is safe, told from its bytes by our own code.

Nothing here trusts a name, a content type or ``qemu-img``'s probing: an image that asks for other files
(backing file, data file, extents, parent) must be refused before any program that would open them sees it.
"""

from gallery_operator.worker.formats.inspect import (
    ImageInfo,
    detect_compression,
    inspect_image,
    is_plain_start,
    refuse_early,
    require_bootable_disk,
)
from gallery_operator.worker.formats.source import ByteSource, BytesSource, FdSource

__all__ = [
    "ByteSource",
    "BytesSource",
    "FdSource",
    "ImageInfo",
    "detect_compression",
    "inspect_image",
    "is_plain_start",
    "refuse_early",
    "require_bootable_disk",
]
