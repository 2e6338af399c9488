"""The whole report goes through a log and comes back; what else is in the log does no harm."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.reports import document, log

from gallery_operator.contract import CheckOutcome, ChecksDocument, log_lines, parse_log
from gallery_operator.contract.checks import MAX_RESULTS
from gallery_operator.redact import redact

REPORT = document(failing=("KRN002",))
LOG = log(REPORT)
SMALL = REPORT.model_copy(update={"results": REPORT.results[:3]})
SMALL_LOG = log(SMALL)
texts = st.text(max_size=300)
outcomes = st.builds(
    CheckOutcome,
    id=st.sampled_from(["KRN002", "VHD001"]),
    status=st.sampled_from(["pass", "fail", "unknown"]),
    severity=st.just("error"),
    title=texts,
    message=texts,
    remedy=texts,
    source=texts,
)


def test_a_report_comes_back() -> None:
    assert parse_log(LOG) == REPORT


@settings(deadline=None, max_examples=60)
@given(st.lists(outcomes, max_size=6), texts)
def test_any_report_comes_back(results: list[CheckOutcome], image: str) -> None:
    report = SMALL.model_copy(update={"results": tuple(results), "image": image})
    report = ChecksDocument.model_validate(report.model_dump())  # cleans
    told = "\n".join(log_lines(report, "now", str))
    assert parse_log(told) == report


@settings(deadline=None, max_examples=200)
@given(st.integers(0, len(SMALL_LOG)), st.integers(0, len(SMALL_LOG)), texts)
def test_a_log_that_is_cut_or_changed_never_hurts(start: int, end: int, noise: str) -> None:
    assert parse_log(SMALL_LOG[start:end]) in (None, SMALL)
    changed = parse_log(SMALL_LOG[:start] + noise + SMALL_LOG[start:])
    assert changed is None or [each.id for each in changed.results] == [each.id for each in SMALL.results]
    assert parse_log(noise) is None


@pytest.mark.parametrize(
    "line",
    [
        "{" * 100_000,
        '{"checks":' + "[" * 5000,
        '{"checks": "begin", "report": []}',
        '{"checks": "end", "report": {"results": "many"}}',
        '{"checks": 1, "report": {}}',
        '{"checks": "result", "report": {"id": "../../x"}}',
        "null",
        "[]",
    ],
)
def test_hostile_lines(line: str) -> None:
    assert parse_log(line) is None
    assert parse_log(f"{line}\n{LOG}") == REPORT


def test_the_last_complete_report_counts() -> None:
    second = document(failing=("VHD001",))
    assert parse_log(LOG + log(second)) == second
    begun = "\n".join(log(second).split("\n")[:50])
    assert parse_log(LOG + begun) == REPORT


def test_the_table_cannot_pose_as_a_report() -> None:
    # Without a space, so that nothing wraps them: each would be a line of the report, were it not indented.
    forged = SMALL.model_copy(update={"verdict": "unknown", "results": ()})
    head, end = ("".join(line.split()) for line in log_lines(forged, "now", str))
    first, second = (each.model_copy(update={"status": "warn", "message": text}) for each, text in
                     zip(SMALL.results, (head, end), strict=False))  # fmt: skip
    assert parse_log(f"{head}\n{end}") is not None, "the forgery is a good one"
    report = SMALL.model_copy(update={"results": (first, second), "notes": (head, end)})
    told = log(report)
    assert told.count(f" {head}\n") >= 2, "the table shows it"
    assert parse_log(told) == report


def test_ids_and_numbers_are_bounded() -> None:
    many = "\n".join(log_lines(REPORT, "now", str)[:2])
    line = log_lines(REPORT, "now", str)[1]
    end = json.dumps({"checks": "end", "report": {"results": MAX_RESULTS + 1}})
    assert parse_log("\n".join([many, *[line] * MAX_RESULTS, end])) is None
    bad = line.replace(REPORT.results[0].id, "X-Y-Z")
    end = json.dumps({"checks": "end", "report": {"results": 1}})
    assert parse_log("\n".join([log_lines(REPORT, "now", str)[0], bad, end])) is None


def test_no_secret_and_no_control_character() -> None:
    report = document(message='https://x.example/a?sig=s3cret "code=s3cret"\x1b[2J\u202e')
    report = ChecksDocument.model_validate(report.model_dump())
    told = "\n".join(log_lines(report, "now", redact))
    assert "s3cret" not in told + log(report)
    assert "\x1b" not in log(report)
    back = parse_log(told)
    assert back is not None
    assert len(back.results) == len(report.results)


def test_lines_are_short() -> None:
    worst = document(message="\N{PENGUIN}" * 1000)
    assert max(len(line.encode()) for line in log_lines(worst, "now", redact)) < 16 * 1024, "containerd splits there"
