"""Progress of an import in words and numbers."""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from gallery_operator.api.vhdimport_status import ImportProgress
from gallery_operator.contract import PrerequisitesReport, Progress
from gallery_operator.planning.status import timestamp

_SOONEST_SECONDS = 10.0
"""Status is written no more often than this while a step goes on,"""
_LATEST_SECONDS = 60.0
"""and, where nothing has changed that ``kubectl get`` shows but the rate, no more often than this."""
_LONGEST_SECONDS = 30 * 24 * 3600.0
"""An estimate beyond this is none: the rate has broken down."""
_NO_STEPS = frozenset({"Starting", "Done"})

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


def progress_fields(progress: Progress, before: ImportProgress | None, now: datetime) -> dict[str, Any] | None:
    """Return ``status.progress`` for what a worker says; None while it is not worth another write.

    Args:
        progress: What it says.
        before: What status says already.
        now: Present time.
    """
    fields = _fields(progress, now)
    return fields if before is None or _is_news(fields, before, now) else None


def done_fields(sent: int, copied: int, skipped: int) -> dict[str, Any]:
    """Return ``status.progress`` of an import that is done.

    Args:
        sent: Bytes that were sent by all pods together.
        copied: Bytes that Azure has copied by itself.
        skipped: Zero bytes.
    """
    return {
        "bytes": sent + copied,
        "totalBytes": sent + copied,
        "percent": 100,
        "percentText": "100%",
        "sentBytes": sent,
        "copiedBytes": copied or None,
        "skippedBytes": skipped,
    }


def _fields(progress: Progress, now: datetime) -> dict[str, Any]:
    done, total, rate = progress.bytes_done, progress.bytes_total, progress.bytes_per_second
    fields: dict[str, Any] = {
        "step": progress.phase if progress.phase not in _NO_STEPS else None,
        "bytes": done,
        "totalBytes": total,
        "percent": None,
        "percentText": human(done) if done else None,
        "bytesPerSecond": int(rate) or None,
        "rate": f"{human(rate)}/s" if rate >= 1 else None,
        "estimatedCompletion": None,
        "remaining": None,
        "readBytes": progress.bytes_read or None,
        "sentBytes": progress.bytes_sent or None,
        "copiedBytes": progress.bytes_copied or None,
        "skippedBytes": progress.bytes_skipped or None,
        "retriedRequests": progress.attempts or None,
        "lastUpdateTime": timestamp(now),
    }
    if total:
        # 100 % is said when the disk is in Azure, and not when the last byte of a step is counted.
        percent = min(99, done * 100 // total)
        fields["percent"], fields["percentText"] = percent, f"{percent}%"
        if rate >= 1:
            left = max(0, total - done) / rate
            if left <= _LONGEST_SECONDS:
                fields["estimatedCompletion"] = timestamp(now + timedelta(seconds=left))
                fields["remaining"] = _duration(left)
    return {name: value for name, value in fields.items() if value is not None}


def _is_news(fields: Mapping[str, Any], before: ImportProgress, now: datetime) -> bool:
    if fields.get("step") != before.step:
        return True
    since = (now - before.last_update_time).total_seconds() if before.last_update_time is not None else _LATEST_SECONDS
    seen = (fields.get("percentText"), fields.get("remaining"), fields.get("retriedRequests"))
    changed = seen != (before.percent_text, before.remaining, before.retried_requests)
    return since >= (_SOONEST_SECONDS if changed else _LATEST_SECONDS)


def _duration(seconds: float) -> str:
    """Return a time in words, rounded up to what a person waits for: ``40s``, ``7m``, ``2h10m``, ``3d4h``."""
    if seconds <= 60:
        return f"{max(1, math.ceil(seconds / 10)) * 10}s"
    minutes = math.ceil(seconds / 60)
    if minutes < 60:
        return f"{minutes}m"
    if minutes < 24 * 60:
        hours, minutes = divmod(math.ceil(minutes / 10) * 10, 60)
        return f"{hours}h{minutes:02}m"
    days, hours = divmod(math.ceil(minutes / 60), 24)
    return f"{days}d{hours}h"


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
