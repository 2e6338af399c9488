"""How far the running imports are, summed up by step."""

from __future__ import annotations

from typing import Any

import pytest

from gallery_operator.runtime.import_census import ImportFacts, facts, families


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        (None, None),
        ({"percent": 100, "bytes": 5, "totalBytes": 5}, None),
        ({"step": "somebody's own", "bytes": 5}, None),
        ({"step": "Downloading", "bytes": 5}, ImportFacts("Downloading", 0, 0)),
        (
            {"step": "Uploading", "bytes": 5, "totalBytes": 25, "bytesPerSecond": 4},
            ImportFacts("Uploading", 20, 4),
        ),
    ],
)
def test_by_status(progress: dict[str, Any] | None, expected: ImportFacts | None) -> None:
    assert facts({"status": {"progress": progress} if progress else {}}) == expected


def test_they_are_summed_up() -> None:
    given = [ImportFacts("Uploading", 20, 4), None, ImportFacts("Uploading", 1, 2), ImportFacts("Verifying", 7, 0)]
    found = {
        (sample.name.removeprefix("gallery_operator_"), sample.labels["step"]): sample.value
        for family in families(given)
        for sample in family.samples
    }
    assert {name: value for name, value in found.items() if value} == {
        ("imports_running", "Uploading"): 2,
        ("imports_running", "Verifying"): 1,
        ("import_remaining_bytes", "Uploading"): 21,
        ("import_remaining_bytes", "Verifying"): 7,
        ("import_bytes_per_second", "Uploading"): 6,
    }
    assert found["imports_running", "Downloading"] == 0
