"""Whose a ConfigMap is, and how long a log is waited for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.unit.planning.test_jobs import vhd_import

from gallery_operator.planning import checks_report
from gallery_operator.planning.checks_report import LOG_PATIENCE_SECONDS, still_worth_asking

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_it_is_the_imports() -> None:
    owner = vhd_import()
    body = checks_report.config_map(owner, "job-1", {"report.txt": "x"})
    assert body["metadata"]["name"] == "debian-12-prerequisites"
    assert body["metadata"]["ownerReferences"][0]["uid"] == "u-1"
    assert body["metadata"]["labels"]["gallery-operator.dev/vhdimport"] == "debian-12"
    assert checks_report.is_of_job(body, owner, "job-1")
    assert not checks_report.is_of_job(body, owner, "job-2")
    assert checks_report.may_replace(body, owner)


def test_what_is_somebody_elses_is_not_replaced() -> None:
    body = checks_report.config_map(vhd_import("other"), "job-1", {})
    assert not checks_report.may_replace(body, vhd_import())
    assert not checks_report.may_replace({"metadata": {"name": "debian-12-prerequisites"}}, vhd_import())


def test_an_earlier_import_of_the_name_has_left_it() -> None:
    body = checks_report.config_map(vhd_import(), "job-1", {})
    body["metadata"]["ownerReferences"][0]["uid"] = "u-0"
    assert not checks_report.is_of_job(body, vhd_import(), "job-1")
    assert checks_report.may_replace(body, vhd_import())


def test_a_log_is_waited_for_a_minute() -> None:
    ended = NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert still_worth_asking(ended, NOW + timedelta(seconds=LOG_PATIENCE_SECONDS - 1))
    assert not still_worth_asking(ended, NOW + timedelta(seconds=LOG_PATIENCE_SECONDS))
    assert not still_worth_asking(None, NOW)
