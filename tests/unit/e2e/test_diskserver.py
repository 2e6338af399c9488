"""Made-up disks are what the tests take them for."""

from __future__ import annotations

import struct

from tests.support.e2e.diskserver import random_disk

_MIB = 1024 * 1024


def test_made_up_disk() -> None:
    disk = random_disk(4, 1)
    assert disk == random_disk(4, 1)
    assert disk != random_disk(4, 2)
    assert len(disk) == 4 * _MIB
    assert disk[510:512] == b"\x55\xaa"
    first, count = struct.unpack_from("<II", disk, 454)
    assert (first + count) * 512 == len(disk)
    assert not any(disk[2 * _MIB : 3 * _MIB]), "its third quarter is to be skipped"
    assert all(any(disk[at * _MIB : (at + 1) * _MIB]) for at in (0, 1, 3))
