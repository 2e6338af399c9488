"""How much is used of what Azure allows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gallery_operator.api.lifecycle import QuotaUse
from gallery_operator.planning import endoflife
from gallery_operator.planning.quota import CONDITION, finding, from_usages, percent, with_counted


@pytest.mark.parametrize(
    ("value", "localized", "resource"),
    [
        ("Galleries", "Galleries", "Galleries"),
        ("gallery", None, "Galleries"),
        ("GalleryImages", "Gallery Images", "ImageDefinitions"),
        ("x", "Gallery Image Definitions", "ImageDefinitions"),
        ("galleryImageVersions", None, "ImageVersions"),
        (None, "Gallery Image Versions", "ImageVersions"),
        ("virtualMachines", "Virtual Machines", None),
        ("GalleryApplications", "Gallery Applications", None),
    ],
)
def test_usages_are_known_by_name(value: str | None, localized: str | None, resource: str | None) -> None:
    usage = {"name": {"value": value, "localizedValue": localized}, "currentValue": 7, "limit": 10, "unit": "Count"}
    assert [each.resource for each in from_usages([usage])] == ([resource] if resource else [])


def test_what_azure_does_not_tell_is_counted() -> None:
    told = from_usages([{"name": {"value": "Galleries"}, "currentValue": 3, "limit": 100}])
    found = with_counted(told, {"Galleries": 1, "ImageVersions": 12})
    assert [(each.resource, each.used, each.limit, each.source) for each in found] == [
        ("Galleries", 3, 100, "Azure"),
        ("ImageVersions", 12, 10_000, "Counted"),
    ]


@pytest.mark.parametrize(
    ("used", "reason"),
    [(0, None), (7999, None), (8000, "QuotaNearlyUsed"), (9499, "QuotaNearlyUsed"), (9500, "QuotaAlmostExhausted")],
)
def test_it_is_told_before_the_wall(used: int, reason: str | None) -> None:
    use = QuotaUse(resource="ImageVersions", used=used, limit=10_000, source="Azure")
    found = finding([use], "westeurope")
    assert found.type == CONDITION
    assert found.status == ("True" if reason else None)
    assert found.reason == (reason or "")
    if reason:
        assert str(used) not in found.message  # it would be written anew at every version
        assert "10000 image versions" in found.message


def test_percent_is_rounded_down() -> None:
    assert percent(QuotaUse(resource="Galleries", used=199, limit=200, source="Azure")) == 99


def test_end_of_life_is_told_when_it_has_come() -> None:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    assert endoflife.finding("The version", now + timedelta(seconds=1), now).status is None
    assert endoflife.finding("The version", None, now).status is None
    told = endoflife.finding("The version", now, now)
    assert told.status == "True"
    assert "2026-11-24T00:00:00Z" in told.message
    assert endoflife.seconds_until((None, now, now + timedelta(hours=1), now + timedelta(days=1)), now) == 3600
    assert endoflife.seconds_until((None, now), now) is None
