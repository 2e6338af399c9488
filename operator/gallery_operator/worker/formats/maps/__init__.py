"""Where in an image file the bytes of its disk are, told from the format's own tables.

Every format that is read keeps its disk in blocks, and tables that say for each block where in the file it is, or that
it is zero. That is all that is needed to read a disk without making a raw copy of it first.
"""

from collections.abc import Callable

from gallery_operator.worker.formats.inspect import ImageInfo
from gallery_operator.worker.formats.maps.base import BlockMap, Segment
from gallery_operator.worker.formats.maps.qcow2 import Qcow2Map
from gallery_operator.worker.formats.maps.vhd import DynamicVhdMap
from gallery_operator.worker.formats.maps.vhdx import VhdxMap
from gallery_operator.worker.formats.maps.vmdk import VmdkMap
from gallery_operator.worker.formats.source import ByteSource

__all__ = ["BlockMap", "Segment", "block_map"]


def block_map(source: ByteSource, info: ImageInfo) -> BlockMap:
    """Read where the blocks of an image are.

    Args:
        source: The whole file.
        info: What ``inspect_image`` found in it; not a plain disk.

    Raises:
        WorkerError: ``CorruptImage`` or ``UnsupportedFormat``.
    """
    if info.vhd is not None and not info.fixed_vhd:
        return DynamicVhdMap(source, info.vhd)
    kinds: dict[str, Callable[[ByteSource, int], BlockMap]] = {"qcow2": Qcow2Map, "vhdx": VhdxMap, "vmdk": VmdkMap}
    return kinds[info.format](source, info.virtual_size)
