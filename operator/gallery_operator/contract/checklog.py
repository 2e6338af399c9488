"""The whole report in a log: lines of JSON between two marks.

Each line is an entry like any other of the worker's log, short enough for every collector of logs. The lines of one
report stand together; a log may hold several reports, of which the last complete one counts.
"""

import json
from collections.abc import Callable
from typing import Any, Literal

from gallery_operator.contract.checks import MAX_RESULTS, CheckOutcome, ChecksDocument

MAX_LOG_BYTES = 4 * 1024 * 1024
"""Most bytes of a log that are looked at."""
MAX_LOG_LINES = 6000
"""Most lines from the log's end that are looked at; the readable table follows the report."""

_KEY = "checks"
_LONGEST_LINE = 64 * 1024

_Mark = Literal["begin", "result", "end"]


def log_lines(document: ChecksDocument, time: str, redact: Callable[[object], str]) -> list[str]:
    """Return the lines of a report, without line feeds.

    Args:
        document: The report.
        time: When, as the log's other lines have it.
        redact: Removes secrets from a text; applied to texts, not to JSON.
    """

    def line(mark: _Mark, message: str, level: str, content: Any) -> str:
        entry = {"time": time, "level": level, "message": redact(message), _KEY: mark, "report": content}
        return json.dumps(entry, ensure_ascii=False)

    def clean(value: Any) -> Any:
        if isinstance(value, str):
            return redact(value)
        if isinstance(value, dict):
            return {name: clean(each) for name, each in value.items()}
        return [clean(each) for each in value] if isinstance(value, list) else value

    head = clean(document.model_dump(mode="json", by_alias=True, exclude={"results"}))
    lines = [line("begin", "report of the checks", "info", head)]
    for each in document.results:
        level = {"fail": "error", "warn": "warning", "unknown": "warning"}.get(each.status, "info")
        content = clean(each.model_dump(mode="json", by_alias=True))
        lines.append(line("result", f"check {each.id}: {each.status}", level, content))
    lines.append(line("end", "end of the report of the checks", "info", {"results": len(document.results)}))
    return lines


def parse_log(text: str) -> ChecksDocument | None:
    """Find the report in a log.

    Args:
        text: The log or its end; it may hold anything, be cut anywhere, and mean ill.

    Returns:
        The last complete report, or None.
    """
    head: dict[str, Any] | None = None
    results: list[dict[str, Any]] = []
    found: ChecksDocument | None = None
    for line in text[-MAX_LOG_BYTES:].split("\n"):
        entry = _entry(line)
        if entry is None:
            continue
        mark, content = entry[_KEY], entry["report"]
        if mark == "begin":
            head, results = content, []
        elif mark == "result" and len(results) < MAX_RESULTS:
            results.append(content)
        elif mark == "end" and head is not None:
            if content.get("results") == len(results):
                found = _document(head, results) or found
            head = None
    return found


def _entry(line: str) -> dict[str, Any] | None:
    # The readable table is in the same log and quotes the disk; none of its lines begins so.
    if not line.startswith("{") or len(line) > _LONGEST_LINE:
        return None
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    known = isinstance(entry, dict) and isinstance(entry.get("report"), dict) and isinstance(entry.get(_KEY), str)
    return entry if known else None


def _document(head: dict[str, Any], results: list[dict[str, Any]]) -> ChecksDocument | None:
    try:
        parsed = tuple(CheckOutcome.model_validate(each) for each in results)
        return ChecksDocument.model_validate({**head, "results": parsed})
    except ValueError:
        return None
