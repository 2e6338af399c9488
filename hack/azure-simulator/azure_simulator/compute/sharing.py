"""Sharing of a gallery: groups after a share call, and the state of sharing by region.

That `sharingStatus` comes with the groups, from API version 2022-03-03 on, and how long a region takes, is inferred
from the models; recordings with 2021-10-01 have none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import ArmError, bad_parameter
from ..regions import find
from ..store import Resource

__all__ = ["STATUS_FROM", "begin_status", "groups_after", "regions_of", "status"]

STATUS_FROM = "2022-03-03"
"""First API version whose galleries have `sharingStatus`."""

_GROUP_LIMITS = {"Subscriptions": 30, "AADTenants": 5}


def groups_after(gallery: Resource, kind: str, asked: list[Any]) -> list[dict[str, Any]]:
    """Return the groups after a share call.

    Raises:
        ArmError: the gallery cannot be shared so, or the limits of 30 subscriptions and 5 tenants are passed.
    """
    permissions = (gallery.properties.get("sharingProfile") or {}).get("permissions", "Private")
    current: dict[str, list[str]] = {
        str(group["type"]): list(group["ids"]) for group in gallery.internal.get("groups") or []
    }
    if kind == "Reset":
        return []
    if kind == "EnableCommunity":
        if permissions != "Community":
            raise _wrong_permissions(permissions, "Community")
        return [{"type": name, "ids": ids} for name, ids in current.items()]
    if permissions != "Groups":
        raise _wrong_permissions(permissions, "Groups")
    for group in asked:
        name, ids = str(group.get("type")), [str(item) for item in group.get("ids") or []]
        if name not in _GROUP_LIMITS:
            raise bad_parameter(f"The value '{name}' of parameter 'groups.type' is not allowed.", "groups.type")
        known = current.setdefault(name, [])
        if kind == "Add":
            known.extend(item for item in ids if item not in known)
        else:
            current[name] = [item for item in known if item not in ids]
        if len(current[name]) > _GROUP_LIMITS[name]:
            raise bad_parameter(
                f"The number of {name} a gallery can be shared with is limited to {_GROUP_LIMITS[name]}.", "groups.ids"
            )
    return [{"type": name, "ids": ids} for name, ids in current.items() if ids]


def regions_of(gallery: Resource, versions: list[Resource]) -> list[str]:
    """Return the display names of the regions a gallery is shared in: its own and those of its versions."""
    home = find(str(gallery.body["location"]))
    names = [home.display if home else str(gallery.body["location"])]
    for version in versions:
        names += [str(region["name"]) for region in version.properties["publishingProfile"]["targetRegions"]]
    return list(dict.fromkeys(names))


def begin_status(
    regions: list[str], now: float, seconds: float, fault: Callable[[str], str | None]
) -> list[dict[str, Any]]:
    """Return what to remember of sharing by region: when it is over, and why it fails (None: it does not).

    Args:
        regions: display names.
        now: Azure time in seconds.
        seconds: how long a region takes after the one before.
        fault: returns why the next sharing in a region fails, or None.
    """
    return [
        {"region": name, "end": now + seconds * (number + 1), "failure": fault(name)}
        for number, name in enumerate(regions)
    ]


def status(rows: list[dict[str, Any]], now: float) -> dict[str, Any]:
    """Return `sharingStatus` at Azure time `now`."""
    summary: list[dict[str, Any]] = []
    for row in rows:
        state = "InProgress" if now < row["end"] else "Failed" if row["failure"] else "Succeeded"
        item = {"region": row["region"], "state": state}
        if state == "Failed":
            item["details"] = row["failure"]
        summary.append(item)
    states = [item["state"] for item in summary]
    whole = next((word for word in ("InProgress", "Failed") if word in states), "Succeeded")
    return {"aggregatedState": whole, "summary": summary}


def _wrong_permissions(actual: str, needed: str) -> ArmError:
    # Inferred: Azure refuses this, in which words was not found.
    return ArmError(
        409,
        "OperationNotAllowed",
        f"The gallery's sharing permission is '{actual}'; this operation needs '{needed}'.",
        target="gallery.properties.sharingProfile.permissions",
    )
