"""What a ConfigMap holds of a report: everything, or as much as fits, and it says so."""

from __future__ import annotations

import json

import pytest
from tests.support.reports import document

from gallery_operator.contract import CheckedContainer, CheckOutcome, ChecksDocument
from gallery_operator.prerequisites.catalogue import rows
from gallery_operator.prerequisites.report import MAX_BYTES, published


def test_everything_is_there() -> None:
    report = document(failing=("KRN002",))
    texts = published(report)
    assert set(texts) == {"report.json", "report.txt"}
    assert ChecksDocument.model_validate_json(texts["report.json"]) == report
    assert all(row.id in texts["report.txt"] for row in rows())
    assert "Errors (1)" in texts["report.txt"]
    assert sum(len(each.encode()) for each in texts.values()) < MAX_BYTES / 2, "the usual report is far from the limit"


@pytest.mark.parametrize("character", ["x", "\N{PENGUIN}", "\n", '"'])
def test_the_worst_report_fits_and_says_that_it_was_cut(character: str) -> None:
    report = document(message=character * 2000, notes=(character * 2000,) * 300)
    texts = published(report)
    assert sum(len(each.encode()) for each in texts.values()) <= MAX_BYTES
    back = json.loads(texts["report.json"])
    assert back["truncated"] is True
    assert [each["id"] for each in back["results"]] == [row.id for row in rows()], "every check is still named"
    assert "were cut" in texts["report.txt"]


def test_even_a_hostile_one_fits() -> None:
    text = "\N{PENGUIN}" * 2000
    worst = CheckOutcome(id="AAA000", status="fail", severity="error", title=text, message=text, source=text)
    container = CheckedContainer(format=text, virtual_size=1)
    report = document(results=(worst,) * 512, container=container, image=text)
    texts = published(report)
    assert sum(len(each.encode()) for each in texts.values()) <= MAX_BYTES
    assert json.loads(texts["report.json"])["truncated"] is True
