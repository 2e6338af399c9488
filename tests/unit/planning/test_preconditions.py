"""What is refused before Azure is asked, and what Azure has found out and status tells."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.planning.test_definition import definition
from tests.unit.planning.test_publishing import created, version

from gallery_operator.planning import version_status
from gallery_operator.planning.preconditions import refusal

Json = dict[str, Any]
SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
KEY = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/r/providers/Microsoft.Compute/diskEncryptionSets/k"
ELSEWHERE = KEY.replace("0001", "0002")
CONFIDENTIAL = {"osDiskImage": {"securityProfile": {"confidentialVMEncryptionType": "EncryptedWithPmk"}}}
UEFI = {"securityProfile": {"uefiSettings": {}}}


def secured(value: str, **spec: Any) -> Any:
    return definition(features=[{"name": "SecurityType", "value": value}], **spec)


def encrypted(encryption: Json) -> Json:
    return {"targetRegions": [{"name": "westeurope", "encryption": encryption}]}


def zone(encryption: Json) -> Json:
    return {
        "targetExtendedLocations": [
            {"name": "westeurope", "extendedLocation": {"name": "los"}, "encryption": encryption}
        ]
    }


@pytest.mark.parametrize(
    ("spec", "parent", "reason", "named"),
    [
        ({}, definition(), None, ""),
        (encrypted({"osDiskImage": {"diskEncryptionSetId": KEY}}), definition(), None, ""),
        (encrypted({"osDiskImage": {"diskEncryptionSetId": KEY.upper()}}), definition(), None, ""),
        (
            encrypted({"osDiskImage": {"diskEncryptionSetId": ELSEWHERE}}),
            definition(),
            "EncryptionSetElsewhere",
            "targetRegions[westeurope].encryption",
        ),
        (
            zone({"osDiskImage": {"diskEncryptionSetId": ELSEWHERE}}),
            definition(),
            "EncryptionSetElsewhere",
            "targetExtendedLocations[los].encryption",
        ),
        (
            encrypted({"dataDiskImages": [{"lun": 3, "diskEncryptionSetId": KEY}]}),
            definition(),
            "UnknownLun",
            "LUN 3",
        ),
        (encrypted(CONFIDENTIAL), definition(), "NotConfidential", "SecurityType is Standard"),
        (encrypted(CONFIDENTIAL), secured("TrustedLaunch"), "NotConfidential", "SecurityType is TrustedLaunch"),
        (encrypted(CONFIDENTIAL), secured("ConfidentialVm"), None, ""),
        (encrypted(CONFIDENTIAL), secured("TrustedLaunchAndConfidentialVmSupported"), None, ""),
        (UEFI, definition(), "NoSecureBoot", "SecurityType Standard"),
        (UEFI, secured("standard", hyperVGeneration="V1"), "NoSecureBoot", "V1"),
        (UEFI, secured("TrustedLaunchSupported"), None, ""),
    ],
)
def test_refusals(spec: Json, parent: Any, reason: str | None, named: str) -> None:
    found = refusal(version(**spec), parent, SUBSCRIPTION)
    assert (found[0] if found else None) == reason
    assert found is None or named in found[1]


def test_luns_of_an_image_as_a_whole_are_not_known() -> None:
    image = "/subscriptions/s/resourceGroups/r/providers/Microsoft.Compute/images/i"
    disks = {"dataDiskImages": [{"lun": 3, "diskEncryptionSetId": KEY}]}
    wanted = version(source={"managedImageId": image}, **encrypted(disks))
    assert refusal(wanted, definition(), SUBSCRIPTION) is None


def executed(*states: str) -> Json:
    rows = [{"type": f"T{number}", "status": state} for number, state in enumerate(states)]
    return {"validationsProfile": {"executedValidations": rows, "validationEtag": "x"}} if rows else {}


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({}, {"PolicyCompliant": "True", "Validated": None}),
        (executed("Succeeded"), {"PolicyCompliant": "True", "Validated": "True"}),
        (executed("Succeeded", "Failed", "Unknown"), {"PolicyCompliant": "True", "Validated": "False"}),
        (executed("Succeeded", "Unknown"), {"PolicyCompliant": "True", "Validated": "Unknown"}),
        ({"safetyProfile": {"reportedForPolicyViolation": True}}, {"PolicyCompliant": "False", "Validated": None}),
        (
            {"safetyProfile": {"policyViolations": [{"category": "IpTheft", "details": "Told."}]}},
            {"PolicyCompliant": "False", "Validated": None},
        ),
    ],
)
def test_findings(properties: Json, expected: Json) -> None:
    existing = created(version())
    existing["properties"] |= properties
    found = version_status.findings(existing)
    assert {each.type: each.status for each in found} == expected
    existing["properties"]["provisioningState"] = "Updating"
    assert version_status.findings(existing) == ()


def test_a_policy_violation_is_told_once_as_an_event() -> None:
    existing = created(version())
    existing["properties"]["safetyProfile"] = {"policyViolations": [{"category": "IpTheft", "details": "Told."}]}
    found = version_status.findings(existing)
    (event,) = version_status.policy_event(version(), found)
    assert event[:2] == ("Warning", "PolicyViolation")
    assert "IpTheft: Told" in event[2]
    stamp = "2026-01-01T00:00:00Z"
    condition = {"type": "PolicyCompliant", "status": "False", "reason": "IpTheft", "lastTransitionTime": stamp}
    known = version()
    known = known.model_copy(update={"status": type(known.status).model_validate({"conditions": [condition]})})
    assert version_status.policy_event(known, found) == ()
