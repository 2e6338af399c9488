"""Progress of an import in words and numbers."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from gallery_operator.contract import PrerequisitesReport, Progress
from gallery_operator.planning.status import timestamp

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def human(count: float) -> str:
    """Return a number of bytes in words: ``1.5 GiB``; whole numbers have no fraction."""
    value = float(count)
    for unit in _UNITS:
        if value < 1024 or unit == _UNITS[-1]:
            text = f"{value:.1f}".removesuffix(".0") if unit != "B" else f"{value:.0f}"
            return f"{text} {unit}"
        value /= 1024
    raise AssertionError("unreachable")


def progress_fields(progress: Progress, now: datetime) -> dict[str, Any]:
    """Return ``status.progress`` for what a worker says.

    Args:
        progress: What it says.
        now: Present time, for the estimate.
    """
    fields: dict[str, Any] = {
        "bytes": progress.bytes_done,
        "totalBytes": progress.bytes_total,
        "percent": None,
        "percentText": None,
        "bytesPerSecond": int(progress.bytes_per_second) or None,
        "rate": f"{human(progress.bytes_per_second)}/s" if progress.bytes_per_second >= 1 else None,
        "estimatedCompletion": None,
        "sentBytes": progress.bytes_sent or None,
        "copiedBytes": progress.bytes_copied or None,
        "skippedBytes": progress.bytes_skipped or None,
    }
    if progress.bytes_total:
        percent = min(100, progress.bytes_done * 100 // progress.bytes_total)
        fields["percent"] = percent
        fields["percentText"] = f"{percent}%"
        if progress.bytes_per_second >= 1:
            left = max(0, progress.bytes_total - progress.bytes_done) / progress.bytes_per_second
            fields["estimatedCompletion"] = timestamp(now + timedelta(seconds=left))
    return fields


def prerequisites_fields(report: PrerequisitesReport, remedies: Mapping[str, str]) -> dict[str, Any]:
    """Return ``status.prerequisites`` for a report.

    Args:
        report: What the worker found.
        remedies: What to do, by id of the check.
    """
    parts = [f"{report.passed} ok"]
    for count, word in ((report.failures, "err"), (report.warnings, "warn"), (report.unknown, "unknown")):
        if count:
            parts.append(f"{count} {word}")
    return {
        "passed": report.passed,
        "warnings": report.warnings,
        "failures": report.failures,
        "unknown": report.unknown,
        "ignored": report.ignored,
        "summary": " ".join(parts),
        "findings": [
            {
                "id": each.id,
                "severity": each.severity,
                "message": each.message,
                **({"remedy": remedies[each.id]} if remedies.get(each.id) else {}),
            }
            for each in report.findings
        ],
        "findingsOmitted": report.findings_omitted or None,
    }
