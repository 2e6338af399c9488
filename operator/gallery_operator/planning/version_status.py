"""What status says about an image version that Azure has."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from gallery_operator.api import ImageVersion
from gallery_operator.api.imageversion import RegionStatus
from gallery_operator.planning import replication
from gallery_operator.planning.moments import parsed
from gallery_operator.planning.outcome import Finding
from gallery_operator.planning.status import timestamp

POLICY_COMPLIANT = "PolicyCompliant"
VALIDATED = "Validated"


def fields(
    version: ImageVersion, resource_id: str, existing: Mapping[str, Any], statuses: Sequence[RegionStatus]
) -> dict[str, Any]:
    """Return the fields of ``status`` besides conditions, in wire form; None removes one."""
    found = existing.get("properties") or {}
    done, wanted = replication.completed(statuses, version)
    result = {
        "resourceId": resource_id,
        "provisioningState": found.get("provisioningState"),
        "regions": [each.to_wire() for each in statuses],
        "regionsReady": f"{done}/{wanted}",
        "publishedDate": _date((found.get("publishingProfile") or {}).get("publishedDate")),
        "policyViolations": [
            {"category": str(each.get("category")), "details": each.get("details")} for each in _violations(found)
        ]
        or None,
    }
    if found.get("provisioningState") == "Succeeded":
        result["validationsProfile"] = _validations(found)
    return result


def findings(existing: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Return the conditions that tell what Azure thinks of the image; none while it is at work on the version."""
    found = existing.get("properties") or {}
    if found.get("provisioningState") != "Succeeded":
        return ()
    return (_policy(found), _validated(found))


def policy_event(version: ImageVersion, findings_now: Sequence[Finding]) -> tuple[tuple[str, str, str], ...]:
    """Return the Event for a policy violation that was not known before."""
    known = any(each.type == POLICY_COMPLIANT and each.status == "False" for each in version.status.conditions)
    return tuple(
        ("Warning", "PolicyViolation", each.message)
        for each in findings_now
        if each.type == POLICY_COMPLIANT and each.status == "False" and not known
    )


def _policy(found: Mapping[str, Any]) -> Finding:
    violations = _violations(found)
    reported = bool((found.get("safetyProfile") or {}).get("reportedForPolicyViolation"))
    if not violations and not reported:
        return Finding(POLICY_COMPLIANT, "True", "NoneReported", "Azure reports no policy violation.")
    told = "; ".join(
        f"{each.get('category')}: {str(each.get('details') or 'no details').rstrip(' .')}" for each in violations
    )
    reason = str(violations[0].get("category") or "Reported") if violations else "Reported"
    return Finding(
        POLICY_COMPLIANT,
        "False",
        reason,
        f"Azure reports a policy violation ({told or 'no details'}) and may refuse to make VMs of this version: mend "
        "the image and publish a new version, or appeal to Azure's support.",
    )


def _validated(found: Mapping[str, Any]) -> Finding:
    executed = (found.get("validationsProfile") or {}).get("executedValidations") or []
    if not executed:
        return Finding(VALIDATED, None)
    failed = [str(each.get("type")) for each in executed if each.get("status") == "Failed"]
    unknown = [str(each.get("type")) for each in executed if each.get("status") not in ("Failed", "Succeeded")]
    if failed:
        message = f"Azure's validation failed: {', '.join(failed)}; see status.validationsProfile."
        return Finding(VALIDATED, "False", "ValidationFailed", message)
    if unknown:
        return Finding(VALIDATED, "Unknown", "Validating", f"Not validated yet: {', '.join(unknown)}.")
    return Finding(
        VALIDATED, "True", "Succeeded", f"Azure has validated: {', '.join(str(e.get('type')) for e in executed)}."
    )


def _violations(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    listed: list[Mapping[str, Any]] = (found.get("safetyProfile") or {}).get("policyViolations") or []
    return listed


def _validations(found: Mapping[str, Any]) -> dict[str, Any] | None:
    profile = found.get("validationsProfile") or {}
    executed = [
        {
            "type": str(each.get("type")),
            "status": str(each.get("status")),
            "version": each.get("version"),
            "executionTime": _date(each.get("executionTime")),
        }
        for each in profile.get("executedValidations") or []
    ]
    attributes = [
        {"name": str(each.get("name")), "value": each.get("value")} for each in profile.get("platformAttributes") or []
    ]
    wire = {
        "validationEtag": profile.get("validationEtag"),
        "executedValidations": executed or None,
        "platformAttributes": attributes or None,
    }
    return wire if any(wire.values()) else None


def _date(text: object) -> str | None:
    # Azure writes seven digits of a second, more than most parsers of RFC 3339 take.
    moment: datetime | None = parsed(text)
    return timestamp(moment) if moment is not None else None
