"""SARIF and JUnit against the schemas that their readers go by."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest
import xmlschema
from tests.support.apiserver import ROOT

from gallery_operator.prerequisites.catalogue import rows
from gallery_operator.prerequisites.cli import check_main
from gallery_operator.prerequisites.container import MIB
from gallery_operator.prerequisites.model import CheckReport, CheckResult, Severity, Status
from gallery_operator.prerequisites.output import junit, sarif

SCHEMAS = ROOT / "tests/schemas"
# Each status with each severity, over the whole catalogue.
PAIRS = [(status, severity) for status in Status for severity in Severity]
TEXTS = ("plain", "<&>\"'", "\ufffd\N{PENGUIN}", "", "two\nlines")
REPORT = CheckReport(
    tuple(
        CheckResult(row.id, row.title, *PAIRS[number % len(PAIRS)], TEXTS[number % 5], row.remedy(), row.source)
        for number, row in enumerate(rows())
    )
)
NAMES = ("disk.vhd", "/a b/ü%.raw", "-odd\udcff\x1b\\name", "C:\\disk.vhd", "a:b")


@pytest.fixture(scope="module")
def sarif_schema() -> Callable[[Any], Any]:
    compiled: Callable[[Any], Any] = fastjsonschema.compile(json.loads((SCHEMAS / "sarif-2.1.0.json").read_text()))
    return compiled


@pytest.fixture(scope="module")
def junit_schema() -> xmlschema.XMLSchema:
    return xmlschema.XMLSchema(SCHEMAS / "junit-10.xsd")


@pytest.mark.parametrize("name", NAMES)
def test_sarif(sarif_schema: Callable[[Any], Any], name: str) -> None:
    sarif_schema(json.loads(json.dumps(sarif(REPORT, name))))


@pytest.mark.parametrize("name", NAMES)
def test_junit(junit_schema: xmlschema.XMLSchema, name: str) -> None:
    junit_schema.validate(junit(REPORT, name))


def test_of_the_command(
    sarif_schema: Callable[[Any], Any],
    junit_schema: xmlschema.XMLSchema,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    disk = tmp_path / "disk.raw"
    with disk.open("wb") as file:
        file.truncate(64 * MIB)
    check_main(["-o", "sarif", str(disk)])
    sarif_schema(json.loads(capsys.readouterr().out))
    check_main(["-o", "junit", str(disk)])
    junit_schema.validate(capsys.readouterr().out)


def test_the_schemas_refuse_what_is_wrong(
    sarif_schema: Callable[[Any], Any], junit_schema: xmlschema.XMLSchema
) -> None:
    document = sarif(REPORT, "disk.vhd")
    document["runs"][0]["results"][0]["level"] = "fatal"
    with pytest.raises(fastjsonschema.JsonSchemaException):
        sarif_schema(document)
    assert not junit_schema.is_valid(
        junit(REPORT, "disk.vhd").replace("<skipped", "<passed").replace("</skipped", "</p")
    )
    assert not junit_schema.is_valid("<testsuites><testsuite/></testsuites>")
