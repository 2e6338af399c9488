"""Reports of checks for tests, and the log of a prepare Job that holds one."""

from __future__ import annotations

import io
import json
from typing import Any

from gallery_operator.contract import (
    CheckCounts,
    CheckedAgainst,
    CheckedContainer,
    CheckOutcome,
    ChecksDocument,
    Finding,
    PrerequisitesReport,
)
from gallery_operator.prerequisites.catalogue import rows
from gallery_operator.worker.prepare import write_report

STATUSES = ("pass", "warn", "unknown", "ignored", "info", "notApplicable")


def document(*, failing: tuple[str, ...] = (), message: str = "found in /etc/x:1", **changes: Any) -> ChecksDocument:
    """A report of the whole catalogue in which every status occurs, and ``failing`` fail."""
    results = tuple(
        CheckOutcome.model_validate(
            {
                "id": row.id,
                "status": "fail" if row.id in failing else STATUSES[number % len(STATUSES)],
                "severity": "error",
                "title": row.title,
                "message": message,
                "remedy": row.remedy(),
                "source": row.source,
            }
        )
        for number, row in enumerate(rows())
    )
    counted = {
        name: sum(each.status == status for each in results)
        for name, status in (
            ("passed", "pass"), ("errors", "fail"), ("warnings", "warn"), ("information", "info"),
            ("unknown", "unknown"), ("ignored", "ignored"), ("not_applicable", "notApplicable"),
        )
    }  # fmt: skip
    whole = ChecksDocument(
        image="disk",
        verdict="failed" if failing else "ok",
        distribution="debian 12",
        architecture="x64",
        container=CheckedContainer(format="qcow2", compression="xz", virtual_size=2**31),
        checked_against=CheckedAgainst(
            os_state="Generalized", hyper_v_generation="V2", architecture="x64", disk_role="os", level="Default"
        ),
        summary=CheckCounts(**counted),
        notes=("a note",),
        results=results,
    )
    return whole.model_copy(update=changes)


def log(report: ChecksDocument) -> str:
    """The log of a prepare Job that ended with this report."""
    stream = io.StringIO()
    write_report(report, stream)
    before = json.dumps({"time": "2026-01-01T00:00:00.000Z", "level": "info", "message": "downloading"})
    return f"{before}\n{stream.getvalue()}{before}\n"


def summary(report: ChecksDocument) -> PrerequisitesReport:
    """What the termination message says of it."""
    severities: dict[str, Any] = {"fail": "error", "warn": "warning", "unknown": "unknown", "info": "info"}
    counts = report.summary
    return PrerequisitesReport(
        passed=counts.passed,
        warnings=counts.warnings,
        failures=counts.errors,
        unknown=counts.unknown,
        ignored=counts.ignored,
        findings=tuple(
            Finding(id=each.id, severity=severities[each.status], message=each.message)
            for each in report.results
            if each.status in severities
        ),
    )
