"""Reports for other tools: SARIF for code scanning, JUnit for test reports of a pipeline."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import PurePath
from typing import Any, Final
from urllib.parse import quote

from gallery_operator import __version__
from gallery_operator.prerequisites.catalogue import rows
from gallery_operator.prerequisites.model import CheckReport, CheckResult, Severity, Status
from gallery_operator.prerequisites.registry import Row

SARIF_SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

_LEVELS: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_KINDS: Final = {
    Status.FAIL: "fail",
    Status.WARN: "fail",
    Status.INFO: "fail",
    Status.IGNORED: "fail",
    Status.UNKNOWN: "open",
    Status.PASS: "pass",
    Status.NOT_APPLICABLE: "notApplicable",
}


def sarif(report: CheckReport, image: str) -> dict[str, Any]:
    """The report as SARIF 2.1.0 (OASIS).

    Findings are results of kind ``fail``, undecided checks of kind ``open``; an ignored finding is suppressed. What
    passed or does not apply is left out: its rule is listed all the same.

    Args:
        report: The outcome.
        image: Name of the file, the location of every result.
    """
    catalogue = rows()
    positions = {row.id: index for index, row in enumerate(catalogue)}
    location = {"physicalLocation": {"artifactLocation": {"uri": _uri(image)}}}
    shown = (Status.FAIL, Status.WARN, Status.INFO, Status.UNKNOWN, Status.IGNORED)
    return {
        "$schema": SARIF_SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "gallery-operator",
                        "version": __version__,
                        "rules": [_rule(row) for row in catalogue],
                    }
                },
                "results": [
                    _result(each, positions[each.id], location) for each in report.results if each.status in shown
                ],
                "columnKind": "unicodeCodePoints",
            }
        ],
    }


def _rule(row: Row) -> dict[str, Any]:
    remedies = [f"{family}: {text}" if family else text for family, text in row.remedies.items() if text]
    return {
        "id": row.id,
        "shortDescription": {"text": row.title},
        "fullDescription": {"text": row.why or row.title},
        "help": {"text": "\n".join([*remedies, f"Source: {row.source}"])},
        "defaultConfiguration": {"level": _LEVELS[row.levels.default]},
        "properties": {"tags": [row.topic]},
    }


def _result(result: CheckResult, position: int, location: dict[str, Any]) -> dict[str, Any]:
    kind = _KINDS[result.status]
    text = ". Fix: ".join(part.rstrip(".") for part in (result.message or result.title, result.remedy) if part)
    found: dict[str, Any] = {
        "ruleId": result.id,
        "ruleIndex": position,
        "kind": kind,
        # The standard allows a level only with kind "fail".
        "level": _LEVELS[result.severity] if kind == "fail" else "none",
        "message": {"text": text},
        "locations": [location],
        "partialFingerprints": {"checkId/v1": result.id},
    }
    if result.status is Status.IGNORED:
        found["suppressions"] = [{"kind": "external", "justification": "ignored by request"}]
    return found


def _uri(image: str) -> str:
    """A file name as a relative reference or an absolute file URI."""
    path = PurePath(image)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix(), errors="surrogateescape")


def junit(report: CheckReport, image: str) -> str:
    """The report as JUnit XML: a suite for each topic, a case for each check.

    An error is a failure, an undecided check that could be an error is an error, and what is ignored, undecided or
    does not apply is skipped. Warnings and information pass and say so in ``system-out``.

    Args:
        report: The outcome.
        image: Name of the file.
    """
    topics = {row.id: row.topic for row in rows()}
    suites: dict[str, list[CheckResult]] = {}
    for each in report.results:
        suites.setdefault(topics[each.id], []).append(each)
    top = ET.Element("testsuites", name=_printable(image))
    _count(top, list(report.results))
    del top.attrib["skipped"]  # the schema of Jenkins' xUnit plugin knows it of a suite only
    for topic, results in suites.items():
        suite = ET.SubElement(top, "testsuite", name=topic)
        _count(suite, results)
        for each in results:
            _case(suite, topic, each)
    ET.indent(top)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(top, encoding="unicode") + "\n"


def _is_failure(result: CheckResult) -> bool:
    return result.status is Status.FAIL


def _is_error(result: CheckResult) -> bool:
    return result.status is Status.UNKNOWN and result.severity is Severity.ERROR


def _is_skipped(result: CheckResult) -> bool:
    undecided = result.status is Status.UNKNOWN and not _is_error(result)
    return undecided or result.status in (Status.NOT_APPLICABLE, Status.IGNORED)


_COUNTED: Final[dict[str, Callable[[CheckResult], bool]]] = {
    "failures": _is_failure,
    "errors": _is_error,
    "skipped": _is_skipped,
}


def _count(element: ET.Element, results: list[CheckResult]) -> None:
    element.set("tests", str(len(results)))
    for name, counts in _COUNTED.items():
        element.set(name, str(sum(counts(each) for each in results)))


def _case(suite: ET.Element, topic: str, result: CheckResult) -> None:
    case = ET.SubElement(suite, "testcase", classname=topic, name=f"{result.id} {result.title}")
    details = "\n".join(
        text for text in (result.message, f"Fix: {result.remedy}" if result.remedy else "", result.source) if text
    )
    if _is_failure(result) or _is_error(result):
        name = "failure" if _is_failure(result) else "error"
        child = ET.SubElement(case, name, message=result.message or result.title, type=result.severity.value)
        child.text = details
    elif _is_skipped(result):
        ET.SubElement(case, "skipped", message=f"{result.status.value}: {result.message}".rstrip(": "))
    elif result.status in (Status.WARN, Status.INFO):
        ET.SubElement(case, "system-out").text = f"{result.severity.value}: {details}"


def _printable(text: str) -> str:
    """XML knows no control characters, and a file's name may have any."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
