"""What a list of versions says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from gallery_operator.planning.listed import (
    Listed,
    all_latest,
    latest,
    latest_by_region,
    listed,
    next_end_of_life,
    numbers,
)
from gallery_operator.planning.ownership import Owner

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def version(name: str, state: str = "Succeeded", *, excluded: bool = False, **regions: bool) -> Listed:
    return Listed(name, state, excluded=excluded, regions=tuple(regions.items()) or (("westeurope", False),))


def test_latest_is_the_highest_that_counts() -> None:
    rows = [version("1.9.0"), version("1.10.0"), version("2.0.0", "Creating"), version("3.0.0", excluded=True)]
    assert latest(rows) == "1.10.0"
    assert latest([]) is None
    assert latest_by_region(rows) == []
    assert all_latest(rows) == {"1.10.0"}


def test_latest_may_differ_from_region_to_region() -> None:
    rows = [
        version("1.0.0", west=False, east=False),
        version("2.0.0", west=False, east=True),  # not promoted in the east yet
        version("3.0.0", excluded=True, west=False, north=False),
    ]
    assert latest(rows) == "2.0.0"
    assert latest(rows, "east") == "1.0.0"
    assert [(each.name, each.version) for each in latest_by_region(rows)] == [("east", "1.0.0"), ("north", None)]
    assert all_latest(rows) == {"1.0.0", "2.0.0"}


def test_everything_is_read_from_azures_form() -> None:
    document: dict[str, Any] = {
        "name": "1.2.3",
        "tags": {
            "gallery-operator.dev-cluster": "c",
            "gallery-operator.dev-namespace": "n",
            "gallery-operator.dev-name": "v",
            "gallery-operator.dev-kind": "ImageVersion",
            "gallery-operator.dev-retain": "True",
        },
        "properties": {
            "provisioningState": "Succeeded",
            "publishingProfile": {
                "publishedDate": "2026-11-23T01:02:03.1234567+00:00",
                "endOfLifeDate": "2030-01-01T00:00:00",
                "excludeFromLatest": True,
                "targetRegions": [{"name": "West Europe"}, {"name": "East US 2", "excludeFromLatest": True}],
            },
        },
    }
    (found,) = listed([document])
    assert found == Listed(
        "1.2.3",
        "Succeeded",
        datetime(2026, 11, 23, 1, 2, 3, 123456, tzinfo=UTC),
        True,
        (("westeurope", False), ("eastus2", True)),
        datetime(2030, 1, 1, tzinfo=UTC),
        Owner("c", "n", "v", "ImageVersion"),
        True,
    )
    (empty,) = listed([{"name": "1.0.0"}])
    assert empty == Listed("1.0.0", "Unknown")


def test_next_end_of_life_is_the_first_to_come() -> None:
    def ends(name: str, year: int) -> Listed:
        return Listed(name, "Succeeded", end_of_life=datetime(year, 1, 1, tzinfo=UTC))

    found = next_end_of_life([ends("1.0.0", 2025), ends("2.0.0", 2030), ends("3.0.0", 2028), version("4.0.0")], NOW)
    assert found is not None
    assert (found.version, found.end_of_life_date.year) == ("3.0.0", 2028)
    assert next_end_of_life([ends("1.0.0", 2025)], NOW) is None


def test_numbers_are_compared_as_numbers() -> None:
    assert numbers("01.2.10") == numbers("1.2.10")
    assert numbers("1.10.0") > numbers("1.9.9")
