"""What an import has for a while is told by its status."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from gallery_operator.runtime.temporaries import Swept, facts, families

DISK = {"type": "ManagedDisk", "resourceId": "/d"}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, ()),
        ({"phase": "Preparing"}, ()),
        ({"target": DISK}, ("OpenUpload",)),
        ({"target": DISK, "uploaded": True}, ()),
        ({"target": {**DISK, "staging": True}}, ("OpenUpload", "StagingDisk")),
        ({"target": {**DISK, "staging": True}, "uploaded": True}, ("StagingDisk",)),
        ({"target": {**DISK, "staging": True}, "uploaded": True, "stagingReleased": True}, ()),
        ({"target": {**DISK, "type": "ManagedImage", "uploadDiskId": "/u"}, "uploaded": True}, ("StagingDisk",)),
        ({"target": {**DISK, "type": "ManagedImage"}, "uploaded": True}, ()),
    ],
)
def test_by_status(status: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert facts({"status": status}) == expected


def test_what_there_is_none_of_is_zero() -> None:
    swept = Swept(Counter(Job=3), Counter(StagingDisk=1))
    found = {
        (sample.name.removeprefix("gallery_operator_"), sample.labels["kind"]): sample.value
        for family in families([("OpenUpload", "StagingDisk"), ("StagingDisk",)], swept)
        for sample in family.samples
    }
    assert found == {
        ("temporaries", "Job"): 3,
        ("temporaries", "ScratchClaim"): 0,
        ("temporaries", "OpenUpload"): 1,
        ("temporaries", "StagingDisk"): 2,
        ("abandoned", "Job"): 0,
        ("abandoned", "ScratchClaim"): 0,
        ("abandoned", "StagingDisk"): 1,
    }
