"""Whether the log of an XFS must be replayed: the file system was copied while it was mounted.

The log is a ring of 512-byte blocks. The first four bytes of each are the number of its round (the cycle), but for a
block that begins a record, which has them after its magic number; so the end of the log is found by bisection, as the
kernel does (fs/xfs/xfs_log_recover.c: ``xlog_find_head``, ``xlog_check_unmount_rec``). A clean log ends with a record
that says "unmounted".
"""

import struct
from typing import Final

from gallery_operator.prerequisites.readers.region import Region

_BLOCK: Final = 512
_MAGIC: Final = b"\xfe\xed\xba\xbe"
_UNMOUNTED: Final = 0x20
# A record has 256 KiB at most (XLOG_MAX_RECORD_BSIZE), and up to eight blocks of header.
_MAX_RECORD_BLOCKS: Final = 512 + 8
_MAX_LOG_BLOCKS: Final = 1 << 23


def is_dirty(region: Region) -> bool | None:
    """Read the end of the log.

    Args:
        region: The XFS.

    Returns:
        None where it cannot be told: the log is on another device, or damaged.
    """
    head = region.pread(_BLOCK, 0)
    if len(head) < _BLOCK or head[:4] != b"XFSB":
        return None
    (block_bytes,) = struct.unpack_from(">I", head, 4)
    (start,) = struct.unpack_from(">Q", head, 48)
    group_blocks, _, _, log_blocks = struct.unpack_from(">IIII", head, 84)
    # sb_agblklog: a block's number has its group's number above these bits.
    shift = head[124]
    if start == 0 or not 512 <= block_bytes <= 65536 or shift > 31:
        return None
    offset = ((start >> shift) * group_blocks + (start & ((1 << shift) - 1))) * block_bytes
    count = log_blocks * block_bytes // _BLOCK
    if not 0 < count <= _MAX_LOG_BLOCKS or offset + count * _BLOCK > region.size:
        return None
    return _ends_dirty(_Log(region, offset, count))


class _Log:
    def __init__(self, region: Region, offset: int, count: int) -> None:
        self._region = region
        self._offset = offset
        self.count = count

    def read(self, first: int, count: int) -> bytes:
        """Blocks of the ring."""
        first %= self.count
        before = min(count, self.count - first)
        data = self._region.pread(before * _BLOCK, self._offset + first * _BLOCK)
        if before < count:
            data += self._region.pread((count - before) * _BLOCK, self._offset)
        return data

    def cycle(self, block: int) -> int:
        """In which round a block was written."""
        raw = self.read(block, 1)[:8].ljust(8, b"\0")
        (value,) = struct.unpack_from(">I", raw, 4 if raw[:4] == _MAGIC else 0)
        return int(value)


def _ends_dirty(log: _Log) -> bool | None:
    first, last = log.cycle(0), log.cycle(log.count - 1)
    if first == 0:
        # Never written
        return None
    end = log.count
    if first != last:
        # Blocks of this round are before it, those of the round before (or never written ones) from it on.
        low, end = 0, log.count - 1
        while end - low > 1:
            middle = (low + end) // 2
            if log.cycle(middle) == first:
                low = middle
            else:
                end = middle
    before = min(_MAX_RECORD_BLOCKS, log.count)
    # What is before the first block of a ring is its end.
    blocks = log.read(end - before, before) if end >= before or last else log.read(0, end)
    for at in range(len(blocks) - _BLOCK, -1, -_BLOCK):
        if blocks[at : at + 4] == _MAGIC:
            return not _says_unmounted(blocks[at:])
    return None


def _says_unmounted(record: bytes) -> bool:
    """Whether a record is one operation, "unmounted", and nothing follows it."""
    version, length = struct.unpack_from(">II", record, 8)
    (operations,) = struct.unpack_from(">I", record, 40)
    (size,) = struct.unpack_from(">I", record, 320)
    # Version 2 has a block of header for each 32 KiB of a record's largest size.
    headers = max(1, -(-size // 32768)) if version & 2 else 1
    data = record[headers * _BLOCK :]
    blocks = headers + -(-length // _BLOCK)
    if operations != 1 or len(data) < 12 or blocks * _BLOCK != len(record):
        return False
    return bool(data[9] & _UNMOUNTED)
