"""A report fits a termination message whatever it holds, and comes back."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gallery_operator.contract import (
    MAX_REPORT_BYTES,
    DiskFacts,
    FailureCode,
    Finding,
    PrerequisitesReport,
    Report,
    UploadFacts,
    dump_report,
    parse_report,
)

text = st.text(max_size=2000) | st.sampled_from(["\U0001f427" * 3000, "\x00" * 3000, '"\\' * 3000, "\n" * 5000])
findings = st.lists(
    st.builds(Finding, id=st.just("KRN002"), severity=st.just("error"), message=text, remedy=text), max_size=60
)
reports = st.builds(
    Report,
    job=st.sampled_from(["prepare", "upload"]),
    succeeded=st.booleans(),
    code=st.none() | st.sampled_from(FailureCode),
    message=text,
    disk=st.none()
    | st.builds(
        DiskFacts, format=st.just("vmdk"), virtual_size=st.just(2**45), sha256=st.just("f" * 64), distribution=text
    ),
    prerequisites=st.none() | st.builds(PrerequisitesReport, failures=st.just(60), findings=findings.map(tuple)),
    upload=st.none() | st.builds(UploadFacts, total_bytes=st.just(1), sent_bytes=st.just(1), skipped_bytes=st.just(0)),
)


@settings(deadline=None)
@given(reports)
def test_any_report_fits_and_comes_back(report: Report) -> None:
    told = dump_report(report)
    assert len(told.encode()) <= MAX_REPORT_BYTES
    back = parse_report(told)
    assert back is not None
    assert (back.job, back.succeeded, back.code) == (report.job, report.succeeded, report.code)
    if report.prerequisites is not None and back.prerequisites is not None:
        shown = len(back.prerequisites.findings) + back.prerequisites.findings_omitted
        assert shown == len(report.prerequisites.findings)


def test_what_is_no_report_is_none() -> None:
    for message in ("", "panic: out of memory", "{}", '{"job": "dance"}', "[]"):
        assert parse_report(message) is None


def test_unknown_fields_of_a_newer_worker_are_ignored() -> None:
    assert parse_report('{"job": "upload", "succeeded": true, "weather": "fine"}') is not None
