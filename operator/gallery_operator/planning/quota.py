"""How much of the subscription's limits in a region is used, and when to say so. Pure.

Azure's limits: 100 galleries, 1,000 image definitions, 10,000 image versions per subscription and region.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from gallery_operator.api.lifecycle import QuotaUse
from gallery_operator.planning.outcome import Finding

Resource = Literal["Galleries", "ImageDefinitions", "ImageVersions"]
LIMITS: Mapping[Resource, int] = {"Galleries": 100, "ImageDefinitions": 1000, "ImageVersions": 10_000}
CONDITION = "QuotaNearlyUsed"
WARN_PERCENT, URGENT_PERCENT = 80, 95

# Azure does not document the names; they are compared without case, blanks and plural.
_NAMES: Mapping[str, Resource] = {
    "gallery": "Galleries",
    "computegallery": "Galleries",
    "sharedimagegallery": "Galleries",
    "galleryimage": "ImageDefinitions",
    "galleryimagedefinition": "ImageDefinitions",
    "galleryimageversion": "ImageVersions",
}
_WORDS: Mapping[Resource, str] = {
    "Galleries": "compute galleries",
    "ImageDefinitions": "image definitions",
    "ImageVersions": "image versions",
}


def from_usages(usages: Iterable[Mapping[str, Any]]) -> list[QuotaUse]:
    """Read Azure's usages of a region, in REST form; what is not about galleries is left out."""
    found: dict[Resource, QuotaUse] = {}
    for each in usages:
        name = each.get("name") or {}
        resource = _resource(name.get("value")) or _resource(name.get("localizedValue"))
        limit = int(each.get("limit") or 0)
        if resource is not None and limit > 0:
            used = int(each.get("currentValue") or 0)
            found[resource] = QuotaUse(resource=resource, used=used, limit=limit, source="Azure")
    return [found[resource] for resource in LIMITS if resource in found]


def _resource(name: object) -> Resource | None:
    text = re.sub(r"[^a-z]", "", str(name or "").lower())
    singular = text[:-3] + "y" if text.endswith("ies") else text.removesuffix("s")
    return _NAMES.get(singular)


def with_counted(told: Iterable[QuotaUse], counted: Mapping[Resource, int]) -> list[QuotaUse]:
    """Add what the operator has counted itself where Azure tells nothing.

    Args:
        told: What Azure tells.
        counted: What the operator knows of; a lower bound, other galleries have some, too.
    """
    known = {each.resource: each for each in told}
    result = []
    for resource, limit in LIMITS.items():
        if resource in known:
            result.append(known[resource])
        elif resource in counted:
            result.append(QuotaUse(resource=resource, used=counted[resource], limit=limit, source="Counted"))
    return result


def percent(use: QuotaUse) -> int:
    """Return how much is used, rounded down."""
    return 100 * use.used // use.limit


def finding(uses: Iterable[QuotaUse], region: str) -> Finding:
    """Return the condition that warns before a limit is met, or takes it away.

    Its text changes at the thresholds only: a condition that counts along would be written for ever.
    """
    near = [each for each in uses if percent(each) >= WARN_PERCENT]
    if not near:
        return Finding(CONDITION, None)
    urgent = any(percent(each) >= URGENT_PERCENT for each in near)
    told = "; ".join(
        f"more than {URGENT_PERCENT if percent(each) >= URGENT_PERCENT else WARN_PERCENT} % of {each.limit} "
        f"{_WORDS[each.resource]}"
        for each in near
    )
    return Finding(
        CONDITION,
        "True",
        "QuotaAlmostExhausted" if urgent else "QuotaNearlyUsed",
        f"The subscription uses in {region} {told}. Delete what is no longer needed (a definition's spec.retention can "
        "do that), or ask Azure for a higher quota.",
    )
