"""SARIF and JUnit, as the command writes them."""

import json
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

import pytest

from gallery_operator.prerequisites.catalogue import rows
from gallery_operator.prerequisites.cli import check_main
from gallery_operator.prerequisites.container import MIB
from gallery_operator.prerequisites.model import CheckReport, CheckResult, Severity, Status
from gallery_operator.prerequisites.output import junit, sarif

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Errors (no footer), passes and rows that do not apply: an empty disk."""
    path = tmp_path / "an image.raw"
    with path.open("wb") as file:
        file.truncate(64 * MIB)
    return path


def results(disk: Path, capsys: Capture, *arguments: str) -> tuple[int, str]:
    code = check_main([*arguments, str(disk)])
    return code, capsys.readouterr().out


def test_sarif(disk: Path, capsys: Capture) -> None:
    code, text = results(disk, capsys, "--as-is", "--ignore", "VHD001", "-o", "sarif")
    assert code == 1
    document = json.loads(text)
    assert document["version"] == "2.1.0"
    (run,) = document["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [each["id"] for each in rules] == [row.id for row in rows()]
    assert all(each["shortDescription"]["text"] and each["help"]["text"] for each in rules)
    plain = json.loads(results(disk, capsys, "--as-is", "--ignore", "VHD001", "-o", "json")[1])
    expected = {
        each["id"]: each["status"] for each in plain["results"] if each["status"] not in ("pass", "notApplicable")
    }
    assert {each["ruleId"] for each in run["results"]} == set(expected)
    for each in run["results"]:
        assert rules[each["ruleIndex"]]["id"] == each["ruleId"]
        assert each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == disk.as_uri()
        # Section 3.27.10 of the standard: a level other than none needs kind fail.
        assert (each["kind"] == "fail") == (each["level"] != "none")
        assert (expected[each["ruleId"]] == "unknown") == (each["kind"] == "open")
        assert ("suppressions" in each) == (each["ruleId"] == "VHD001")
        assert each["message"]["text"]


def test_junit(disk: Path, capsys: Capture) -> None:
    code, text = results(disk, capsys, "--as-is", "-o", "junit")
    assert code == 1
    plain = json.loads(results(disk, capsys, "--as-is", "-o", "json")[1])
    top = ET.fromstring(text)
    cases = top.findall("testsuite/testcase")
    assert [each.get("name", "").split()[0] for each in cases] == [row.id for row in rows()]
    children = Counter(child.tag for each in cases for child in each)
    statuses = Counter(each["status"] for each in plain["results"])
    assert children["failure"] == statuses["fail"] == int(top.get("failures", ""))
    assert children["error"] + children["skipped"] == statuses["unknown"] + statuses["notApplicable"]
    assert int(top.get("errors", "")) == children["error"]
    assert int(top.get("tests", "")) == len(rows())
    for suite in top.findall("testsuite"):
        assert int(suite.get("tests", "")) == len(suite.findall("testcase"))
        assert int(suite.get("failures", "")) == len(suite.findall("testcase/failure"))


def test_each_status_has_its_place() -> None:
    ids = [row.id for row in rows()]
    report = CheckReport(
        tuple(
            CheckResult(ids[number], "title", status, severity, f"<{status}> & more", "do it", "GEN 1")
            for number, (status, severity) in enumerate(
                [
                    (Status.FAIL, Severity.ERROR),
                    (Status.WARN, Severity.WARNING),
                    (Status.INFO, Severity.INFO),
                    (Status.UNKNOWN, Severity.ERROR),
                    (Status.UNKNOWN, Severity.WARNING),
                    (Status.IGNORED, Severity.ERROR),
                    (Status.PASS, Severity.ERROR),
                    (Status.NOT_APPLICABLE, Severity.ERROR),
                ]
            )
        )
    )
    found = sarif(report, "folder/disk image.vhd")["runs"][0]["results"]
    assert [(each["kind"], each["level"]) for each in found] == [
        ("fail", "error"), ("fail", "warning"), ("fail", "note"), ("open", "none"), ("open", "none"), ("fail", "error"),
    ]  # fmt: skip
    assert found[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "folder/disk%20image.vhd"
    assert found[0]["message"]["text"] == "<fail> & more. Fix: do it"
    top = ET.fromstring(junit(report, "a\x1b[31m\udcff name"))
    assert [[child.tag for child in each] for each in top.iter("testcase")] == [
        ["failure"], ["system-out"], ["system-out"], ["error"], ["skipped"], ["skipped"], [], ["skipped"],
    ]  # fmt: skip
    failure = top.find(".//failure")
    assert failure is not None
    assert failure.get("message") == "<fail> & more"
    assert "\x1b" not in (top.get("name") or "")
