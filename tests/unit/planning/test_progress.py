"""What a person sees of a running import, and when status is written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gallery_operator.api.vhdimport_status import ImportProgress
from gallery_operator.contract import Phase, Progress
from gallery_operator.planning.progress import progress_fields

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GIB = 1 << 30


def told(phase: Phase = "Uploading", **more: Any) -> Progress:
    return Progress(job="upload", phase=phase, **more)


def first(progress: Progress) -> dict[str, Any]:
    fields = progress_fields(progress, None, NOW)
    assert fields is not None
    return fields


def test_what_is_seen() -> None:
    progress = told(bytes_done=50, bytes_total=200, bytes_sent=10, bytes_skipped=4000, bytes_per_second=10, attempts=2)
    assert first(progress) == {
        "step": "Uploading",
        "bytes": 50,
        "totalBytes": 200,
        "percent": 25,
        "percentText": "25%",
        "bytesPerSecond": 10,
        "rate": "10 B/s",
        "estimatedCompletion": "2026-01-01T00:00:15Z",
        "remaining": "20s",
        "sentBytes": 10,
        "skippedBytes": 4000,
        "retriedRequests": 2,
        "lastUpdateTime": "2026-01-01T00:00:00Z",
    }


@pytest.mark.parametrize(
    ("progress", "seen"),
    [
        # Nothing is known yet.
        (told("Starting"), (None, None, None, None)),
        (told("Checking"), ("Checking", None, None, None)),
        # No end is known: the bytes alone.
        (told("Downloading", bytes_done=3 * GIB // 2), ("Downloading", "1.5 GiB", None, None)),
        # No estimate before there is a rate, nor from one that has broken down.
        (told(bytes_done=1, bytes_total=4), ("Uploading", "25%", None, None)),
        (told(bytes_done=1, bytes_total=4 * GIB, bytes_per_second=2), ("Uploading", "0%", "2 B/s", None)),
        # Nobody is told of 100 % before the disk is in Azure.
        (told("Verifying", bytes_done=200, bytes_total=200, bytes_per_second=9), ("Verifying", "99%", "9 B/s", "10s")),
        (told("Done", bytes_done=9, bytes_total=3), (None, "99%", None, None)),
    ],
)
def test_columns(progress: Progress, seen: tuple[str | None, ...]) -> None:
    fields = first(progress)
    assert tuple(fields.get(name) for name in ("step", "percentText", "rate", "remaining")) == seen


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "10s"), (10, "10s"), (11, "20s"), (60, "60s"), (61, "2m"), (3000, "50m"), (3541, "1h00m"),
        (3601, "1h10m"), (7 * 3600 + 1, "7h10m"), (86_000, "24h00m"), (86_401, "1d1h"), (200_000, "2d8h"),
    ],
)  # fmt: skip
def test_time_left(seconds: int, text: str) -> None:
    fields = first(told(bytes_total=seconds * 1000 + 1000, bytes_done=1000, bytes_per_second=1000))
    assert fields["remaining"] == text


@pytest.mark.parametrize(
    ("change", "after", "written"),
    [
        # The same, or another rate: once a minute.
        ({}, 3, False),
        ({}, 59, False),
        ({}, 60, True),
        ({"bytes_per_second": 10.01, "bytes_done": 50_001}, 59, False),
        # Something that is seen: every ten seconds.
        ({"bytes_done": 60_000}, 3, False),
        ({"bytes_done": 60_000}, 10, True),
        ({"attempts": 1}, 10, True),
        ({"bytes_per_second": 1000.0}, 10, True),
        # Another step: at once.
        ({"phase": "Verifying"}, 0, True),
    ],
)
def test_status_is_not_written_at_every_look(change: dict[str, Any], after: float, written: bool) -> None:
    before = told(bytes_done=50_000, bytes_total=200_000, bytes_per_second=10)
    status = ImportProgress.model_validate(first(before))
    found = progress_fields(before.model_copy(update=change), status, NOW + timedelta(seconds=after))
    assert (found is not None) == written


def test_what_an_older_operator_wrote_is_written_anew() -> None:
    assert progress_fields(told(), ImportProgress(bytes=1), NOW) is not None
