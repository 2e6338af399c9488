"""Limits of a version's disks by replication mode."""

from __future__ import annotations

import pytest

from gallery_operator.planning.sources import too_large

GIB = 1024**3


@pytest.mark.parametrize(
    ("mode", "size", "says"),
    [
        ("Full", None, None),
        ("Full", 2048 * GIB, None),
        ("Full", 2048 * GIB + 1, "has 2049 GiB, and replicationMode Full takes at most 2048 GiB a disk"),
        ("Shallow", 2049 * GIB, None),
        ("Shallow", 32 * 1024 * GIB, None),
        ("Shallow", 32 * 1024 * GIB + 1, "has 32769 GiB, and replicationMode Shallow takes at most 32768 GiB a disk"),
    ],
)
def test_largest_disk(mode: str, size: int | None, says: str | None) -> None:
    assert too_large(mode, size) == says
