"""Differences that are known and meant, each with its reason."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from .interaction import Difference

__all__ = ["Explanation", "explain"]


def _always(difference: Difference) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why some differences are there.

    Attributes:
        request: regular expression for method and path.
        where: regular expression for the place.
        reason: one sentence.
        when: tells from the values whether it applies.
        before: API version from which on it does not apply, None for all.
    """

    request: str
    where: str
    reason: str
    when: Callable[[Difference], bool] = _always
    before: str | None = None


def _unsigned(difference: Difference) -> bool:
    return str(difference.recorded) == str(difference.simulated).replace("&t&c&s&h", "").replace("p&", "")


def _added(difference: Difference) -> bool:
    return difference.recorded is None


_KNOWN = (
    Explanation(
        r"GET .*/locations/[^/]+/sharedGalleries",
        r"body\.value \(length\)",
        "The recording's tenant sees galleries of others, too.",
    ),
    Explanation(
        r"GET /subscriptions/[^/]+/providers/.*",
        r"body\.value \(length\)",
        "The recording's subscription has resources that the recording does not make.",
        lambda row: int(row.recorded) > int(row.simulated),
    ),
    Explanation(
        r".*",
        r"header x-ms-ratelimit-remaining-resource",
        "The recorder left the header out, or it was made before Azure sent it.",
        lambda row: row.recorded == [],
    ),
    Explanation(
        r".*",
        r"header (azure-asyncoperation|location)",
        "Operation URLs are signed since 2023; the simulator signs always.",
        _unsigned,
    ),
    Explanation(
        r".*",
        r"header azure-asyncnotification",
        "Sent for galleries by newer services; the simulator goes by the API version.",
    ),
    Explanation(
        r".*/galleries/[^/]+/images(/[^/]+)?",
        r".*\.architecture",
        "Shown from a later API version on; the simulator shows it always.",
        _added,
        "2021-10-01",
    ),
    Explanation(
        r".*/galleries/[^/]+/images/[^/]+/versions.*",
        r".*\.safetyProfile",
        "Versions have a safety profile from a later API version on; the simulator shows it always.",
        _added,
        "2022-03-03",
    ),
    Explanation(
        r".*/galleries/[^/]+/images/[^/]+/versions.*",
        r".*\.replicationStatus\.summary\[\d+\]\.(details|region)",
        "Replication status had programmatic region names and no empty details in old API versions.",
        before="2020-09-30",
    ),
    Explanation(
        r"PUT .*/galleries/[^/]+",
        r"body\.properties\.provisioningState",
        "An old service answered the update of a gallery at once; the simulator answers Updating, as it does today.",
        lambda row: (row.recorded, row.simulated) == ("Succeeded", "Updating"),
        "2021-10-01",
    ),
    Explanation(
        r".*/(disks|snapshots)(/.*)?|GET .*/DiskOperations/.*",
        r"body(\.value\[\d+\]|\.properties\.output)?\."
        r"(id|type|sku|name|properties\.(isArmResource|networkAccessPolicy|publicNetworkAccess|diskSizeBytes|"
        r"creationData\.sourceUniqueId|encryption|provisioningState))",
        "Answers about disks had another shape in old API versions; that of today is simulated.",
        lambda row: row.recorded is None or row.simulated is None,
        "2020-12-01",
    ),
    Explanation(
        r".*/(images|operations)(/[^/]+)?",
        r"header x-ms-ratelimit-remaining-resource",
        "Azure has renamed the budgets of managed images since.",
        lambda row: all(name.endswith("Min") for name in row.recorded or []),
        "2021-11-01",
    ),
    Explanation(
        r"GET .*/roleDefinitions.*",
        r"body\..*\.(createdOn|updatedOn|createdBy|updatedBy|description|.*notActions.*|.*actions.*)",
        "Microsoft changes built-in roles over time.",
    ),
)


def explain(difference: Difference) -> str | None:
    """Return the reason of a known difference, or None."""
    for known in _KNOWN:
        if known.before is not None and difference.api_version >= known.before:
            continue
        place = re.fullmatch(known.where, difference.where)
        if place and re.fullmatch(known.request, difference.request, re.IGNORECASE) and known.when(difference):
            return known.reason
    return None
